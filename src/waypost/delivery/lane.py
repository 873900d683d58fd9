"""A lane: the messages in memory that go the same way, and the connections that carry them.

The way is a route and a destination: the domain for direct delivery, the route's next hops for
smarthosts. A lane holds a window of messages; what is more stays on disk and its domain is noted
in `parked`, to be loaded when there is room (engine.py); known by number, so that other messages
of the same domain, which go another way, are not kept waiting behind them.

More connections join while a message waits longer than a moment or the line grows longer than
those at work can soon carry, up to what the limits grant. So a quick peer is served over
few, well-filled connections, and a slow one over many.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from waypost.delivery.route import Route
from waypost.spool.contract import QueuedMessage

if TYPE_CHECKING:
    from waypost.delivery.courier import Courier

LINE_PER_CONNECTION: Final = 4
"""Waiting messages for each connection at work before another joins at once."""

MAXIMUM_PARKED: Final = 5000
"""Messages of one domain that are known by number."""


class Lane:
    """See the module. Attributes are the state; the lane keeper and couriers move it."""

    __slots__ = (
        "armed", "arming", "blocked_reason", "blocked_until", "busy", "destination", "idle", "key",
        "leaving", "metered", "opening", "parked", "paused", "ready", "recheck", "route",
    )  # fmt: skip

    def __init__(self, route: Route, destination: str) -> None:
        self.route = route
        self.destination = destination
        """The domain for direct delivery; "" where the route's next hops take all."""
        self.key = (route.name, destination)
        self.metered = (
            route.limits.rate is not None
            or route.limits.rate_per_destination is not None
            or route.quotas.are_set
        )
        """Each message has to be counted."""
        self.ready: deque[QueuedMessage] = deque()
        """In memory, not yet begun."""
        self.armed: deque[QueuedMessage] = deque()
        """Marked started in the spool, content at hand: the next free connection takes them."""
        self.arming = 0
        """Messages between the two, waiting for the spool."""
        self.parked: dict[str, set[int]] = {}
        """Due messages that are only on disk because the lane is full or left alone, by domain."""
        self.idle: list[Courier] = []
        self.busy: set[Courier] = set()
        self.opening: set[Courier] = set()
        self.blocked_until = 0.0
        """Wall clock; the destination is left alone until then."""
        self.blocked_reason = ""
        """Why, in words for people; also why there is no connection."""
        self.paused = False
        """Somebody holds it back, without end (pauses.py); `blocked_until` says so as well."""
        self.recheck = False
        """A timer is set that looks at the lane again."""
        self.leaving = False
        """The configuration has changed: what is under way ends, nothing begins."""

    def park(self, domain: str, identifier: int) -> None:
        """A message waits on disk for this lane."""
        parked = self.parked.get(domain)
        if parked is None:
            parked = self.parked[domain] = set()
        if len(parked) < MAXIMUM_PARKED:
            parked.add(identifier)

    @property
    def connections(self) -> int:
        """Connections open or being opened."""
        return len(self.idle) + len(self.busy) + len(self.opening)

    def needs_another(self) -> bool:
        """Whether the line is too long for the connections that are at work: another is to join.

        As long as it is not, a message waits for one of them: with pipelining it goes in the same
        write as the content of the one before, which is less work for both sides than a
        connection of its own.
        """
        return len(self.armed) > LINE_PER_CONNECTION * (len(self.busy) + len(self.opening))

    def is_unused(self) -> bool:
        """Nothing waits and nothing is open; the lane may be forgotten."""
        return not (
            self.ready or self.armed or self.arming or self.parked or self.connections
            or self.recheck
        )  # fmt: skip
