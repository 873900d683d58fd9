"""Tells by header and words what a message that came back is, before it is read.

No single mark is sure: many systems write as a person would, and people write of bounces. So the
sender, the subject and the words of the notice are looked at together.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.mail.bounce.delivery_status import holds_delivery_status
from waypost.mail.bounce.structure import Fields, looks_like_message

MAXIMUM_TEXT: Final = 8000
"""Characters of a notice in which its words are looked for."""


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("(?im)" + "|".join(phrases))


_SYSTEM: Final = _any_of(
    r"mailer[-_. ]?daemon", r"post_?master", r"mail[-_. ]deliver", r"delivery[-_. ]sub",
    r"sysadmin", r"system administrator", r"mail system", r"mail[-_. ]?admin", r"^\s*<>",
    r"bounce", r"symantec", r"content-filter", r"mail[-_. ]?service",
)  # fmt: skip
"""Names under which mail systems write."""
_SUBJECT: Final = _any_of(
    r"undeliver", r"return(?:ed|ing) (?:mail|message)", r"fail(?:ure|ed)\b", r"delay", r"bounce",
    r"delivery (?:status|report|problem|has|notif|error)", r"mail (?:system )?error",
    r"non[- ]?remis", r"unzustellbar", r"not (?:be )?delivered", r"rejected", r"blocked",
    r"could not", r"(?:unknown|no such) user", r"user unknown", r"error sending",
    r"warning: message",
)  # fmt: skip
_NOTICE: Final = _any_of(
    (
        r"(?:could ?not|cannot|can't|was(?:n't| not)|(?:un|not )able to|(?:has|have) not been|not)"
        r" (?:be |been )?(?:deliver|sent|reach|relay|process|send)"
    ),
    r"undeliver", r"delivery (?:has )?fail", r"failed permanently", r"permanent (?:fatal )?error",
    r"did not reach", r"delivery status notification", r"mail delivery (?:failed|system)",
    r"returned to sender",
    r"errors? (?:occurred )?(?:while|during) (?:trying to )?(?:deliver|send)",
    r"qmail-send program", r"mail system at host", r"has been delayed", r"transcript of session",
    r"delivery (?:problems|errors)", r"non-?deliver", r"failed recipients?", r"user unknown",
    r"(?:unknown|no such) user", r"not a member",
)  # fmt: skip
_HEAD_OF_NOTICE: Final = _any_of(
    r"^this is the mail system at host",
    r"^ *-+ the following addresses had (?:permanent|transient)",
    r"^hi\. this is the qmail-send program", r"^this message was created automatically by mail",
    r"^this is an automatically generated delivery status notification",
    r"^ *-+ transcript of session follows", r"^failed to deliver to ['\"<]",
    r"^the following address(?:es)? failed", r"have been processed by the mail server:",
    r"^\*\* (?:address not found|message (?:not delivered|blocked)|delivery incomplete)",
    r"^(?:delivery to|your message to|delivery has failed to) the(?:se| following)? recipients?",
    r"^(?:generating server|bronserver|generierender server|serveur de génération)\s?:",
)  # fmt: skip
"""Lines with which the notices of some systems begin. Nothing else has them."""
_AUTOMATIC: Final = _any_of(
    r"^auto(?:matic)?[- :]", r"out of (?:the )?office", r"vacation", r"auto-?reply", r"autorespon",
    r"abwesen", r"away from",
)  # fmt: skip
_AUTOMATIC_FIELDS: Final = (
    "x-autoreply", "x-autorespond", "x-auto-reply", "x-apple-action", "x-autoresponder",
)  # fmt: skip


def is_report_text(text: str) -> bool:
    """Whether a pasted text is a message, or the readable part of a report."""
    if looks_like_message(text) or holds_delivery_status(text):
        return True
    if is_notice(text):
        return True
    lines = [line for line in text[:MAXIMUM_TEXT].split("\n") if line.strip()]
    return len(lines) >= 3 and _NOTICE.search(text[:MAXIMUM_TEXT]) is not None


def is_notice(text: str) -> bool:
    """Whether a pasted text is a notice for certain, by a line that only notices have."""
    return _HEAD_OF_NOTICE.search(text[:MAXIMUM_TEXT]) is not None


def is_automatic(fields: Fields, notice: str) -> bool:
    """An answer by a program in a person's place, and no report of a mail system (RFC 3834 5)."""
    if fields.get("x-failed-recipients") or _SYSTEM.search(fields.get("from")):
        return False
    if fields.content_type == "multipart/report":
        return False
    subject = fields.shown("subject")
    if _AUTOMATIC.search(subject) and not _SUBJECT.search(subject):
        return True
    replied = fields.get("auto-submitted").lower().startswith("auto-replied") or any(
        fields.get(name) for name in _AUTOMATIC_FIELDS
    )
    return replied and not (_SUBJECT.search(subject) or _NOTICE.search(notice[:MAXIMUM_TEXT]))


def is_failure(fields: Fields, notice: str) -> bool:
    """Whether a mail system says that something failed, even where it names nobody."""
    system = _SYSTEM.search(fields.get("from")) or "<>" in fields.get("return-path")
    said = _SUBJECT.search(fields.shown("subject")) or _NOTICE.search(notice[:MAXIMUM_TEXT])
    return bool(system) and said is not None


def may_be_bounce(fields: Fields, notice: str) -> bool:
    """Whether a notice is worth searching for recipients: not every message is a bounce."""
    if fields.get("x-failed-recipients") or not fields.all:
        return True
    if fields.content_type == "multipart/report" or "<>" in fields.get("return-path"):
        return True
    return bool(
        _SYSTEM.search(fields.get("from"))
        or _SUBJECT.search(fields.shown("subject"))
        or _NOTICE.search(notice[:MAXIMUM_TEXT])
    )


def is_from_system(fields: Fields) -> bool:
    """Whether the header is that of a report by a mail system."""
    return _SYSTEM.search(fields.get("from")) is not None and (
        fields.content_type == "multipart/report"
        or _SUBJECT.search(fields.shown("subject")) is not None
    )
