"""Slots: how many connections and messages a route and a destination may have now.

Everything that can hold a message back is asked here, and what holds it back is told: which limit,
in words, and until when. So no limit is exceeded, and none takes effect unseen.

A destination that refuses service is left alone for a growing time (backoff.py). When it comes
back it gets one connection, and one more for each message it takes, until the limit is reached
again. Of destinations, only so many are remembered; one is forgotten when nothing is known of it
that matters any more. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from waypost.delivery.backoff import MAXIMUM_FAILURES, BackOff
from waypost.delivery.chance import Chance
from waypost.delivery.pauses import Pauses
from waypost.delivery.quota import QuotaLedger, QuotaUsed, State, TokenBucket
from waypost.delivery.route import Rate, Route

MAXIMUM_CONNECTIONS: Final = 500
"""Open at once over all routes: file descriptors are finite."""

MAXIMUM_DESTINATIONS: Final = 20_000
"""Remembered at once, over all routes."""

LOOK_AGAIN_SECONDS: Final = 1.0
"""When to ask again about a limit that ends with an event (a connection closes), not at a time."""

FORGOTTEN_AFTER: Final = 7200.0
"""Seconds after its back-off for which a destination's failures are remembered."""

_EVICTION_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class Blocked:
    """Which limit holds something back, and until when (seconds since the epoch)."""

    reason: str
    """An identifier: total-connections, route-connections, destination-connections, recovering,
    back-off, route-rate, destination-rate, quota, destinations."""
    text: str
    until: float


@dataclass(frozen=True, slots=True)
class DestinationView:
    """What is known of a destination, for people."""

    route: str
    destination: str
    connections: int
    failures: int
    blocked_until: float
    blocked_reason: str


class _OfRoute:
    """The state of one route."""

    __slots__ = ("bucket", "connections", "ledger")

    def __init__(self) -> None:
        self.connections = 0
        self.bucket: TokenBucket | None = None
        self.ledger: QuotaLedger | None = None


class _OfDestination:
    """The state of one destination of a route."""

    __slots__ = ("bucket", "ceiling", "connections", "failures", "reason", "until")

    def __init__(self) -> None:
        self.connections = 0
        self.failures = 0
        self.until = 0.0
        self.reason = ""
        self.ceiling = 0
        """Connections allowed while it recovers; 0: it is not recovering."""
        self.bucket: TokenBucket | None = None

    def is_forgettable(self, now: float) -> bool:
        return (
            not self.connections
            and self.until + (FORGOTTEN_AFTER if self.failures else 0.0) <= now
            and (self.bucket is None or self.bucket.is_full(now))
        )


class Slots:
    """See the module."""

    def __init__(
        self,
        chance: Chance,
        back_off: BackOff | None = None,
        maximum_connections: int = MAXIMUM_CONNECTIONS,
        maximum_destinations: int = MAXIMUM_DESTINATIONS,
    ) -> None:
        self._chance = chance
        self._back_off = back_off or BackOff()
        self._maximum_connections = maximum_connections
        self._maximum_destinations = maximum_destinations
        self._connections = 0
        self._routes: dict[str, _OfRoute] = {}
        self._destinations: OrderedDict[tuple[str, str], _OfDestination] = OrderedDict()
        self._restored: dict[str, State] = {}
        self.pauses = Pauses()
        """What people hold back."""

    # --- connections ------------------------------------------------------------------------

    def acquire(self, route: Route, destination: str, now: float) -> Blocked | None:
        """Take a slot for a connection; what holds it back where there is none."""
        of_route = self._of_route(route.name)
        blocked = self._connection_blocked(route, of_route, destination, now)
        if blocked is not None:
            return blocked
        made = self._of_destination(route.name, destination, now)
        if made is None:
            return Blocked(
                "destinations",
                f"{self._maximum_destinations} destinations are being served or left alone",
                now + LOOK_AGAIN_SECONDS,
            )
        made.connections += 1
        of_route.connections += 1
        self._connections += 1
        return None

    def _connection_blocked(
        self, route: Route, of_route: _OfRoute, destination: str, now: float
    ) -> Blocked | None:
        soon = now + LOOK_AGAIN_SECONDS
        if self._connections >= self._maximum_connections:
            return Blocked(
                "total-connections",
                f"all {self._maximum_connections} connections of the relay are in use",
                soon,
            )
        limits = route.limits
        if of_route.connections >= limits.connections:
            return Blocked(
                "route-connections",
                f"all {limits.connections} connections of route {route.name} are in use",
                soon,
            )
        known = self._destinations.get((route.name, destination))
        if known is None:
            return None
        if known.until > now:
            return Blocked("back-off", f"left alone after: {known.reason}", known.until)
        if known.connections >= limits.connections_per_destination:
            return Blocked(
                "destination-connections",
                f"all {limits.connections_per_destination} connections to "
                f"{destination or route.name} are in use",
                soon,
            )
        if known.ceiling and known.connections >= known.ceiling:
            return Blocked(
                "recovering",
                f"{destination or route.name} is coming back: {known.ceiling} "
                f"of {limits.connections_per_destination} connections for now",
                soon,
            )
        return None

    def release(self, route: Route, destination: str) -> None:
        """A connection that had a slot is closed."""
        known = self._destinations[route.name, destination]
        of_route = self._routes[route.name]
        assert known.connections > 0, "a slot was released twice"
        assert of_route.connections > 0, "a slot was released twice"
        known.connections -= 1
        of_route.connections -= 1
        self._connections -= 1

    # --- messages ---------------------------------------------------------------------------

    def message(self, route: Route, destination: str, now: float, count: int = 1) -> Blocked | None:
        """Let a message go, and count it; what holds it back otherwise.

        `count` is what it uses of the quotas, for providers that count recipients.
        """
        limits = route.limits
        known = self._destinations.get((route.name, destination))
        if known is not None and known.until > now:
            return Blocked("back-off", f"left alone after: {known.reason}", known.until)
        if limits.rate is None and limits.rate_per_destination is None:
            if not route.quotas.are_set:
                return None
        elif known is None:
            known = self._of_destination(route.name, destination, now)
            if known is None:
                return Blocked(
                    "destinations",
                    f"{self._maximum_destinations} destinations are being served or left alone",
                    now + LOOK_AGAIN_SECONDS,
                )
        return self._counted(route, self._of_route(route.name), known, destination, now, count)

    def _counted(
        self,
        route: Route,
        of_route: _OfRoute,
        known: _OfDestination | None,
        destination: str,
        now: float,
        count: int,
    ) -> Blocked | None:
        """All limits are asked before any is charged."""
        limits = route.limits
        bucket = of_route.bucket = _bucket(of_route.bucket, limits.rate, now)
        narrow = None
        if known is not None:
            narrow = known.bucket = _bucket(known.bucket, limits.rate_per_destination, now)
        blocked: Blocked | None = None
        used = self.quota(route, now, count)
        if used is not None:
            blocked = Blocked("quota", f"route {route.name}: {used.text}", used.until)
        for rate, reason, whose in (
            (bucket, "route-rate", f"route {route.name}"),
            (narrow, "destination-rate", destination or route.name),
        ):
            if rate is None:
                continue
            at = rate.ready_at(now)
            if at > now and (blocked is None or at > blocked.until):
                blocked = Blocked(reason, f"{whose} has a rate of {rate.rate}", at)
        if blocked is not None:
            return blocked
        if bucket is not None:
            bucket.take(now)
        if narrow is not None:
            narrow.take(now)
        if of_route.ledger is not None:
            of_route.ledger.use(now, count)
        return None

    def quota(self, route: Route, now: float, count: int = 1) -> QuotaUsed | None:
        """What the quotas say about a message now, without counting it."""
        of_route = self._of_route(route.name)
        if not route.quotas.are_set:
            of_route.ledger = None
            return None
        ledger = of_route.ledger
        if ledger is None or ledger.quotas != route.quotas:
            of_route.ledger = QuotaLedger(route.quotas)
            before = ledger.export() if ledger else self._restored.pop(route.name, {})
            of_route.ledger.restore(before)
            ledger = of_route.ledger
        return ledger.check(now, count)

    # --- how it goes ------------------------------------------------------------------------

    def back_off(self, route: Route, destination: str, now: float, reason: str = "") -> float:
        """A destination refuses service or is not there; returns until when it is left alone.

        What fails while it is left alone already is part of the same failure.
        """
        known = self._of_destination(route.name, destination, now)
        if known is None:
            return now + self._back_off.seconds(1, self._chance)
        if known.until <= now:
            known.failures = min(known.failures + 1, MAXIMUM_FAILURES)
            known.until = now + self._back_off.seconds(known.failures, self._chance)
        known.reason = reason or known.reason or "a failure"
        known.ceiling = 1
        return known.until

    def succeeded(self, route: Route, destination: str) -> None:
        """A destination took a message: it recovers by one step."""
        known = self._destinations.get((route.name, destination))
        if known is None or not (known.failures or known.ceiling):
            return
        known.failures = max(0, known.failures - 1)
        if known.ceiling:
            known.ceiling += 1
            if known.ceiling >= route.limits.connections_per_destination:
                known.ceiling = 0
        if not known.failures:
            known.reason = ""

    def retry_now(self, route: Route, destination: str) -> None:
        """Somebody knows better: try a destination at once, with one connection."""
        known = self._destinations.get((route.name, destination))
        if known is not None:
            known.until = 0.0

    # --- to look at, to keep ----------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Slots taken, over all routes."""
        return self._connections

    def connections_of(self, route: Route) -> int:
        """Slots taken of a route."""
        of_route = self._routes.get(route.name)
        return of_route.connections if of_route else 0

    def left_alone(self, now: float, most: int = 1000) -> list[DestinationView]:
        """Destinations that are being left alone, for the panel."""
        views: list[DestinationView] = []
        for (route, destination), known in self._destinations.items():
            if known.until > now:
                views.append(
                    DestinationView(
                        route, destination, known.connections, known.failures, known.until,
                        known.reason,
                    )
                )  # fmt: skip
                if len(views) >= most:
                    break
        return views

    def quotas_left(self, route: Route, now: float) -> dict[str, int]:
        """By window (minute, hour, day), how many messages the quotas still let through."""
        self.quota(route, now)
        ledger = self._of_route(route.name).ledger
        return ledger.left(now) if ledger else {}

    def export_quotas(self) -> dict[str, State]:
        """By route, what of its quotas is used; to be stored."""
        used = {
            name: of_route.ledger.export()
            for name, of_route in self._routes.items()
            if of_route.ledger is not None
        }
        return {**self._restored, **used}

    def restore_quotas(self, used: Mapping[str, State]) -> None:
        """Take over what was stored, at the start."""
        self._restored = dict(used)

    # --- state ------------------------------------------------------------------------------

    def _of_route(self, name: str) -> _OfRoute:
        of_route = self._routes.get(name)
        if of_route is None:
            of_route = self._routes[name] = _OfRoute()
        return of_route

    def _of_destination(self, route: str, destination: str, now: float) -> _OfDestination | None:
        """The state of a destination, made where there is none; None where there is no room."""
        key = (route, destination)
        known = self._destinations.get(key)
        if known is None:
            if len(self._destinations) >= self._maximum_destinations and not self._forget(now):
                return None
            known = self._destinations[key] = _OfDestination()
        return known

    def _forget(self, now: float) -> bool:
        """Make room for one. Looks at a few only; those that must stay go to the far end."""
        for _ in range(min(_EVICTION_TRIES, len(self._destinations))):
            key = next(iter(self._destinations))
            if self._destinations[key].is_forgettable(now):
                del self._destinations[key]
                return True
            self._destinations.move_to_end(key)
        return False


def _bucket(bucket: TokenBucket | None, rate: Rate | None, now: float) -> TokenBucket | None:
    """The bucket for a rate: the one there is, unless the configuration has changed it."""
    if rate is None:
        return None
    if bucket is None or bucket.rate != rate:
        return TokenBucket(rate, now)
    return bucket
