"""Makes a finding of what was judged: who said it, what to do, what Waypost does."""

from __future__ import annotations

from typing import Final

from waypost.doctor.explanation.answer import Finding
from waypost.doctor.explanation.heard import MAXIMUM_EVIDENCE, Heard, Side
from waypost.knowledge.advice import advice_for, advice_for_operator
from waypost.knowledge.causes import cause
from waypost.knowledge.classification import Classification
from waypost.knowledge.enhanced_codes import enhanced_code, meaning_of
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_codes import digits, reply_codes
from waypost.knowledge.reply_rules import reply_rules
from waypost.mail.encoded_words import displayable
from waypost.smtp.reply import EnhancedStatus

WOULD: Final = {
    "deliver": "Nothing is left to do: the next server has the message.",
    "retry": "Keeps the message and tries it again by schedule, until it expires.",
    "back-off": "Keeps the message, leaves that server alone for a while, and then tries again.",
    "suppress": "Gives the message back and puts the address on the suppression list.",
    "give-back": "Gives the message back to its sender and does not try it again.",
    "alert": "Keeps the message and alerts the operator, who alone can mend it.",
}
"""By the action's word."""

_OUR_STEPS: Final = ("auth", "starttls")
"""Steps at which one speaks with the server that one submits to."""
_FILTERS: Final = frozenset(
    (
        "amavis", "barracuda", "cisco", "fortinet", "mcafee", "messagelabs", "mimecast",
        "proofpoint",
        "rspamd", "trend micro",
    )
)  # fmt: skip
"""Systems that stand before somebody's mailboxes."""


def finding_of(
    heard: Heard, found: Classification, *, cause_id: str = "", step: str = ""
) -> Finding:
    """Put a judgement into words. A cause or step that is given counts for more."""
    meaning = cause(cause_id).meaning if cause_id else _meaning(heard, found)
    cause_id = cause_id or found.cause
    reason = reasons()[found.reason]
    step = step or heard.stage or ""
    system = _system(found.rule)
    side = heard.side
    if side == "unknown" and step in _OUR_STEPS:
        side = "provider"
    return Finding(
        found.code,
        found.enhanced,
        found.kind,
        found.reason,
        cause_id,
        cause(cause_id).title if cause_id else reason.title,
        meaning,
        _fix(heard, found, cause_id),
        found.action,
        WOULD[found.action],
        step,
        said_by(heard, side, system),
        side,
        heard.host,
        heard.recipient,
        displayable(heard.evidence)[:MAXIMUM_EVIDENCE],
        round(found.confidence, 2),
        found.rule,
        found.source,
        found.sisimai,
        found.kumomta,
    )


def _meaning(heard: Heard, found: Classification) -> str:
    """The reason's meaning; for codes alone, that of the codes."""
    if heard.kind != "code":
        return found.meaning
    parts = []
    if found.code is not None:
        known = reply_codes().get(found.code)
        parts.append(known.meaning if known is not None else digits()[found.code // 100])
    if found.enhanced is not None:
        row = enhanced_code(found.enhanced)
        parts.append(row.meaning if row is not None else meaning_of(found.enhanced))
    return " ".join(part.rstrip(".") + "." for part in parts if part)


def _fix(heard: Heard, found: Classification, cause_id: str) -> str:
    if found.kind == "success":
        return "Nothing needs to be done."
    if heard.kind == "log" and heard.side == "yours" and heard.stage == "auth":
        return _GUESSED
    if cause_id:
        domain = heard.recipient.rpartition("@")[2]
        fix = cause(cause_id).fix_with(
            {"host": heard.host, "recipient": heard.recipient, "domain": domain}
        )
        if fix:
            return fix
    if heard.kind == "code" and found.confidence < UNSURE:
        return _TELL_MORE
    return advice_for_operator(found.reason) or advice_for(found.reason) or _GENERAL[found.kind]


UNSURE: Final = 0.5
"""Below this, a judgement rests on a reply code alone."""
_TELL_MORE: Final = "Give the whole reply: the words behind the code tell which of these it is."
_GUESSED: Final = (
    "A client gave your server a wrong user name or password. If the client is yours, correct its "
    "settings; if many such lines come, somebody guesses passwords: block the addresses, as with "
    "fail2ban."
)
_GENERAL: Final = {
    "success": "Nothing needs to be done.",
    "temporary": "Send it again later, as a relay does by itself; the server's words tell more.",
    "permanent": "Read the server's own words; sending the same again will fail again.",
}


def said_by(heard: Heard, side: Side, system: str) -> str:
    """Who said it, in words."""
    named = f" {heard.host}" if heard.host else ""
    by = f" (in words of {_name(system)})" if system else ""
    if side == "yours":
        if heard.kind == "log":
            return f"your own server, {heard.program.capitalize()}"
        language = _LANGUAGES.get(heard.program, "")
        return f"your own side{language and f', a program in {language}'}"
    if side == "network":
        return f"nobody: {heard.host or 'no server'} gave {'no' if heard.host else 'an'} answer"
    if side == "provider":
        return f"the server that you submit to{named}{by}"
    if side == "recipient":
        if system in _FILTERS:
            return f"a filter before the recipient's mailbox{named}{by}"
        return f"the recipient's server{named}{by}"
    if heard.kind == "code":
        return "a server; codes alone do not tell which"
    if heard.kind == "bounce":
        return f"a server on the way to the recipient{by}"
    return f"the server that was asked{named}{by}"


_LANGUAGES: Final = {
    "python": "Python", "php": "PHP", "node": "Node.js", "java": "Java", "dotnet": ".NET",
    "go": "Go",
    "ruby": "Ruby",
}  # fmt: skip


def _name(system: str) -> str:
    return _NAMES.get(system, system.capitalize())


_NAMES: Final = {
    "amazon ses": "Amazon SES", "at&t": "AT&T", "i.ua": "i.ua", "mail.ru": "Mail.ru", "qq": "QQ",
    "t-online": "T-Online", "godaddy": "GoDaddy", "messagelabs": "MessageLabs", "mcafee": "McAfee",
    "sendgrid": "SendGrid", "sparkpost": "SparkPost", "trend micro": "Trend Micro",
    "united internet": "United Internet", "opensmtpd": "OpenSMTPD", "qmail": "qmail",
    "netease": "NetEase", "docomo": "docomo", "blocklists": "a blocklist",
    "mailing lists": "mailing lists",
}  # fmt: skip


def _system(rule: str) -> str:
    """Whose words the rule knows; "" for what many say."""
    if rule.startswith(("status-", "code-", "event-")):
        return ""
    return next((one.system for one in reply_rules().rules if one.id == rule), "")


def codes_known(code: int | None, enhanced: EnhancedStatus | None) -> bool:
    """Whether these are codes of SMTP at all."""
    if code is not None and not 200 <= code < 600:
        return False
    return enhanced is None or enhanced.class_ in (2, 4, 5)
