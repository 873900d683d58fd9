"""The book of statistics: all rings and tables, how what was counted is laid into them, and what is
kept of them. Answers nothing; see statistics.py for the questions.

Destinations and reasons are in rings of tables, by ten minutes, hours and days, because the names
of one hour need not be those of the next. At most MAXIMUM_ROUTES routes have rings of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from waypost.control.statistics_counting import Gathered
from waypost.control.statistics_figures import FIGURES, Span
from waypost.control.statistics_kept import KeptRing, kept_table, restored_table
from waypost.control.statistics_rings import Ring
from waypost.control.statistics_rows import (
    ATTEMPTS,
    BOUNCED,
    CAPTURED,
    DEFERRED,
    DELIVERED,
    EXPIRED,
    ROUTE_WIDTH,
    SENT_BYTES,
    DestinationRow,
    ReasonRow,
    counts_of,
)
from waypost.control.statistics_tables import REST, BoundedTable, Row

MAXIMUM_ROUTES: Final = 24

KEPT_DESTINATIONS: Final = 100
"""Destinations told apart in one slot."""

KEPT_REASONS: Final = 60

MINUTE: Final = 60
FIVE_MINUTES: Final = 300
TEN_MINUTES: Final = 600
HOUR: Final = 3600
DAY: Final = 86400

TABLE_WIDTHS: Final = {
    Span.HOUR: TEN_MINUTES, Span.DAY: HOUR, Span.WEEK: DAY, Span.MONTH: DAY
}  # fmt: skip
"""The width of the slots of tables that make up a span."""

_TABLE_CAPACITIES: Final = {TEN_MINUTES: 7, HOUR: 25, DAY: 32}

_Row = TypeVar("_Row", bound=Row)


class Book:
    """See the module."""

    def __init__(self) -> None:
        self.seconds = counters(1, 61)
        """By the monotonic clock; not kept."""
        self.minutes = counters(MINUTE, 1441)
        self.hours = counters(HOUR, 745)
        self.routes: dict[str, dict[int, Ring[list[int]]]] = {}
        """By name: rings of five minutes and of hours."""
        self.destinations = _tables(KEPT_DESTINATIONS, DestinationRow)
        self.reasons = _tables(KEPT_REASONS, ReasonRow)

    def lay(self, gathered: Gathered, now: float, monotonic: float) -> None:
        """Add what has been counted."""
        numbers = _figures_of(gathered)
        for ring, moment in ((self.seconds, monotonic), (self.minutes, now), (self.hours, now)):
            add(ring.at(moment), numbers)
        self.seconds.changed.clear()  # nobody keeps them
        self.seconds.gone.clear()
        for name, counted in gathered.routes.items():
            for one in self.route(name).values():
                add(one.at(now), counted)
        _lay(self.destinations, now, gathered.destinations)
        _lay(self.reasons, now, gathered.reasons)

    def route(self, name: str) -> dict[int, Ring[list[int]]]:
        """The rings of a route; those of REST when there are too many."""
        rings = self.routes.get(name)
        if rings is None:
            if len(self.routes) >= MAXIMUM_ROUTES:
                name = REST
            rings = self.routes.setdefault(name, route_rings())
        return rings

    def kept(self) -> list[KeptRing]:
        """All that is kept. Names say the layout, so that another layout gets another name."""
        figures = partial(counts_of, width=len(FIGURES))
        kept = [
            KeptRing("minutes-1", "", self.minutes, list, figures),
            KeptRing("hours-1", "", self.hours, list, figures),
        ]
        of_route = partial(counts_of, width=ROUTE_WIDTH)
        for name, rings in self.routes.items():
            for width, slots in rings.items():
                kept.append(KeptRing(f"{_ROUTE}{width}-1", name, slots, list, of_route))
        groups: tuple[tuple[str, Mapping[int, Ring[Any]], int, type[Any]], ...] = (
            ("destinations", self.destinations, KEPT_DESTINATIONS, DestinationRow),
            ("reasons", self.reasons, KEPT_REASONS, ReasonRow),
        )
        for group, tables, keep, row in groups:
            restored = partial(restored_table, keep=keep, row=row)
            for width, slots in tables.items():
                kept.append(KeptRing(f"{group}-{width}-1", "", slots, kept_table, restored))
        return kept

    def restore(self, found: Mapping[tuple[str, str], Sequence[tuple[int, Any]]]) -> None:
        """Put back what was kept, as far as it can be read."""
        for ring, name in found:
            if ring.startswith(_ROUTE):
                self.route(name)
        for one in self.kept():
            one.restore(found.get((one.ring, one.name), ()))


_ROUTE: Final = "route-"


def counters(width: int, capacity: int) -> Ring[list[int]]:
    """A ring of counts in the order of FIGURES."""
    return Ring(width, capacity, lambda: [0] * len(FIGURES))


def route_rings() -> dict[int, Ring[list[int]]]:
    """The rings of one route."""
    return {
        width: Ring(width, capacity, lambda: [0] * ROUTE_WIDTH)
        for width, capacity in ((FIVE_MINUTES, 289), (HOUR, 745))
    }


def _tables(keep: int, row: type[_Row]) -> dict[int, Ring[BoundedTable[_Row]]]:
    make: Callable[[], BoundedTable[_Row]] = partial(BoundedTable, keep, row)
    return {width: Ring(width, capacity, make) for width, capacity in _TABLE_CAPACITIES.items()}


def _lay(rings: dict[int, Ring[BoundedTable[_Row]]], now: float, rows: Mapping[str, _Row]) -> None:
    for ring in rings.values() if rows else ():
        before = len(ring)
        table = ring.at(now)
        if len(ring) != before:  # the slot before is over: it needs no slack any more
            number = ring.slot_of(now) - 1
            last = ring.get(number)
            if last is not None:
                last.cut()
                ring.changed.add(number)
        for name, row in rows.items():
            table.add(name, row)


def _figures_of(gathered: Gathered) -> list[int]:
    """In the order of FIGURES: outcomes are the sum over the routes."""
    of_routes = total(gathered.routes.values(), ROUTE_WIDTH)
    places = (ATTEMPTS, DELIVERED, CAPTURED, DEFERRED, BOUNCED, EXPIRED, SENT_BYTES)
    outcomes = [of_routes[place] for place in places]
    return [gathered.messages, gathered.accepted, gathered.bytes, *outcomes]


def add(numbers: list[int], more: Sequence[int]) -> None:
    """Add counts place by place."""
    for place, number in enumerate(more):
        numbers[place] += number


def total(rows: Iterable[Sequence[int]], width: int) -> list[int]:
    """The sum of counts place by place."""
    return [sum(column) for column in zip(*rows, strict=True)] or [0] * width
