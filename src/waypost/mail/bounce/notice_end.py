"""Finds where a notice for people ends and the message that it returns begins.

Most notices say so in a line; the words differ from system to system and from language to language.
Where nothing says it, the first lines that only a message's own header has are taken.
"""

from __future__ import annotations

import re
from typing import Final

_SAYS_SO: Final = re.compile(
    r"""(?ix)^[\s>*=_.#+-]{0,90}(?:
      (?:this|below\ this\ line|included|attached|here|the\ following)\ is\s
        (?:a\ |the\ )?(?:copy|header|first|part|original)
    | below\ (?:this\ line\ is|is\ a\ copy)
    | -*\s*(?:un-?sent|undelivered|returned|original|rejected|failed|bounced)\s
        (?:mail|message|e-?mail|text|content)
        (?:\ (?:header|text|headers|content|as\ received|details|body|info(?:rmation)?|envelope))*
        (?:\ (?:is|are|was|follows?|below|attached|begins|starts|reads|\(max))*\W*.{0,24}$
    | (?:the\ )?headers?\ (?:of\ the|and\ top|from\ the|portion)\b
    | (?:the\ )?(?:message|mail|original)\ headers?\ (?:follows?|is|are|below|\d)
    | (?:message|mail)\ (?:text|contents?|header|source)\ follows
    | (?:message|mail)\ (?:header|source)s?\b\W*$
    | (?:the\ )?(?:first|top)\ \d+\ (?:lines|bytes|kilobytes)
    | the\ header\ and\ top
    | copy\ of\ (?:your|the)\ (?:original\ )?message
    | your\ (?:original\ )?(?:message|mail)\ (?:reads|follows|begins|is\ below)
    | begin\ forwarded\ message | -*\s?forwarded\ message
    | start\ of\ (?:the\ )?(?:original|returned)\ (?:message|mail)
    | (?:begin|beginning)\ of\ (?:the\ )?original
    | no\ more\ than\ \d+k?\ characters
    | mensaje\ original | message\ d'origine | urspr\S{1,4}ngliche\ nachricht | nachrichtenkopf
    | original\ mail\b | hdr\ of\ original | message\ content:
    | \[original\ message
    )"""
)
_HEADER: Final = re.compile(r"[ \t>]{0,8}([A-Za-z][A-Za-z-]{1,60}):(?:[ \t]|$)")
_ONLY_IN_MESSAGES: Final = frozenset(
    (
        "received",
        "return-path",
        "message-id",
        "dkim-signature",
        "mime-version",
        "delivered-to",
        "x-received",
        "authentication-results",
        "content-type",
    )
)
_MAXIMUM_LINES: Final = 4000
"""Lines in which the end is looked for."""


def cut_at_original(text: str) -> tuple[str, str]:
    """The notice, and the returned message as it begins; "" where there is none."""
    lines = text.split("\n", _MAXIMUM_LINES)
    at = _end(lines)
    if at < 0:
        return text, ""
    start = at
    while start < len(lines) and _HEADER.match(lines[start]) is None and start < at + 12:
        start += 1
    return "\n".join(lines[:at]), "\n".join(lines[start:])


def _end(lines: list[str]) -> int:
    """The line with which the returned message, or what announces it, begins; -1 for none."""
    for number, line in enumerate(lines):
        # A marker is not the first thing said; what follows it looks like a header, or nothing
        # follows it at all.
        if len(line) < 200 and _SAYS_SO.match(line) and _header_follows(lines, number + 1):
            return number
        if _is_own_header(lines, number):
            return number
    return -1


def _header_follows(lines: list[str], number: int) -> bool:
    seen = 0
    for line in lines[number : number + 14]:
        if not line.strip():
            continue
        seen += 1
        if _HEADER.match(line) is not None:
            return True
        if seen > 5:
            return False
    return seen == 0 or number + 14 >= len(lines)


def _is_own_header(lines: list[str], number: int) -> bool:
    """Three fields in a row, the first of which only a message has. An indented one is quoted."""
    first = _HEADER.match(lines[number])
    if first is None or lines[number][0] in " \t" or first[1].lower() not in _ONLY_IN_MESSAGES:
        return False
    names = set()
    for line in lines[number : number + 25]:
        found = _HEADER.match(line)
        if found is not None:
            names.add(found[1].lower())
        elif line[:1] not in (" ", "\t", ">"):
            break
    return len(names) >= 3 and len(names & _ONLY_IN_MESSAGES) >= 1
