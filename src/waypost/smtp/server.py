"""The server side of SMTP: bytes in, questions out, answers in, bytes out.

Theory of operation. `receive` takes what the socket read. `next_event` reads one command (or some
content) from it and returns an event; None means that more bytes, or a decision, are needed. For
a question the program calls `accept` (the ordinary answer) or `answer` (any other); nothing
further is read until then, so pipelined commands wait for decisions that take time, and replies
go out in order without any bookkeeping. `take` returns the bytes to send; one call after a run of
events sends the replies of a whole pipelined group in one write.

Three rules hold everywhere:

- A command is a line that ends in CRLF. A bare CR or LF is an error, never an end (framing.py).
- After 220 to STARTTLS every buffered byte is thrown away, and every byte that comes before
  `tls_established` (RFC 3207 4.2): what was said in the clear never speaks under TLS.
- Content that no one agreed to take is never read as commands: a refused DATA with bytes behind it
  ends the connection.

What a peer can make us hold: one read of the socket, one command line, `maximum_recipients`
addresses.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Final

from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.extensions import advertise
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_commands import ORDINARY, Commands
from waypost.smtp.server_events import (
    ContentEnded,
    ServerEvent,
)
from waypost.smtp.server_settings import ServerSettings
from waypost.smtp.server_state import COMMAND, DATA, Mode

MAXIMUM_AUTH_LINE: Final = 12288
"""Octets of a line during AUTH (RFC 4954 4)."""

_SENDER_OK: Final = b"250 2.1.0 Sender ok\r\n"
_RECIPIENT_OK: Final = b"250 2.1.5 Recipient ok\r\n"
_GO_AHEAD: Final = b"354 End data with <CRLF>.<CRLF>\r\n"


@lru_cache(maxsize=64)
def _ehlo_reply(settings: ServerSettings, encrypted: bool) -> bytes:
    """The reply to EHLO: the same for every session of a listener."""
    offered = advertise(settings.offer(encrypted=encrypted))
    return reply(250, None, settings.hostname, *offered).encode()


class ServerProtocol(Commands):
    """One connection as its server sees it. See the module for how it is driven."""

    # --- what the program calls -------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """A question is open: nothing is read before it is answered."""
        return self.question is not None

    @property
    def backlog(self) -> int:
        """Bytes received and not yet read; the driver pauses the socket by it."""
        return len(self._data) - self._at

    def greet(self, greeting: Reply | None = None) -> None:
        """Open the session with 220, or refuse it with `greeting` (554, 421)."""
        self.question = None
        if greeting is None:
            self._out.append(f"220 {self.settings.hostname} ESMTP Waypost\r\n".encode())
            return
        self._out.append(greeting.encode())
        if not greeting.is_positive:
            self._close()

    def hold_greeting(self) -> None:
        """The greeting comes later: until `greet` nothing is read."""
        self.question = "greeting"

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self.deaf:
            return
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def take(self) -> bytes:
        """The bytes to send, given out once."""
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def next_event(self) -> ServerEvent | None:
        """The next thing that happened, or None until more bytes or a decision come."""
        while True:
            if self._told:
                return self._told.popleft()
            if self.question is not None:
                return None
            mode = self._mode
            if mode is COMMAND:
                data, at = self._data, self._at
                if at >= len(data):
                    return None
                ordinary = ORDINARY.match(data, at)
                if ordinary is not None:
                    self._at = ordinary.end()
                    event = self._ordinary(ordinary)
                else:
                    line = self._line()
                    if line is None:
                        return None
                    event = self._command(line)
            elif mode is DATA:
                if self._at >= len(self._data):
                    return None
                event = self._read_data()
            elif mode is Mode.AUTH:
                line = self._line()
                if line is None:
                    return None
                event = self._auth_line(line)
            elif mode is Mode.CHUNK or mode is Mode.CHUNK_DISCARD:
                if self._content.chunk_left and self._at >= len(self._data):
                    return None
                event = self._read_chunk()
            else:
                return None
            if event is not None:
                return event

    def accept(self, text: str = "") -> None:
        """Give the ordinary answer to the open question; `text` goes into it where one fits."""
        pending = self.question
        if pending == "mail":
            envelope = self._offered
            assert isinstance(envelope, Envelope)
            self._mail = envelope
            self._recipients.clear()
            self._out.append(_SENDER_OK)
        elif pending == "rcpt":
            offered = self._offered
            assert isinstance(offered, Recipient)
            self._recipients.append(offered)
            self._out.append(_RECIPIENT_OK)
        elif pending == "data":
            self._turn(DATA)
            self._content.begin_data()
            self._out.append(_GO_AHEAD)
        elif pending == "bdat":
            self._turn(Mode.CHUNK)
            self._content.begin_chunks()
        elif pending == "end":
            self.messages += 1
            self._idle_commands = 0
            self._out.append(b"250 2.0.0 %b\r\n" % (text or "Ok").encode())
            self._forget_transaction()
        elif pending == "hello":
            self._accept_hello()
        elif pending == "tls":
            self._out.append(b"220 2.0.0 Ready to start TLS\r\n")
            self._turn(Mode.HANDSHAKE)
            self._data, self._at = b"", 0
        elif pending == "verify":
            self._say(252, "2.5.0", text or "Cannot VRFY, send some mail and see")
        else:
            raise RuntimeError(f"nothing to accept: the open question is {pending!r}")
        self.question = None

    def answer(self, decision: Reply) -> None:
        """Give any other answer to the open question. 421 and 521 end the connection."""
        pending = self.question
        if pending is None:
            raise RuntimeError("answer() without an open question")
        self.question = None
        self._out.append(decision.encode())
        if decision.code in (421, 521):
            self._close()
            return
        if pending == "end":
            if decision.code // 100 == 2:
                self.messages += 1
                self._idle_commands = 0
            self._forget_transaction()
        elif pending == "data":
            self._forget_transaction()
            if self._at < len(self._data):
                # What follows may be content sent without waiting; it must not speak as commands.
                self._close()
        elif pending == "bdat":
            # The chunk is on its way: it is read and thrown away before it is answered.
            self._out.pop()
            self._content.refused = decision
            self._turn(Mode.CHUNK_DISCARD)
            self._forget_transaction()
        elif pending == "auth":
            self._turn(Mode.COMMAND)

    def disconnect(self, farewell: Reply) -> None:
        """Say 421 (or another last word) at any moment and end the connection."""
        self._out.append(farewell.encode())
        self._close()

    def hang_up(self) -> None:
        """End the connection without another word; what has been said already is still sent."""
        self._close()

    def tls_established(self) -> None:
        """The handshake is done: all that was learned in the clear is forgotten (RFC 3207 4.2)."""
        if self._mode is not Mode.HANDSHAKE:
            raise RuntimeError("tls_established() without STARTTLS")
        self.encrypted = True
        self.hello_name = ""
        self.extended = False
        self.identity = None
        self._data, self._at = b"", 0
        self._forget_transaction()
        self._turn(Mode.COMMAND)

    def challenge(self, data: bytes) -> None:
        """Go on with AUTH: 334 and the challenge."""
        self._expect_auth()
        self._out.append(b"334 " + base64.b64encode(data) + b"\r\n")
        self._turn(Mode.AUTH)

    def authenticated(self, identity: str) -> None:
        """AUTH has succeeded as `identity`."""
        self._expect_auth()
        self.identity = identity
        self._turn(Mode.COMMAND)
        self._out.append(b"235 2.7.0 Authentication successful\r\n")

    def _accept_hello(self) -> None:
        offered = self._offered
        assert isinstance(offered, tuple)
        verb, self.hello_name = offered
        self.extended = verb == "EHLO"
        self._drop_transaction("a new greeting")
        if not self.extended:
            self._out.append(b"250 %b\r\n" % self.settings.hostname.encode())
            return
        self._out.append(_ehlo_reply(self.settings, self.encrypted))

    def _expect_auth(self) -> None:
        if self.question != "auth":
            raise RuntimeError("no AUTH is going on")
        self.question = None

    # --- the fast lane ----------------------------------------------------------------------
    #
    # Most reads of a socket are one ordinary command, or all of an ordinary content, while nothing
    # else is under way. Then these do what `receive` and `next_event` do, without events. Where it
    # is not so they return None, and nothing has happened: `receive` is to be called.

    def ask(self, data: bytes) -> Envelope | Recipient | None:
        """Read one ordinary MAIL, RCPT or DATA; `question` says which. What it is about: the
        envelope (for DATA with its recipients) or the recipient. Answer as to the event."""
        if (
            self.question is not None
            or self._mode is not COMMAND
            or self._at < len(self._data)
            or self._told
        ):
            return None
        found = ORDINARY.fullmatch(data)
        if found is None:
            return None
        which = found.lastindex
        if which == 1:
            if self._mail is not None or not self.hello_name or self.settings.maximum_messages:
                return None
            self.question = "mail"
            self._offered = envelope = Envelope(found[1].decode("ascii"), ())
            return envelope
        if self._mail is None or self._content.in_chunks:
            return None
        if which == 2:
            if len(self._recipients) >= self.settings.maximum_recipients:
                return None
            self.question = "rcpt"
            self._offered = recipient = Recipient(found[2].decode("ascii"))
            return recipient
        if not self._recipients:
            return None
        self.question = "data"
        return self._whole_envelope()

    def whole_content(self, data: bytes) -> bytes | None:
        """Read all of a content that came in one piece and needs nothing done to it, and ask the
        question of its end."""
        if self._mode is not DATA or self._at < len(self._data):
            return None
        content = self._content.whole(data)
        if content is not None:
            self._turn(COMMAND)
            self.question = "end"
        return content

    # --- reading ----------------------------------------------------------------------------

    def _line(self) -> bytes | None:
        """The next command line without its CRLF; refuses what is no line."""
        data, at = self._data, self._at
        end = data.find(b"\n", at)
        limit = MAXIMUM_AUTH_LINE if self._mode is Mode.AUTH else self.settings.maximum_command_line
        if end < 0:
            if len(data) - at > limit:
                self._fatal(reply(500, "5.5.6", f"A line exceeds {limit} octets; closing"))
            return None
        if end - at > limit:
            self._fatal(reply(500, "5.5.6", f"A line exceeds {limit} octets; closing"))
            return None
        line = data[at : end - 1]
        if end == at or data[end - 1] != 0x0D or b"\r" in line:
            # Everything after it is of unsure framing, so nothing after it is read.
            self._fatal(
                reply(500, "5.5.2", "A line must end in CRLF; a bare CR or LF came; closing")
            )
            return None
        self._at = end + 1
        return line

    # --- content ----------------------------------------------------------------------------

    def _read_data(self) -> ServerEvent | None:
        event, rest = self._content.data(self._data[self._at :] if self._at else self._data)
        self._data, self._at = rest or b"", 0
        if rest is not None:
            self._turn(COMMAND)
            return self._end_content(event)
        if self._content.refused is not None and self._content.hopeless:
            self._fatal(self._content.refused)
        return event

    def _read_chunk(self) -> ServerEvent | None:
        content = self._content
        available = self._data[self._at : self._at + content.chunk_left]
        self._at += len(available)
        event = content.chunk(available, discard=self._mode is Mode.CHUNK_DISCARD)
        if content.chunk_left:
            if content.endless and content.refused is not None:
                self._fatal(content.refused)
            return event
        self._turn(Mode.COMMAND)
        if content.chunk_last:
            return self._end_content(event)
        if content.refused is not None:
            self._out.append(content.refused.encode())
        else:
            self._say(250, "2.0.0", f"{content.size} octets received")
        return event

    def _end_content(self, event: ServerEvent | None) -> ServerEvent | None:
        """The content is over; `event` is what its last bytes gave."""
        refused = self._content.refused
        if refused is not None:
            self._out.append(refused.encode())
            self._forget_transaction()
            return event
        self.question = "end"
        ended = ContentEnded(self._content.size)
        if event is None:
            return ended
        self._told.append(ended)
        return event
