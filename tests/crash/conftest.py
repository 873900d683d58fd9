"""A relay process with a counting sink behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay_process import RelayProcess, free_port
from sink import Sink

LISTENER = '[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "submission"\n'
ROUTE = '[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{port}"\n'
SOON = '[route.retry]\ndelays = "1 s"\nafterwards = "1 s"\n'


@pytest.fixture
def sink() -> Iterator[Sink]:
    """The next hop; it stays while the relay comes and goes."""
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def port() -> int:
    """Where the relay listens."""
    return free_port()


@pytest.fixture
def make_relay(tmp_path: Path) -> Iterator[Callable[..., RelayProcess]]:
    """Makes relays, not yet started: make_relay(port, next_hop, more configuration)."""
    made: list[RelayProcess] = []

    def make(port: int, next_hop: int, more: str = "", folder: Path | None = None) -> RelayProcess:
        configuration = more + LISTENER.format(port=port) + ROUTE.format(port=next_hop) + SOON
        made.append(RelayProcess(folder or tmp_path / f"relay{len(made)}", configuration))
        return made[-1]

    yield make
    for relay in made:
        relay.kill()
