"""Message identifiers: numbers that rise with time, and the short text people see of them."""

from __future__ import annotations

from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u, so that it survives being read aloud."""

_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]

_SHIFTS: Final = (60, 50, 40, 30, 20, 10, 0)
"""Of the pairs in 63 bits, as much as SQLite stores."""

_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}


class IdentifierSource:
    """Gives identifiers: microseconds since the epoch, and never the same or a lower one twice."""

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def next(self, now: float) -> int:
        """The next identifier at time `now` (seconds since the epoch)."""
        wanted = int(now * 1_000_000)
        self._last = wanted if wanted > self._last else self._last + 1
        return self._last


def identifier_text(identifier: int) -> str:
    """The identifier in base 32; sorts as the numbers do for equal lengths."""
    pairs = [_PAIRS[identifier >> shift & 1023] for shift in _SHIFTS]
    return "".join(pairs).lstrip("0") or "0"


def parse_identifier(text: str) -> int:
    """The number behind the text that people see. Raises ValueError."""
    word = text.strip().lower()
    if not 1 <= len(word) <= 13 or any(letter not in _VALUES for letter in word):
        raise ValueError(f"{text[:40]!r} is no message identifier (letters and digits, like 1g3k9)")
    number = 0
    for letter in word:
        number = number * 32 + _VALUES[letter]
    if number >= 1 << 63:
        raise ValueError(f"{text[:40]!r} is no message identifier (the number is too large)")
    return number
