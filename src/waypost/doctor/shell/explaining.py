"""What a server says, in the words that are shown beside it."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

from waypost.doctor.fix import fix_for
from waypost.knowledge.classification import Classification, classify
from waypost.knowledge.extensions import extensions
from waypost.knowledge.outcomes import Stage
from waypost.knowledge.reply_codes import digits, reply_codes
from waypost.net.tls import TlsDescription
from waypost.smtp.client_replies import readable
from waypost.smtp.reply import Reply

GREETING: Final = ""
"""Stands for the verb of what the server says first."""
CONTENT: Final = "."
"""Stands for the verb of the content's end."""

SILENT_PORT: Final = (
    "a port with TLS from the first byte, as 465 is, says nothing in the clear: try smtps://"
)
"""What else it may mean that there is no greeting."""

_DONE: Final[Mapping[str, str]] = {
    GREETING: "it is ready: greet it with EHLO NAME, or /hello",
    "EHLO": "greeted; this is what it offers",
    "HELO": "greeted",
    "MAIL": "the sender is taken; next: RCPT TO:<ADDRESS>",
    "RCPT": "the recipient is taken; next: another RCPT, or DATA",
    "DATA": "type the message, headers first; a lone dot ends it",
    CONTENT: "the message is taken: from now on it is the server's to deliver",
    "BDAT": "the chunk is taken",
    "STARTTLS": "the handshake begins",
    "AUTH": "logged in",
    "RSET": "the message that was begun is forgotten",
    "NOOP": "it is alive",
    "QUIT": "it says goodbye",
}
"""What success means at each command."""

_ORDINARY: Final[Mapping[str, int]] = {
    GREETING: 220,
    "DATA": 354,
    "STARTTLS": 220,
    "AUTH": 235,
    "QUIT": 221,
}
"""The code that says so, where it is not 250; other codes have their own meaning."""

_STAGES: Final[Mapping[str, Stage]] = {
    GREETING: "greeting", "EHLO": "ehlo", "HELO": "ehlo", "STARTTLS": "starttls", "AUTH": "auth",
    "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", CONTENT: "content", "BDAT": "content",
}  # fmt: skip

_OUT_OF_STEP: Final = frozenset({500, 501, 502, 503, 504})
"""Codes about the command itself, whatever it is for (RFC 5321 4.2.1)."""

_OTHERS: Final = (
    (re.compile(r"HTTP/\d"), "a web server answers there, no mail server"),
    (
        re.compile(r"\* (?:OK|PREAUTH|BYE)\b"),
        "an IMAP server answers there: it is for reading mail",
    ),
    (re.compile(r"\+OK\b|-ERR\b"), "a POP3 server answers there: it is for reading mail"),
    (re.compile(r"SSH-\d"), "an SSH server answers there"),
    (re.compile(r"(?i)<(?:!doctype|html|head|body)"), "it is a web page"),
)
_NOT_TEXT: Final = re.compile(r"(?:\\x[0-9a-f]{2})|\\[0-9]")


def reply_words(verb: str, reply: Reply) -> str:
    """What a reply to a command means."""
    code = reply.code
    if code < 400:
        known = reply_codes().get(code)
        if verb in _DONE and code == _ORDINARY.get(verb, 250):
            return _DONE[verb]
        return _sentence(known.meaning if known is not None else digits()[code // 100])
    found = _classified(verb, reply)
    kind = "temporary" if code < 500 else "permanent"
    return f"{kind}: {_sentence(found.meaning)} ({found.reason})"


def reply_fix(verb: str, reply: Reply, host: str) -> str:
    """What to do about a refusal; "" where there is nothing to do, or nothing known."""
    return fix_for(_classified(verb, reply).reason, host) if reply.code >= 400 else ""


def _classified(verb: str, reply: Reply) -> Classification:
    stage = None if reply.code in _OUT_OF_STEP else _STAGES.get(verb)
    return classify(reply, stage=stage, through="smarthost")


def offer_words(line: str) -> str:
    """What a line of the reply to EHLO offers; "" where that is not known."""
    keyword, _, value = line[4:].strip().partition(" ")
    keyword = keyword.upper().partition("=")[0]
    known = extensions().get(keyword)
    if known is None:
        return ""
    if keyword == "SIZE":
        size = value.strip()
        if size.isascii() and size.isdigit() and len(size) < 20 and int(size):
            return f"messages up to {_size(int(size))}"
        return "no fixed limit of a message's size"
    return known.meaning


def stray_words(text: str, reason: str, *, implicit: bool) -> str:
    """What a line means that is no reply of SMTP."""
    for pattern, words in _OTHERS:
        if pattern.match(text):
            return words
    if not implicit and _NOT_TEXT.match(text):
        return "these are no words of SMTP; if the port has TLS from the first byte, use smtps://"
    return f"this is no reply of SMTP: {reason}"


def challenge_words(challenge: Reply) -> str:
    """What the server asks for within a login; the question itself where it is a plain word."""
    try:
        asked = base64.b64decode(challenge.text, validate=True)
    except (binascii.Error, ValueError):
        return "the server asks for the next part of the login"
    if re.fullmatch(rb"[A-Za-z ]{1,30}:?", asked):
        return f"the server asks: {readable(asked)}"
    return "the server asks for the next part of the login"


def tls_words(tls: TlsDescription, now: float, *, insecure: bool) -> list[str]:
    """The facts of an encrypted connection."""
    words = [f"{tls.version} {tls.cipher} ({tls.bits} bits)"]
    if not tls.subject:
        return [*words, "the server showed no certificate"]
    names = ", ".join(_plain(name) for name in tls.names[:6]) or "no name"
    more = f" and {len(tls.names) - 6} more" if len(tls.names) > 6 else ""
    words.append(f"certificate of {_plain(tls.subject)}, for {names}{more}")
    if tls.not_after:
        ends = dt.datetime.fromtimestamp(tls.not_after, dt.UTC).strftime("%Y-%m-%d")
        days = int((tls.not_after - now) // 86400)
        when = f"in {days} days" if days >= 0 else f"{-days} days ago: it has expired"
        words.append(f"issued by {_plain(tls.issuer)}; ends {ends}, {when}")
    if tls.verified:
        words.append("verified: an authority that this machine trusts vouches for the name")
    else:
        why = " (--insecure)" if insecure else ""
        words.append(f"NOT verified{why}: who is at the other end is not proved")
    return words


def _sentence(text: str) -> str:
    return text.rstrip(".")


def _plain(text: str) -> str:
    return readable(text.encode("utf-8", "backslashreplace")[:300])


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{count} bytes" if unit == "bytes" else f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} GiB"
