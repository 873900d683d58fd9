"""Reads the text of a reply: its codes, and its words in a form that rules can be held against.

The same refusal reaches us as lines of a session, as one line of a log, folded in the field of a
notification, or quoted in an exception. `plain_words` takes away what differs; `codes_in` finds the
reply code and the enhanced status code that stand in a text.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.knowledge.reply_contexts import MAXIMUM_TEXT
from waypost.smtp.reply import EnhancedStatus

_LINE_CODE: Final = re.compile(
    r"(?<![\w.])[245]\d\d(?:[- ]#?[245]\.\d{1,3}\.\d{1,3}[ :-]?|-(?=\S))"
)
"""A code that begins a line of a reply; joined lines have it in the middle."""
_FIRST_CODE: Final = re.compile(r"^\s*[245]\d\d(?![\w.])")
_ESCAPE: Final = re.compile(r"\\[rnt]")
_SPACE: Final = re.compile(r"\s+")
_ADDRESS: Final = re.compile(r"[^\s<>()\[\]@,;:\"']{1,64}@[\w.-]{1,255}")
_MARKS: Final = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": " ", "\u201d": " ", '"': " ", "`": "'", "\u00a0": " "}
)
_PAIR: Final = re.compile(
    r"(?<![\w.])([245]\d\d)[- ]{1,2}\(?#?([245])\.(\d{1,3})\.(\d{1,3})(?![\w.]\d)"
)
_ENHANCED: Final = re.compile(r"(?<![\w.])([45])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)(?![a-z])")
_CODE: Final = re.compile(r"(?<![\w.:\[/#-])([2345][0-5]\d)(?=[\s,;:)\]'-]|\.?$|\.\s)")


def plain_words(text: str) -> str:
    """The words in lower case: without line ends, codes, quotation marks, and addresses as "@"."""
    text = _ESCAPE.sub(" ", text[:MAXIMUM_TEXT]).translate(_MARKS).lower()
    if "@" in text:
        text = _ADDRESS.sub("@", text)
    text = _FIRST_CODE.sub("", _LINE_CODE.sub(" ", text))
    return _SPACE.sub(" ", text).strip()


def codes_in(text: str) -> tuple[int | None, EnhancedStatus | None]:
    """The reply code and the enhanced status code that a text holds; the first of each.

    The two that stand together count before any that stand alone. An enhanced status that stands
    alone must be one of failure, as version numbers look like the others.
    """
    text = text[:MAXIMUM_TEXT]
    pair = _PAIR.search(text)
    if pair is not None:
        return int(pair[1]), EnhancedStatus(int(pair[2]), int(pair[3]), int(pair[4]))
    alone = next(
        (found for found in _CODE.finditer(text) if found[1] >= "400" or not found.start()), None
    )
    status = _ENHANCED.search(text)
    return (
        None if alone is None else int(alone[1]),
        None if status is None else EnhancedStatus(int(status[1]), int(status[2]), int(status[3])),
    )
