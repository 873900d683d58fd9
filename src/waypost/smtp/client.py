"""The client side of SMTP: intents in, bytes and events out.

Theory of operation. The program says what it wants by a call (`hello`, `begin`, `quit`), hands to
the server what `take` returns, and hands what the server sends to `receive`, which returns
events. Nothing here waits, reads a clock or opens a connection.

Each command leaves a step in a queue; each reply takes the first step off, and the table of
`client_states` says what the pair means. Pipelining (RFC 2920) is then no special case: only more
than one step in the queue. So is a transaction begun while the one before waits for its last
reply: replies come in order, hence the oldest open transaction is the one that is answered.

Rules that hold everywhere:

- An intent in the wrong state raises `WrongState`, a value that would break out of its command
  `ValueError`; both before a byte is produced.
- A reply can only answer what `take` has handed out. One that comes earlier answers nothing, so a
  server that speaks out of turn is never believed to have accepted a message. Hence: call `take`
  after each intent and each `receive`.
- Bytes in the clear behind the 220 to STARTTLS are an attack (RFC 3207 6, CVE-2011-0411 and its
  kin): they are shown as evidence, and never interpreted.
- After `ProtocolBroken`, `Disconnected`, `ShutdownAnnounced`, `Closed` or `abandon` the protocol
  is deaf and silent; `abandon` tells what was open.

What a peer can make us hold: one read of the socket, one reply within its limits, 64 short lines
that are known again.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.smtp.auth import IN_CLEAR_TEXT, ClientMechanism
from waypost.smtp.client_authentication import AuthenticationExchange
from waypost.smtp.client_commands import (
    Transaction,
    mail_command,
    rcpt_command,
    refusal_before_sending,
)
from waypost.smtp.client_conversation import Conversation
from waypost.smtp.client_events import ClientEvent, TransactionFinished
from waypost.smtp.client_outgoing import READY, Mode
from waypost.smtp.client_replies import ReplyReader
from waypost.smtp.client_settings import UNSPEAKABLE, ClientSettings
from waypost.smtp.client_states import DEFAULT_TIMEOUTS, Step
from waypost.smtp.client_transaction import OpenTransaction, TransactionOutcome, local_outcome
from waypost.smtp.extensions import Capabilities
from waypost.smtp.stuffing import stuff_whole, whole_lines

__all__ = [
    "DEFAULT_TIMEOUTS",
    "ClientProtocol",
    "ClientSettings",
    "Transaction",
    "TransactionOutcome",
    "WrongState",
    "refusal_before_sending",
]

_CONTENT: Final = Step.CONTENT
_ARGUMENT = re.compile(rf"[^{UNSPEAKABLE}]{{1,400}}")


class WrongState(RuntimeError):
    """An intent that does not fit the moment: an error of the program, not of the peer."""


class ClientProtocol(Conversation):
    """One connection as its client sees it. See the module for how it is driven."""

    # --- what the program asks --------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Nothing more will be sent or believed: close the connection."""
        return self._mode is Mode.OVER

    @property
    def can_begin(self) -> bool:
        """`begin` may be called: nothing is open, or only a reply to content that was sent."""
        if self._mode is not READY:
            return False
        if not self._open:
            return not self._expected
        expected = self._expected
        return self._pipelining and len(expected) == 1 and expected[0] is _CONTENT

    @property
    def recipients_per_transaction(self) -> int | None:
        """RCPTMAX of the server (RFC 9422); None where it told none. The program splits by it."""
        return self.capabilities.limits.recipients if self.capabilities is not None else None

    @property
    def transactions_per_connection(self) -> int | None:
        """MAILMAX of the server (RFC 9422); None where it told none."""
        return self.capabilities.limits.transactions if self.capabilities is not None else None

    # --- intents ----------------------------------------------------------------------------

    def hello(self, *, extended: bool = True) -> None:
        """Say EHLO (or HELO, for a server that breaks off at EHLO)."""
        if self._mode is not Mode.GREETED or self._expected:
            self._need_ready("hello")
        self._hello(Step.EHLO if extended else Step.HELO)

    def start_tls(self) -> None:
        """Ask for TLS, offered or not: a middlebox may have hidden the offer."""
        self._need_ready("start_tls")
        if self.encrypted:
            raise WrongState("start_tls: TLS is in force already (RFC 3207 4.2)")
        self._say("STARTTLS", Step.STARTTLS)

    def tls_established(self) -> None:
        """The handshake is done: forget what was said before it (RFC 3207 4.2); `hello` is due."""
        if self._mode is not Mode.HANDSHAKE:
            raise WrongState("tls_established: no handshake was due")
        self.encrypted = True
        self.capabilities = None
        self.authenticated = False
        self._pipelining = False
        self._left_open = False
        self._reader = ReplyReader(
            self.settings.maximum_line, self.settings.maximum_lines, self._record
        )
        self._mode = Mode.GREETED
        self._deaf = False

    def authenticate(self, mechanism: ClientMechanism) -> None:
        """Start an AUTH exchange (RFC 4954), with a mechanism made for it."""
        offered = self._need_ready("authenticate").auth
        if self.authenticated:
            raise WrongState("authenticate: the session is authenticated already (RFC 4954 4)")
        shows_secret = mechanism.name in IN_CLEAR_TEXT
        if shows_secret and not self.encrypted and not self.settings.auth_in_clear:
            raise WrongState(f"authenticate: {mechanism.name} without TLS would show the secret")
        if mechanism.name not in offered:
            raise WrongState(f"authenticate: the server does not offer {mechanism.name}")
        self._exchange = AuthenticationExchange(mechanism)
        self._say(self._exchange.line, Step.AUTH, shown=self._exchange.shown)

    def noop(self) -> None:
        """Ask for a sign of life."""
        self._need_ready("noop")
        self._say("NOOP", Step.NOOP)

    def reset(self) -> None:
        """Say RSET. Between transactions this is done where it is needed."""
        self._need_ready("reset")
        self._say("RSET", Step.RSET)

    def verify(self, text: str) -> None:
        """Say VRFY. Raises ValueError."""
        capabilities = self._need_ready("verify")
        if _ARGUMENT.fullmatch(text) is None:
            raise ValueError(f"not an argument of VRFY: {text!r}")
        if text.isascii():
            self._say(f"VRFY {text}", Step.VRFY)
        elif capabilities.smtputf8:
            self._say(f"VRFY {text} SMTPUTF8", Step.VRFY)  # RFC 6531 3.7.4.2
        else:
            raise ValueError(f"the server offers no SMTPUTF8 for VRFY of {text!r}")

    def help(self) -> None:
        """Say HELP."""
        self._need_ready("help")
        self._say("HELP", Step.HELP)

    def quit(self) -> None:
        """Say QUIT; allowed behind content whose reply is due, where pipelining is."""
        idle = not self._expected and not self._open and self._mode is not Mode.HANDSHAKE
        if self._mode is Mode.OVER or not (idle or self.can_begin):
            raise WrongState(f"quit: the connection is at {self.stage}")
        self._say("QUIT", Step.QUIT)

    def begin(
        self, transaction: Transaction, content: bytes | None = None, *, eager: bool = True
    ) -> list[ClientEvent]:
        """Open a transaction; with `content` it runs to its end without further calls.

        A small content goes with the commands where the server takes BDAT; not so with `eager`
        off, for a connection of which nobody knows whether the peer has ended it meanwhile.

        Without it, ContentWanted asks for `content` to be called. Returns no event, or
        TransactionFinished at once where the server's own EHLO says that it cannot take the
        message; then nothing was sent, and transactions begun before go on.
        Raises ValueError for an address or parameter that cannot be sent, and BareLineEnd.
        """
        if not self.can_begin or self.capabilities is None:
            raise WrongState(f"begin: the connection is at {self.stage}")
        capabilities = self.capabilities
        if not transaction.envelope.recipients:
            raise ValueError("a transaction needs a recipient")
        commands = [mail_command(transaction, capabilities)]
        recipients = transaction.envelope.recipients
        commands += [rcpt_command(recipient, capabilities) for recipient in recipients]
        chunking = (
            capabilities.chunking
            and self.settings.use_chunking
            and (content is not None or self._pipelining)  # or each chunk costs a round trip
        )
        whole: bytes | None = None
        if content is not None:
            make = whole_lines if chunking else stuff_whole
            whole = make(content, normalise=self.settings.normalise_line_ends)
        refusal = refusal_before_sending(transaction, capabilities)
        if refusal is not None:
            return [TransactionFinished(local_outcome(transaction, refusal))]
        size = len(content) if content is not None else 0
        current = OpenTransaction(
            transaction, commands, whole, size, chunking=chunking, eager=eager
        )
        behind = self._open[0] if self._open else None
        self._open.append(current)
        self.transactions += 1
        if self._left_open or (behind is not None and behind.chunking):
            self._left_open = False
            self._say("RSET", Step.CLEARING)
            if not self._pipelining:
                return []
        self._send_commands(current)
        return []

    def content(self, data: bytes, *, last: bool) -> None:
        """Give some content of the oldest open transaction, in any cut; `last` ends it.

        Raises BareLineEnd; then the message cannot be finished, and the connection is to be
        closed: the peer must not take for whole what it has of it.
        """
        if not self.wants_content:
            raise WrongState(f"content: not wanted, the connection is at {self.stage}")
        current = self._open[0]
        stream = current.stream
        if stream is None:
            raise WrongState("content: the transaction was begun with its whole content")
        piece = stream.feed(data)
        ending = stream.finish() if last else b""
        current.started_content = True
        current.content_size += len(data)
        if current.chunking:
            self._gather(current, piece + ending, last=last)
            return
        if piece:
            self._out.append(piece)
        if last:
            self._out.append(ending)
            self._end_content(current)

    def _need_ready(self, intent: str) -> Capabilities:
        """EHLO is done and nothing is open or asked; returns what the server offers."""
        if self._mode is not Mode.READY or self._expected or self._open or not self.capabilities:
            raise WrongState(f"{intent}: the connection is at the stage {self.stage}")
        return self.capabilities
