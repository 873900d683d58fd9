"""How many connections a mailer has open, over all its pools, and whose turn it is for one.

A pool that gets none is remembered; it is called as soon as a connection has ended anywhere. An
idle connection of another pool is closed for it, so that one destination cannot keep the others
out by doing nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Claimant(Protocol):
    """A pool, as the limit sees it."""

    def look(self) -> None:
        """A connection may be had now."""

    def spare(self) -> bool:
        """Close an idle connection; False where there is none."""


class ConnectionLimit:
    """Counts connections: being opened, open, and saying QUIT."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._pools: list[Claimant] = []
        self._waiting: deque[Claimant] = deque()

    def join(self, pool: Claimant) -> None:
        """A new pool."""
        self._pools.append(pool)

    def leave(self, pool: Claimant) -> None:
        """A pool that has no connections and wants none."""
        self._pools.remove(pool)

    def take(self, pool: Claimant) -> bool:
        """One more connection for a pool; where there is none, the pool is called later."""
        if self.open < self.limit:
            self.open += 1
            return True
        if pool not in self._waiting:
            self._waiting.append(pool)
            for other in self._pools:
                if other is not pool and other.spare():
                    break
        return False

    def idle(self, pool: Claimant) -> None:
        """A connection has become idle: it ends where another pool waits for one."""
        if self._waiting and any(other is not pool for other in self._waiting):
            pool.spare()

    def release(self) -> None:
        """A connection has ended."""
        self.open -= 1
        assert self.open >= 0, "more connections ended than were opened"
        for _ in range(len(self._waiting)):
            if self.open >= self.limit:
                break
            self._waiting.popleft().look()
