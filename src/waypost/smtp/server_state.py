"""What the server knows of one session, and the small steps that change it.

Split off so that the commands (server_commands.py) and the driving (server.py) each tell one
story. Nothing outside these three modules looks inside.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final, Literal

from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_content import ContentReader
from waypost.smtp.server_events import CommandRefused, ServerEvent, TransactionDropped
from waypost.smtp.server_settings import ServerSettings


class Mode(Enum):
    """What the next bytes are."""

    COMMAND = auto()
    DATA = auto()
    CHUNK = auto()
    CHUNK_DISCARD = auto()
    AUTH = auto()
    HANDSHAKE = auto()
    CLOSED = auto()


# Members of an enumeration cost a search at each use; those of the ordinary message are many.
COMMAND: Final = Mode.COMMAND
DATA: Final = Mode.DATA
_IN_CONTENT: Final = (Mode.DATA, Mode.CHUNK, Mode.CHUNK_DISCARD)

Question = Literal[
    "greeting", "hello", "mail", "rcpt", "data", "bdat", "end", "tls", "auth", "verify"
]
"""What a client may have asked for; "greeting": by connecting."""


class SessionState:
    """The state of one session; see the module."""

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
        self._mode = COMMAND
        self.in_content = False
        """The client is sending content."""
        self.in_handshake = False
        """220 to STARTTLS has been said and TLS is not yet established."""
        self.closing = False
        """The connection ends once `take` is sent."""
        self.deaf = False
        """One of the two: nothing that comes is a command or content."""
        self.question: Question | None = None
        """What the program has to answer before anything more is read."""
        self._mail: Envelope | None = None
        self._recipients: list[Recipient] = []
        self._offered: object = None
        self._content = ContentReader(settings)

    # --- small steps ------------------------------------------------------------------------

    def _turn(self, mode: Mode) -> None:
        """What comes next is of another kind."""
        self._mode = mode
        self.in_content = mode in _IN_CONTENT
        self.in_handshake = mode is Mode.HANDSHAKE
        self.closing = mode is Mode.CLOSED
        self.deaf = self.in_handshake or self.closing

    @property
    def envelope(self) -> Envelope | None:
        """The transaction as far as it is agreed; None where none is open."""
        return self._whole_envelope() if self._mail is not None else None

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
        self._content.in_chunks = False

    def _drop_transaction(self, reason: str) -> None:
        if self._mail is not None:
            self._told.append(TransactionDropped(reason))
        self._forget_transaction()
        self._content.refused = None

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
        self._turn(Mode.CLOSED)
        self._data, self._at = b"", 0
        self.question = None
        self._forget_transaction()
