"""One session with one server, step by step, as far as it goes.

It opens like delivery does. Where delivery would give up, this looks closer first: who is there
instead, what certificate was refused, which other port answers. No mail is sent unless a message
was given, and no password goes anywhere but to the server under the TLS that was asked for.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from waypost.delivery.next_hop import TlsMode
from waypost.doctor.check.connection import ProbeConnection
from waypost.doctor.check.encryption import implicit_tls, start_tls
from waypost.doctor.check.greeting import greet
from waypost.doctor.check.hello import say_hello
from waypost.doctor.check.login import log_in
from waypost.doctor.check.names import ReverseName, find_addresses
from waypost.doctor.check.old_versions import OldVersions
from waypost.doctor.check.reaching import connect
from waypost.doctor.check.settings import ServerToCheck
from waypost.doctor.check.steps import CheckEnded, Recorder
from waypost.doctor.check.transaction import try_transaction
from waypost.doctor.line_connection import Line, Unanswered
from waypost.doctor.line_opening import World
from waypost.knowledge.response_times import response_limit
from waypost.knowledge.special_addresses import is_loopback
from waypost.smtp.extensions import Capabilities

CLOSING_SECONDS: Final = 1.0
"""For the reply to QUIT."""

MAXIMUM_EARLY: Final = 20
"""Lines kept that come with the connection itself."""

MEASURED: Final = ("dns", "tcp", "greeting", "ehlo", "tls", "auth", "mail", "rcpt")


@dataclass(slots=True)
class Session:
    """What is known of a session that is under way."""

    server: ServerToCheck
    world: World
    recorder: Recorder
    address: str = ""
    """The IP address that answered."""
    connection: ProbeConnection | None = None
    capabilities: Capabilities | None = None
    """Of the last EHLO."""
    before_tls: Capabilities | None = None
    greeting: str = ""
    tls: str = ""
    """Version and cipher; "" in the clear."""
    inside_transaction: bool = False
    """MAIL was taken, and neither sent nor reset."""
    _early: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, str]:
        """What fills the places of a fix."""
        hop = self.server.hop
        return {
            "host": hop.host, "port": str(hop.port), "address": self.address or hop.host,
            "target": self.server.target,
            "starttls": "" if hop.tls is TlsMode.IMPLICIT else "-starttls smtp ",
        }  # fmt: skip

    def heard(self, line: Line) -> None:
        """A line of the server, for the step that is being taken."""
        text = line.text + (" ..." if line.cut else "")
        step = self.recorder.current
        if step is not None and step.name != "tcp":
            step.heard(text)
        elif len(self._early) < MAXIMUM_EARLY:
            self._early.append(text)

    def show_early(self) -> None:
        """Put what came with the connection itself into the step that is being taken."""
        early, self._early = self._early, []
        for text in early:
            if self.recorder.current is not None:
                self.recorder.current.heard(text)

    def make(self) -> ProbeConnection:
        """A connection whose lines are recorded."""
        return ProbeConnection(self.world.clock, self.heard)

    async def leave(self) -> None:
        """End in order where the server still speaks with us."""
        connection = self.connection
        if connection is None or connection.ended is not None:
            return
        with suppress(Unanswered):
            if self.capabilities is not None and connection.at_peace:
                for line in (b"RSET\r\n", b"QUIT\r\n")[not self.inside_transaction :]:
                    connection.say(line)
                    await connection.reply(CLOSING_SECONDS)
        connection.abort()


async def check_server(
    server: ServerToCheck,
    world: World,
    recorder: Recorder,
    addresses: tuple[str, ...] | None = None,
) -> Session:
    """Walk the steps of one server; what was found is in the recorder.

    With `addresses` the name is not looked up.
    """
    session = Session(server, world, recorder)
    try:
        await _walk(session, addresses)
    except CheckEnded:
        pass
    finally:
        await session.leave()
    return session


async def _walk(session: Session, addresses: tuple[str, ...] | None) -> None:
    server, world, recorder = session.server, session.world, session.recorder
    if addresses is None:
        addresses = await find_addresses(server.hop.host, world, recorder, server.seconds)
    session.connection, reached = await connect(server, addresses, world, recorder, session.make)
    session.address = reached.address
    if is_loopback(reached.address) or server.hop.is_unix:
        # Nobody else hears what is said here, so a login in the clear gives nothing away.
        session.server = server = replace(server, hop=replace(server.hop, clear_text_auth=True))
    reverse = ReverseName(world, reached.address)
    old: OldVersions | None = None
    try:
        if server.hop.tls is TlsMode.IMPLICIT:
            await implicit_tls(session)
        await greet(session)
        await say_hello(session)
        if server.hop.tls in (TlsMode.REQUIRED, TlsMode.OPPORTUNISTIC):
            await start_tls(session)
        old = OldVersions(session)
        await log_in(session)
        await try_transaction(session)
        await reverse.record(recorder)
        await old.record(session)
        _judge_time(session)
    finally:
        reverse.cancel()
        if old is not None:
            old.cancel()


def _judge_time(session: Session) -> None:
    """The step `latency`: whether somebody who waits for this session would feel it."""
    limit = response_limit("session").seconds
    steps = [step for step in session.recorder.steps if step.name in MEASURED]
    with session.recorder.step("latency") as step:
        total = sum(one.seconds for one in steps)
        step.note(f"{total * 1000:.0f} ms in all, {limit * 1000:.0f} ms are good")
        slowest = max(steps, key=lambda one: one.seconds)
        greeted = sum(one.seconds for one in steps if one.name == "greeting")
        if greeted <= limit < total or total - greeted > limit:
            step.note(f"most of it is {slowest.name}: {slowest.seconds * 1000:.0f} ms")
            step.warn("latency:slow", **session.facts)
