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


class Transcript:
    """The lines of one attempt with the milliseconds since it began."""

    __slots__ = ("_entries", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        """On the monotonic clock, seconds."""
        self._entries: list[tuple[float, str, str]] = []

    def add(self, moment: float, direction: str, line: str) -> None:
        """Add a line; direction is ">" sent, "<" received, "*" a note of ours."""
        entries = self._entries
        if len(entries) < MAXIMUM_LINES:
            entries.append((moment, direction, line))

    def text(self) -> str:
        """One line each: milliseconds, direction, text."""
        started = self.started
        lines: list[str] = []
        last, at = -1, ""
        for moment, direction, line in self._entries:
            tenths = int((moment - started) * 10_000 + 0.5)
            if tenths != last:  # lines that went or came together mostly share it
                last, at = tenths, f"{tenths / 10:.1f}"
            if len(line) > MAXIMUM_LINE:
                line = line[:MAXIMUM_LINE] + "[...]"  # noqa: PLW2901
            lines.append(f"{at} {direction} {line}")
        if len(self._entries) == MAXIMUM_LINES:
            lines.append(f"- * further lines are not kept (limit {MAXIMUM_LINES})")
        return "\n".join(lines)


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

    def record(self, direction: str, line: str) -> None:
        """Called by the client protocol for each line."""
        transcripts = self._open
        if not transcripts:
            return
        moment = self._monotonic()
        if direction == ">":
            transcripts[-1].add(moment, ">", line)
            return
        transcripts[0].add(moment, direction, line)
        if len(transcripts) > 1 and line[3:4] != "-":
            # A second transaction begins only when the first waits for its very last reply.
            transcripts.popleft()

    def note(self, line: str) -> None:
        """Add a remark of ours, such as the TLS version, to the newest attempt."""
        if self._open:
            self._open[-1].add(self._monotonic(), "*", line)
