"""Tells what a server said from what a program says around it (reply_contexts.toml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, get_args

from waypost.knowledge import tables

TABLE: Final = "reply_contexts.toml"

Stage = Literal["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content"]
"""Where a reply came. "content" is what answers the final dot."""

STAGES: Final[Mapping[str, Stage]] = {name: name for name in get_args(Stage)}

MAXIMUM_TEXT: Final = 4000
"""Characters of a text that are looked at."""

_CODE: Final = re.compile(r"(?<![\w.])[245]\d\d[ -]")
_ASIDE_LENGTH: Final = 80


@dataclass(frozen=True, slots=True)
class _Contexts:
    stages: tuple[tuple[str, Stage], ...]
    quotes: tuple[str, ...]
    asides: tuple[str, ...]


@cache
def _contexts() -> _Contexts:
    stages: list[tuple[str, Stage]] = []
    for row in tables.rows(TABLE, "stage"):
        tables.only(TABLE, row, ("stage", "words", "source"))
        stage = STAGES.get(tables.text(TABLE, row, "stage"))
        if stage is None:
            raise tables.FaultyTable(TABLE, row, "has an unknown stage")
        stages += [(word, stage) for word in tables.texts(TABLE, row, "words")]
    return _Contexts(tuple(stages), _words("quote"), _words("aside"))


def _words(name: str) -> tuple[str, ...]:
    found: list[str] = []
    for row in tables.rows(TABLE, name):
        tables.only(TABLE, row, ("words", "source"))
        found += tables.texts(TABLE, row, "words")
    return tuple(found)


def stage_in(text: str) -> Stage | None:
    """The stage that a report of a reply names; None where it names none."""
    lower = text[:MAXIMUM_TEXT].lower()
    return next((stage for word, stage in _contexts().stages if word in lower), None)


def reply_in(text: str) -> str:
    """What the server said, as far as it can be told; otherwise the whole text, cut to size."""
    text = text[:MAXIMUM_TEXT]
    lower = text.lower()
    start = 0
    for quote in _contexts().quotes:
        found = lower.find(quote, start)
        if found >= 0:
            after = found + len(quote)
            code = _CODE.search(lower, after)
            begin = code.start() if code is not None else after
            if lower[begin:].strip(" .:'\"<>[]()"):
                start = begin
    text, lower = text[start:], lower[start:]
    for aside in _contexts().asides:
        found = lower.find(aside)
        if found >= 0:
            end = lower.find(")", found, found + _ASIDE_LENGTH)
            if end >= 0:
                text = text[:found] + text[end + 1 :]
                lower = text.lower()
    return text
