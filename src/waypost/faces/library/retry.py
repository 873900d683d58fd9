"""When the library tries again what failed for now, and when it gives up.

Unlike a relay it has a caller who waits: so a few tries within a minute by default. What needs
longer, as greylisting does, is for a relay or the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass

from waypost.delivery.chance import Chance
from waypost.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Retry:
    """The policy. Times in seconds; `Retry(attempts=1)` never tries again."""

    attempts: int = 3
    """Attempts of each recipient in all, over every server."""
    first: float = 1.0
    """After the first failed attempt; doubled after each further one."""
    longest: float = 60.0
    within: float = 60.0
    """No attempt begins later than this after the first one failed."""
    jitter: float = 0.2
    """The largest part that chance adds, so that many do not come back in one moment."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigurationError(
                f"Retry: attempts is {self.attempts}", fix="give at least 1, which never retries"
            )
        if min(self.first, self.longest, self.within, self.jitter) < 0:
            raise ConfigurationError(f"Retry: a time is negative: {self}", fix="give seconds")

    def delay(self, attempts: int, chance: Chance) -> float:
        """Seconds to wait after this many failed attempts (at least 1)."""
        seconds = min(self.longest, self.first * 2.0 ** min(attempts - 1, 30))
        return seconds + seconds * self.jitter * chance.random()
