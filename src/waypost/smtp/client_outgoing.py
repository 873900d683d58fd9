"""What a client sends: commands with the steps they leave, windows of recipients, content.

The lowest of three rooms: `client_conversation` adds what replies do, `client` what the program
may ask for.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

from waypost.smtp.client_authentication import AuthenticationExchange
from waypost.smtp.client_events import ClientEvent, ContentWanted
from waypost.smtp.client_replies import Record, ReplyReader
from waypost.smtp.client_settings import ClientSettings
from waypost.smtp.client_states import STAGE_OF, Stage, Step
from waypost.smtp.client_transaction import OpenTransaction
from waypost.smtp.extensions import Capabilities
from waypost.smtp.stuffing import DotStuffer, LineEnds


class Mode(Enum):
    GREETING = auto()
    """The greeting is due, or it was a refusal."""
    GREETED = auto()
    """EHLO is due."""
    READY = auto()
    HANDSHAKE = auto()
    OVER = auto()


# Members of an enumeration cost a search at each use; these are used for every transaction.
READY: Final = Mode.READY
_MAIL: Final = Step.MAIL
_RCPT: Final = Step.RCPT
_DATA: Final = Step.DATA
_CONTENT: Final = Step.CONTENT


class Outgoing:
    """The state of one connection, and the sending part of it."""

    def __init__(
        self, settings: ClientSettings, record: Record | None = None, *, encrypted: bool = False
    ) -> None:
        self.settings = settings
        self.encrypted = encrypted
        """TLS is in force; given where it was from the start (RFC 8314 3)."""
        self.capabilities: Capabilities | None = None
        """What the last EHLO told; None before it, and again after a handshake."""
        self.authenticated = False
        self.transactions = 0
        """Transactions of which something was sent, to be held against MAILMAX (RFC 9422)."""
        self._record = record
        self._mode = Mode.GREETING
        self._deaf = False  # nothing that is read now may be taken for a reply
        self._out: list[bytes] = []
        self._expected: deque[Step] = deque((Step.GREETING,))
        self._untaken = 0
        self._ending: OpenTransaction | None = None  # its final dot is in _out
        self._open: deque[OpenTransaction] = deque()
        self._pipelining = False
        self._left_open = False  # the peer may hold a transaction that RSET must clear
        self._exchange: AuthenticationExchange | None = None
        self._reader = ReplyReader(settings.maximum_line, settings.maximum_lines, record)

    @property
    def stage(self) -> Stage:
        """What the connection waits for; the key of its timeout."""
        if self._mode is Mode.OVER:
            return "closed"
        if self._mode is Mode.HANDSHAKE:
            return "starttls"
        if self._expected:
            return STAGE_OF[self._expected[0]]
        return "content" if self.wants_content else "idle"

    @property
    def wants_content(self) -> bool:
        """`content` may be called. Turns False when a chunk is refused: look before each call."""
        return bool(self._open) and self._open[0].wanting and self._mode is Mode.READY

    def take(self) -> bytes:
        """Everything to send since the last call."""
        pieces = self.take_pieces()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def take_pieces(self) -> list[bytes]:
        """The same as `take` in pieces, for a socket that writes them without joining."""
        pieces = self._out
        self._out = []
        self._untaken = 0
        if self._ending is not None:
            self._ending.content_sent = True
            self._ending = None
        return pieces

    def _say(self, line: str, step: Step, shown: str | None = None) -> None:
        """Send one command; `shown` stands for it in the record where it holds a secret."""
        self._out.append(f"{line}\r\n".encode())
        self._expected.append(step)
        self._untaken += 1
        if self._record is not None:
            self._record(">", line if shown is None else shown)

    def _hello(self, step: Step) -> None:
        self._say(f"{step.name} {self.settings.hostname}", step)

    def _send_commands(self, current: OpenTransaction) -> None:
        """Send the next commands of a transaction: one, or a window of them and DATA."""
        commands = current.commands
        start = current.sent
        window = self.settings.recipients_window + 1 if self._pipelining else 1
        batch = commands[start : start + window]
        current.sent = end = start + len(batch)
        expected = self._expected
        if start:
            expected.extend([_RCPT] * len(batch))
        else:
            expected.append(_MAIL)
            expected.extend([_RCPT] * (len(batch) - 1))
        immediate = False
        if self._pipelining and end == len(commands):
            if not current.chunking:
                batch.append("DATA")
                expected.append(_DATA)
            else:
                immediate = (
                    current.eager
                    and current.whole is not None
                    and len(current.whole) <= self.settings.immediate_chunk
                    and len(self._open) == 1  # content of the next one is certainly not sent yet
                )
        self._untaken += len(batch)
        self._out.append(("\r\n".join(batch) + "\r\n").encode())
        if self._record is not None:
            self._record(">", "\n".join(batch))
        if immediate:
            self._send_whole(current)

    def _open_content(self, current: OpenTransaction, events: list[ClientEvent]) -> None:
        """The content is due: it goes out if it is here, else it is asked for."""
        if current.whole is not None:
            self._send_whole(current)
            return
        normalise = self.settings.normalise_line_ends
        make = LineEnds if current.chunking else DotStuffer
        current.stream = make(normalise=normalise)
        current.started_content = current.wanting = True
        events.append(ContentWanted())

    def _send_whole(self, current: OpenTransaction) -> None:
        whole = current.whole
        assert whole is not None
        current.whole = None
        current.started_content = True
        if current.chunking:
            self._send_chunk(current, [whole], len(whole), last=True)
        else:
            self._out.append(whole)
            self._end_content(current)

    def _gather(self, current: OpenTransaction, piece: bytes, *, last: bool) -> None:
        """Collect content until it fills a chunk."""
        if piece:
            current.gathered.append(piece)
            current.gathered_size += len(piece)
        if last or current.gathered_size >= self.settings.chunk_size:
            pieces, size = current.gathered, current.gathered_size
            current.gathered, current.gathered_size = [], 0
            self._send_chunk(current, pieces, size, last=last)

    def _send_chunk(
        self, current: OpenTransaction, pieces: list[bytes], size: int, *, last: bool
    ) -> None:
        line = f"BDAT {size} LAST" if last else f"BDAT {size}"
        self._out.append(f"{line}\r\n".encode())
        self._out.extend(pieces)
        if self._record is not None:
            self._record(">", line)
        if last:
            self._end_content(current)
        else:
            self._expected.append(Step.CHUNK)
            self._untaken += 1

    def _end_content(self, current: OpenTransaction) -> None:
        """The final dot or BDAT LAST is among what `take` will hand out."""
        current.wanting = False
        self._ending = current
        self._expected.append(_CONTENT)
        self._untaken += 1
        if self._record is not None:
            self._record(">", f"[{current.content_size} bytes of content]")

    def _hang_up(self) -> None:
        """Deaf and silent from here on."""
        self._mode = Mode.OVER
        self._deaf = True
        self._out = []
        self._expected.clear()
        self._untaken = 0
        self._ending = None
        self._exchange = None
