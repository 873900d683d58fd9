"""Mail goes first: how those who tell of events leave the event loop to it while it is busy.

A request of a webhook takes the loop longer than several messages do (1.2 to 2 ms, as measured),
an event on a stream a fifth of a message (50 microseconds), and both can wait: the log remembers
them. So while mail flows fast, or while it flows and a turn of the loop takes long, they take turns
that are spaced out: all webhooks and streams together have some 5 % of a processor. Else there is
nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from waypost.net.clock import Clock

LONG_TURN: Final = 0.0007
"""Seconds; a loop with little to do takes a fifth of it, a busy relay's twice as much."""

FLOWING_EVENTS: Final = 50.0
"""Events a second in the log, from which on mail flows."""

FAST_EVENTS: Final = 500.0
"""From here on it flows fast: more than webhooks about all of it could keep up with."""

WINDOW_SECONDS: Final = 0.2

REQUEST_SPACING: Final = 0.04
"""Seconds between the beginnings of two requests."""

EVENT_SPACING: Final = 0.001
"""Seconds for each event on a stream."""

_WEIGHT: Final = 0.1
"""Of the latest turn in the mean."""


class Courtesy:
    """See the module. One for all."""

    def __init__(self, clock: Clock, happened: Callable[[], int]) -> None:
        """`happened` counts what has happened to messages so far."""
        self._clock = clock
        self._happened = happened
        self._turn = 0.0
        self._rate = 0.0
        self._counted = happened()
        self._counted_at = clock.monotonic()
        self._next = 0.0

    async def turn(self, spacing: float) -> None:
        """Return when it may begin; the next one waits for `spacing` seconds."""
        begun = self._clock.monotonic()
        await self._clock.sleep(0)
        now = self._clock.monotonic()
        self._turn += (now - begun - self._turn) * _WEIGHT
        self._count(now)
        if self.is_busy:
            at = max(now, self._next)
            self._next = at + spacing
            await self._clock.sleep(at - now)

    @property
    def is_busy(self) -> bool:
        """Mail needs the loop."""
        if self._rate >= FAST_EVENTS:
            return True
        return self._rate >= FLOWING_EVENTS and self._turn >= LONG_TURN

    def _count(self, now: float) -> None:
        passed = now - self._counted_at
        if passed >= WINDOW_SECONDS:
            counted = self._happened()
            self._rate = (counted - self._counted) / passed
            self._counted, self._counted_at = counted, now
