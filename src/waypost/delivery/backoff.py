"""Leaving alone what does not work: for how long, and how it comes back.

Each failure doubles the time, from half a minute to an hour, and chance adds up to a fifth, so
that many destinations do not come back in one moment. Each success takes one failure off, so that
one good minute does not wipe out the memory of a bad day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from waypost.delivery.chance import Chance
from waypost.delivery.route import NextHop

MAXIMUM_FAILURES: Final = 16
"""Counted; more would only make the way back longer."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """The times, in seconds."""

    first: float = 30.0
    longest: float = 3600.0
    jitter: float = 0.2
    """The largest part that chance adds."""

    def seconds(self, failures: int, chance: Chance) -> float:
        """How long to wait after this many failures in a row (at least 1)."""
        steps = min(max(failures, 1), MAXIMUM_FAILURES) - 1
        delay: float = min(self.longest, self.first * 2.0**steps)
        return delay + delay * self.jitter * chance.random()


class Circuits:
    """Which next hops of a route are left alone, so that the others are used in their place.

    There are as many as the configuration has next hops. Times as the caller counts them, one
    clock for all calls.
    """

    def __init__(self, chance: Chance, back_off: BackOff | None = None) -> None:
        self._chance = chance
        self._back_off = back_off or BackOff()
        self._open: dict[str, tuple[int, float, str]] = {}

    def failed(self, hop: NextHop, now: float, reason: str) -> float:
        """It could not be used; returns until when it is left alone."""
        failures, until, _ = self._open.get(hop.identity, (0, now, ""))
        if not failures or until <= now:
            # Connections that fail together are one failure.
            failures = min(failures + 1, MAXIMUM_FAILURES)
            until = now + self._back_off.seconds(failures, self._chance)
        self._open[hop.identity] = (failures, until, reason)
        return until

    def suspend(self, hop: NextHop, until: float, reason: str) -> None:
        """Leave it alone until a given time, as after refused credentials."""
        failures, before, _ = self._open.get(hop.identity, (0, until, ""))
        self._open[hop.identity] = (max(failures, 1), max(before, until), reason)

    def succeeded(self, hop: NextHop) -> None:
        """It took a message."""
        state = self._open.get(hop.identity)
        if state is None:
            return
        if state[0] <= 1:
            del self._open[hop.identity]
        else:
            self._open[hop.identity] = (state[0] - 1, 0.0, "")

    def is_suspended(self, hop: NextHop, now: float) -> bool:
        """Whether it is to be left alone now."""
        state = self._open.get(hop.identity)
        return state is not None and state[1] > now

    def why(self, hop: NextHop, now: float) -> tuple[float, str] | None:
        """Until when it is left alone and for what reason; None where it is not."""
        state = self._open.get(hop.identity)
        return (state[1], state[2]) if state is not None and state[1] > now else None

    def keep(self, identities: frozenset[str]) -> None:
        """Forget next hops that a new configuration no longer has."""
        self._open = {name: state for name, state in self._open.items() if name in identities}
