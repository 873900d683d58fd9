"""What a client protocol tells the program around it."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.smtp.client_states import Stage
from waypost.smtp.client_transaction import TransactionOutcome
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply
from waypost.values import unguarded


@dataclass(slots=True, frozen=True)
class Greeted:
    """The server is ready: `hello` is due."""

    reply: Reply


@dataclass(slots=True, frozen=True)
class GreetingRefused:
    """No service: 421, 521 or 554 (RFC 7504, RFC 5321 3.1). Only `quit` is left to say."""

    reply: Reply


@dataclass(slots=True, frozen=True)
class Capable:
    """EHLO was answered, or HELO by a server that does not know EHLO: then it offers nothing."""

    capabilities: Capabilities


@dataclass(slots=True, frozen=True)
class HelloRefused:
    """The server does not take our greeting; `hello` may be tried again, or `quit` said."""

    reply: Reply


@dataclass(slots=True, frozen=True)
class TlsReady:
    """The handshake is due, then `tls_established`. No byte of it belongs to this protocol."""


@dataclass(slots=True, frozen=True)
class TlsRefused:
    """STARTTLS was refused; the session is still in the clear."""

    reply: Reply


@dataclass(slots=True, frozen=True)
class Authenticated:
    """The server takes us for who we say, and has proved itself where the mechanism asks that."""

    reply: Reply


@dataclass(slots=True, frozen=True)
class AuthenticationRefused:
    """AUTH failed. `reason` is given where our side broke it off and the reply only confirms."""

    reply: Reply
    reason: str | None = None


@dataclass(slots=True, frozen=True)
class ContentWanted:
    """`content` is due; with BDAT this comes without a 354."""


@unguarded
@dataclass(slots=True, frozen=True)
class TransactionFinished:
    """A transaction is over; its outcome changes no more."""

    outcome: TransactionOutcome


@dataclass(slots=True, frozen=True)
class Answered:
    """The reply to NOOP, RSET, VRFY or HELP."""

    reply: Reply


@dataclass(slots=True, frozen=True)
class Closed:
    """QUIT was answered, or (None) the connection ended instead of an answer."""

    reply: Reply | None


@dataclass(slots=True, frozen=True)
class ShutdownAnnounced:
    """421: the server closes the channel. Open transactions were finished with it before this."""

    reply: Reply


@dataclass(slots=True, frozen=True)
class Disconnected:
    """The connection ended at this stage without a word; `abandon` gives what was open.

    `evidence` holds the start of a line that was cut off.
    """

    stage: Stage
    evidence: bytes


@dataclass(slots=True, frozen=True)
class ProtocolBroken:
    """The peer does not speak SMTP, or is not to be trusted: close the connection, then `abandon`.

    `evidence` holds the start of what it sent.
    """

    reason: str
    evidence: bytes


ClientEvent = (
    Greeted
    | GreetingRefused
    | Capable
    | HelloRefused
    | TlsReady
    | TlsRefused
    | Authenticated
    | AuthenticationRefused
    | ContentWanted
    | TransactionFinished
    | Answered
    | Closed
    | ShutdownAnnounced
    | Disconnected
    | ProtocolBroken
)
