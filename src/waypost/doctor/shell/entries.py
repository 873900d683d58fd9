"""What a session shows, entry by entry, and the transcript that is kept of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["sent", "received", "note", "explanation", "trouble"]

MAXIMUM_ENTRIES: Final = 20_000
"""Entries of one transcript; what a peer says further is left out with a note."""

_MARKS: Final = {"sent": ">", "received": "<", "note": "*", "trouble": "*"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line to be shown. It holds no control characters and no secrets."""

    kind: Kind
    text: str
    beside: str = ""
    """What it means; shown beside it where there is room."""
    typed: bool = False
    """Sent just as it was typed, so a person sees it already."""


class Transcript:
    """What was said in a session, with the time of each line; without secrets."""

    def __init__(self, title: str, started: float, monotonic: Callable[[], float]) -> None:
        """`started` is in seconds since the epoch."""
        when = dt.datetime.fromtimestamp(started, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._monotonic = monotonic
        self._began = monotonic()
        self.lines: list[str] = [f"# {title}, {when}; milliseconds, > sent, < received, * notes"]
        self.follow: Callable[[str], object] | None = None
        """Told each further line."""

    def add(self, entry: Entry) -> None:
        """Keep an entry; explanations are not kept, as they can be made again."""
        mark = _MARKS.get(entry.kind)
        if mark is None or len(self.lines) > MAXIMUM_ENTRIES:
            return
        milliseconds = (self._monotonic() - self._began) * 1000
        line = f"{milliseconds:10.1f} {mark} {entry.text}"
        if len(self.lines) == MAXIMUM_ENTRIES:
            line = f"# what follows is not kept (limit {MAXIMUM_ENTRIES} lines)"
        self.lines.append(line)
        if self.follow is not None:
            self.follow(line)

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"
