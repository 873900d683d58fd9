"""What is measured: a relay that listens, keeps what it takes, and hands it to the sink."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class System(Protocol):
    """A relay that runs."""

    name: str
    port: int
    root: int
    """The process that all others of the relay descend from."""

    def queued(self) -> int:
        """Messages in its queue, whatever their state."""


class Starter(Protocol):
    """How to start a relay in an empty directory, with everything going to a port."""

    name: str

    def version(self) -> str:
        """Its version, as it says it."""

    def run(self, directory: Path, next_hop: int) -> AbstractContextManager[System]:
        """A relay that runs as long as the block does."""
