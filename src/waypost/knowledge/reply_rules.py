"""Which texts of replies mean what (reply_rules/*.toml).

A row holds the words by which a text is known. Words are plain: no expressions, so that no text
can make the search slow. " ... " between two of them stands for at most 80 characters.

A text is not held against every row: its runs of four characters are looked up in an index, in
which each wording stands under the end of its longest part. What it costs depends on the length of
the text and hardly on the number of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from waypost.knowledge import tables
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_contexts import STAGES, Stage
from waypost.smtp.reply import EnhancedStatus

FOLDER: Final = "reply_rules"
FILES: Final = (
    "google", "microsoft", "yahoo", "apple", "regions", "filters", "senders", "servers",
    "languages", "common",
)  # fmt: skip
"""In the order in which they are asked: single systems first, what many say last."""

UNKNOWN_STAGE: Final = "unknown"
"""In a row: where nothing tells what was answered."""

NO_STATUS: Final = "none"
"""In a row: where there is no enhanced status code."""

GAP: Final = " ... "
GAP_CHARACTERS: Final = 80
_RUN: Final = 4
"""Characters of the runs that are looked up; one part of a wording is at least as long."""

_COLUMNS: Final = (
    "id", "system", "words", "with", "without", "codes", "enhanced", "stages", "weak", "reason",
    "example", "source",
)  # fmt: skip
_CODE: Final = re.compile(r"[245](?:yz|[0-9]{2})")
_ENHANCED: Final = re.compile(r"none|[45*]\.(?:\d{1,3}|\*)\.(?:\d{1,3}|\*)")


@dataclass(frozen=True, slots=True)
class Words:
    """One wording: parts that follow one another."""

    parts: tuple[str, ...]

    def stand_in(self, text: str) -> bool:
        """Whether the text, in plain words, holds them."""
        first, *others = self.parts
        start = _find(text, first, 0, len(text))
        while start >= 0:
            if _follow(text, start + len(first), others):
                return True
            start = _find(text, first, start + 1, len(text))
        return False


def _find(text: str, part: str, start: int, end: int) -> int:
    """Where the part stands, not within a word that begins before it; -1 for nowhere."""
    found = text.find(part, start, end)
    while found > 0 and text[found - 1].isalnum() and part[0].isalnum():
        found = text.find(part, found + 1, end)
    return found


def _follow(text: str, end: int, parts: Sequence[str]) -> bool:
    """Whether each part stands not far behind the one before; the nearest is taken."""
    for part in parts:
        start = _find(text, part, end, end + GAP_CHARACTERS + len(part))
        if start < 0:
            return False
        end = start + len(part)
    return True


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """One row."""

    id: str
    """Stable; shown as what decided."""
    system: str
    """Whose words they are; "" for what many say."""
    words: tuple[Words, ...]
    also: tuple[str, ...]
    """One of these must stand in the text or around it; () for no condition."""
    without: tuple[str, ...]
    """None of these may."""
    codes: tuple[str, ...]
    enhanced: tuple[str, ...]
    stages: tuple[str, ...]
    """Stage, or UNKNOWN_STAGE; () for any."""
    weak: bool
    """A precise enhanced status code counts for more."""
    reason: str
    example: str
    source: str

    def fits(
        self,
        text: str,
        around: str,
        code: int | None,
        enhanced: EnhancedStatus | None,
        stage: Stage | None,
    ) -> bool:
        """Whether everything but the words agrees; a row that asks for a code wants it known.

        `around` is the report that the text was quoted in, if it was, in lower case.
        """
        if self.codes and not {str(code), f"{(code or 0) // 100}yz"} & {*self.codes}:
            return False
        if self.enhanced and not _names(self.enhanced, enhanced):
            return False
        if self.stages and (stage or UNKNOWN_STAGE) not in self.stages:
            return False
        if self.also and not any(word in around or word in text for word in self.also):
            return False
        return not any(word in text for word in self.without)


def _names(patterns: tuple[str, ...], status: EnhancedStatus | None) -> bool:
    if status is None:
        return NO_STATUS in patterns
    given = (str(status.class_), str(status.subject), str(status.detail))
    return any(
        all(part in ("*", number) for part, number in zip(one.split("."), given, strict=True))
        for one in patterns
        if one != NO_STATUS
    )


class RuleSet:
    """All rows, by rank. Raises FaultyTable."""

    def __init__(self, rules: Sequence[ReplyRule]) -> None:
        self.rules = tuple(rules)
        self._index: dict[str, list[tuple[int, Words]]] = {}
        for rank, rule in enumerate(self.rules):
            for words in rule.words:
                longest = max(words.parts, key=len)
                self._index.setdefault(longest[-_RUN:], []).append((rank, words))

    def matching(self, text: str) -> Iterator[ReplyRule]:
        """The rules whose words stand in the text, in plain words; first those that count most."""
        found: list[tuple[int, Words]] = []
        for run in self._index.keys() & set(_runs(text)):
            found += self._index[run]
        found.sort(key=lambda one: one[0])
        last = -1
        for rank, words in found:
            if rank != last and words.stand_in(text):
                last = rank
                yield self.rules[rank]


def _runs(text: str) -> Iterator[str]:
    return (text[start : start + _RUN] for start in range(len(text) - _RUN + 1))


@cache
def reply_rules() -> RuleSet:
    """The rules, read once."""
    rules: dict[str, ReplyRule] = {}
    for name in FILES:
        table = f"{FOLDER}/{name}.toml"
        for row in tables.rows(table, "rule"):
            rule = _rule(table, row)
            if rule.id in rules:
                raise tables.FaultyTable(table, row, "has an id that is taken")
            rules[rule.id] = rule
    return RuleSet(tuple(rules.values()))


def _rule(table: str, row: tables.Row) -> ReplyRule:
    tables.only(table, row, _COLUMNS)
    words = tables.texts(table, row, "words")
    also, without = tables.texts(table, row, "with"), tables.texts(table, row, "without")
    for text in (*words, *also, *without):
        if text != " ".join(text.lower().split()) and text.strip() != text:
            raise tables.FaultyTable(table, row, f"{text!r} is not in plain words")
        if text in words and all(len(part) < _RUN for part in text.split(GAP)):
            raise tables.FaultyTable(table, row, f"{text!r} is too short")
    if not words:
        raise tables.FaultyTable(table, row, "has no words")
    codes, enhanced = tables.texts(table, row, "codes"), tables.texts(table, row, "enhanced")
    if not all(_CODE.fullmatch(code) for code in codes):
        raise tables.FaultyTable(table, row, "has a code that is neither 4yz nor 450")
    if not all(_ENHANCED.fullmatch(status) for status in enhanced):
        raise tables.FaultyTable(table, row, "enhanced is no enhanced status code")
    stages = tables.texts(table, row, "stages")
    if not all(stage in STAGES or stage == UNKNOWN_STAGE for stage in stages):
        raise tables.FaultyTable(table, row, "has an unknown stage")
    reason = tables.text(table, row, "reason")
    if reason not in reasons():
        raise tables.FaultyTable(table, row, "has an unknown reason")
    return ReplyRule(
        tables.text(table, row, "id"),
        tables.text(table, row, "system", ""),
        tuple(Words(tuple(text.split(GAP))) for text in words),
        also,
        without,
        codes,
        enhanced,
        stages,
        tables.truth(table, row, "weak"),
        reason,
        tables.text(table, row, "example"),
        tables.text(table, row, "source"),
    )


@cache
def _vocabulary() -> frozenset[str]:
    texts = (text for rule in reply_rules().rules for text in (rule.example, *_phrases(rule)))
    return frozenset(word for text in texts for word in re.findall(r"[a-z]{3,}", text.lower()))


def _phrases(rule: ReplyRule) -> Iterator[str]:
    return (part for words in rule.words for part in words.parts)


def is_said_by_servers(word: str) -> bool:
    """Whether a word is one of those that servers refuse mail with, such as "wrong"."""
    return word.lower() in _vocabulary()
