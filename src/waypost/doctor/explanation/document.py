"""An answer as one JSON object; docs/reference/explain.md describes it."""

from __future__ import annotations

from typing import Any

from waypost.doctor.explanation.answer import Answer, Finding


def document_of(answer: Answer) -> dict[str, Any]:
    """What counts most stands at the top; `findings` and `recipients` have all of it."""
    document: dict[str, Any] = {"input_kind": answer.input_kind, **_finding(answer.main)}
    document["findings"] = [_finding(one) for one in answer.findings]
    document["recipients"] = [
        {
            "address": recipient.address,
            "original": recipient.original or None,
            "outcome": recipient.action,
            "status": recipient.status or None,
            "diagnostic": recipient.diagnostic or None,
            "remote_mta": recipient.remote_mta or None,
            **{name: value for name, value in _finding(finding).items() if name != "recipient"},
        }
        for recipient, finding in answer.recipients
    ]
    if answer.messages:
        document["messages"] = answer.messages
    report = answer.report
    document["report"] = report and {
        "kind": report.kind,
        "form": report.form,
        "reporting_mta": report.reporting_mta or None,
        "subject": report.subject or None,
        "sender": report.sender or None,
        "original_message_id": report.original_message_id or None,
        "original_subject": report.original_subject or None,
        "original_sender": report.original_sender or None,
        "feedback_type": report.feedback_type or None,
    }
    return document


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "enhanced": str(finding.enhanced) if finding.enhanced is not None else None,
        "kind": finding.kind,
        "reason": finding.reason,
        "cause": finding.cause or None,
        "title": finding.title,
        "meaning": finding.meaning,
        "fix": finding.fix,
        "action": finding.action,
        "would": finding.would,
        "step": finding.step or None,
        "said_by": finding.said_by,
        "side": finding.side,
        "host": finding.host or None,
        "recipient": finding.recipient or None,
        "evidence": finding.evidence,
        "confidence": finding.confidence,
        "rule": finding.rule,
        "source": finding.source,
        "sisimai": finding.sisimai,
        "kumomta": finding.kumomta,
    }
