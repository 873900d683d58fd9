"""Two relays with a server behind them that keeps what it is sent: one as it comes, one strict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peer_relay import Peer, made_certificate, make_peer

from sink import Sink


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return made_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture(scope="session")
def peer(
    tmp_path_factory: pytest.TempPathFactory, sink: Sink, certificate: tuple[Path, Path]
) -> Iterator[Peer]:
    """The relay as it comes, with a certificate; it takes mail for ours.example from anybody."""
    more = '[access]\nrelay_domains = "ours.example"\n'
    made = make_peer(tmp_path_factory.mktemp("relay"), sink, certificate, more)
    made.process.start()
    yield made
    made.process.stop()


@pytest.fixture(scope="session")
def strict(
    tmp_path_factory: pytest.TempPathFactory, sink: Sink, certificate: tuple[Path, Path]
) -> Iterator[Peer]:
    """A relay that trusts no network, takes mail for ours.example, and mends line ends."""
    more = (
        '[access]\ntrusted_networks = []\nrelay_domains = "ours.example"\n'
        '[content]\nbare_line_ends = "normalise"\nmaximum_hops = 20\n'
    )
    made = make_peer(tmp_path_factory.mktemp("strict"), sink, certificate, more)
    made.process.start()
    yield made
    made.process.stop()
