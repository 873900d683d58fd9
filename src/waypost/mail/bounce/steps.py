"""Finds in the words of a report which command was answered, and by which host.

Every mail system says it in its own way: `(in reply to RCPT TO command)`, `after end of data`,
`>>> RCPT TO:<...>`, `[RCPT_TO]`. The names are those of the stages of a session: greeting, ehlo,
starttls, auth, mail, rcpt, data, and content for what answers the final dot.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.mail.encoded_words import displayable


def _answered(verbs: str) -> str:
    """The ways in which reports name the command that was answered."""
    return (
        rf"(?:[Aa]fter|[Dd]uring|[Rr]eply to|[Pp]ipelined|[Ss]ending|[Rr]esponse to) "
        rf"\(?(?:{verbs})\b"
        rf"|(?:>>> |\bSMTP:|\bSMTP command\W{{1,20}})(?:{verbs})\b|\((?:{verbs})\)"
    )


_END_OF_DATA: Final = (
    r"(?i:end[ -]of[ -](?:data|message|mail)|end-of-data|after data command|final dot|\(eom\)"
    r"|message body|sending (?:the )?message (?:body|content|data)|data has been received|\bBDAT\b)"
)
_CONNECTION: Final = (
    r"(?i:(?:after|during|while (?:receiving|reading)|in) (?:the )?(?:initial )?"
    r"(?:connection|connect|server greeting|greeting|banner)\b"
    r"|in response to the connection|refused to talk to me|initial connection)"
)
# In the words of qmail-remote, which tells the step by the sentence.
_LIKES_NOT: Final = r"\bdoes not like recipient\b"
_SENDER_REFUSED: Final = r"\bbut sender was rejected\b"
_NAME_REFUSED: Final = r"\bbut my name was rejected\b"
_AFTER_MESSAGE: Final = r"\bfailed after I sent the message\b"
_PATTERNS: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("content", f"{_END_OF_DATA}|{_AFTER_MESSAGE}"),
        ("rcpt", _answered("RCPT") + r"|RCPT[ _]?TO\b|\bRCPT command|" + _LIKES_NOT),
        ("mail", _answered("MAIL") + r"|MAIL[ _]?FROM\b|" + _SENDER_REFUSED),
        ("data", _answered("DATA")),
        ("ehlo", _answered("EHLO|HELO|LHLO") + "|" + _NAME_REFUSED),
        ("starttls", _answered("STARTTLS")),
        ("auth", _answered("AUTH")),
        ("greeting", _CONNECTION),
    )
)

_NAME: Final = r"([A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?)"
_HOSTS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\bhost:? {_NAME}(?: ?\[|:|,? said)",
        rf"while talking to {_NAME}",
        rf"recipient domain \S{{1,255}} by {_NAME}",
        rf"\blmtp host {_NAME}",
        rf"\bremote (?:system|server|mta)[: ]+(?:dns;|\()? ?{_NAME}",
        rf"^\s*{_NAME} ?\[[0-9A-Fa-f.:]{{3,45}}\]",
        rf"\bsmtp;? ?server <?{_NAME}",
        r"\b(?:host|server)[ :]*\[?((?:\d{1,3}\.){3}\d{1,3})\]?",
        r"^((?:\d{1,3}\.){3}\d{1,3}) (?:does not like|failed after|refused)",
        r"Connected to ((?:\d{1,3}\.){3}\d{1,3}) but",
    )
)


def step_in(text: str) -> str:
    """The step that a text names; "" where it names none. The first that is named counts."""
    best, at = "", len(text) + 1
    for name, pattern in _PATTERNS:
        found = pattern.search(text)
        if found is not None and found.start() < at:
            best, at = name, found.start()
    return best


def host_in(text: str) -> str:
    """The host that a text says it heard; "" where it names none."""
    for pattern in _HOSTS:
        found = pattern.search(text)
        if found is not None and ("." in found[1] or found[1].lower() == "localhost"):
            return displayable(found[1]).rstrip(".")
    return ""
