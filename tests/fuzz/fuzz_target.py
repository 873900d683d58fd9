"""What the fuzz of the running relay is aimed at."""

from __future__ import annotations

from dataclasses import dataclass

from relay_process import RelayProcess
from sink import Sink


@dataclass
class Target:
    """A relay, where it listens, and what it has delivered."""

    relay: RelayProcess
    sink: Sink
    ports: dict[str, int]
