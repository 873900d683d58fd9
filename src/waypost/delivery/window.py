"""Which due messages are in memory: the window over what is on disk.

A message that has just been accepted goes straight to its lane while there is room, so in ordinary
times nothing is ever read back. What does not fit, and every retry, waits on disk; `Backlog` knows
at which destinations, and when the earliest of each is due. It is a hint and not the truth: a
sweep over the spool fills it again, so it may be bounded and may forget.
"""

from __future__ import annotations

import heapq
from typing import Final

MAXIMUM_DESTINATIONS: Final = 20_000
"""Destinations remembered; further ones are found by the next sweep."""


class Backlog:
    """Destinations with queued recipients on disk, by the time of the earliest."""

    def __init__(self, maximum: int = MAXIMUM_DESTINATIONS) -> None:
        self._maximum = maximum
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self.forgot = False
        """A destination did not fit; only a sweep will find it."""

    def __len__(self) -> int:
        return len(self._due)

    def add(self, domain: str, due_at: float) -> None:
        """There is something for `domain` at `due_at`."""
        known = self._due.get(domain)
        if known is not None and known <= due_at:
            return
        if known is None and len(self._due) >= self._maximum:
            self.forgot = True
            return
        self._due[domain] = due_at
        heapq.heappush(self._heap, (due_at, domain))
        if len(self._heap) > 4 * self._maximum:
            self._heap = [(due, name) for name, due in self._due.items()]
            heapq.heapify(self._heap)

    def pop_due(self, now: float) -> str | None:
        """Take the destination that has been due the longest, if any is."""
        while self._heap and self._heap[0][0] <= now:
            due_at, domain = heapq.heappop(self._heap)
            if self._due.get(domain) == due_at:
                del self._due[domain]
                return domain
        return None

    def next_due(self) -> float | None:
        """When the next destination becomes due."""
        while self._heap:
            due_at, domain = self._heap[0]
            if self._due.get(domain) == due_at:
                return due_at
            heapq.heappop(self._heap)
        return None

    def holds(self, domain: str, now: float) -> bool:
        """Whether older mail for the domain is on disk and due, so that new mail must queue up."""
        due_at = self._due.get(domain)
        return due_at is not None and due_at <= now
