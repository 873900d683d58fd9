"""Quotas of a route by minute, hour and day, and the token bucket that keeps a rate.

A window begins on the minute, hour or day of UTC. A quota that is spread lets a growing part of
its window's messages through, a twentieth at once and the rest as time goes by, so that the
afternoon has some left. What was used survives a restart (`export`, `restore`): a provider does
not forget either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from waypost.delivery.route import Quotas, Rate, Route
from waypost.delivery.routing import RoutingTable

WINDOWS: Final[tuple[tuple[str, float], ...]] = (
    ("minute", 60.0),
    ("hour", 3600.0),
    ("day", 86400.0),
)
"""Names and lengths in seconds, shortest first."""

SPREAD_AT_ONCE: Final = 0.05
"""The part of a spread quota that may be used at the very beginning of its window."""

State = dict[str, tuple[float, int]]
"""By window: its beginning (seconds since the epoch) and the messages sent in it."""


@dataclass(frozen=True, slots=True)
class QuotaUsed:
    """A quota lets nothing through before `until` (seconds since the epoch)."""

    window: str
    """minute, hour or day."""
    limit: int
    until: float
    spread: bool
    """It is not used up; only its share up to now is."""

    @property
    def text(self) -> str:
        """In words, for people."""
        if self.spread:
            return f"the quota of {self.limit} a {self.window} is being spread evenly"
        return f"the quota of {self.limit} a {self.window} is used up"


class _Window:
    """One quota."""

    __slots__ = ("begins", "length", "limit", "name", "spread", "used")

    def __init__(self, name: str, length: float, limit: int, spread: bool) -> None:
        self.name = name
        self.length = length
        self.limit = limit
        self.spread = spread
        self.begins = 0.0
        self.used = 0

    def move_to(self, now: float) -> None:
        """Begin anew when the time has come.

        A clock that was set back stays in the window it knew, so that nothing is counted twice
        in our favour; one that was far wrong does not block for more than a window's length.
        """
        if self.begins <= now < self.begins + self.length:
            return
        begins = now - now % self.length
        if begins > self.begins or self.begins - now > self.length:
            self.begins, self.used = begins, 0

    def check(self, now: float, count: int) -> QuotaUsed | None:
        if self.used + count > self.limit:
            return QuotaUsed(self.name, self.limit, self.begins + self.length, False)
        if self.spread:
            free = max(1.0, self.limit * SPREAD_AT_ONCE)
            wanted = self.used + count
            if wanted > free:
                # The moment at which the growing allowance reaches what is wanted.
                part = (wanted - free) / (self.limit - free + 1.0)
                until = self.begins + part * self.length
                if until > now:
                    return QuotaUsed(self.name, self.limit, until, True)
        return None


class QuotaLedger:
    """What one route has used of its quotas."""

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        limits = (quotas.per_minute, quotas.per_hour, quotas.per_day)
        longest = max((n for n, limit in enumerate(limits) if limit is not None), default=0)
        # Spreading the longest is enough: the shorter ones are there to be kept, not to be used up.
        self._windows = [
            _Window(name, length, limit, quotas.spread and number == longest)
            for number, ((name, length), limit) in enumerate(zip(WINDOWS, limits, strict=True))
            if limit is not None
        ]

    def check(self, now: float, count: int = 1) -> QuotaUsed | None:
        """What stands against `count` more messages now; the one that lasts longest."""
        longest: QuotaUsed | None = None
        for window in self._windows:
            window.move_to(now)
            used = window.check(now, count)
            if used is not None and (longest is None or used.until > longest.until):
                longest = used
        return longest

    def use(self, now: float, count: int = 1) -> None:
        """Count messages that are being sent. Call after `check` said nothing."""
        for window in self._windows:
            window.move_to(now)
            window.used += count

    def give_back(self, count: int = 1) -> None:
        """Messages that were counted were never handed over."""
        for window in self._windows:
            window.used = max(0, window.used - count)

    def left(self, now: float) -> dict[str, int]:
        """By window, how many messages are left."""
        for window in self._windows:
            window.move_to(now)
        return {window.name: max(0, window.limit - window.used) for window in self._windows}

    def export(self) -> State:
        """What must survive a restart."""
        return {window.name: (window.begins, window.used) for window in self._windows}

    def restore(self, state: Mapping[str, tuple[float, int]]) -> None:
        """Take over what was used before, also where the limits have changed since."""
        for window in self._windows:
            begins, used = state.get(window.name, (0.0, 0))
            if math.isfinite(begins) and begins > window.begins and used >= 0:
                window.begins, window.used = float(begins), int(used)


class TokenBucket:
    """A rate: never more than `count` messages in any stretch of `period` seconds.

    A fiftieth of them may go at once; the rest is then let through a little more slowly, so that
    both together keep the rate. `now` may be any clock that is the same each time.
    """

    __slots__ = ("_at", "_burst", "_per_second", "_tokens", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        further = rate.count // 50
        self._burst = 1.0 + further
        self._per_second = (rate.count - further) / rate.period
        self._tokens = self._burst
        self._at = now

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        # A clock that was set back gives nothing, and is followed.
        self._at = now

    def ready_at(self, now: float) -> float:
        """When the next message may go: `now`, or later."""
        self._refill(now)
        missing = 1.0 - self._tokens
        # What rounding leaves of a whole token counts as one, so that the moment told suffices.
        return now if missing <= 1e-6 else now + missing / self._per_second

    def take(self, now: float) -> None:
        """A message goes. Call after `ready_at` said now."""
        self._refill(now)
        self._tokens -= 1.0

    def is_full(self, now: float) -> bool:
        """Nothing would be lost by forgetting it."""
        self._refill(now)
        return self._tokens >= self._burst


def route_with_quota(
    route: Route,
    table: RoutingTable,
    check: Callable[[Route], QuotaUsed | None],
) -> tuple[Route, QuotaUsed | None]:
    """The route to take now: `route`, or while its quotas are used up where it overflows to.

    `check` says what stands against a message on a route. Where all are used up it is the first
    route again, with what it waits for. A quota that is only being spread does not overflow.
    """
    first = used = check(route)
    taken = route
    while used is not None and not used.spread and taken.overflow is not None:
        taken = table.by_name[taken.overflow]  # RoutingTable has made sure there is no circle
        used = check(taken)
    return (taken, None) if used is None else (route, first)
