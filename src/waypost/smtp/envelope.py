"""The envelope: who sends, who receives, and what the sender asked of the transport.

RFC 5321 2.3.1. The parameters are those of 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), DSN
(RFC 3461), SIZE (RFC 1870), REQUIRETLS (RFC 8689), AUTH (RFC 4954 5), and what FUTURERELEASE
(RFC 4865) asks for, which only our own faces give.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from waypost.values import unguarded

BodyType = Literal["7BIT", "8BITMIME", "BINARYMIME"]
Return = Literal["FULL", "HDRS"]


@unguarded
@dataclass(frozen=True, slots=True)
class Recipient:
    """One forward-path with what RCPT said beside it.

    `address` is the mailbox without angle brackets, its domain in lower case; `notify` the set of
    DSN wishes (NEVER, SUCCESS, FAILURE, DELAY; None: not given); `original` the value of ORCPT.
    """

    address: str
    notify: frozenset[str] | None = None
    original: str | None = None

    @property
    def domain(self) -> str:
        """The part after the last at sign, as given."""
        return self.address.rpartition("@")[2]


@unguarded
@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail transaction. `reverse_path` is "" for the null sender of a notification."""

    reverse_path: str
    recipients: tuple[Recipient, ...]
    body: BodyType | None = None
    smtputf8: bool = False
    require_tls: bool = False
    returned: Return | None = None
    """RET= of MAIL: what a failure notice carries of the message."""
    envelope_id: str | None = None
    """ENVID= of MAIL, decoded from xtext."""
    declared_size: int | None = None
    """SIZE= of MAIL in bytes."""
    parameters: tuple[tuple[str, str | None], ...] = field(default=())
    """Parameters of MAIL that no field above holds, in upper-case keyword order as given."""
    hold_until: float | None = None
    """No attempt begins before this time (seconds since the epoch), and the time that a message has
    for its way begins with it (RFC 4865 4)."""
