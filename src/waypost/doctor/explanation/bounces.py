"""Judges what a bounce message says about each recipient."""

from __future__ import annotations

from dataclasses import replace

from waypost.doctor.explanation.answer import Answer, Finding
from waypost.doctor.explanation.heard import Heard
from waypost.doctor.explanation.known import of_reason
from waypost.doctor.explanation.wording import finding_of
from waypost.knowledge.classification import Classification, classify_text
from waypost.knowledge.outcomes import Stage
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_text import codes_in
from waypost.knowledge.sisimai_names import Refusal, sisimai_name
from waypost.mail.bounce.reading import read_report
from waypost.mail.bounce.report import BounceReport, ReportedRecipient
from waypost.smtp.reply import EnhancedStatus

_STAGES: dict[str, Stage] = {
    "greeting": "greeting", "ehlo": "ehlo", "starttls": "starttls", "auth": "auth", "mail": "mail",
    "rcpt": "rcpt", "data": "data", "content": "content",
}  # fmt: skip

UNSURE = 0.5
"""Below this, the rest of the notice is asked as well."""


def judged(recipient: ReportedRecipient, report: BounceReport) -> Classification:
    """The classification of what was said about one recipient.

    The status in the words of the server counts for more than the one that the reporting system
    made of them (RFC 3464 2.3.4 lets it choose).
    """
    stage = _STAGES.get(recipient.step)
    words = recipient.diagnostic
    status = EnhancedStatus.parse(recipient.status) if recipient.status else None
    told = codes_in(words)[1]
    if told is not None and told.detail and told.subject:
        status = told
    elif status is not None and (status.subject, status.detail) == (0, 0):
        status = None if codes_in(words) != (None, None) else status
    found = classify_text(words, enhanced=status, stage=stage)
    if found.confidence < UNSURE and report.words and len(report.recipients) == 1:
        whole = classify_text(report.words, enhanced=status, stage=stage)
        if whole.confidence > found.confidence and whole.reason != "unknown":
            return replace(whole, code=found.code or whole.code)
    return found


def answer_of_message(given: str | bytes) -> Answer | None:
    """Explain a message that came back; None where it is none."""
    report = read_report(given)
    if report.kind == "other":
        return None
    if report.kind != "bounce":
        name = {"complaint": "complaint", "automatic-reply": "automatic-reply"}.get(report.kind, "")
        found = of_reason(name, f"message-{name}") if name else classify_text("", code=250)
        heard = Heard(
            "bounce", report.words[:200] or report.subject, report.words, side="recipient"
        )
        recipients = tuple(
            (one, finding_of(replace(heard, recipient=one.address), found))
            for one in report.recipients
        )
        main = recipients[0][1] if recipients else finding_of(heard, found)
        return Answer("bounce", (main,), recipients, report)
    judgements = tuple((one, _finding(one, report)) for one in report.recipients)
    if not judgements:
        found = classify_text(report.words)
        heard = Heard("bounce", report.words[:300], report.words)
        return Answer("bounce", (finding_of(heard, found),), (), report)
    failed = [finding for one, finding in judgements if one.action in ("failed", "delayed")]
    main = failed[0] if failed else judgements[0][1]
    return Answer("bounce", (main,), judgements, report)


def _sisimai(found: Classification, recipient: ReportedRecipient, report: BounceReport) -> str:
    """What Sisimai calls it. It goes by the Status field where the words have no precise status."""
    told = codes_in(recipient.diagnostic)[1]
    status = EnhancedStatus.parse(recipient.status) if recipient.status else None
    precise = told is not None and (told.subject, told.detail) != (0, 0)
    return sisimai_name(
        Refusal(
            found.reason,
            recipient.step,
            told if precise else status or found.enhanced,
            found.code is not None,
            recipient.diagnostic,
            recipient.remote_mta,
            report.words,
        )
    )


def _finding(recipient: ReportedRecipient, report: BounceReport) -> Finding:
    if recipient.action in ("delivered", "relayed", "expanded"):
        found = classify_text("", code=250)
        status = EnhancedStatus.parse(recipient.status) if recipient.status else None
        found = replace(found, code=None, enhanced=status)
    else:
        found = judged(recipient, report)
        if recipient.action == "delayed" or (found.kind == "success"):
            reason = reasons()[found.reason]
            found = replace(found, kind="temporary", action=reason.temporary)
        found = replace(found, sisimai=_sisimai(found, recipient, report))
    heard = Heard(
        "bounce",
        recipient.diagnostic or report.words[:300],
        recipient.diagnostic,
        stage=_STAGES.get(recipient.step),
        host=recipient.remote_mta,
        side="recipient" if recipient.remote_mta else "unknown",
        recipient=recipient.address,
    )
    return finding_of(heard, found)
