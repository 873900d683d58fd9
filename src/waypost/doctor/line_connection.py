"""A connection on which somebody says SMTP lines as they like and hears what comes back.

Delivery has a protocol that knows what may be said when (smtp.client). Here a person, or a probe,
says one line and waits for its reply, right or wrong as the line may be. So replies are only read,
not judged, and what is no reply is heard as well.

The peer is trusted with nothing. A line is kept up to a limit and the rest of it passed over; a
reply, and what comes unasked, have a limit of lines; each wait has its seconds, counted to the end
of the reply and not from line to line, so that a peer that drips ends too. What is read together
with the 220 to STARTTLS was said in the clear: it is refused, and never taken for an answer under
TLS (RFC 3207 6).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, cast

from waypost.net.clock import Clock
from waypost.net.network import Network
from waypost.smtp.client_replies import readable
from waypost.smtp.reply import MAXIMUM_LINE, MalformedReply, Reply, ReplyParser

MAXIMUM_UNASKED: Final = 1000
"""Lines heard since the last line that was said; a peer that talks on is left."""

MAXIMUM_BYTES: Final = 4 * 1024 * 1024
"""The same in bytes; the lines of an endless line would never be counted."""

MAXIMUM_EARLY: Final = 32
"""Replies kept until somebody asks for them."""

Why = Literal["timeout", "closed", "reset", "not-smtp", "not-tls", "injection", "endless"]
"""not-tls: it spoke in the clear where TLS from the first byte was due. injection: it spoke in the
clear behind its 220 to STARTTLS. endless: it does not stop talking."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it came, fit to be shown."""

    text: str
    """With control characters escaped."""
    cut: bool
    """It was longer than what is kept."""


@dataclass(frozen=True, slots=True)
class NotAReply:
    """A line that is no SMTP reply, or breaks off the one it stands in."""

    line: Line
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is over; nothing follows."""

    why: Why
    text: str
    """In words."""


Heard = Reply | NotAReply | Ended


class Unanswered(Exception):
    """No reply came."""

    def __init__(self, why: Why, text: str) -> None:
        self.why = why
        self.text = text
        super().__init__(text)


class LineReader:
    """Turns bytes into lines and replies; sans-I/O. What it holds is bounded by one line."""

    def __init__(self, maximum_line: int = MAXIMUM_LINE) -> None:
        self._maximum = maximum_line
        self._rest = b""
        self._skipping = False
        self._parser = ReplyParser(maximum_line)

    @property
    def inside(self) -> bool:
        """A line or a reply has begun and not ended."""
        return bool(self._rest) or self._skipping or self._parser.inside_reply

    def feed(self, data: bytes) -> list[tuple[Line, Reply | NotAReply | None]]:
        """Each line that ended, or reached the limit, with the reply that it completes."""
        heard: list[tuple[Line, Reply | NotAReply | None]] = []
        pieces = data.split(b"\n")
        last = len(pieces) - 1
        for number, piece in enumerate(pieces):
            ended = number < last
            if self._skipping:
                self._skipping = not ended
                continue
            self._rest += piece[: self._maximum + 2 - len(self._rest)]
            too_long = len(self._rest.removesuffix(b"\r")) > self._maximum
            if ended or too_long:
                heard.append(self._line(too_long))
                self._rest = b""
                self._skipping = not ended
        return heard

    def _line(self, cut: bool) -> tuple[Line, Reply | NotAReply | None]:
        raw = self._rest
        line = Line(readable(raw[: self._maximum]), cut)
        if cut:
            self._parser = ReplyParser(self._maximum)
            return line, NotAReply(line, f"the line is longer than {self._maximum} bytes")
        try:
            replies = self._parser.feed(raw + b"\n")
        except MalformedReply as fault:
            self._parser = ReplyParser(self._maximum)
            return line, NotAReply(line, fault.reason)
        return line, replies[0] if replies else None


class LineConnection(asyncio.Protocol):
    """See the module. `on_line` is told each line, `on_unasked` what nobody waits for."""

    def __init__(
        self,
        clock: Clock,
        on_line: Callable[[Line], None] | None = None,
        on_unasked: Callable[[Heard], None] | None = None,
    ) -> None:
        self._clock = clock
        self._on_line = on_line
        self._on_unasked = on_unasked
        self._reader = LineReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Heard] | None = None
        self._early: deque[Heard] = deque()
        self._owed = 0
        """Replies that are due to lines which nobody waits for any more."""
        self._greeted = False
        self._said = False
        self._since_said = 0
        self._bytes_since_said = 0
        self._heard_since_said = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._handshake = False
        self.ended: Ended | None = None
        """Why the connection is over, once it is."""

    # --- what the driver does ---------------------------------------------------------------

    @property
    def encrypted(self) -> ssl.SSLObject | None:
        """The TLS that is in force."""
        transport = self._transport
        return transport.get_extra_info("ssl_object") if transport is not None else None

    @property
    def spoke_unasked(self) -> bool:
        """A reply has come that nobody has asked for; it must not answer what is said next."""
        return bool(self._early)

    @property
    def at_peace(self) -> bool:
        """Nothing has come that was not heard to its end, and no late answer is due."""
        return not self._early and not self._reader.inside and self._owed == 0

    def say(self, data: bytes) -> None:
        """Send bytes; a line has its CRLF. Says nothing on a connection that is over."""
        self._said = True
        self._since_said = self._bytes_since_said = self._heard_since_said = 0
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self, seconds: float) -> None:
        """Wait until the peer has taken enough of what was said. Raises Unanswered."""
        try:
            async with asyncio.timeout(seconds):
                await self._drained.wait()
        except TimeoutError:
            text = f"the server has taken no data for {seconds:g} seconds"
            raise Unanswered("timeout", text) from None

    async def reply(self, seconds: float) -> Reply | NotAReply:
        """The next reply, or what came in its place. Raises Unanswered.

        A reply that comes after its time is told to `on_unasked`, and never answers a later line.
        """
        if self._early:
            heard = self._early.popleft()
        elif self.ended is not None:
            raise Unanswered(self.ended.why, self.ended.text)
        else:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    heard = await self._waiting
            except BaseException as fault:
                if self.ended is None:
                    self._owed += 1
                if isinstance(fault, TimeoutError):
                    text = f"no answer within {seconds:g} seconds"
                    if self._reader.inside:
                        text = f"the answer did not end within {seconds:g} seconds"
                    raise Unanswered("timeout", text) from None
                raise
            finally:
                self._waiting = None
        if isinstance(heard, Ended):
            raise Unanswered(heard.why, heard.text)
        return heard

    async def start_tls(
        self, network: Network, context: ssl.SSLContext, name: str, seconds: float
    ) -> None:
        """Make TLS over the connection. Raises Unanswered, OSError, EOFError."""
        transport = self._transport
        if transport is None:
            ended = self.ended or Ended("closed", "the connection is closed")
            raise Unanswered(ended.why, ended.text)
        # One reply was due, the 220, and it has been handed out.
        if self._early or self._reader.inside or self._heard_since_said > 1:
            ended = Ended(
                "injection", "the server sent bytes in the clear behind its 220 to STARTTLS"
            )
            if not self._said:
                ended = Ended("not-tls", "the server spoke in the clear where TLS was due")
            self._end(ended)
            raise Unanswered(ended.why, ended.text)
        self._handshake = True
        try:
            async with asyncio.timeout(seconds):
                self._transport = await network.start_tls(transport, self, context, name)
        except TimeoutError:
            text = f"the TLS handshake did not end within {seconds:g} seconds"
            self._end(Ended("timeout", text))
            raise Unanswered("timeout", text) from None
        except (OSError, EOFError) as fault:
            self._end(Ended("closed", f"the TLS handshake failed: {fault}"))
            raise
        except asyncio.CancelledError:
            self._end(Ended("closed", "the TLS handshake was given up"))
            raise
        finally:
            self._handshake = False
        self._reader = LineReader()

    def close(self) -> None:
        """Close in order; what was said still goes out."""
        if self.ended is None:
            self.ended = Ended("closed", "the connection is closed")
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        transport = self._transport
        self.close()
        if transport is not None:
            transport.abort()

    # --- what the transport tells -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        for line, heard in self._reader.feed(data):
            if self.ended is not None:
                return
            self._since_said += 1
            if self._on_line is not None:
                self._on_line(line)
            if heard is not None:
                self._heard_since_said += 1
                self._hear(heard)
            if self._since_said >= MAXIMUM_UNASKED:
                text = f"the server sent {MAXIMUM_UNASKED} lines in a row; nothing more is read"
                self._end(Ended("endless", text))
                return
        self._bytes_since_said += len(data)
        if self._bytes_since_said > MAXIMUM_BYTES and self.ended is None:
            text = f"the server sent {MAXIMUM_BYTES} bytes in a row; nothing more is read"
            self._end(Ended("endless", text))

    def eof_received(self) -> bool:
        """The peer says no more."""
        if not self._handshake:
            self._end(Ended("closed", "the server closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._drained.set()
        if self._handshake:
            return  # start_tls has the error
        if exc is None:
            self._end(Ended("closed", "the server closed the connection"))
        else:
            words = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            self._end(Ended("reset", f"the connection broke: {words or type(exc).__name__}"))

    def pause_writing(self) -> None:
        """The peer takes less than is said."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """The peer has taken enough."""
        self._drained.set()

    # --- hearing ----------------------------------------------------------------------------

    def _hear(self, heard: Heard) -> None:
        waiting = self._waiting
        if not isinstance(heard, Ended) and self._owed:
            self._owed -= 1  # the answer to a line that nobody waits for any more
        elif waiting is not None and not waiting.done():
            self._greeted = True
            waiting.set_result(heard)
            return
        greeting, self._greeted = not self._greeted, True
        if self._on_unasked is not None and not greeting:
            self._on_unasked(heard)
        elif not isinstance(heard, Ended) and len(self._early) < MAXIMUM_EARLY:
            self._early.append(heard)

    def _end(self, ended: Ended) -> None:
        if self.ended is not None:
            return
        self.ended = ended
        self._drained.set()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._hear(ended)
