"""What was found in a text that somebody pasted, before it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from waypost.knowledge.classification import Classification
from waypost.knowledge.outcomes import Stage
from waypost.smtp.reply import EnhancedStatus

InputKind = Literal[
    "code", "reply", "transcript", "log", "exception", "event", "bounce", "mailbox", "text"
]
"""What the text is: codes alone; a reply; a session; lines of a log; what a program printed; a
provider's event; a message that came back; many of them in one file; anything else."""

Side = Literal["yours", "provider", "recipient", "network", "unknown"]
"""Whose word it is: a machine or program of one's own; the server that one submits to; the
recipient's server, or a gateway before it; nobody's, as no server answered."""

MAXIMUM_FINDINGS: Final = 20
"""Things that are explained of one text; more are counted only."""
MAXIMUM_TEXT: Final = 1 << 20
"""Characters of a text that are looked at."""
MAXIMUM_EVIDENCE: Final = 400


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing that was said. "" is what is not known."""

    kind: InputKind
    evidence: str
    """The line, or the lines, that say it."""
    words: str
    """What is to be judged: the evidence without what a log puts around it."""
    code: int | None = None
    enhanced: EnhancedStatus | None = None
    stage: Stage | None = None
    host: str = ""
    """Who said it."""
    side: Side = "unknown"
    program: str = ""
    """Who wrote the line: postfix, exim, python, ..."""
    recipient: str = ""
    delivered: bool = False
    """It tells that the message has gone on."""
    found: Classification | None = None
    """Where it is judged already."""
