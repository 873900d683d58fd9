"""Finds the words that a notice has about one recipient: those that tell why.

They stand behind the address or below it, in the same paragraph or, below a heading such as
"Technical details", in the next; only where nothing stands there, above it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from waypost.mail.bounce.report import MAXIMUM_DIAGNOSTIC
from waypost.mail.encoded_words import displayable

MAXIMUM_LINES: Final = 60
"""Lines below an address that are looked at."""

CODED: Final = re.compile(r"(?<![\w.:/-])(?:[45]\d\d[ -]|[45]\d\d$|#?[45]\.\d{1,3}\.\d{1,3}\b)")
"""A reply code or an enhanced status code of refusal."""

_REPLIED: Final = re.compile(
    r"(?<![\w.])[45]\d\d[ -]{1,2}\(?#?[45]\.\d{1,3}\.\d"
    r"|(?:said|returned|replied|response)\W{1,4}[45]\d\d"
)
_HEADING: Final = re.compile(
    r"(?i)^[\s>*=-]{0,20}(?:technical details(?: of (?:permanent|temporary) failure)?"
    r"|transcript of (?:the )?session(?: follows)?|(?:delay )?reason(?: for the problem)?"
    r"|the (?:error|reason|response|problem)[^:]{0,60}|error(?: (?:message|type|text|was))?"
    r"|details|diagnostic(?: information| code)?|additional information(?: follows)?"
    r"|server message|smtp (?:error|command))\s{0,4}(?::|-*$)\s{0,8}"
)
"""What stands above or before the words that count."""
_SAYS_NOTHING: Final = re.compile(
    r"(?i)^\W*(?:message will be retried|no action is required|delivery to the following "
    r"recipients? (?:has )?failed|your message (?:could not be|was not) delivered to|the following)"
)
_WORDS: Final = re.compile(r"\w{3,}\W.*\w{2,}")
_ALIAS: Final = re.compile(
    r"^\s*\((?:expanded|generated|ultimately generated|originally|forwarded)[^()]{0,400}\):?\s*"
)
"""Where an address came from; that is told elsewhere."""
_RULE: Final = re.compile(r"^[\s=*_#-]{3,}$")


def words_about(lines: Sequence[str], at: int, end: int, rest: str) -> str:
    """The words about the recipient of line `at`, whose list goes on at line `end`; on one line."""
    paragraphs = [[rest.strip(" \t:;,.-")]] if rest.strip(" \t:;,.-)>]\"'") else []
    below = _paragraphs(lines[at + 1 : min(end, at + 1 + MAXIMUM_LINES)])
    joined = bool(paragraphs)
    for number, (paragraph, distance) in enumerate(below):
        if number == 0 and distance == 0:
            if joined:
                paragraphs[0] += paragraph
            else:
                paragraphs.append(paragraph)
        else:
            paragraphs.append(paragraph)
    chosen = _chosen(paragraphs)
    if not chosen:
        above = _paragraphs(lines[max(0, at - 12) : max(at, 0)])
        texts = [" ".join(paragraph) for paragraph, _ in reversed(above)]
        chosen = next((text for text in texts if not _SAYS_NOTHING.match(text)), "")
    return displayable(_ALIAS.sub("", chosen))[:MAXIMUM_DIAGNOSTIC]


def telling(text: str) -> int:
    """How much words tell: 3 for a reply with both codes or one that is quoted, 2 for a code."""
    if _REPLIED.search(text):
        return 3
    if CODED.search(text):
        return 2
    return 1 if _WORDS.search(text) else 0


def _chosen(paragraphs: Sequence[Sequence[str]]) -> str:
    """The first with a code; else the first that says something."""
    first = [" ".join(paragraph) for paragraph in paragraphs[:8]]
    best = max(first, key=telling, default="")
    if telling(best) > 1:
        return best
    for text in first:
        saying = _HEADING.sub("", text)
        if _WORDS.search(saying) and not _SAYS_NOTHING.match(saying):
            return saying
    return ""


def _paragraphs(lines: Sequence[str]) -> list[tuple[list[str], int]]:
    """Each paragraph, and how many empty lines stand before it."""
    found: list[tuple[list[str], int]] = []
    current: list[str] = []
    empty = 0
    for line in lines:
        if not line.strip() or _RULE.match(line):
            if current:
                found.append((current, empty))
                current, empty = [], 0
            empty += 1
            continue
        current.append(line.strip())
    if current:
        found.append((current, empty))
    return found
