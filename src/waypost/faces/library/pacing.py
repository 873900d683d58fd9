"""Keeps the rates of a mailer: messages wait in line until the next one may go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from waypost.delivery.quota import TokenBucket
from waypost.delivery.route import Rate
from waypost.faces.library.errand import Errand
from waypost.net.clock import Clock, Timer


class Pacing:
    """Lets errands through, the first come first, no faster than every rate allows."""

    def __init__(
        self, rates: tuple[Rate, ...], clock: Clock, forward: Callable[[Errand], None]
    ) -> None:
        self._buckets = [TokenBucket(rate, clock.monotonic()) for rate in rates]
        self._clock = clock
        self._forward = forward
        self._line: deque[Errand] = deque()
        self._timer: Timer | None = None

    def submit(self, errand: Errand) -> None:
        """Forward it now, or when its time has come."""
        if not self._buckets:
            self._forward(errand)
            return
        self._line.append(errand)
        if self._timer is None:
            self._let_through()

    def withdraw(self, errand: Errand) -> bool:
        """It does not wait any longer; False where it did not."""
        if errand in self._line:
            self._line.remove(errand)
            return True
        return False

    @property
    def waiting(self) -> int:
        """Errands in line."""
        return len(self._line)

    def drain(self) -> list[Errand]:
        """All that wait, which then do not."""
        errands = list(self._line)
        self._line.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return errands

    def _let_through(self) -> None:
        self._timer = None
        while self._line:
            now = self._clock.monotonic()
            ready = max(bucket.ready_at(now) for bucket in self._buckets)
            if ready > now:
                self._timer = self._clock.call_later(ready - now, self._let_through)
                return
            for bucket in self._buckets:
                bucket.take(now)
            self._forward(self._line.popleft())
