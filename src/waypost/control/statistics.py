"""Statistics over time: what the panel draws and programs ask, without a look into the spool.

Every message counts a few numbers up (statistics_counting). Once a second these are laid into the
*book* (statistics_book): rings by the minute for a day and by the hour for a month, for all mail
and for each route; destinations and reasons of failures likewise, in tables that are bounded. Every
ten seconds what has changed is written to `control.sqlite`, so a crash forgets no more than that.

Every question is answered at once from memory, and is exact up to the moment it is asked; only
`counts` and `queues` are from the spool, counted beside the work (statistics_census), and tell how
old they are.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Final, TypeVar

import structlog

from waypost.administration import Administration
from waypost.control.counters import Counters
from waypost.control.database import ControlDatabase
from waypost.control.statistics_book import (
    FIVE_MINUTES,
    HOUR,
    KEPT_DESTINATIONS,
    KEPT_REASONS,
    TEN_MINUTES,
    Book,
    route_rings,
    total,
)
from waypost.control.statistics_census import Census
from waypost.control.statistics_counting import Counting
from waypost.control.statistics_figures import (
    FIGURES,
    Counted,
    DestinationFigures,
    DurationSeries,
    Figure,
    Queues,
    ReasonFigures,
    RouteFigures,
    Series,
    Span,
    Totals,
)
from waypost.control.statistics_kept import StatisticsStore
from waypost.control.statistics_rings import Ring
from waypost.control.statistics_rows import (
    ATTEMPT_SECONDS,
    BUCKETS,
    FIRST_REPLY,
    ROUTE_WIDTH,
    DestinationRow,
    ReasonRow,
    destination_figures,
    percentile,
    reason_figures,
    route_figures,
)
from waypost.control.statistics_tables import REST, BoundedTable, Row
from waypost.control.statistics_views import Views
from waypost.net.clock import Clock, Timer
from waypost.spool.contract import Spool

GATHER_SECONDS: Final = 1.0

SAVE_SECONDS: Final = 10.0

_Row = TypeVar("_Row", bound=Row)


class Statistics:
    """See the module."""

    def __init__(
        self, administration: Administration, spool: Spool, database: ControlDatabase, clock: Clock
    ) -> None:
        self._administration = administration
        self._clock = clock
        self._store = StatisticsStore(database)
        self._census = Census(spool, clock)
        self._counting = Counting()
        self._book = Book()
        self._views = Views(clock)
        self._laid = 0
        """How often the book was changed."""
        self._known_destinations: dict[
            Span, tuple[tuple[int, int], tuple[DestinationFigures, ...]]
        ] = {}
        """What was found last, and when; each page asks for it several times."""
        self._since_start = Counters()
        self._timer: Timer | None = None
        self._saved_at = 0.0
        self._saving: asyncio.Task[None] | None = None
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.statistics")

    async def open(self) -> None:
        """Take up what was kept, and count from now on. Raises sqlite3.Error."""
        self._book.restore(await self._store.load())
        self._saved_at = self._clock.monotonic()
        self._administration.watch(self._counting.take)
        self._administration.watch_refusals(self._since_start.refused)
        self._timer = self._clock.call_later(GATHER_SECONDS, self._tick)

    async def close(self) -> None:
        """Count no more, and write down what is not written."""
        if self._timer is not None:
            self._timer.cancel()
        self._administration.unwatch(self._counting.take)
        await self._census.close()
        if self._saving is not None:
            await self._saving
        self._gather()
        await self._save()

    # --- questions --------------------------------------------------------------------------

    def since_start(self) -> Counters:
        """What has been counted since the relay started, this moment included; for monitoring."""
        self._gather()
        return self._since_start

    def totals(self, span: Span) -> Totals:
        """The sum of each figure over a span, this moment included."""
        self._gather()
        if span is Span.MINUTE:
            now = self._clock.monotonic()
            return Totals(*total(self._book.seconds.since(now - 59, now), len(FIGURES)))
        step = min(span.step, HOUR)
        _, rows = self._views.points(self._counters(span), span, step, len(FIGURES), tuple, "sums")
        return Totals(*total(rows, len(FIGURES)))

    def series(self, figure: Figure, span: Span) -> Series:
        """A figure over time. Raises ValueError for Span.MINUTE."""
        return self.all_series((figure,), span)[0]

    def all_series(self, figures: Sequence[Figure], span: Span) -> tuple[Series, ...]:
        """Several figures over the same time. Raises ValueError for Span.MINUTE."""
        self._gather_for(span)
        step = span.step
        start, rows = self._views.points(
            self._counters(span), span, step, len(FIGURES), tuple, "sums"
        )
        places = [FIGURES.index(figure) for figure in figures]
        return tuple(
            Series(figure, start, step, tuple(row[place] for row in rows))
            for figure, place in zip(figures, places, strict=True)
        )

    def routes(self, span: Span) -> tuple[RouteFigures, ...]:
        """Each route over which something went in the span, by name. The name "" stands for what
        ended without a route, and for routes beyond MAXIMUM_ROUTES. Raises ValueError for
        Span.MINUTE."""
        self._gather_for(span)
        found = []
        for name, rings in sorted(self._book.routes.items()):
            ring, step = _ring_for(rings, span), max(span.step, FIVE_MINUTES)
            _, rows = self._views.points(ring, span, step, ROUTE_WIDTH, tuple, "sums")
            numbers = total(rows, ROUTE_WIDTH)
            if any(numbers):
                found.append(route_figures(name, numbers))
        return tuple(found)

    def response_series(
        self, route: str, span: Span, share: float = 0.95, *, first_reply: bool = False
    ) -> DurationSeries:
        """How long the attempts of a route took over time, or the wait for their first reply: the
        duration that a share of them (0 to 1) stayed below. For Span.HOUR a point covers five
        minutes. Raises ValueError for Span.MINUTE."""
        self._gather_for(span)
        step = max(span.step, FIVE_MINUTES)
        ring = _ring_for(self._book.routes.get(route) or route_rings(), span)
        first = FIRST_REPLY if first_reply else ATTEMPT_SECONDS

        def of(row: Sequence[int]) -> float | None:
            buckets = row[first : first + BUCKETS]
            return percentile(buckets, share) if any(buckets) else None

        start, values = self._views.points(ring, span, step, ROUTE_WIDTH, of, (first, share))
        return DurationSeries(start, step, tuple(values))

    def destinations(self, span: Span) -> tuple[DestinationFigures, ...]:
        """The destinations with most outcomes in the span; last, under the name "", all others
        together. Raises ValueError for Span.MINUTE."""
        self._gather_for(span)
        known = self._known_destinations.get(span)
        state = self._laid, int(self._clock.now() // TEN_MINUTES)
        if known is None or known[0] != state:
            rows = self._rows(self._book.destinations, span, KEPT_DESTINATIONS, DestinationRow)
            found = tuple(destination_figures(name, row) for name, row in rows)
            known = self._known_destinations[span] = state, found
        return known[1]

    def slowest(self, span: Span, limit: int = 10) -> tuple[DestinationFigures, ...]:
        """The destinations where attempts took longest on average."""
        named = [one for one in self.destinations(span) if one.domain and one.mean_seconds]
        return tuple(sorted(named, key=lambda one: -one.mean_seconds)[:limit])

    def failing(self, span: Span, limit: int = 10) -> tuple[DestinationFigures, ...]:
        """The destinations with most failed attempts, with the last failure of each."""
        named = [one for one in self.destinations(span) if one.domain and one.failed]
        return tuple(sorted(named, key=lambda one: -one.failed)[:limit])

    def reasons(self, span: Span, limit: int = 10) -> tuple[ReasonFigures, ...]:
        """What failures came from, the most frequent first."""
        rows = self._rows(self._book.reasons, span, KEPT_REASONS, ReasonRow)
        return tuple(reason_figures(name, row) for name, row in rows[:limit])

    def counts(self) -> Counted | None:
        """What the spool holds by state, with its age. Asking has it counted again soon, so who
        asks every few seconds gets a fresh figure. None: it has not been counted yet."""
        return self._census.counts()

    def queues(self) -> Queues | None:
        """What waits, by destination; otherwise as `counts`."""
        return self._census.queues()

    async def counted_once(self, seconds: float) -> None:
        """Wait until `counts` and `queues` are there, at most so long."""
        await self._census.first(seconds)

    # --- counting ---------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = self._clock.call_later(GATHER_SECONDS, self._tick)
        self._gather()
        now = self._clock.monotonic()
        if now - self._saved_at >= SAVE_SECONDS and (self._saving is None or self._saving.done()):
            self._saved_at = now
            self._saving = asyncio.get_running_loop().create_task(self._save())

    def _gather(self) -> None:
        """Lay what has been counted into the book."""
        gathered = self._counting.gathered()
        if not gathered.is_empty:
            self._since_start.add(gathered)
            self._laid += 1
            self._book.lay(gathered, self._clock.now(), self._clock.monotonic())

    def _gather_for(self, span: Span) -> None:
        if span is Span.MINUTE:
            raise ValueError("this is not known for the last minute alone: ask for Span.HOUR")
        self._gather()

    async def _save(self) -> None:
        try:
            await self._store.save(self._book.kept())
        except sqlite3.Error as fault:
            self._log.error(
                "statistics could not be stored", why=str(fault),
                fix="look at the disk of the data folder; they are kept in memory and tried again",
            )  # fmt: skip

    # --- reading ----------------------------------------------------------------------------

    def _counters(self, span: Span) -> Ring[list[int]]:
        book = self._book
        return book.minutes if span in (Span.HOUR, Span.DAY) else book.hours

    def _rows(
        self, rings: dict[int, Ring[BoundedTable[_Row]]], span: Span, keep: int, row: type[_Row]
    ) -> list[tuple[str, _Row]]:
        """What is counted by name, the most used first and the rest last."""
        self._gather_for(span)
        table = self._views.table(rings, span, keep, row)
        return sorted(table.items(), key=lambda item: (item[0] == REST, -item[1].use, item[0]))


def _ring_for(rings: dict[int, Ring[list[int]]], span: Span) -> Ring[list[int]]:
    return rings[FIVE_MINUTES if span in (Span.HOUR, Span.DAY) else HOUR]
