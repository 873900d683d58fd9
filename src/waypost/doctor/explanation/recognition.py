"""Finds out what a text is, and has it read and judged accordingly.

What has the most certain marks is tried first: codes alone, JSON, a message with its header, lines
of a log, a session, the notice of a bounce, a program's text; what is left is judged as words.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from waypost.doctor.explanation.answer import UNDERSTOOD, Answer, Finding, NothingKnown
from waypost.doctor.explanation.heard import MAXIMUM_FINDINGS, MAXIMUM_TEXT, Heard
from waypost.doctor.explanation.known import of_program_text
from waypost.doctor.explanation.wording import codes_known, finding_of
from waypost.knowledge.classification import Classification, classify_text
from waypost.knowledge.program_texts import program_text
from waypost.knowledge.reply_contexts import stage_in
from waypost.knowledge.reply_reason import COMMON_WORDS
from waypost.smtp.reply import EnhancedStatus

if TYPE_CHECKING:
    from waypost.mail.bounce.report import Action

_CODES: Final = re.compile(
    r"[\s#(\[<\"']{0,8}(?:(?P<code>\d{3})(?:[\s-]{1,4}"
    r"|$))?#?(?P<enhanced>\d\.\d{1,3}\.\d{1,3})?[\s)\]>\"'.:,;-]{0,8}"
)
_ONLY_CODES: Final = re.compile(r"(?:(?:\d{3}|[245]\.\d{1,3}\.\d{1,3})(?:[\s,;]+|$))+")
_CODE_OR_PAIR: Final = re.compile(
    r"(?<![\d.])(\d{3})(?: ([245]\.\d{1,3}\.\d{1,3}))?(?![\d.])"
    r"|(?<![\d.])()([245]\.\d{1,3}\.\d{1,3})(?![\d.])"
)
_SUCCESS_CODE: Final = re.compile(r"\b2\d\d\b")
_REPLY: Final = re.compile(r"\s{0,8}[2345]\d\d[ -]")
_UNSPOKEN: Final = ("connect", "greeting", "tls", "starttls")
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
UNSURE: Final = 0.45
"""Below this a judgement rests on a code alone."""


def answer_to(given: str | bytes) -> Answer:
    """Explain a text. Raises NothingKnown."""
    if isinstance(given, bytes) and given[:2] in _UTF16:
        given = given[: 2 * MAXIMUM_TEXT].decode("utf-16", "replace")  # as PowerShell writes files
    if given[:5] in ("From ", b"From "):
        several = _mailbox(given)
        if several is not None:
            return several
    text = given if isinstance(given, str) else given[:MAXIMUM_TEXT].decode("utf-8", "replace")
    text = text[:MAXIMUM_TEXT].replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip("\ufeff \t\n\0"):
        raise NothingKnown(f"there is nothing to explain; give {UNDERSTOOD}")
    codes = _CODES.fullmatch(text.strip())
    if codes is not None and (codes["code"] or codes["enhanced"]):
        return _codes(text.strip(), codes["code"], codes["enhanced"])
    return (
        _several_codes(text)
        or _events(text)
        or _message(given, text, sure=True)
        or _log(text)
        or _session(text)
        or _message(given, text, sure=False)
        or _program(text)
        or _words(text)
    )


def _codes(text: str, code: str | None, enhanced: str | None) -> Answer:
    number = int(code) if code else None
    status = EnhancedStatus.parse(enhanced) if enhanced else None
    if (enhanced and status is None) or not codes_known(number, status):
        raise NothingKnown(
            f"{text[:40]!r} is no code of SMTP: reply codes go from 200 to 599, enhanced status "
            f"codes "
            "begin with 2, 4 or 5"
        )
    heard = Heard("code", text, "", number, status)
    found = classify_text("", code=number, enhanced=status)
    return Answer("code", (finding_of(heard, found),))


def _several_codes(text: str) -> Answer | None:
    """Codes and nothing else, one after the other: each is explained."""
    if len(text) > 400 or not _ONLY_CODES.fullmatch(text.strip()):
        return None
    findings = []
    for code, after, _, alone in _CODE_OR_PAIR.findall(text):
        if after and after[0] != code[0]:  # the next thing asked, and no pair
            findings += [_codes(code, code, None), _codes(after, None, after)]
        else:
            findings.append(_codes(f"{code} {after or alone}".strip(), code, after or alone))
    return Answer("code", tuple(one.main for one in findings[:MAXIMUM_FINDINGS]))


def _events(text: str) -> Answer | None:
    if "{" not in text[:4000]:
        return None
    from waypost.doctor.explanation.events import heard_in_events

    heards = heard_in_events(text)
    answer = _answer([(heard, _judged(heard)) for heard in heards])
    if answer is None:
        return None
    from waypost.mail.bounce.report import ReportedRecipient

    recipients = []
    for heard, finding in zip(heards, answer.findings, strict=True):
        passed = heard.delivered or finding.reason == "complaint"
        outcome: Action = "delivered" if passed else "failed"
        if finding.kind == "temporary":
            outcome = "delayed"
        status = str(heard.enhanced) if heard.enhanced is not None else ""
        one = ReportedRecipient(heard.recipient, "", outcome, status, heard.words)
        recipients.append((one, finding))
    return replace(answer, recipients=tuple(recipients))


def _log(text: str) -> Answer | None:
    from waypost.doctor.explanation.logs import heard_in_log

    found = []
    for heard in heard_in_log(text):
        judged = classify_text("", code=250) if heard.delivered else _judged(heard)
        if judged.kind == "success" and not heard.delivered:
            # The line tells of a failure, whatever number stands in it.
            judged = _judged(replace(heard, words=_SUCCESS_CODE.sub("", heard.words)))
        if judged.confidence < UNSURE and judged.code is None:
            row = program_text(heard.words)
            judged = of_program_text(row) if row is not None else judged
        if judged.confidence > 0.0:
            found.append((heard, judged))
    return _answer(found)


def _session(text: str) -> Answer | None:
    from waypost.doctor.explanation.transcripts import heard_in_transcript

    heards = heard_in_transcript(text)
    answer = _answer([(heard, _judged(heard)) for heard in heards])
    if answer is None:
        return None
    beside = _program(text)  # what the program that spoke says of its own
    if beside is None:
        return answer
    if answer.main.kind == "success" and not heards[0].delivered:
        return beside
    others = tuple(one for one in beside.findings if one.step == "tls")
    return replace(answer, findings=(*answer.findings, *others)[:MAXIMUM_FINDINGS])


def _message(given: str | bytes, text: str, *, sure: bool) -> Answer | None:
    from waypost.mail.bounce.delivery_status import holds_delivery_status
    from waypost.mail.bounce.structure import looks_like_message, read_structure

    if sure:
        if not (
            looks_like_message(text)
            or holds_delivery_status(text[:20_000])
            or _begins_as_notice(text)
        ):
            return None
    else:
        from waypost.mail.bounce.kinds import is_report_text

        if text.count("\n") < 2 or not is_report_text(text):
            return None
    from waypost.doctor.explanation.bounces import answer_of_message

    answer = answer_of_message(given)
    if answer is None and sure:
        for part in read_structure(given).parts:
            within = _events(part.text)  # a provider's event that came by mail
            if within is not None:
                return within
        raise NothingKnown(
            "the message is no bounce, report or automatic reply: nothing in it tells of a delivery"
        )
    return answer


def _mailbox(given: str | bytes) -> Answer | None:
    """Every message of an mbox that tells of a delivery; None where it holds no more than one."""
    from waypost.doctor.explanation.bounces import answer_of_message
    from waypost.mail.bounce.mailbox import messages_of

    content = given if isinstance(given, bytes) else given.encode("utf-8", "replace")
    messages = messages_of(content)
    if len(messages) < 2:
        return None
    answers = [found for one in messages if (found := answer_of_message(one)) is not None]
    if not answers:
        raise NothingKnown(
            f"none of the {len(messages)} messages is a bounce, report or automatic reply"
        )
    return Answer(
        "mailbox",
        tuple(one.main for one in answers)[:MAXIMUM_FINDINGS],
        tuple(one for answer in answers for one in answer.recipients),
        messages=len(messages),
        answers=tuple(answers),
    )


def _begins_as_notice(text: str) -> bool:
    """A notice quotes replies, as a session does, so it is known before one is looked for."""
    if "\n" not in text:
        return False
    from waypost.mail.bounce.kinds import is_notice

    return is_notice(text)


def _program(text: str) -> Answer | None:
    if _REPLY.match(text):
        return None
    from waypost.doctor.explanation.exceptions import heard_in_exception

    findings: list[Finding] = []
    for heard, row in heard_in_exception(text):
        quotes = heard.code is not None or heard.enhanced is not None
        found = _judged(heard)
        known = of_program_text(row) if row is not None else None
        if row is None or known is None or _is_spoken(found, quotes=quotes, step=row.step):
            findings.append(finding_of(heard, found))
            continue
        if quotes:
            known = replace(known, code=found.code, enhanced=found.enhanced, kind=found.kind)
        side = row.side if heard.side == "unknown" else heard.side
        findings.append(
            finding_of(replace(heard, side=side), known, cause_id=row.cause, step=row.step)
        )
    if not findings:
        return None
    return Answer("exception", tuple(findings))


def _is_spoken(found: Classification, *, quotes: bool, step: str) -> bool:
    """Whether a server has said it: it is quoted, or the words are some system's own. Where the
    connection or TLS failed there was none to say anything."""
    if quotes:
        return found.confidence > UNSURE
    return step not in _UNSPOKEN and found.confidence > COMMON_WORDS


def _words(text: str) -> Answer:
    found = classify_text(text)
    is_reply = _REPLY.match(text) is not None
    heard = Heard("reply" if is_reply else "text", text.strip(), text, side="unknown")
    if found.confidence <= 0.0 or (
        found.code is None and found.enhanced is None and found.confidence < UNSURE
    ):
        raise NothingKnown(f"nothing in the text is known; what is understood: {UNDERSTOOD}")
    stage = stage_in(text)
    return Answer(heard.kind, (finding_of(replace(heard, stage=stage), found),))


def _answer(found: list[tuple[Heard, Classification]]) -> Answer | None:
    if not found:
        return None
    findings = [finding_of(heard, judged) for heard, judged in found]
    return Answer(found[0][0].kind, tuple(findings))


def _judged(heard: Heard) -> Classification:
    if heard.found is not None:
        return heard.found
    return classify_text(heard.words, code=heard.code, enhanced=heard.enhanced, stage=heard.stage)
