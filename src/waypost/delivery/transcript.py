"""What was said on a connection, kept by attempt.

Commands of the next transaction may be sent before the last reply of the one before has come
(pipelining), so a line is not simply "of the newest attempt": sent lines belong to the transaction
that is being begun, received ones to the oldest that still waits for replies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

MAXIMUM_LINES: Final = 300
"""Lines of one transcript; a peer that talks more is cut with a note."""

MAXIMUM_LINE: Final = 500
"""Characters of one line kept."""

_LONGEST: Final = MAXIMUM_LINE + len("600000.0 > ")


class Transcript:
    """The lines of one attempt with the milliseconds since it began."""

    __slots__ = ("_entries", "started")

    keeps_deliveries = True
    """It is kept of attempts that delivered, too (verbosity.py)."""

    def __init__(self, started: float) -> None:
        self.started = started
        """On the monotonic clock, seconds."""
        self._entries: list[tuple[float, str, str]] = []

    def add(self, moment: float, direction: str, lines: str) -> None:
        """Add a line, or several joined by LF that went together; direction is ">" sent, "<"
        received, "*" a note of ours."""
        entries = self._entries
        if len(entries) < MAXIMUM_LINES:
            entries.append((moment, direction, lines))

    def text(self) -> str:
        """One line each: milliseconds, direction, text."""
        started = self.started
        text = "\n".join(
            [
                (head := f"{(moment - started) * 1000:.1f} {direction} ")
                + lines.replace("\n", f"\n{head}")
                for moment, direction, lines in self._entries
            ]
        )
        return self._bounded(text)

    def _bounded(self, text: str) -> str:
        return text if len(text) <= MAXIMUM_LINE else _cut(text)


def _cut(text: str) -> str:
    """Keep the bounds of lines and of their length."""
    lines = text.split("\n")
    kept = [
        line if len(line) <= _LONGEST else f"{line[:_LONGEST]}[...]"
        for line in lines[:MAXIMUM_LINES]
    ]
    if len(lines) >= MAXIMUM_LINES:
        kept.append(f"- * further lines are not kept (limit {MAXIMUM_LINES})")
    return "\n".join(kept)


class ConnectionRecorder:
    """Hands each line of a connection to the transcript it belongs to."""

    __slots__ = ("_monotonic", "_open")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._open: deque[Transcript] = deque()

    def begin(self, transcript: Transcript) -> None:
        """An attempt begins: what is sent from now on is its."""
        self._open.append(transcript)

    def end(self, transcript: Transcript) -> None:
        """The oldest attempt has ended."""
        if self._open and self._open[0] is transcript:
            self._open.popleft()

    def record(self, direction: str, lines: str) -> None:
        """Called by the client protocol for what it sends and receives."""
        transcripts = self._open
        if not transcripts:
            return
        if direction == ">":
            transcripts[-1].add(self._monotonic(), ">", lines)
            return
        moment = self._monotonic()
        while len(transcripts) > 1 and lines:
            # A second transaction begins only when the first waits for its very last reply.
            first, _, lines = lines.partition("\n")
            transcripts[0].add(moment, direction, first)
            if first[3:4] != "-":
                transcripts.popleft()
        if lines:
            transcripts[0].add(moment, direction, lines)

    def note(self, line: str) -> None:
        """Add a remark of ours, such as the TLS version, to the newest attempt."""
        if self._open:
            self._open[-1].add(self._monotonic(), "*", line)
