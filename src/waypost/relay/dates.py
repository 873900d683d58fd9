"""The time as header fields show it, made once a second however many messages ask."""

from __future__ import annotations

from waypost.mail.trace import format_date
from waypost.net.clock import Clock


class DateSource:
    """The wall clock, and its text form for Received and Date."""

    __slots__ = ("_clock", "_second", "_text")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._text = ""

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    def text(self, now: float) -> str:
        """The time as RFC 5322 3.3 writes it."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = format_date(second)
        return self._text
