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
import binascii
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.extensions import ExtensionOffer, advertise
from waypost.smtp.framing import ChunkDecoder, DataDecoder
from waypost.smtp.grammar import CommandFault, hello_domain, number, path_and_parameters
from waypost.smtp.mail_parameters import envelope_from_mail, recipient_from_rcpt
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_events import (
    AuthenticationCancelled,
    AuthenticationRequested,
    AuthenticationResponded,
    CommandRefused,
    ContentEnded,
    ContentReceived,
    ContentRequested,
    HelloReceived,
    MailReceived,
    QuitReceived,
    RecipientReceived,
    ServerEvent,
    TlsRequested,
    TransactionDropped,
    VerifyReceived,
)

MAXIMUM_AUTH_LINE: Final = 12288
"""Octets of a line during AUTH (RFC 4954 4)."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What one listener offers and bears. Sizes in bytes."""

    hostname: str
    maximum_size: int = 50 * 1024 * 1024
    maximum_recipients: int = 1000
    maximum_command_line: int = 2048
    """RFC 5321 4.5.3.1.4 asks for 512, the extensions add about 1,200."""
    maximum_errors: int = 20
    maximum_idle_commands: int = 100
    """NOOP, RSET, VRFY, HELP and EHLO between two messages."""
    maximum_messages: int = 0
    """Messages of one connection, offered as MAILMAX (RFC 9422); 0: no limit."""
    starttls: bool = False
    auth_mechanisms: tuple[str, ...] = ()
    auth_in_clear: bool = False
    """Whether AUTH is offered without TLS; for loopback only."""
    smtputf8: bool = True
    chunking: bool = True
    dsn: bool = True
    require_tls: bool = True
    normalise_line_ends: bool = False
    """Bare CR and LF in content become CRLF; otherwise such a message is refused."""


class _Mode(Enum):
    COMMAND = auto()
    DATA = auto()
    CHUNK = auto()
    CHUNK_DISCARD = auto()
    AUTH = auto()
    HANDSHAKE = auto()
    CLOSED = auto()


_Pending = Literal["hello", "mail", "rcpt", "data", "bdat", "end", "tls", "auth", "verify"]

_SENDER_OK: Final = b"250 2.1.0 Sender ok\r\n"
_RECIPIENT_OK: Final = b"250 2.1.5 Recipient ok\r\n"
_GO_AHEAD: Final = b"354 End data with <CRLF>.<CRLF>\r\n"
_FORBIDDEN: Final = frozenset({"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "USER", "A001"})


class ServerProtocol:
    """One connection as its server sees it. See the module for how it is driven."""

    def __init__(self, settings: ServerSettings, *, encrypted: bool = False) -> None:
        self.settings = settings
        self.encrypted = encrypted
        """TLS is in force."""
        self.identity: str | None = None
        """Who has authenticated."""
        self.hello_name = ""
        self.extended = False
        """The client said EHLO (not HELO)."""
        self.messages = 0
        """Transactions that have ended with a 250."""
        self.errors = 0
        self._idle_commands = 0
        self._data = b""
        self._at = 0
        self._out: list[bytes] = []
        self._told: deque[ServerEvent] = deque()
        self._mode = _Mode.COMMAND
        self._pending: _Pending | None = None
        self._mail: Envelope | None = None
        self._recipients: list[Recipient] = []
        self._offered: object = None
        self._content_size = 0
        self._content_refused: Reply | None = None
        self._data_decoder = DataDecoder()
        self._chunk_decoder: ChunkDecoder | None = None
        self._chunk_left = 0
        self._chunk_last = False

    # --- what the program calls -------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """A question is open: nothing is read before it is answered."""
        return self._pending is not None

    @property
    def backlog(self) -> int:
        """Bytes received and not yet read; the driver pauses the socket by it."""
        return len(self._data) - self._at

    @property
    def closing(self) -> bool:
        """The connection ends once `take` is sent."""
        return self._mode is _Mode.CLOSED

    @property
    def in_content(self) -> bool:
        """The client is sending content."""
        return self._mode is _Mode.DATA or self._mode is _Mode.CHUNK

    @property
    def in_handshake(self) -> bool:
        """220 to STARTTLS has been said and TLS is not yet established."""
        return self._mode is _Mode.HANDSHAKE

    def greet(self, greeting: Reply | None = None) -> None:
        """Open the session with 220, or refuse it with `greeting` (554, 421)."""
        if greeting is None:
            greeting = reply(220, None, f"{self.settings.hostname} ESMTP Waypost")
        self._out.append(greeting.encode())
        if not greeting.is_positive:
            self._close()

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self._mode is _Mode.HANDSHAKE or self._mode is _Mode.CLOSED:
            return
        if self._at < len(self._data):
            self._data = self._data[self._at :] + data
        else:
            self._data = data
        self._at = 0

    def take(self) -> bytes:
        """The bytes to send, given out once."""
        out = self._out
        if len(out) == 1:
            data = out[0]
        else:
            data = b"".join(out)
        out.clear()
        return data

    def next_event(self) -> ServerEvent | None:
        """The next thing that happened, or None until more bytes or a decision come."""
        while True:
            if self._told:
                return self._told.popleft()
            if self._pending is not None:
                return None
            mode = self._mode
            if mode is _Mode.COMMAND or mode is _Mode.AUTH:
                line = self._line()
                if line is None:
                    return None
                event = self._command(line) if mode is _Mode.COMMAND else self._auth_line(line)
            elif mode is _Mode.DATA:
                if self._at >= len(self._data):
                    return None
                event = self._read_data()
            elif mode is _Mode.CHUNK or mode is _Mode.CHUNK_DISCARD:
                if self._chunk_left and self._at >= len(self._data):
                    return None
                event = self._read_chunk()
            else:
                return None
            if event is not None:
                return event

    def accept(self, text: str = "") -> None:
        """Give the ordinary answer to the open question; `text` goes into it where one fits."""
        pending = self._pending
        if pending == "mail":
            self._mail = self._offered_envelope()
            self._recipients.clear()
            self._out.append(_SENDER_OK)
        elif pending == "rcpt":
            offered = self._offered
            assert isinstance(offered, Recipient)
            self._recipients.append(offered)
            self._out.append(_RECIPIENT_OK)
        elif pending == "data":
            self._mode = _Mode.DATA
            self._begin_content()
            self._data_decoder = DataDecoder(normalise=self.settings.normalise_line_ends)
            self._out.append(_GO_AHEAD)
        elif pending == "bdat":
            self._mode = _Mode.CHUNK
            self._begin_content()
            self._chunk_decoder = ChunkDecoder(normalise=self.settings.normalise_line_ends)
        elif pending == "end":
            self.messages += 1
            self._idle_commands = 0
            self._out.append(b"250 2.0.0 %b\r\n" % (text or "Ok").encode())
            self._forget_transaction()
        elif pending == "hello":
            self._accept_hello()
        elif pending == "tls":
            self._out.append(b"220 2.0.0 Ready to start TLS\r\n")
            self._mode = _Mode.HANDSHAKE
            self._data, self._at = b"", 0
        elif pending == "verify":
            self._say(252, "2.5.0", text or "Cannot VRFY, send some mail and see")
        else:
            raise RuntimeError(f"nothing to accept: the open question is {pending!r}")
        self._pending = None

    def answer(self, decision: Reply) -> None:
        """Give any other answer to the open question. 421 and 521 end the connection."""
        pending = self._pending
        if pending is None:
            raise RuntimeError("answer() without an open question")
        self._pending = None
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
            self._content_refused = decision
            self._mode = _Mode.CHUNK_DISCARD
            self._out.pop()
            self._forget_transaction()
        elif pending == "auth":
            self._mode = _Mode.COMMAND

    def disconnect(self, farewell: Reply) -> None:
        """Say 421 (or another last word) at any moment and end the connection."""
        self._out.append(farewell.encode())
        self._close()

    def tls_established(self) -> None:
        """The handshake is done: all that was learned in the clear is forgotten (RFC 3207 4.2)."""
        if self._mode is not _Mode.HANDSHAKE:
            raise RuntimeError("tls_established() without STARTTLS")
        self.encrypted = True
        self.hello_name = ""
        self.extended = False
        self.identity = None
        self._data, self._at = b"", 0
        self._forget_transaction()
        self._mode = _Mode.COMMAND

    def challenge(self, data: bytes) -> None:
        """Go on with AUTH: 334 and the challenge."""
        self._expect_auth()
        self._out.append(b"334 " + base64.b64encode(data) + b"\r\n")
        self._mode = _Mode.AUTH

    def authenticated(self, identity: str) -> None:
        """AUTH has succeeded as `identity`."""
        self._expect_auth()
        self.identity = identity
        self._mode = _Mode.COMMAND
        self._out.append(b"235 2.7.0 Authentication successful\r\n")

    # --- reading ----------------------------------------------------------------------------

    def _line(self) -> bytes | None:
        """The next command line without its CRLF; refuses what is no line."""
        data, at = self._data, self._at
        end = data.find(b"\n", at)
        limit = (
            MAXIMUM_AUTH_LINE if self._mode is _Mode.AUTH else self.settings.maximum_command_line
        )
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

    def _command(self, line: bytes) -> ServerEvent | None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return self._refuse(reply(500, "5.5.2", "The command is not UTF-8"))
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        handle = _COMMANDS.get(verb)
        if handle is None:
            if verb in _FORBIDDEN or verb.endswith(":"):
                # A browser or another protocol was pointed here; its body must not be obeyed.
                self._fatal(reply(521, "5.7.0", "This is an SMTP server; closing"))
                return None
            return self._refuse(reply(500, "5.5.1", "Command not recognised"))
        try:
            return handle(self, argument)
        except CommandFault as fault:
            return self._refuse(fault.reply)

    def _hello(self, verb: str, argument: str) -> ServerEvent | None:
        domain = hello_domain(argument, verb)
        if self._too_idle():
            return None
        self._pending = "hello"
        self._offered = (verb, domain)
        return HelloReceived(verb, domain)

    def _accept_hello(self) -> None:
        offered = self._offered
        assert isinstance(offered, tuple)
        verb, self.hello_name = offered
        self.extended = verb == "EHLO"
        self._drop_transaction("a new greeting")
        if not self.extended:
            self._out.append(b"250 %b\r\n" % self.settings.hostname.encode())
            return
        self._out.append(reply(250, None, self.settings.hostname, *advertise(self._offer())).encode())

    def _offer(self) -> ExtensionOffer:
        settings = self.settings
        may_authenticate = self.encrypted or settings.auth_in_clear
        return ExtensionOffer(
            size=settings.maximum_size,
            starttls=settings.starttls and not self.encrypted,
            auth=settings.auth_mechanisms if may_authenticate else (),
            smtputf8=settings.smtputf8,
            chunking=settings.chunking,
            dsn=settings.dsn,
            require_tls=settings.require_tls and self.encrypted,
            mail_maximum=settings.maximum_messages or None,
            recipient_maximum=settings.maximum_recipients,
        )

    def _on_ehlo(self, argument: str) -> ServerEvent | None:
        return self._hello("EHLO", argument)

    def _on_helo(self, argument: str) -> ServerEvent | None:
        return self._hello("HELO", argument)

    def _on_mail(self, argument: str) -> ServerEvent | None:
        if not self.hello_name:
            return self._refuse(reply(503, "5.5.1", "Say EHLO or HELO first"))
        if self._mail is not None:
            return self._refuse(reply(503, "5.5.1", "A transaction is open; RSET abandons it"))
        settings = self.settings
        if settings.maximum_messages and self.messages >= settings.maximum_messages:
            self.disconnect(
                reply(421, "4.7.0", f"{self.messages} messages on this connection; connect again")
            )
            return None
        path, parameters = path_and_parameters(argument, "FROM:", null_allowed=True)
        if parameters or not path.isascii():
            envelope = envelope_from_mail(path, parameters, self._offer(), extended=self.extended)
            declared = envelope.declared_size
            if declared is not None and declared > settings.maximum_size:
                return self._refuse(
                    reply(552, "5.3.4", f"Message too big: at most {settings.maximum_size} bytes")
                )
        else:
            envelope = Envelope(path, ())
        self._pending = "mail"
        self._offered = envelope
        return MailReceived(envelope)

    def _on_rcpt(self, argument: str) -> ServerEvent | None:
        mail = self._mail
        if mail is None:
            return self._refuse(reply(503, "5.5.1", "MAIL comes before RCPT"))
        if len(self._recipients) >= self.settings.maximum_recipients:
            return self._refuse(
                reply(452, "4.5.3", "Too many recipients; send to the rest in another transaction")
            )
        if self._chunk_decoder is not None:
            return self._refuse(reply(503, "5.5.1", "BDAT has begun; no more recipients"))
        path, parameters = path_and_parameters(argument, "TO:", null_allowed=False)
        if parameters or not path.isascii():
            recipient = recipient_from_rcpt(
                path, parameters, dsn=self.settings.dsn and self.extended, smtputf8=mail.smtputf8
            )
        else:
            recipient = Recipient(path)
        self._pending = "rcpt"
        self._offered = recipient
        return RecipientReceived(recipient)

    def _on_data(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse_content(reply(501, "5.5.4", "DATA takes no argument"))
        if self._mail is None:
            return self._refuse_content(reply(503, "5.5.1", "MAIL and RCPT come before DATA"))
        if not self._recipients:
            return self._refuse_content(reply(554, "5.5.1", "No valid recipients"))
        if self._chunk_decoder is not None:
            return self._refuse_content(reply(503, "5.5.1", "BDAT has begun; DATA cannot follow"))
        self._pending = "data"
        return ContentRequested(self._whole_envelope())

    def _on_bdat(self, argument: str) -> ServerEvent | None:
        words = argument.upper().split()
        if not self.settings.chunking:
            self._fatal(reply(502, "5.5.1", "CHUNKING is not offered; closing"))
            return None
        if len(words) not in (1, 2) or (len(words) == 2 and words[1] != "LAST"):
            # Without a size nobody knows where the chunk ends.
            self._fatal(reply(501, "5.5.4", "Syntax: BDAT size [LAST]; closing"))
            return None
        try:
            self._chunk_left = number("BDAT", words[0])
        except CommandFault as fault:
            self._fatal(fault.reply)
            return None
        self._chunk_last = len(words) == 2
        if self._mail is None or not self._recipients:
            missing = "MAIL and RCPT come before BDAT" if self._mail is None else "No valid recipients"
            self._content_refused = reply(503 if self._mail is None else 554, "5.5.1", missing)
            self._mode = _Mode.CHUNK_DISCARD
            return None
        if self._chunk_decoder is not None:
            self._mode = _Mode.CHUNK if self._content_refused is None else _Mode.CHUNK_DISCARD
            return None
        self._pending = "bdat"
        return ContentRequested(self._whole_envelope())

    def _on_rset(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse(reply(501, "5.5.4", "RSET takes no argument"))
        if self._too_idle():
            return None
        self._drop_transaction("RSET")
        self._say(250, "2.0.0", "Ok")
        return None

    def _on_noop(self, _argument: str) -> ServerEvent | None:
        if not self._too_idle():
            self._say(250, "2.0.0", "Ok")
        return None

    def _on_help(self, _argument: str) -> ServerEvent | None:
        if not self._too_idle():
            self._say(214, "2.0.0", "Commands: " + " ".join(_COMMANDS))
        return None

    def _on_vrfy(self, argument: str) -> ServerEvent | None:
        if self._too_idle():
            return None
        if not argument.strip() or not argument.isprintable():
            return self._refuse(reply(501, "5.5.4", "Syntax: VRFY address"))
        self._pending = "verify"
        return VerifyReceived(argument.strip())

    def _on_expn(self, _argument: str) -> ServerEvent | None:
        return self._refuse(reply(502, "5.5.1", "EXPN is not offered"))

    def _on_quit(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse(reply(501, "5.5.4", "QUIT takes no argument"))
        self._say(221, "2.0.0", "Bye")
        self._drop_transaction("QUIT")
        self._close()
        self._told.append(QuitReceived())
        return None

    def _on_starttls(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse(reply(501, "5.5.4", "STARTTLS takes no argument"))
        if self.encrypted:
            return self._refuse(reply(503, "5.5.1", "TLS is in force already"))
        if not self.settings.starttls:
            return self._refuse(reply(502, "5.5.1", "STARTTLS is not offered here"))
        if self._at < len(self._data):
            # RFC 3207 lets nothing follow STARTTLS; bytes that do are an injection or a fault.
            self._fatal(reply(501, "5.5.1", "Nothing may follow STARTTLS; closing"))
            return None
        self._drop_transaction("STARTTLS")
        self._pending = "tls"
        return TlsRequested()

    # --- AUTH (RFC 4954) --------------------------------------------------------------------

    def _on_auth(self, argument: str) -> ServerEvent | None:
        settings = self.settings
        if not self.extended:
            return self._refuse(reply(503, "5.5.1", "Say EHLO first"))
        if self.identity is not None:
            return self._refuse(reply(503, "5.5.1", "Already authenticated"))
        if self._mail is not None:
            return self._refuse(reply(503, "5.5.1", "AUTH comes before MAIL"))
        if not settings.auth_mechanisms:
            return self._refuse(reply(502, "5.5.1", "AUTH is not offered here"))
        if not self.encrypted and not settings.auth_in_clear:
            return self._refuse(
                reply(538, "5.7.11", "Encryption required: say STARTTLS before AUTH")
            )
        mechanism, _, encoded = argument.strip().partition(" ")
        mechanism = mechanism.upper()
        if mechanism not in settings.auth_mechanisms:
            offered = " ".join(settings.auth_mechanisms)
            return self._refuse(reply(504, "5.5.4", f"Mechanism not offered; choose of: {offered}"))
        initial: bytes | None = None
        if encoded:
            try:
                initial = _decode(encoded.encode())
            except ValueError:
                return self._refuse(reply(501, "5.5.2", "The initial response is not base64"))
        self._pending = "auth"
        return AuthenticationRequested(mechanism, initial)

    def _auth_line(self, line: bytes) -> ServerEvent | None:
        self._mode = _Mode.COMMAND
        if line == b"*":
            self._refuse(reply(501, "5.7.0", "Authentication cancelled"))
            return AuthenticationCancelled()
        try:
            response = _decode(line)
        except ValueError:
            self._refuse(reply(501, "5.5.2", "The response is not base64"))
            return AuthenticationCancelled()
        self._pending = "auth"
        return AuthenticationResponded(response)

    def _expect_auth(self) -> None:
        if self._pending != "auth":
            raise RuntimeError("no AUTH is going on")
        self._pending = None

    # --- content ----------------------------------------------------------------------------

    def _begin_content(self) -> None:
        self._content_size = 0
        self._content_refused = None

    def _read_data(self) -> ServerEvent | None:
        decoder = self._data_decoder
        content, rest = decoder.feed(self._data[self._at :] if self._at else self._data)
        self._data, self._at = rest or b"", 0
        event = self._take_content(content, bare=decoder.bare_line_end)
        if rest is None:
            if self._content_refused is not None:
                if decoder.looks_ended:
                    # The client ends its lines with LF alone and waits for us: tell it at once.
                    self._fatal(self._content_refused)
                elif self._content_size > 2 * self.settings.maximum_size + 1_048_576:
                    self._fatal(self._content_refused)
            return event
        self._mode = _Mode.COMMAND
        if event is not None:
            self._end_content(tell=True)
            return event
        return self._end_content(tell=False)

    def _read_chunk(self) -> ServerEvent | None:
        available = self._data[self._at : self._at + self._chunk_left]
        self._at += len(available)
        self._chunk_left -= len(available)
        event: ServerEvent | None = None
        if self._mode is _Mode.CHUNK and self._chunk_decoder is not None:
            decoder = self._chunk_decoder
            last = self._chunk_last and not self._chunk_left
            content = decoder.feed(available, last=last)
            event = self._take_content(content, bare=decoder.bare_line_end)
        if self._chunk_left:
            return event
        refused = self._content_refused
        self._mode = _Mode.COMMAND
        if refused is not None:
            self._out.append(refused.encode())
            if self._chunk_last:
                self._forget_transaction()
            return event
        if not self._chunk_last:
            self._say(250, "2.0.0", f"{self._content_size} octets received")
            return event
        if event is not None:
            self._end_content(tell=True)
            return event
        return self._end_content(tell=False)

    def _take_content(self, content: bytes, *, bare: bool) -> ServerEvent | None:
        """Count and check content; the first fault drops the transaction, the rest is skipped."""
        self._content_size += len(content)
        if self._content_refused is not None:
            return None
        if self._content_size > self.settings.maximum_size:
            self._content_refused = reply(
                552, "5.3.4", f"Message too big: at most {self.settings.maximum_size} bytes"
            )
            return TransactionDropped("the message is too big")
        if bare and not self.settings.normalise_line_ends:
            self._content_refused = reply(
                550, "5.6.0", "The message holds a bare CR or LF; lines must end in CRLF"
            )
            return TransactionDropped("the message holds a bare CR or LF")
        return ContentReceived(content) if content else None

    def _end_content(self, *, tell: bool) -> ServerEvent | None:
        if self._content_refused is not None:
            self._out.append(self._content_refused.encode())
            self._forget_transaction()
            return None
        self._pending = "end"
        event = ContentEnded(self._content_size)
        if tell:
            self._told.append(event)
            return None
        return event

    # --- small steps ------------------------------------------------------------------------

    def _offered_envelope(self) -> Envelope:
        offered = self._offered
        assert isinstance(offered, Envelope)
        return offered

    def _whole_envelope(self) -> Envelope:
        mail = self._mail
        assert mail is not None
        return Envelope(
            mail.reverse_path,
            tuple(self._recipients),
            mail.body,
            mail.smtputf8,
            mail.require_tls,
            mail.returned,
            mail.envelope_id,
            mail.declared_size,
            mail.parameters,
        )

    def _forget_transaction(self) -> None:
        self._mail = None
        self._recipients.clear()
        self._chunk_decoder = None

    def _drop_transaction(self, reason: str) -> None:
        if self._mail is not None:
            self._told.append(TransactionDropped(reason))
        self._forget_transaction()
        self._content_refused = None

    def _too_idle(self) -> bool:
        """Count a command that carries no mail; ends the connection of who only sends those."""
        self._idle_commands += 1
        if self._idle_commands <= self.settings.maximum_idle_commands:
            return False
        self._fatal(reply(421, "4.7.0", "Too many commands without mail; closing"))
        return True

    def _say(self, code: int, enhanced: str, text: str) -> None:
        self._out.append(f"{code} {enhanced} {text}\r\n".encode())

    def _refuse(self, refusal: Reply) -> ServerEvent:
        self.errors += 1
        self._out.append(refusal.encode())
        if self.errors >= self.settings.maximum_errors:
            self._fatal(reply(421, "4.7.0", "Too many errors; closing"))
        return CommandRefused(refusal)

    def _refuse_content(self, refusal: Reply) -> ServerEvent:
        event = self._refuse(refusal)
        if self._at < len(self._data):
            self._close()  # as in answer(): what follows may be content
        return event

    def _fatal(self, farewell: Reply) -> None:
        self.errors += 1
        self._out.append(farewell.encode())
        self._told.append(CommandRefused(farewell))
        self._close()

    def _close(self) -> None:
        self._mode = _Mode.CLOSED
        self._data, self._at = b"", 0
        self._pending = None
        self._forget_transaction()


def _decode(encoded: bytes) -> bytes:
    """Base64 of AUTH; "=" is the empty response (RFC 4954 4). Raises ValueError."""
    if encoded == b"=":
        return b""
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as fault:
        raise ValueError(str(fault)) from fault


_COMMANDS: Final[dict[str, Callable[[ServerProtocol, str], ServerEvent | None]]] = {
    "EHLO": ServerProtocol._on_ehlo,  # noqa: SLF001 - the table of this class
    "HELO": ServerProtocol._on_helo,  # noqa: SLF001
    "MAIL": ServerProtocol._on_mail,  # noqa: SLF001
    "RCPT": ServerProtocol._on_rcpt,  # noqa: SLF001
    "DATA": ServerProtocol._on_data,  # noqa: SLF001
    "BDAT": ServerProtocol._on_bdat,  # noqa: SLF001
    "RSET": ServerProtocol._on_rset,  # noqa: SLF001
    "NOOP": ServerProtocol._on_noop,  # noqa: SLF001
    "QUIT": ServerProtocol._on_quit,  # noqa: SLF001
    "VRFY": ServerProtocol._on_vrfy,  # noqa: SLF001
    "EXPN": ServerProtocol._on_expn,  # noqa: SLF001
    "HELP": ServerProtocol._on_help,  # noqa: SLF001
    "AUTH": ServerProtocol._on_auth,  # noqa: SLF001
    "STARTTLS": ServerProtocol._on_starttls,  # noqa: SLF001
}
