"""What a refusal means and what to do, for programs: the words of the doctor."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from waypost.doctor.explanation.answer import Finding
from waypost.doctor.explanation.heard import MAXIMUM_EVIDENCE, Heard
from waypost.doctor.explanation.wording import finding_of
from waypost.knowledge.causes import cause
from waypost.knowledge.classification import classify, classify_text
from waypost.knowledge.reasons import reasons
from waypost.smtp.reply import Reply

SUPPRESSED: Final = (
    "If the address is good again, take it off the list: DELETE /api/v1/suppressions/ADDRESS, or "
    "waypost suppress remove ADDRESS."
)


@lru_cache(maxsize=1024)
def explanation_of(said: str, reason: str) -> dict[str, Any]:
    """What an attempt came to, explained; `reason` is delivery's own judgement, which counts."""
    found = classify_text(said)
    heard = Heard("text", said[:MAXIMUM_EVIDENCE], said, found.code, found.enhanced)
    known = reasons().get(reason)
    finding = finding_of(heard, found)
    if known is not None and found.reason != reason:
        finding = finding_of(heard, found, cause_id=known.cause) if known.cause else finding
        title = cause(known.cause).title if known.cause else known.title
        meaning = cause(known.cause).meaning if known.cause else known.meaning
        return _document(finding) | {
            "reason": reason, "cause": known.cause or None, "title": title, "meaning": meaning,
        }  # fmt: skip
    return _document(finding)


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "reason": finding.reason,
        "cause": finding.cause or None,
        "title": finding.title,
        "meaning": finding.meaning,
        "fix": finding.fix,
        "action": finding.action,
    }


def refusal_document(address: str, refusal: Reply, *, suppressed: bool) -> dict[str, Any]:
    """A recipient that the relay itself did not take."""
    found = finding_of(
        Heard(
            "reply", str(refusal)[:MAXIMUM_EVIDENCE], refusal.text, refusal.code,
            refusal.enhanced, "rcpt", recipient=address,
        ),
        classify(refusal, stage="rcpt"),
    )  # fmt: skip
    return {
        "address": address,
        "code": refusal.code,
        "enhanced": str(refusal.enhanced) if refusal.enhanced is not None else None,
        "text": refusal.text,
        "reason": "suppressed" if suppressed else found.reason,
        "fix": SUPPRESSED if suppressed else found.fix,
    }
