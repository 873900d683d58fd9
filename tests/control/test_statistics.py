"""Statistics: what is counted comes out again, over time and restarts, whatever the clock does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.control.database import ControlDatabase
from waypost.control.statistics import SAVE_SECONDS, Statistics
from waypost.control.statistics_book import KEPT_DESTINATIONS, MAXIMUM_ROUTES, Book
from waypost.control.statistics_census import LOOKING_SECONDS
from waypost.control.statistics_counting import Gathered
from waypost.control.statistics_figures import FIGURES, Figure, Span
from waypost.control.statistics_rows import DestinationRow
from waypost.control.statistics_views import Views
from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import (
    AttemptRecord,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientResult,
    RecipientState,
)
from waypost.spool.search import CountedPart, WaitingCount, WaitingPart, WaitingPlace

NOON = 1_800_000_000.0 - 1_800_000_000.0 % 86400 + 43200
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DELIVERED, BOUNCED = RecipientState.DELIVERED, RecipientState.BOUNCED


class SetClock:
    """Both times as they are set; a pause is over at once."""

    def __init__(self, now: float = NOON) -> None:
        self.at = now
        self.since_start = 0.0
        self.arranged: list[Callable[[], object]] = []

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.since_start

    def forward(self, seconds: float) -> None:
        self.at += seconds
        self.since_start += seconds

    def call_later(self, delay: float, callback: Callable[[], object]) -> Any:
        self.arranged.append(callback)
        return SimpleNamespace(cancel=lambda: None)

    async def sleep(self, delay: float) -> None:
        self.forward(delay)
        await asyncio.sleep(0)


class CountedSpool:
    """A spool that is counted in parts, and says how often."""

    def __init__(self) -> None:
        self.parts = 0
        self.seconds = 0.0
        self.clock: SetClock | None = None

    def _part(self) -> None:
        self.parts += 1
        if self.clock is not None:
            self.clock.forward(self.seconds)

    async def census_of_waiting(self, place: WaitingPlace | None, limit: int) -> WaitingPart:
        self._part()
        if place is None:
            some = [WaitingCount(f"{n}.example", 1, 0, NOON - n, NOON + n) for n in range(1000)]
            often = WaitingCount("often.example", 50, 0, NOON - 5000, NOON)
            return WaitingPart((*some, often), WaitingPlace(True, "", 0.0, 0))
        held = WaitingCount("often.example", 0, 7, NOON - 9000, None)
        return WaitingPart((held, WaitingCount("held.example", 0, 2, NOON, None)), None)

    async def census(self, after: int, limit: int) -> CountedPart:
        self._part()
        return CountedPart({DELIVERED: 10, BOUNCED: 1}, 5 if after == 0 else None, 4096)


class World:
    """Statistics with everything around them."""

    def __init__(self, folder: Path, clock: SetClock | None = None) -> None:
        self.clock = clock or SetClock()
        self.path = folder / "control.sqlite"
        self.database = ControlDatabase(self.path)
        self.spool = CountedSpool()
        self.watchers: list[Any] = []
        administration: Any = SimpleNamespace(
            watch=self.watchers.append,
            unwatch=self.watchers.remove,
            watch_refusals=lambda _: None,
            unwatch_refusals=lambda _: None,
        )
        spool: Any = self.spool
        self.statistics = Statistics(administration, spool, self.database, self.clock)

    async def open(self) -> None:
        await self.statistics.open()

    async def close(self) -> None:
        await self.statistics.close()
        self.database.close()

    def tick(self) -> None:
        """A second is over."""
        self.clock.forward(1.0)
        arranged, self.clock.arranged = self.clock.arranged, []
        for callback in arranged:
            callback()

    def accepted(self, *addresses: str, size: int = 100) -> None:
        envelope = Envelope("app@here.example", tuple(map(Recipient, addresses)))
        new = NewMessage(1, envelope, 0.0, 9.0, 0.0, None, "t", size, "", "", False)
        for watcher in self.watchers:
            watcher(new, None)

    def attempted(
        self,
        address: str = "a@one.example",
        state: RecipientState = DELIVERED,
        *,
        seconds: float = 0.2,
        route: str = "default",
        reply: str = "250 Ok",
        reason: str = "",
    ) -> None:
        envelope = Envelope("app@here.example", (Recipient(address),))
        waiting = [QueuedRecipient(0, address, 0, 0.0)]
        queued = QueuedMessage(7, envelope, waiting, 0.0, 9.0, None, 100, False)
        result = RecipientResult(0, state, 0.0, reply, reason)
        record = AttemptRecord(
            7, self.clock.at - seconds, seconds, route, "mx", "", (result,), "2.0 < 220 hi"
        )
        for watcher in self.watchers:
            watcher(queued, record)


def run(
    test: Callable[[World], Awaitable[None]], folder: Path, clock: SetClock | None = None
) -> None:
    async def main() -> None:
        world = World(folder, clock)
        await world.open()
        try:
            await test(world)
        finally:
            await world.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_totals_of_each_span_forget_what_is_older(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for distance in (20 * DAY, 5 * DAY, 12 * HOUR, 30 * MINUTE, 30.0, 0.0):
            world.clock.at = NOON - distance
            world.clock.since_start = 30 * DAY - distance
            world.accepted("a@one.example")
            world.tick()
        messages = {span: world.statistics.totals(span).messages for span in Span}
        assert messages == {
            Span.MINUTE: 2, Span.HOUR: 3, Span.DAY: 4, Span.WEEK: 5, Span.MONTH: 6
        }  # fmt: skip

    run(test, tmp_path)


def test_what_was_counted_a_moment_ago_is_in_every_answer(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.accepted("a@one.example", "b@two.example", size=70)
        world.attempted()
        world.attempted("b@two.example", BOUNCED, reply="550 no", reason="policy")
        totals = world.statistics.totals(Span.HOUR)
        assert (totals.messages, totals.accepted, totals.bytes) == (1, 2, 70)
        assert (totals.attempts, totals.delivered, totals.bounced) == (2, 1, 1)
        assert world.statistics.series(Figure.BOUNCED, Span.HOUR).values[-1] == 1
        assert world.statistics.failing(Span.HOUR)[0].reply == "550 no"

    run(test, tmp_path)


@pytest.mark.parametrize("span", [Span.HOUR, Span.DAY, Span.WEEK, Span.MONTH])
def test_a_series_covers_its_span_and_ends_now(tmp_path: Path, span: Span) -> None:
    async def test(world: World) -> None:
        world.clock.at = NOON - span.seconds + span.step  # the first point
        world.accepted("a@one.example")
        world.tick()
        world.clock.at = NOON + 1
        world.accepted("a@one.example")
        world.accepted("a@one.example")
        series = world.statistics.series(Figure.MESSAGES, span)
        assert len(series.values) * series.step == span.seconds
        assert (series.values[0], series.values[-1], sum(series.values)) == (1, 2, 3)
        last = series.start + (len(series.values) - 1) * series.step
        assert last <= world.clock.at < last + series.step
        several = world.statistics.all_series((Figure.BYTES, Figure.MESSAGES), span)
        assert (sum(several[0].values), several[1]) == (300, series)

    run(test, tmp_path)


def test_routes_tell_how_long_attempts_take(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for seconds in (0.08,) * 9 + (4.0,):
            world.attempted(seconds=seconds)
        world.attempted(route="other", seconds=0.08)
        first, other = world.statistics.routes(Span.HOUR)
        assert (first.route, other.route) == ("default", "other")
        assert first.attempts is not None
        assert first.first_reply is not None
        assert (first.attempts.number, first.attempts.within_a_second) == (10, 0.9)
        assert first.attempts.median < 0.1 < 1 < first.attempts.p95
        assert first.first_reply.p99 <= 0.002
        series = world.statistics.response_series("default", Span.HOUR)
        assert len(series.values) == 12
        assert series.values[:-1] == (None,) * 11
        assert (series.values[-1] or 0) > 1
        assert set(world.statistics.response_series("unknown", Span.DAY).values) == {None}

    run(test, tmp_path)


def test_routes_beyond_the_bound_count_together(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for number in range(MAXIMUM_ROUTES + 10):
            world.attempted(route=f"route {number:02}")
        routes = world.statistics.routes(Span.HOUR)
        assert len(routes) == MAXIMUM_ROUTES + 1
        assert sum(one.totals.delivered for one in routes) == MAXIMUM_ROUTES + 10

    run(test, tmp_path)


def test_destinations_are_ordered_by_what_is_asked(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for _ in range(5):
            world.attempted("a@big.example", seconds=0.1)
        world.attempted("a@slow.example", seconds=9.0)
        for _ in range(2):
            world.attempted("a@bad.example", BOUNCED, reply="550 no", reason="policy")
        world.attempted("a@bad.example", BOUNCED, reply="550 never", reason="content")
        world.tick()
        statistics = world.statistics
        assert statistics.destinations(Span.HOUR)[0].domain == "big.example"
        slowest = statistics.slowest(Span.DAY, 1)[0]
        assert (slowest.domain, slowest.mean_seconds) == ("slow.example", 9.0)
        (failing,) = statistics.failing(Span.WEEK)
        assert (failing.domain, failing.failed, failing.bounced) == ("bad.example", 3, 3)
        assert (failing.reply, failing.reason, failing.message) == ("550 never", "content", 7)
        reasons = statistics.reasons(Span.MONTH)
        assert [(one.reason, one.bounced) for one in reasons] == [("policy", 2), ("content", 1)]

    run(test, tmp_path)


def test_destinations_are_bounded_and_the_rest_is_counted(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for second in range(20):
            for number in range(100):
                world.attempted(f"a@{second}-{number}.example")
            world.attempted("a@often.example")
            world.tick()
        found = world.statistics.destinations(Span.HOUR)
        assert len(found) == KEPT_DESTINATIONS + 1
        assert (found[0].domain, found[0].delivered) == ("often.example", 20)
        assert found[-1].domain == ""
        assert sum(one.delivered for one in found) == 20 * 101

    run(test, tmp_path)


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.series(Figure.BYTES, Span.MINUTE),
        lambda s: s.routes(Span.MINUTE),
        lambda s: s.destinations(Span.MINUTE),
        lambda s: s.response_series("default", Span.MINUTE),
    ],
)
def test_what_is_not_known_by_the_minute_says_so(
    tmp_path: Path, ask: Callable[[Statistics], object]
) -> None:
    async def test(world: World) -> None:
        with pytest.raises(ValueError, match=r"Span\.HOUR"):
            ask(world.statistics)

    run(test, tmp_path)


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    answers: list[object] = []

    def ask(statistics: Statistics) -> list[object]:
        return [
            [statistics.totals(span) for span in Span if span is not Span.MINUTE],
            statistics.all_series((Figure.DELIVERED, Figure.BOUNCED), Span.DAY),
            statistics.routes(Span.WEEK),
            statistics.destinations(Span.HOUR),
            statistics.reasons(Span.DAY),
        ]

    async def before(world: World) -> None:
        world.accepted("a@one.example")
        world.attempted()
        world.attempted("b@two.example", BOUNCED, reply="550 nö", reason="policy")
        world.tick()
        world.clock.forward(HOUR)
        world.attempted("c@three.example", seconds=3.0, route="second")
        answers.append(ask(world.statistics))

    async def after(world: World) -> None:
        assert ask(world.statistics) == answers[0]
        world.attempted()
        assert world.statistics.totals(Span.HOUR).delivered == 2

    clock = SetClock()
    run(before, tmp_path, clock)
    run(after, tmp_path, clock)


def test_a_crash_forgets_only_the_last_seconds(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.accepted("a@one.example")
        for _ in range(int(SAVE_SECONDS) + 1):
            world.tick()
        assert world.statistics._saving is not None
        await world.statistics._saving
        world.accepted("b@one.example")
        world.tick()
        with closing(sqlite3.connect(world.path)) as database:
            rows = database.execute(
                "SELECT content FROM statistics_slot WHERE ring = 'hours-1'"
            ).fetchall()
        assert rows == [("[1,1,100,0,0,0,0,0,0,0]",)]

    run(test, tmp_path)


@pytest.mark.parametrize("content", ["", "nonsense", "[1,2]", '{"a": 1}', "null", "[-1,0,0]"])
def test_what_cannot_be_read_is_left_out(tmp_path: Path, content: str) -> None:
    async def before(world: World) -> None:
        world.attempted()

    async def after(world: World) -> None:
        assert world.statistics.totals(Span.DAY).delivered == 0
        assert world.statistics.destinations(Span.DAY) == ()
        world.attempted()
        assert world.statistics.totals(Span.DAY).delivered == 1

    run(before, tmp_path)
    with closing(sqlite3.connect(tmp_path / "control.sqlite")) as database:
        database.execute("UPDATE statistics_slot SET content = ?", (content,))
        database.commit()
    run(after, tmp_path)


def test_a_clock_set_back_and_forth_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for jump in (0.0, -2 * HOUR, 3 * DAY * 365, -3 * DAY * 365, 2 * HOUR):
            world.clock.at += jump
            world.accepted("a@one.example")
            world.tick()
        assert world.clock.at == NOON + 5
        assert world.statistics.totals(Span.DAY).messages == 4, "all but the one in years to come"
        assert world.statistics.totals(Span.MINUTE).messages == 5, "a jump is no minute"

    run(test, tmp_path)


def test_an_error_of_the_disk_is_made_up_for(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.accepted("a@one.example")
        world.tick()
        with closing(sqlite3.connect(world.path)) as database:
            database.execute("ALTER TABLE statistics_slot RENAME TO elsewhere")
            await world.statistics._save()
            database.execute("ALTER TABLE elsewhere RENAME TO statistics_slot")
        await world.statistics._save()
        with closing(sqlite3.connect(world.path)) as database:
            rows = database.execute("SELECT count(*) FROM statistics_slot").fetchone()
        assert rows == (2,), "minutes and hours"

    run(test, tmp_path)


Moves = st.lists(
    st.sampled_from([1.0, 59.0, 300.0, 3600.0, 90_000.0, -30.0, -4000.0, -100_000.0]), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(Moves)
def test_what_is_remembered_is_what_would_be_summed_anew(moves: list[float]) -> None:
    clock: Any = SetClock()
    book, views = Book(), Views(clock)

    def ask(views: Views) -> list[object]:
        found: list[object] = []
        for span in (Span.HOUR, Span.DAY, Span.WEEK, Span.MONTH):
            ring = book.minutes if span in (Span.HOUR, Span.DAY) else book.hours
            found.append(views.points(ring, span, span.step, len(FIGURES), tuple, "sums"))
            table = views.table(book.destinations, span, KEPT_DESTINATIONS, DestinationRow)
            found.append({name: row.kept() for name, row in table.items()})
        return found

    for number, move in enumerate(moves):
        clock.at += move
        gathered = Gathered()
        gathered.messages = number + 1
        gathered.destinations[f"{number % 5}.example"] = row = DestinationRow()
        row.numbers[0] = row.numbers[1] = 1
        row.seconds, row.failed_at = float(number), clock.at
        book.lay(gathered, clock.at, 0.0)
        assert ask(views) == ask(Views(clock))


# --- the spool -------------------------------------------------------------------------------


async def counted_once(statistics: Statistics) -> None:
    """Until there is a first figure."""
    for _ in range(1000):
        if statistics.counts() is not None:
            return
        await asyncio.sleep(0)
    raise AssertionError("it was never counted")


def test_the_spool_is_counted_while_somebody_looks(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        statistics = world.statistics
        assert statistics.counts() is None
        await counted_once(statistics)
        counted = statistics.counts()
        queues = statistics.queues()
        assert counted is not None
        assert queues is not None
        assert (counted.counts.delivered, counted.counts.bounced) == (20, 2)
        assert counted.counts.oldest_queued == NOON - 9000
        assert counted.counts.bytes_used == 4096
        first = queues.queues[0]
        assert (first.domain, first.queued, first.held) == ("often.example", 50, 7)
        assert (first.oldest, first.next_due) == (NOON - 9000, NOON)
        assert len(queues.queues) == 200
        assert queues.destinations == 1002
        assert queues.other is not None
        everything = (*queues.queues, queues.other)
        assert sum(one.queued + one.held for one in everything) == 1000 + 57 + 2

    run(test, tmp_path)


def test_counting_takes_its_share_and_stops_when_nobody_looks(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.spool.clock, world.spool.seconds = world.clock, 0.01
        await counted_once(world.statistics)
        task = world.statistics._census._task
        assert task is not None
        begun, parts = world.clock.since_start, world.spool.parts
        await task
        taken = world.clock.since_start - begun
        counting = (world.spool.parts - parts) * 0.01
        assert counting / taken < 0.02
        assert taken < 2 * LOOKING_SECONDS
        parts = world.spool.parts
        await asyncio.sleep(0)
        assert world.spool.parts == parts
        counted = world.statistics.counts()
        assert counted is not None
        assert counted.age < LOOKING_SECONDS + 30
        assert world.statistics._census._task is not task, "somebody looks again"

    run(test, tmp_path)
