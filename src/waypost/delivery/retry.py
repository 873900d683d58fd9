"""When a delivery that failed for now is tried again.

By default after 1, 5, 15 and 30 minutes, 1 and 2 hours, then every 4 hours, until the message
expires (5 days, RFC 5321 4.5.4.1). The first steps are quicker than the RFC's 30 minutes because
a greylist or a short outage is over by then; a destination that is down is not hammered by them,
as it is left alone as a whole (slots.py). Chance adds up to a tenth, never takes any away: a
retry does not come before its time (invariant 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from waypost.delivery.chance import Chance

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0

DEFAULT_DELAYS: Final = (1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 1 * HOUR, 2 * HOUR)
DEFAULT_EXPIRY: Final = 5 * DAY
"""RFC 5321 4.5.4.1: "generally needs to be at least 4-5 days"."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The delays between attempts, in seconds."""

    delays: tuple[float, ...] = DEFAULT_DELAYS
    """After the first failed attempt, the second, and so on."""
    afterwards: float = 4 * HOUR
    """After each further one."""
    jitter: float = 0.1
    """The largest part of a delay that chance adds to it; 0 for none."""
    warn_after: float | None = 4 * HOUR
    """When the sender hears that the message is delayed (RFC 3461 4.1); None: never."""

    def __post_init__(self) -> None:
        if not all(delay > 0 for delay in (*self.delays, self.afterwards)):
            raise ValueError(f"every delay of a retry schedule must be positive: {self}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"the jitter of a retry schedule must be from 0 to 1: {self.jitter}")

    def delay(self, attempts: int) -> float:
        """Seconds to wait after this many failed attempts (at least 1)."""
        number = max(attempts, 1) - 1
        return self.delays[number] if number < len(self.delays) else self.afterwards

    def next_attempt(
        self, attempts: int, now: float, expires_at: float, chance: Chance | None = None
    ) -> float | None:
        """When to try again after `attempts` failed ones; None where that would be too late.

        Times in seconds since the epoch.
        """
        delay = self.delay(attempts)
        if chance is not None and self.jitter:
            delay += delay * self.jitter * chance.random()
        due_at = now + delay
        return due_at if due_at < expires_at else None

    def warning_is_due(self, received_at: float, now: float) -> bool:
        """Whether the sender is owed a word about the delay, if it has not had one."""
        return self.warn_after is not None and now - received_at >= self.warn_after
