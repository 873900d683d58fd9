"""When a webhook that failed is sent again, and when it is given up.

The delays are those that the Standard Webhooks specification suggests; chance adds up to a tenth,
so that what failed together does not come back together. After the last one it is given up, some
76 hours after the first attempt.
"""

from __future__ import annotations

from typing import Final

from waypost.delivery.chance import Chance

DELAYS: Final = (
    5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0,
)  # fmt: skip
"""Seconds after the first failed attempt, the second, and so on."""

JITTER: Final = 0.1

LONGEST_ASKED: Final = 86_400.0
"""What `Retry-After` may ask for, at most."""


def next_attempt(
    failed: int, now: float, chance: Chance, asked: float | None = None
) -> float | None:
    """When to send again after so many failed attempts; None: never. `asked`: seconds that the
    endpoint wants us to wait (Retry-After), if it does."""
    if failed > len(DELAYS):
        return None
    delay = DELAYS[failed - 1]
    delay += delay * JITTER * chance.random()
    return now + max(delay, min(asked or 0.0, LONGEST_ASKED))
