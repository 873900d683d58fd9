"""A server that keeps every message and passes none on, with faults by rule.

For tests of applications (`waypost.testing`) and wherever somebody wants to see what was sent. It
speaks the protocol with the same code as the relay, so what it lets pass a relay lets pass as well.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from waypost.faults.rule import COMMANDS, Command
from waypost.faults.rules import FaultRules, Strike
from waypost.lab.trap_logins import TrapLogin
from waypost.net.clock import Clock, Timer
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import reply
from waypost.smtp.server import ServerProtocol
from waypost.smtp.server_events import (
    AuthenticationRequested,
    AuthenticationResponded,
    ContentEnded,
    ContentReceived,
    ContentRequested,
    HelloReceived,
    MailReceived,
    RecipientReceived,
    ServerEvent,
    TlsRequested,
    TransactionDropped,
    VerifyReceived,
)
from waypost.smtp.server_settings import ServerSettings

HANDSHAKE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Trapped:
    """A message that the trap has kept. Times in seconds since the epoch."""

    envelope: Envelope
    content: bytes
    """CRLF lines, as sent."""
    received_at: float
    user: str | None
    """Who logged in."""
    tls: str
    """Version and cipher, or ""."""
    hello: str
    """What the client called itself."""
    acknowledged: bool
    """The client was told; False where a rule dropped the connection at that moment, or the client
    left before a late answer."""


@dataclass(slots=True)
class TrapSettings:
    """What the trap offers."""

    server: ServerSettings
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    """Names and passwords that may log in."""
    require_login: bool = False


class Trap:
    """See the module. `accept` is the protocol factory of a server socket."""

    def __init__(
        self,
        settings: TrapSettings,
        rules: FaultRules,
        clock: Clock,
        keep: Callable[[Trapped], object],
    ) -> None:
        self.settings = settings
        self.rules = rules
        self.clock = clock
        self.keep = keep
        self.sessions: set[TrapSession] = set()
        self.connections = 0
        """Since the beginning."""

    def accept(self) -> asyncio.Protocol:
        """A new session."""
        return TrapSession(self)

    def close_sessions(self) -> None:
        """Cut every connection."""
        for session in list(self.sessions):
            session.cut()


class TrapSession(asyncio.Protocol):
    """One connection."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._protocol = ServerProtocol(trap.settings.server, encrypted=trap.settings.implicit_tls)
        self._transport: asyncio.Transport | None = None
        self._login: TrapLogin | None = None
        self._user: str | None = None
        self._hello = ""
        self._sender = ""
        self._recipients: tuple[str, ...] = ()
        self._envelope: Envelope | None = None
        self._content: list[bytes] = []
        self._held: Timer | None = None
        """Runs while an answer is delayed by a rule."""
        self._unanswered = False
        """A message has come whole, and its answer is delayed."""
        self._upgrading: asyncio.Task[None] | None = None
        self._early = b""
        """What came under TLS while the handshake's end has not been noticed yet."""

    # --- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._upgrading is not None:
            return  # the same connection, under TLS now
        self._trap.sessions.add(self)
        self._trap.connections += 1
        strike = self._strike("connect")
        self._carry_out(strike, lambda: self._protocol.greet(strike.reply if strike else None))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._trap.sessions.discard(self)
        self._transport = None
        if self._held is not None:
            self._held.cancel()
        if self._unanswered:  # as at a real server, which has the message and goes on
            self._keep(acknowledged=False)

    def data_received(self, data: bytes) -> None:
        if self._upgrading is not None:
            # asyncio hands over what came right behind the handshake before `start_tls` returns.
            self._early += data
            return
        self._protocol.receive(data)
        self._pump()

    def cut(self) -> None:
        """Close without a word."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    # --- events ----------------------------------------------------------------------------

    def _pump(self) -> None:
        while self._transport is not None and self._held is None:
            event = self._protocol.next_event()
            if event is None:
                break
            self._take(event)
        self._send()

    def _send(self) -> None:
        transport = self._transport
        if transport is None:
            return
        data = self._protocol.take()
        if data:
            transport.write(data)
        if self._protocol.closing and self._held is None:
            transport.close()
        elif self._protocol.in_handshake and self._upgrading is None:
            transport.pause_reading()
            self._upgrading = asyncio.get_running_loop().create_task(self._upgrade(transport))

    def _take(self, event: ServerEvent) -> None:
        self._note(event)
        command = COMMANDS.get(type(event))
        strike = self._strike(command) if command is not None else None
        if strike is not None and strike.drop and isinstance(event, ContentEnded):
            self._keep(acknowledged=False)
        if strike is None:
            self._answer(event)
        elif strike.reply is not None:
            refusal = strike.reply
            self._carry_out(strike, lambda: self._protocol.answer(refusal))
        else:
            self._unanswered = isinstance(event, ContentEnded) and not strike.drop
            self._carry_out(strike, lambda: self._answer(event))

    def _strike(self, command: Command) -> Strike | None:
        trap = self._trap
        return trap.rules.strike(command, self._sender, self._recipients, trap.clock.monotonic())

    def _carry_out(self, strike: Strike | None, say: Callable[[], None]) -> None:
        """Drop, or say something now or later."""
        if strike is not None and strike.drop:
            self._later(strike.delay, self.cut)
        else:
            self._later(strike.delay if strike is not None else 0, say)

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        if delay <= 0:
            act()
            self._send()
            return

        def now() -> None:
            self._held = None
            act()
            self._pump()

        self._held = self._trap.clock.call_later(delay, now)

    def _note(self, event: ServerEvent) -> None:
        """Remember what rules and messages are told of."""
        if isinstance(event, HelloReceived):
            self._hello = event.domain
        elif isinstance(event, MailReceived):
            self._sender, self._recipients = event.envelope.reverse_path, ()
        elif isinstance(event, RecipientReceived):
            # At RCPT a rule asks about this recipient alone.
            self._recipients = (event.recipient.address,)
        elif isinstance(event, ContentRequested):
            self._envelope = event.envelope
            self._recipients = tuple(one.address for one in event.envelope.recipients)
            self._content = []
        elif isinstance(event, ContentReceived):
            self._content.append(event.data)
        elif isinstance(event, TransactionDropped):
            self._content = []

    def _answer(self, event: ServerEvent) -> None:
        """What happens where no rule says otherwise."""
        settings = self._trap.settings
        if isinstance(event, MailReceived) and settings.require_login and self._user is None:
            self._protocol.answer(reply(530, "5.7.0", "Authentication required"))
        elif isinstance(event, ContentEnded):
            self._keep(acknowledged=True)
            self._protocol.accept()
        elif isinstance(event, AuthenticationRequested):
            self._login = TrapLogin(event.mechanism, settings.users)
            self._continue_login(event.initial)
        elif isinstance(event, AuthenticationResponded):
            self._continue_login(event.response)
        elif isinstance(
            event,
            HelloReceived | TlsRequested | MailReceived | RecipientReceived | ContentRequested
            | VerifyReceived,
        ):  # fmt: skip
            self._protocol.accept()

    def _continue_login(self, response: bytes | None) -> None:
        assert self._login is not None
        step = self._login.respond(response)
        if step.challenge is not None:
            self._protocol.challenge(step.challenge)
        elif step.user is not None:
            self._user = step.user
            self._protocol.authenticated(step.user)
        else:
            self._protocol.answer(step.refusal)

    def _keep(self, *, acknowledged: bool) -> None:
        assert self._envelope is not None
        self._unanswered = False
        trap = self._trap
        cipher = self._transport.get_extra_info("cipher") if self._transport else None
        trap.keep(
            Trapped(
                self._envelope, b"".join(self._content), trap.clock.now(), self._user,
                f"{cipher[1]} {cipher[0]}" if cipher else "", self._hello, acknowledged,
            )
        )  # fmt: skip
        self._content = []

    async def _upgrade(self, transport: asyncio.Transport) -> None:
        tls = self._trap.settings.tls
        assert tls is not None
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, EOFError):  # ssl.SSLError and timeouts are OSErrors
            transport.abort()
            self.connection_lost(None)
            return
        self._transport = upgraded
        self._protocol.tls_established()
        self._user = None
        self._upgrading = None
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
