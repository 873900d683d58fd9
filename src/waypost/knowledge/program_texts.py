"""What programs print when mail does not go (program_texts.toml): exceptions, warnings, faults."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from waypost.knowledge import tables
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_rules import GAP, Words
from waypost.knowledge.reply_text import plain_words

TABLE: Final = "program_texts.toml"

Side = Literal["yours", "provider", "recipient", "network"]
Kind = Literal["temporary", "permanent"]

STEPS: Final = (
    "connect", "greeting", "ehlo", "starttls", "tls", "auth", "mail", "rcpt", "data", "content",
)  # fmt: skip

_COLUMNS: Final = (
    "id", "program", "words", "with", "without", "reason", "cause", "step", "side", "kind",
    "example", "source",
)  # fmt: skip
_SIDES: Final[dict[str, Side]] = {
    "yours": "yours", "provider": "provider", "recipient": "recipient", "network": "network",
}  # fmt: skip
_KINDS: Final[dict[str, Kind]] = {"temporary": "temporary", "permanent": "permanent"}


@dataclass(frozen=True, slots=True)
class ProgramText:
    """One row."""

    id: str
    program: str
    words: tuple[Words, ...]
    also: tuple[str, ...]
    """One of these must stand in the text too; () for no condition."""
    without: tuple[str, ...]
    reason: str
    cause: str
    """An id of causes.toml; "" where none fits."""
    step: str
    """One of STEPS."""
    side: Side
    kind: Kind
    example: str
    source: str

    def fits(self, text: str) -> bool:
        """Whether a text, in plain words, is this one."""
        if self.also and not any(word in text for word in self.also):
            return False
        if any(word in text for word in self.without):
            return False
        return any(words.stand_in(text) for words in self.words)


@cache
def program_texts() -> tuple[ProgramText, ...]:
    """All rows, in the order in which they are asked. Raises FaultyTable."""
    found: dict[str, ProgramText] = {}
    for row in tables.rows(TABLE, "text"):
        one = _row(row)
        if one.id in found:
            raise tables.FaultyTable(TABLE, row, "has an id that is taken")
        found[one.id] = one
    return tuple(found.values())


def program_text(text: str) -> ProgramText | None:
    """The row that knows a text; None where none does."""
    words = plain_words(text)
    return next((row for row in program_texts() if row.fits(words)), None)


def _row(row: tables.Row) -> ProgramText:
    tables.only(TABLE, row, _COLUMNS)
    words = tables.texts(TABLE, row, "words")
    for text in (*words, *tables.texts(TABLE, row, "with"), *tables.texts(TABLE, row, "without")):
        if text != text.lower() or not text.strip():
            raise tables.FaultyTable(TABLE, row, f"{text!r} is not in plain words")
    if not words:
        raise tables.FaultyTable(TABLE, row, "has no words")
    reason, step = tables.text(TABLE, row, "reason"), tables.text(TABLE, row, "step")
    if reason not in reasons():
        raise tables.FaultyTable(TABLE, row, "has an unknown reason")
    side, kind = tables.text(TABLE, row, "side"), tables.text(TABLE, row, "kind")
    if step not in STEPS or side not in _SIDES or kind not in _KINDS:
        raise tables.FaultyTable(TABLE, row, "has an unknown step, side or kind")
    return ProgramText(
        tables.text(TABLE, row, "id"),
        tables.text(TABLE, row, "program"),
        tuple(Words(tuple(text.split(GAP))) for text in words),
        tables.texts(TABLE, row, "with"),
        tables.texts(TABLE, row, "without"),
        reason,
        tables.text(TABLE, row, "cause", ""),
        step,
        _SIDES[side],
        _KINDS[kind],
        tables.text(TABLE, row, "example"),
        tables.text(TABLE, row, "source"),
    )
