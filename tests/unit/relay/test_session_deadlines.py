"""How long a client may take: what counts as progress, and what does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from waypost.net.deadlines import NEVER
from waypost.relay.access import AccessPolicy, AccessSettings
from waypost.relay.peer_limits import PeerLimits, PeerLimitSettings
from waypost.relay.session import Session
from waypost.relay.session_state import COMMAND_SECONDS, HANDSHAKE_SECONDS
from waypost.smtp.server_settings import ServerSettings


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.said = b""
        self.state = "open"
        self.reading = True

    def write(self, data: Any) -> None:
        self.said += data

    def close(self) -> None:
        self.state = "closing"

    def abort(self) -> None:
        self.state = "aborted"

    def is_closing(self) -> bool:
        return self.state != "open"

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Clock:
    def __init__(self) -> None:
        self.moment = 1000.0

    def monotonic(self) -> float:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def session(clock: Clock, wire: Wire) -> Session:
    """A session that has been greeted."""
    listener = SimpleNamespace(
        server_settings=ServerSettings("relay.example"),
        implicit_tls=False,
        faults=None,
        kind="submission",
        sessions=set(),
        deadlines=SimpleNamespace(add=lambda _: None, remove=lambda _: None),
        clock=clock,
        limits=PeerLimits(PeerLimitSettings()),
        access=AccessPolicy(AccessSettings(), lambda _: None),
        expects_proxy_header=lambda _: False,
    )
    made = Session(cast("Any", listener))
    made.connection_made(wire)
    assert wire.said.startswith(b"220")
    assert made.deadline < NEVER
    return made


def test_each_command_gives_time_for_the_next(session: Session, clock: Clock) -> None:
    clock.moment += 200
    session.data_received(b"EHLO c\r\n")
    assert session.deadline == clock.moment + COMMAND_SECONDS


def test_half_a_command_buys_no_time(session: Session, clock: Clock) -> None:
    before = session.deadline
    for byte in b"EHLO c":
        clock.moment += 10
        session.data_received(bytes([byte]))
    assert session.deadline == before


def test_who_says_nothing_is_told_and_then_cut_off(
    session: Session, clock: Clock, wire: Wire
) -> None:
    clock.moment = session.deadline
    session.deadline_passed()
    assert wire.said.endswith(b"421 4.4.2 Timeout: nothing was received; closing\r\n")
    assert wire.state == "closing"
    clock.moment += HANDSHAKE_SECONDS
    session.deadline_passed()
    assert wire.state == "aborted"


def test_who_does_not_read_is_not_read_from(session: Session, wire: Wire) -> None:
    session.pause_writing()
    assert not wire.reading
    session.resume_writing()
    assert wire.reading
