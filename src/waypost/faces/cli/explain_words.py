"""What `waypost explain` shows of an answer, line by line: a label, a value, a style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from waypost.doctor.explanation.answer import Answer, Finding

Line = tuple[str, str, str]

_COLOURS = {"success": "bold green", "temporary": "bold yellow", "permanent": "bold red"}


def blocks_of(answer: Answer) -> Iterator[list[Line]]:
    """One block for each thing that was said, or for each recipient of a bounce."""
    if answer.messages:
        yield list(_of_mailbox(answer))
        for one in answer.answers:
            yield from blocks_of(one)
        return
    if answer.report is None:
        for number, finding in enumerate(answer.findings):
            told = [*_heading(finding), *_details(finding, full=number == 0)]
            if answer.input_kind == "code":  # the evidence is the question, and nobody is known
                told = [line for line in told if line[0] not in ("evidence", "said by")]
            yield told
        return
    yield list(_of_report(answer))
    shown_rules: set[tuple[str, str]] = set()
    for recipient, finding in answer.recipients:
        lines: list[Line] = [
            ("", f"{recipient.address}: {recipient.action}", _COLOURS[finding.kind])
        ]
        if recipient.original:
            lines.append(("named as", recipient.original, ""))
        if finding.kind == "success":
            yield lines
            continue
        full = (finding.reason, finding.rule) not in shown_rules
        shown_rules.add((finding.reason, finding.rule))
        lines += [*_heading(finding, "what"), *_details(finding, full=full)]
        yield [line for line in lines if line[0] != "recipient"]
    if not answer.recipients:
        yield [*_heading(answer.main), *_details(answer.main, full=True)]


def _of_mailbox(answer: Answer) -> Iterator[Line]:
    told, reasons = len(answer.answers), Counter(
        finding.reason for _, finding in answer.recipients if finding.kind != "success"
    )  # fmt: skip
    yield "", f"{answer.messages} messages, {told} of them about deliveries", "bold"
    for reason, count in reasons.most_common(10):
        yield "", f"{count} x {reason}", ""


def _of_report(answer: Answer) -> Iterator[Line]:
    report = answer.report
    assert report is not None
    what = {
        "bounce": "A report about delivery",
        "complaint": f"A complaint ({report.feedback_type or 'abuse'})",
        "disposition": "A receipt",
        "automatic-reply": "An automatic reply",
        "other": "A message",
    }[report.kind]
    count = len(answer.recipients)
    whom = f", about {count} recipient{'s' if count > 1 else ''}" if count else ""
    yield "", f"{what}{whom}", "bold"
    for label, value in (
        ("from", report.sender),
        ("subject", report.subject),
        ("reported by", report.reporting_mta),
        ("about", report.original_subject),
        ("message-id", report.original_message_id),
    ):
        if value:
            yield label, value, ""


def _heading(finding: Finding, label: str = "") -> Iterator[Line]:
    codes = " ".join(str(one) for one in (finding.code, finding.enhanced) if one is not None)
    title = f"{codes}: {finding.title}" if codes else finding.title
    yield label, title, _COLOURS[finding.kind]


def _details(finding: Finding, *, full: bool) -> Iterator[Line]:
    if full or finding.kind != "success":
        yield "meaning", finding.meaning, ""
    kind = finding.kind
    yield "kind", f"{kind}, {finding.reason}", ""
    where = f", at {_STEPS.get(finding.step, finding.step)}" if finding.step else ""
    yield "said by", f"{finding.said_by}{where}", ""
    if finding.recipient:
        yield "recipient", finding.recipient, ""
    if full and finding.kind != "success":
        yield "what to do", finding.fix, "bold"
    yield "Waypost", f"{finding.would} ({finding.action})", ""
    if finding.evidence:
        yield "evidence", finding.evidence, ""
    yield "decided by", f"{finding.rule}, confidence {finding.confidence:.2f}", "dim"


_STEPS = {
    "connect": "the connection", "greeting": "the greeting", "ehlo": "EHLO", "starttls": "STARTTLS",
    "tls": "the TLS handshake", "auth": "the login", "mail": "MAIL FROM", "rcpt": "RCPT TO",
    "data": "DATA", "content": "the end of the message",
}  # fmt: skip
