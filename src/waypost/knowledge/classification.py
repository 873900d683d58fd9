"""What a reply or a text means, whole: for `waypost explain`, bounce messages and programs.

The reason is found by reply_reason, which delivery asks as well; here it gets its meaning, its
names in other programs, and what Waypost does about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from waypost.knowledge.outcomes import Through, Verdict, outcome_table
from waypost.knowledge.reasons import Action, Reason, reasons
from waypost.knowledge.reply_codes import reply_codes
from waypost.knowledge.reply_contexts import Stage, reply_in, stage_in
from waypost.knowledge.reply_reason import Finding, find_reason
from waypost.knowledge.reply_text import codes_in
from waypost.smtp.reply import EnhancedStatus, Reply

Kind = Literal["success", "temporary", "permanent"]

SUCCESS: Final = Finding("delivered", "success", 1.0, "RFC 5321 4.2.1")
UNKNOWN: Final = Finding("unknown", "unknown", 0.0, "no code, and no rule knows the words")

SILENT: Final = Finding("nothing-said", "nothing", 0.0, "neither code nor words")


@dataclass(frozen=True, slots=True)
class Classification:
    """What was said, and what it comes to."""

    code: int | None
    enhanced: EnhancedStatus | None
    kind: Kind
    reason: str
    """A name of reasons.toml."""
    cause: str
    """An id of causes.toml; "" where none fits."""
    meaning: str
    action: Action
    """What Waypost does."""
    confidence: float
    """0 to 1."""
    rule: str
    """The stable id of what decided."""
    source: str
    sisimai: str
    kumomta: str


def classify(
    reply: Reply, *, stage: Stage | None = None, through: Through | None = None
) -> Classification:
    """Judge a reply, by its stage and what the peer is to us where they are known.

    Where both are known, `kind` and `action` are what delivery would do.
    """
    return _classify(reply.text, reply.code, reply.enhanced, stage, through)


def classify_text(
    text: str,
    *,
    code: int | None = None,
    enhanced: EnhancedStatus | None = None,
    stage: Stage | None = None,
) -> Classification:
    """Judge free text, such as a line of a log or the diagnostic text of a notification.

    Codes that are not given are looked for in it, and so is the stage. Without any code, the kind
    is what the reason mostly is.
    """
    said = reply_in(text)
    found_code, found_enhanced = codes_in(said)
    if code is None and (enhanced is None or found_code is not None):
        code = found_code
    return _classify(said, code, enhanced or found_enhanced, stage or stage_in(text), None, text)


def _classify(
    text: str,
    code: int | None,
    enhanced: EnhancedStatus | None,
    stage: Stage | None,
    through: Through | None,
    around: str = "",
) -> Classification:
    kind = _kind(code, enhanced)
    if kind == "success":
        finding = SUCCESS
    else:
        finding = find_reason(text, code, enhanced, stage, around) or (
            UNKNOWN if text.strip() else SILENT
        )
    reason = reasons()[finding.reason]
    action: Action
    if kind == "success":
        action = "deliver"
    elif stage is not None and through is not None and code is not None:
        verdict = outcome_table().of_reason(reason.name, stage, code, enhanced, through)
        kind = "permanent" if verdict.kind == "permanent" else "temporary"
        action = _action_of(verdict, reason)
    else:
        if code is None and enhanced is None:
            kind = reason.kind
        elif reason.permanent == "retry":
            kind = "temporary"
        action = reason.temporary if kind == "temporary" else reason.permanent
    known = reply_codes().get(code) if code is not None and kind == "success" else None
    return Classification(
        code,
        enhanced,
        kind,
        reason.name,
        reason.cause,
        reason.meaning if known is None else known.meaning,
        action,
        finding.confidence,
        finding.rule,
        finding.source,
        reason.sisimai,
        reason.kumomta,
    )


def _kind(code: int | None, enhanced: EnhancedStatus | None) -> Kind:
    digit = code // 100 if code is not None else enhanced.class_ if enhanced is not None else 5
    return "success" if digit < 4 else "temporary" if digit == 4 else "permanent"


def _action_of(verdict: Verdict, reason: Reason) -> Action:
    """The word for what delivery does."""
    if verdict.alert:
        return "alert"
    if verdict.kind == "permanent":
        return "suppress" if reason.permanent == "suppress" else "give-back"
    return "back-off" if verdict.back_off else "retry"
