"""What a bounce message says, as values; the recipients are what people want of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["bounce", "complaint", "disposition", "automatic-reply", "other"]
"""What came back: a report about delivery, about a complaint (RFC 5965), about reading (RFC 8098),
an answer that a program wrote for a person (RFC 3834), or none of these."""

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
"""RFC 3464 2.3.3."""

MAXIMUM_RECIPIENTS: Final = 500
MAXIMUM_DIAGNOSTIC: Final = 2000


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """What happened to the message for one recipient. "" is what the report does not tell."""

    address: str
    """Where it went in the end: after aliases and forwarding, as far as the report tells."""
    original: str = ""
    """Whom the sender had named, where that is another."""
    action: Action = "failed"
    status: str = ""
    """The enhanced status code, such as 5.1.1."""
    diagnostic: str = ""
    """The words of who refused."""
    remote_mta: str = ""
    """Who said them."""
    step: str = ""
    """What was answered so: greeting, ehlo, starttls, auth, mail, rcpt, data, or content for the
    final dot."""


@dataclass(frozen=True, slots=True)
class BounceReport:
    """A message that came back."""

    kind: Kind
    form: str
    """How it is written: "rfc3464", "text", "arf", "mdn", "rfc3834", "message"."""
    recipients: tuple[ReportedRecipient, ...] = ()
    reporting_mta: str = ""
    words: str = ""
    """What it says to people, shortened."""
    subject: str = ""
    sender: str = ""
    """Who wrote the report."""
    original_message_id: str = ""
    original_subject: str = ""
    original_sender: str = ""
    feedback_type: str = ""
    """Of a complaint: abuse, fraud, virus, auth-failure, ..."""
