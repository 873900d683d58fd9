"""What is wrong with a configuration, and where, said so that it can be mended."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong key or value."""

    source: str
    """The file as it was named, or "environment WAYPOST_ROUTE", or "flag --route"."""
    line: int | None
    """Counted from 1; None where there is none."""
    column: int | None
    key: str
    """Dotted, "route[0].via"; "" for the document as a whole."""
    reason: str
    suggestion: str | None = None
    """The nearest right name."""

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        meant = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{place}:{key} {self.reason}{meant}"


class ConfigurationError(Exception):
    """The configuration cannot be used. Its text is all that is wrong with it, a line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def printable(text: str) -> str:
    """On one line and without control characters, whatever a file holds."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: route[0].limits.connections."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _BARE.fullmatch(part) else f'"{printable(part)[:80]}"'
            text += f".{key}" if text else key
    return text


def resembling(name: str, known: Iterable[str], likeness: float = 0.7) -> str | None:
    """The known name that was probably meant; `likeness` from 0 to 1 is the least."""
    found = difflib.get_close_matches(name[:100], list(known), 1, likeness)
    return found[0] if found else None
