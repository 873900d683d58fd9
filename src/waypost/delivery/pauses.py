"""Queues that people have paused: nothing leaves them until somebody resumes them.

A queue is a route and, of direct delivery, a destination; "" is all that a route has. Mail is
accepted for a paused queue as before, waits, and expires in its time. What is under way when a
queue is paused comes to its end. Pauses are kept by the spool, so that they outlive a restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from waypost.delivery.routing import RoutingTable
from waypost.spool.contract import Spool

KEPT_AS: Final = "pauses"
"""The name under which the spool keeps them."""

MAXIMUM_PAUSES: Final = 1000


class TooManyPauses(Exception):
    """No further queue can be paused."""


class NoSuchQueue(Exception):
    """There is no queue of this name; the text says which there are."""


@dataclass(frozen=True, slots=True)
class Pause:
    """One queue that is paused."""

    route: str
    destination: str
    """A domain; "": all destinations of the route."""
    since: float
    """Seconds since the epoch."""
    by: str
    reason: str

    @property
    def text(self) -> str:
        """For people who wonder why mail waits."""
        what = f"route {self.route}" + (f" to {self.destination}" if self.destination else "")
        return f"{what} is paused by {self.by}" + (f": {self.reason}" if self.reason else "")


class Pauses:
    """All of them."""

    def __init__(self) -> None:
        self._pauses: dict[tuple[str, str], Pause] = {}

    def __iter__(self) -> Iterator[Pause]:
        return iter(list(self._pauses.values()))

    def __len__(self) -> int:
        return len(self._pauses)

    def of(self, route: str, destination: str) -> Pause | None:
        """What holds a destination of a route back."""
        if not self._pauses:
            return None
        return self._pauses.get((route, "")) or self._pauses.get((route, destination))

    def has(self, route: str, destination: str) -> bool:
        """Whether this very queue is paused."""
        return (route, destination) in self._pauses

    def add(self, pause: Pause) -> None:
        """Pause a queue. Raises TooManyPauses."""
        if len(self._pauses) >= MAXIMUM_PAUSES:
            raise TooManyPauses
        self._pauses[pause.route, pause.destination] = pause

    def remove(self, route: str, destination: str) -> Pause | None:
        """Resume a queue; the pause that there was."""
        return self._pauses.pop((route, destination), None)

    def written(self) -> str:
        """All of them, to be stored."""
        return json.dumps([asdict(one) for one in self._pauses.values()])

    def restore(self, text: str | None) -> None:
        """Take over what was stored. Raises ValueError, TypeError, KeyError for anything else."""
        kept = [Pause(**one) for one in json.loads(text)] if text else []
        self._pauses = {(one.route, one.destination): one for one in kept}


class Deliveries(Protocol):
    """Who delivers (engine.py)."""

    routing: RoutingTable

    def pauses_changed(self) -> None:
        """People have paused or resumed queues."""


class Pausing:
    """Pauses and resumes queues, and has that kept."""

    def __init__(
        self, deliveries: Deliveries, pauses: Pauses, spool: Spool, now: Callable[[], float]
    ) -> None:
        self._deliveries = deliveries
        self._pauses = pauses
        self._spool = spool
        self._now = now

    async def pause(self, route: str, destination: str, by: str, reason: str = "") -> bool:
        """Let nothing leave a queue, also after a restart; whether it was not paused before.

        Raises NoSuchQueue, TooManyPauses, SpoolRefusal; nothing is changed then.
        """
        self._check(route, destination)
        if self._pauses.has(route, destination):
            return False
        self._pauses.add(Pause(route, destination, self._now(), by, reason))
        try:
            await self._keep()
        except BaseException:
            self._pauses.remove(route, destination)
            raise
        return True

    async def resume(self, route: str, destination: str) -> bool:
        """Let a queue go on; whether it was paused. Raises NoSuchQueue, SpoolRefusal."""
        pause = self._pauses.remove(route, destination)
        if pause is None:
            self._check(route, destination)
            return False
        try:
            await self._keep()
        except BaseException:
            self._pauses.add(pause)
            raise
        return True

    async def _keep(self) -> None:
        await self._spool.remember(KEPT_AS, self._pauses.written())
        self._deliveries.pauses_changed()

    def _check(self, route: str, destination: str) -> None:
        """Raises NoSuchQueue."""
        routing = self._deliveries.routing
        found = routing.by_name.get(route)
        if found is None:
            names = ", ".join(routing.by_name)
            raise NoSuchQueue(f"there is no route {route!r:.80}; there are {names}")
        if destination and not found.is_direct:
            raise NoSuchQueue(
                f"route {route!r} sends everything to its next hops, so it has no queue of its own "
                f"for {destination!r:.80}; pause the route"
            )
