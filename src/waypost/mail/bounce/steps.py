"""Finds in the words of a report which command was answered, and by which host.

Every mail system says it in its own way: `(in reply to RCPT TO command)`, `after end of data`,
`>>> RCPT TO:<...>`, `[RCPT_TO]`. The names are those of the stages of a session: greeting, ehlo,
starttls, auth, mail, rcpt, data, and content for what answers the final dot.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.mail.encoded_words import displayable

_STEPS: Final = (
    (
        "content",
        r"end[ -]of[ -](?:data|message|mail)|end-of-data|after data command|message body|"
        r"final dot|\(eom\)|\bDOT\b|sending (?:the )?message (?:body|content|data)|"
        r"data has been received|\bBDAT\b",
    ),
    (
        "rcpt",
        r"RCPT[ _]?TO\b|\bSMTP:RCPT\b|(?:after|during|in reply to|reply to|to|sending|response to)"
        r" \(?RCPT\b|\bRCPT command",
    ),
    ("mail", r"MAIL[ _]?FROM\b(?!:?\s*\S+\s*RCPT)|\bSMTP:MAIL\b|(?:after|during|in reply to|to) MAIL\b"),
    ("data", r"(?:after|during|in reply to|reply to|pipelined|sending|response to|SMTP:) ?\(?DATA\b|\(DATA\)|>>> DATA\b|^DATA$"),
    ("ehlo", r"(?:after|during|in reply to|reply to|sending) (?:EHLO|HELO|LHLO)\b|>>> (?:EHLO|HELO)\b|\bSMTP:HELO\b|\bEHLO command"),
    ("starttls", r"(?:after|during|in reply to|reply to|sending) STARTTLS\b|>>> STARTTLS"),
    ("auth", r"(?:after|during|in reply to|reply to|sending) AUTH\b|>>> AUTH"),
    (
        "greeting",
        r"(?:after|during|while (?:receiving|reading)|in) (?:the )?(?:initial )?(?:connection|connect|"
        r"server greeting|greeting|banner)\b|in response to the connection|refused to talk to me|"
        r"initial connection",
    ),
)  # fmt: skip
_PATTERNS: Final = tuple(
    (name, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for name, pattern in _STEPS
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
