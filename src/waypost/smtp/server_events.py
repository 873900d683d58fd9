"""What a server protocol asks or tells the program around it.

An event whose description ends in "Answer" stops the protocol until `ServerProtocol.accept`,
`answer` or the named call gives the decision; the others are told, not asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import Reply


@dataclass(slots=True)
class HelloReceived:
    """EHLO or HELO with its argument. Answer: accept gives the extensions."""

    verb: str
    domain: str


@dataclass(slots=True)
class MailReceived:
    """MAIL: the envelope so far, without recipients. Answer."""

    envelope: Envelope


@dataclass(slots=True)
class RecipientReceived:
    """RCPT within a transaction. Answer: accept adds it to the envelope."""

    recipient: Recipient


@dataclass(slots=True)
class ContentRequested:
    """DATA, or the first BDAT, with at least one accepted recipient. Answer: accept says 354 (or
    takes the chunk)."""

    envelope: Envelope


@dataclass(slots=True)
class ContentReceived:
    """Some bytes of the content, CRLF lines, without dot-stuffing."""

    data: bytes


@dataclass(slots=True)
class ContentEnded:
    """The content is whole. Answer: its reply says who is responsible for the message now."""

    size: int
    """Bytes of content handed out."""


@dataclass(slots=True)
class TransactionDropped:
    """RSET, a new EHLO, a refused content or the end: what was kept of the transaction goes."""

    reason: str


@dataclass(slots=True)
class TlsRequested:
    """STARTTLS. Answer: accept says 220; then the handshake is due and `tls_established`."""


@dataclass(slots=True)
class AuthenticationRequested:
    """AUTH with a mechanism on offer. Answer: `challenge`, `authenticated` or a refusal."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(slots=True)
class AuthenticationResponded:
    """The response to a challenge, decoded. Answer as for AuthenticationRequested."""

    response: bytes = field(repr=False)


@dataclass(slots=True)
class AuthenticationCancelled:
    """The client sent "*" or nonsense; 501 has been said."""


@dataclass(slots=True)
class VerifyReceived:
    """VRFY with its argument. Answer: accept says 252."""

    text: str


@dataclass(slots=True)
class CommandRefused:
    """A command was refused by the protocol itself; told so that errors can be counted."""

    reply: Reply


@dataclass(slots=True)
class QuitReceived:
    """QUIT; 221 has been said, the connection is to be closed once it is sent."""


ServerEvent = (
    HelloReceived
    | MailReceived
    | RecipientReceived
    | ContentRequested
    | ContentReceived
    | ContentEnded
    | TransactionDropped
    | TlsRequested
    | AuthenticationRequested
    | AuthenticationResponded
    | AuthenticationCancelled
    | VerifyReceived
    | CommandRefused
    | QuitReceived
)
