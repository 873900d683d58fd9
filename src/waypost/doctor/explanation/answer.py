"""The answer to "what does this mean?": for codes, replies, logs, exceptions and whole bounces.

`explain` finds out what the text is, lets the classifier of knowledge judge each thing that was
said, and adds who said it, at which step, what to do, and what Waypost would do. It raises
`NothingKnown` where the text holds nothing that it understands, and nothing else, whatever it is
given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from waypost.doctor.explanation.heard import InputKind, Side
from waypost.smtp.reply import EnhancedStatus

if TYPE_CHECKING:
    from waypost.mail.bounce.report import BounceReport, ReportedRecipient

Kind = Literal["success", "temporary", "permanent"]

UNDERSTOOD: Final = (
    "a reply code (550), an enhanced status code (5.7.1), a reply or a whole session, lines of "
    "a log "
    "(Postfix, Exim, Sendmail, qmail), an exception or error text of a program, an event of a "
    "provider (JSON), or a whole bounce message"
)


class NothingKnown(ValueError):
    """The text holds nothing that can be explained; the message says why, and what would be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was said, explained. "" is what is not known or does not apply."""

    code: int | None
    enhanced: EnhancedStatus | None
    kind: Kind
    reason: str
    """A name of reasons.toml."""
    cause: str
    """An id of causes.toml."""
    title: str
    meaning: str
    fix: str
    """What to do."""
    action: str
    """What Waypost does, in one word."""
    would: str
    """The same in a sentence."""
    step: str
    """connect, greeting, ehlo, starttls, tls, auth, mail, rcpt, data or content."""
    said_by: str
    side: Side
    host: str
    recipient: str
    evidence: str
    confidence: float
    """0 to 1: an order of trust."""
    rule: str
    """The stable id of what decided."""
    source: str
    sisimai: str
    kumomta: str


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a text tells; the first finding is the one that counts most."""

    input_kind: InputKind
    findings: tuple[Finding, ...]
    recipients: tuple[tuple[ReportedRecipient, Finding], ...] = ()
    """Of a message that came back."""
    report: BounceReport | None = None
    messages: int = 0
    """Of an mbox: how many it holds."""
    answers: tuple[Answer, ...] = ()
    """Of an mbox: to each message that tells of a delivery."""

    @property
    def main(self) -> Finding:
        """What is told first."""
        return self.findings[0]


def explain(given: str | bytes) -> Answer:
    """Explain a text, or the octets of a message. Raises NothingKnown."""
    from waypost.doctor.explanation.recognition import answer_to

    return answer_to(given)
