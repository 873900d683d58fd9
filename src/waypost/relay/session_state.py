"""What the relay knows of one client's connection, and the small steps that change it.

Split off so that mail (session.py) and TLS with AUTH (session_security.py) each tell one story.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from waypost.net.clock import Timer
from waypost.net.deadlines import NEVER
from waypost.relay.access import ClientIdentity
from waypost.relay.authentication import Authentication
from waypost.relay.intake import Intake, Origin
from waypost.relay.proxy_protocol import ProxyHeaderParser
from waypost.smtp.reply import Reply
from waypost.smtp.server import ServerProtocol

if TYPE_CHECKING:
    from waypost.relay.bounces import Returned
    from waypost.relay.listener import Listener

MAXIMUM_BACKLOG: Final = 256 * 1024
"""Bytes received and not yet read at which the socket is paused."""

COMMAND_SECONDS: Final = 300.0
"""Wait for a command (RFC 5321 4.5.3.2.7)."""

CONTENT_SECONDS: Final = 180.0
"""Wait for the next piece of content (RFC 5321 4.5.3.2.5)."""

HANDSHAKE_SECONDS: Final = 30.0
"""For a TLS handshake or a PROXY header."""


def plain_address(address: str) -> str:
    """An IPv4 client as such, also where a socket for both families shows it as IPv6."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address


class SessionState(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_authentication", "_early", "_ended", "_held", "_intake", "_introduced", "_monotonic",
        "_origin", "_paused_by", "_proxy", "_returned", "_tasks", "_tls_text", "_transport",
        "address", "deadline", "identity", "listener", "protocol", "refusal", "registered",
    )  # fmt: skip

    def __init__(self, listener: Listener, introduced: str = "") -> None:
        """`introduced`: the address, where it has been found out, and the connection counted,
        before the TLS handshake."""
        self.listener = listener
        self._monotonic = listener.clock.monotonic
        self.protocol = ServerProtocol(listener.server_settings, encrypted=listener.implicit_tls)
        self.address = introduced
        self.identity: ClientIdentity | None = None
        self.deadline = NEVER
        self.registered = False
        """The connection counts in the limits of its address."""
        self._transport: asyncio.Transport | None = None
        self._intake: Intake | None = None
        self._returned: Returned | None = None
        """The bounce that this transaction brings."""
        self._authentication: Authentication | None = None
        self._proxy: ProxyHeaderParser | None = None
        self._introduced = bool(introduced)
        self.refusal: Reply | None = None
        """What to greet an introduced client with, where it was one too many."""
        self._ended = False
        self._early = b""
        """What came under TLS while the end of the handshake was not noticed yet."""
        self._tls_text = ""
        self._origin: Origin | None = None
        """Of the next message; None where it has to be made anew."""
        self._tasks: set[asyncio.Task[None]] | None = None
        self._paused_by = 0
        self._held: Timer | None = None
        """Runs while an answer is late by a fault rule."""

    def _pump(self) -> None:
        """Handle what has been received and send what there is to say."""
        raise NotImplementedError

    def _identify(self, user: str | None) -> None:
        self._origin = None
        self.identity = self.listener.access.identify(
            self.address, self.listener.kind, user, encrypted=self.protocol.encrypted
        )

    def _pause(self, reason: int) -> None:
        """Stop reading; reasons: 1 an answer is owed, 2 the disk is behind, 4 answers wait to be
        read."""
        if not self._paused_by and self._transport is not None:
            self._transport.pause_reading()
        self._paused_by |= reason

    def _resume(self, reason: int) -> None:
        self._paused_by &= ~reason
        if not self._paused_by and self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        assert self._tasks is not None
        self._tasks.discard(task)
        if task.cancelled():
            return
        failure = task.exception()
        if failure is not None:
            self.listener.log.error("session failed", client=self.address, exc_info=failure)
            self.abort()

    def _decide(self, decision: Reply | None) -> None:
        if decision is None:
            self.protocol.accept()
        else:
            self.protocol.answer(decision)

    def _count_error(self, farewell: Reply | None) -> None:
        if farewell is not None and not self.protocol.closing:
            self.protocol.disconnect(farewell)

    def _note_tls(self) -> None:
        assert self._transport is not None
        cipher = self._transport.get_extra_info("cipher")
        self._tls_text = f"{cipher[1]} {cipher[0]}" if cipher else ""

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()
