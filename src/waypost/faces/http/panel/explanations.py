"""What a refusal means and what to do, in the words of the doctor, for pages."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.doctor.explanation.heard import MAXIMUM_EVIDENCE, Heard
from waypost.doctor.explanation.wording import finding_of
from waypost.knowledge.causes import causes
from waypost.knowledge.classification import Classification, classify, classify_text
from waypost.knowledge.outcomes import Through
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_contexts import Stage
from waypost.smtp.reply import EnhancedStatus, Reply


@dataclass(frozen=True, slots=True)
class Explanation:
    """One refusal, explained. "" is what is not known."""

    title: str
    meaning: str
    fix: str
    does: str
    """What Waypost does about it, in a sentence."""
    kind: str
    """temporary or permanent."""
    reason: str
    cause: str
    """An id of causes.toml, which has a page."""
    certain: bool
    """The words are known; otherwise it rests on the code alone."""


def explanation_of_reply(
    code: int,
    texts: tuple[str, ...],
    *,
    stage: Stage | None,
    through: Through | None,
    host: str,
    recipient: str = "",
) -> Explanation:
    """A reply of 400 or above; `texts` are its lines without the code."""
    enhanced = EnhancedStatus.parse(texts[0]) if texts else None
    bare = tuple(_without(one, enhanced) for one in texts)
    found = classify(Reply(code, bare, enhanced), stage=stage, through=through)
    evidence = f"{code} {' '.join(texts)}".strip()[:MAXIMUM_EVIDENCE]
    words = " ".join(bare)
    heard = Heard("reply", evidence, words, code, enhanced, stage, host, recipient=recipient)
    return _of(heard, found)


def explanation_of_outcome(reply: str, reason: str, *, host: str, recipient: str) -> Explanation:
    """What an attempt came to for a recipient where no server refused: a connection that failed,
    a name that is not there, a time that is over."""
    heard = Heard("text", reply[:MAXIMUM_EVIDENCE], reply, host=host, recipient=recipient)
    found = classify_text(reply)
    known = reasons().get(reason)
    if known is not None and found.reason != reason:
        step = f"Calls this {reason}."
        from_reason = finding_of(heard, found, cause_id=known.cause) if known.cause else None
        return Explanation(
            from_reason.title if from_reason else known.title,
            from_reason.meaning if from_reason else known.meaning,
            from_reason.fix if from_reason else "",
            step, known.kind, reason, known.cause, True,
        )  # fmt: skip
    return _of(heard, found)


def _of(heard: Heard, found: Classification) -> Explanation:
    finding = finding_of(heard, found)
    cause = finding.cause if finding.cause in causes() else ""
    return Explanation(
        finding.title, finding.meaning, finding.fix, finding.would, finding.kind, finding.reason,
        cause, finding.confidence >= 0.5,
    )  # fmt: skip


def _without(text: str, enhanced: EnhancedStatus | None) -> str:
    return text.removeprefix(str(enhanced)).strip() if enhanced is not None else text.strip()
