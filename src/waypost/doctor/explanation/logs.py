"""Reads lines of the logs of Postfix, Exim, Sendmail and qmail.

Each says in its own frame who was asked, what for and what came of it; the frame is taken off, and
what the server said is left to be judged. A line that tells of a delivery is read as well, so that
`status=sent` is answered and not refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from waypost.doctor.explanation.heard import MAXIMUM_EVIDENCE, MAXIMUM_FINDINGS, Heard, Side
from waypost.doctor.explanation.known import of_reason
from waypost.knowledge.outcomes import Stage
from waypost.knowledge.reply_contexts import stage_in
from waypost.mail.bounce.addresses import address_in, tidied
from waypost.mail.encoded_words import displayable
from waypost.smtp.reply import EnhancedStatus

MAXIMUM_LINES: Final = 2000
MAXIMUM_LINE: Final = 4000

_POSTFIX: Final = re.compile(
    r"postfix[\w.-]{0,30}/(?:[\w-]{1,20}/)?(?P<daemon>[a-z]{2,12})\[\d{1,10}\]: (?P<rest>.*)"
)
_POSTFIX_BARE: Final = re.compile(r"\b[0-9A-Za-z]{6,20}: (?P<rest>to=<.*\bstatus=.*)")
"""Without the program's name, as people paste it."""
_STATUS: Final = re.compile(
    r"\bstatus=(?P<status>sent|deferred|bounced|expired|deliverable|undeliverable)\b ?(?P<why>.*)"
)
_REJECT: Final = re.compile(
    r"\b(?:NOQUEUE|[0-9A-Za-z]{6,20}): (?:milter-)?(?:reject|reject_warning|discard|hold): "
    r"(?P<what>\S+) from (?P<client>[^\s\[]{0,255}\[[^\]\s]{0,60}\])(?::\d+)?: (?P<why>.*)"
)
_PAIR: Final = re.compile(r"\b(to|orig_to|from|relay|dsn)=<?([^,>;]{0,400})>?")
_TAIL: Final = re.compile(r"; from=<.{0,400}$")
_SAID: Final = re.compile(
    r"(?:host |connect to )?(?P<host>[A-Za-z0-9._-]{1,255})"
    r"\[(?P<ip>[0-9A-Fa-f:.]{2,45}|private[^\]]{0,60})\]"
)

_EXIM: Final = re.compile(
    r"(?:^|\s)(?P<flag>\*\*|==|=>|->|\*>) (?P<address>[^\s]{1,320})(?: <[^>]{0,320}>)?(?P<rest>.*)"
)
_EXIM_FRAME: Final = re.compile(r"(?: [A-Z]{1,4}=(?:\"[^\"]{0,300}\"|\S{1,300})){1,20}")
_EXIM_REJECTED: Final = re.compile(
    r"\brejected (?P<what>[A-Za-z ]{2,30}?)(?: <?(?P<address>[^\s<>:]{1,320})>?)?: (?P<why>.*)"
)
_EXIM_LOGIN: Final = re.compile(
    r"\b\w{2,30} authenticator failed for .{0,300}?\[(?P<ip>[0-9A-Fa-f.:]{2,45})\][^ ]{0,10}"
    r": (?P<why>.*)"
)
_EXIM_HOST: Final = re.compile(r"\bH=(?P<host>[\w.-]{1,255})")

_SENDMAIL: Final = re.compile(
    r"\b[0-9A-Za-z]{10,20}: (?:to=|ruleset=|from=|SYSERR|lost input|timeout waiting|collect:"
    r"|STARTTLS|AUTH=)"
)
_STAT: Final = re.compile(r"\bstat=(?P<stat>.*)")
_SENDMAIL_REJECT: Final = re.compile(r"\breject=(?P<why>.*)")

_QMAIL: Final = re.compile(
    r"\bdelivery (?P<id>\d{1,12}): (?P<what>success|failure|deferral): (?P<why>\S.*)"
)

_RULESETS: Final[dict[str, Stage]] = {
    "check_rcpt": "rcpt", "check_mail": "mail", "check_relay": "greeting", "check_eom": "content",
    "check_data": "data",
}  # fmt: skip
_WHATS: Final[dict[str, Stage]] = {
    "connect": "greeting", "helo": "ehlo", "ehlo": "ehlo", "mail": "mail", "rcpt": "rcpt",
    "recipient": "rcpt", "sender": "mail", "data": "data", "end-of-message": "content",
    "end-of-data": "content", "auth": "auth", "starttls": "starttls", "message": "content",
}  # fmt: skip


def heard_in_log(text: str) -> tuple[Heard, ...]:
    """What lines of a log tell; () where the text is no log. Failures come before deliveries."""
    found: list[Heard] = []
    for whole in text.split("\n", MAXIMUM_LINES)[:MAXIMUM_LINES]:
        line = whole[:MAXIMUM_LINE].strip()
        for reader in _READERS:
            one = reader(line)
            if one is not None:
                found.append(one)
                break
    unique = list({(one.words, one.recipient): one for one in found}.values())
    unique.sort(key=lambda one: one.delivered)
    return tuple(unique[:MAXIMUM_FINDINGS])


def _of_postfix(line: str) -> Heard | None:
    found = _POSTFIX.search(line) or _POSTFIX_BARE.search(line)
    rejected = _REJECT.search(line)
    if found is None and rejected is None:
        return None
    pairs = dict(_PAIR.findall(line[:MAXIMUM_LINE]))
    if rejected is not None:
        why = _TAIL.sub("", rejected["why"])
        return Heard(
            "log", line[:MAXIMUM_EVIDENCE], why, None, None, _WHATS.get(rejected["what"].lower()),
            "", "yours", "postfix", tidied(pairs.get("to", "")),
        )  # fmt: skip
    assert found is not None
    rest = found["rest"]
    daemon = found["daemon"] if found.re is _POSTFIX else "smtp"
    status = _STATUS.search(rest)
    if status is None:
        return _of_postfix_daemon(line, daemon, rest)
    why = status["why"].strip().removeprefix("(").removesuffix(")")
    host = _SAID.search(why) or _SAID.search(pairs.get("relay", ""))
    asked = host["host"] if host is not None else ""
    said = " said: " in why or "refused to talk to me" in why
    side: Side = "recipient" if said or status["status"] == "sent" else "network"
    if daemon in _OWN:
        side = "yours"
    enhanced = EnhancedStatus.parse(pairs.get("dsn", "").strip())
    delivered = status["status"] in ("sent", "deliverable")
    if enhanced is not None and (enhanced.class_ == 2) != delivered:
        enhanced = None
    if status["status"] == "expired":
        expired = of_reason("expired", "postfix-expired")
        return Heard(
            "log", line[:MAXIMUM_EVIDENCE], why or "expired", side="yours", program="postfix",
            recipient=tidied(pairs.get("to", "")), found=expired,
        )  # fmt: skip
    vague = enhanced is not None and (enhanced.subject, enhanced.detail) == (0, 0)
    return Heard(
        "log", line[:MAXIMUM_EVIDENCE], why or status["status"], None, None if vague else enhanced,
        stage_in(why), asked, side, "postfix", tidied(pairs.get("to", "")), delivered,
    )  # fmt: skip


_OWN: Final = ("local", "virtual", "pipe", "error", "qmgr", "cleanup", "bounce", "discard", "smtpd")


def _of_postfix_daemon(line: str, daemon: str, rest: str) -> Heard | None:
    """What a daemon notes by itself: a connection that failed, a login, TLS."""
    text = re.sub(r"^(?:warning|error|fatal|panic): ", "", rest.strip())
    text = re.sub(r"^[0-9A-Za-z]{6,20}: (?=\w)", "", text)
    if not _TROUBLE.search(text):
        return None
    host = _SAID.search(text)
    side: Side = "yours" if daemon in _OWN else "network"
    if " said: " in text or "refused to talk to me" in text:
        side = "recipient"
    stage = stage_in(text) or ("auth" if "SASL" in text else None)
    return Heard(
        "log", line[:MAXIMUM_EVIDENCE], text, None, None, stage,
        _named(host), side, "postfix",
    )  # fmt: skip


def _named(host: re.Match[str] | None) -> str:
    """A host by its name, or by its address where it has none."""
    if host is None:
        return ""
    return host["ip"] if host["host"] == "unknown" else host["host"]


_TROUBLE: Final = re.compile(
    r"(?i)timed out|refused|lost connection|ssl_(?:connect|accept)|tls|sasl|not found|reset"
    r"|unreachable|reject|error|denied|timeout|too many|fail|does not resolve|hostname"
)


def _of_exim(line: str) -> Heard | None:
    if "rejected " in line and ("H=" in line or "F=<" in line):
        rejected = _EXIM_REJECTED.search(line)
        if rejected is not None:
            what = rejected["what"].strip().split()[-1].lower()
            return Heard(
                "log", line[:MAXIMUM_EVIDENCE], rejected["why"], None, None, _WHATS.get(what), "",
                "yours", "exim", tidied(rejected["address"] or ""),
            )  # fmt: skip
    login = _EXIM_LOGIN.search(line)
    if login is not None:
        return Heard(
            "log", line[:MAXIMUM_EVIDENCE], login["why"], None, None, "auth", login["ip"], "yours",
            "exim",
        )  # fmt: skip
    found = _EXIM.search(line)
    if found is None:
        return None
    if " R=" not in line and " T=" not in line and found["flag"] not in ("**", "=="):
        return None
    delivered = found["flag"] in ("=>", "->", "*>")
    host = _EXIM_HOST.search(line)
    why = _EXIM_FRAME.sub("", found["rest"], count=1).strip(" :")
    why = re.sub(r"^(?:\[[0-9A-Fa-f.:]{2,45}\](?::\d+)?)?[: ]{0,3}", "", why)
    why = re.sub(r"^defer \(-?\d+\)(?: H=\S+ \[[^\]]{0,60}\](?::\d+)?)?:? ?", "", why)
    side: Side = "network" if host is not None else "yours"
    if "SMTP error from remote" in why or delivered:
        side = "recipient"
    return Heard(
        "log", line[:MAXIMUM_EVIDENCE], why or line, None, None,
        stage_in(why), host["host"] if host is not None else "", side, "exim",
        tidied(found["address"]), delivered,
    )  # fmt: skip


def _of_sendmail(line: str) -> Heard | None:
    if _SENDMAIL.search(line) is None:
        return None
    pairs = dict(_PAIR.findall(line))
    rejected = _SENDMAIL_REJECT.search(line)
    if rejected is not None:
        ruleset = re.search(r"ruleset=(\w{1,40})", line)
        stage = _RULESETS.get(ruleset[1]) if ruleset is not None else None
        return Heard(
            "log", line[:MAXIMUM_EVIDENCE], rejected["why"], None, None, stage, "", "yours",
            "sendmail", address_in(line.partition("arg1=")[2]),
        )  # fmt: skip
    stat = _STAT.search(line)
    if stat is None:
        return None
    enhanced = EnhancedStatus.parse(pairs.get("dsn", "").strip())
    delivered = stat["stat"].lower().startswith("sent")
    host = pairs.get("relay", "").split(" ")[0].rstrip(".")
    side: Side = "network" if "Deferred: " in stat["stat"] else "recipient" if host else "yours"
    return Heard(
        "log", line[:MAXIMUM_EVIDENCE], stat["stat"], None, enhanced, stage_in(stat["stat"]), host,
        side, "sendmail", tidied(pairs.get("to", "").split(",")[0]), delivered,
    )  # fmt: skip


def _of_qmail(line: str) -> Heard | None:
    found = _QMAIL.search(line)
    if found is None:
        return None
    why = displayable(found["why"].replace("_", " ").replace("/", " ").replace("  ", " "))
    host = re.search(r"((?:\d{1,3}\.){3}\d{1,3})", why)
    said = "Remote host said:" in why
    return Heard(
        "log", line[:MAXIMUM_EVIDENCE], why, None, None, stage_in(why),
        host[1] if host is not None else "", "recipient" if said else "network", "qmail",
        "", found["what"] == "success",
    )  # fmt: skip


_READERS: Final[tuple[Callable[[str], Heard | None], ...]] = (
    _of_postfix, _of_qmail, _of_sendmail, _of_exim,
)  # fmt: skip
