"""What the spool holds, known without a question that takes long: counted in parts, beside the
work, while somebody looks.

A part takes some milliseconds, and after it comes a pause of many times as long, so that counting
costs SHARE of a processor at most, however much there is to count: with a million messages a
figure is some seconds old, and says so. Nobody has asked for LOOKING seconds: counting stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Final, TypeVar

import structlog

from waypost.control.statistics_figures import Counted, Queues, WaitingQueue
from waypost.control.statistics_tables import REST, BoundedTable
from waypost.net.clock import Clock
from waypost.spool.contract import RecipientState, Spool, SpoolCounts
from waypost.spool.search import WaitingCount, WaitingPlace

PART: Final = 20_000
"""Recipients counted in one go."""

SHARE: Final = 0.02
"""Of one processor, at most, once there is a first figure."""

FIRST_SHARE: Final = 0.25
"""Of one processor, until there is one."""

AGAIN_SECONDS: Final = 2.0
"""Between two censuses of a spool in which there is little."""

LOOKING_SECONDS: Final = 60.0

LONGEST_PAUSE: Final = 5.0

KEPT_QUEUES: Final = 200
"""Destinations told apart."""

_Result = TypeVar("_Result")


class _Waiting:
    """The row of a destination (statistics_tables.Row)."""

    __slots__ = ("held", "next_due", "oldest", "queued")

    def __init__(self, count: WaitingCount | None = None) -> None:
        self.queued = count.queued if count else 0
        self.held = count.held if count else 0
        self.oldest = count.oldest if count else None
        self.next_due = count.next_due if count else None

    @property
    def use(self) -> int:
        return self.queued + self.held

    def add(self, other: object) -> None:
        assert isinstance(other, _Waiting)
        self.queued += other.queued
        self.held += other.held
        self.oldest = _earlier(self.oldest, other.oldest)
        self.next_due = _earlier(self.next_due, other.next_due)

    def queue(self, domain: str) -> WaitingQueue:
        return WaitingQueue(domain, self.queued, self.held, self.oldest, self.next_due)


class Census:
    """See the module."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._looked_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._counts: tuple[SpoolCounts, float] | None = None
        self._queues: tuple[Queues, float] | None = None
        self._first = asyncio.Event()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.statistics")

    def counts(self) -> Counted | None:
        """The last figure; another one is counted."""
        self._look()
        if self._counts is None:
            return None
        counts, at = self._counts
        return Counted(counts, self._clock.monotonic() - at)

    def queues(self) -> Queues | None:
        """The last figures; others are counted."""
        self._look()
        if self._queues is None:
            return None
        found, at = self._queues
        age = self._clock.monotonic() - at
        return Queues(found.queues, found.other, found.destinations, age)

    async def first(self, seconds: float) -> None:
        """Wait for the first figures, at most so long: a small spool has them at once."""
        self._look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._first.wait()

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _look(self) -> None:
        self._looked_at = self._clock.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._count())

    async def _count(self) -> None:
        while self._clock.monotonic() - self._looked_at < LOOKING_SECONDS:
            try:
                await self._count_waiting()
                await self._count_all()
            except Exception as fault:  # noqa: BLE001 - whatever the spool meets: old figures stay
                self._log.warning("the spool could not be counted", why=str(fault))
            await self._clock.sleep(AGAIN_SECONDS)

    async def _count_waiting(self) -> None:
        begun = self._clock.monotonic()
        table: BoundedTable[_Waiting] = BoundedTable(KEPT_QUEUES, _Waiting)
        destinations, before = 0, ""
        place: WaitingPlace | None = None
        while True:
            part = await self._paced(self._spool.census_of_waiting(place, PART))
            for count in part.counts:
                # The queued ones come by name, so a destination is counted once; a held one may
                # have been among them.
                if count.domain != before and not (count.held and count.domain in table.rows):
                    destinations += 1
                before = count.domain
                table.add(count.domain, _Waiting(count))
            place = part.place
            if place is None:
                break
        table.cut()
        rest = table.rows.pop(REST, None)
        queues = [row.queue(domain) for domain, row in table.rows.items()]
        queues.sort(key=lambda one: (-one.queued - one.held, one.domain))
        other = None if rest is None else rest.queue(REST)
        self._queues = Queues(tuple(queues), other, destinations, 0.0), begun

    async def _count_all(self) -> None:
        begun = self._clock.monotonic()
        by_state = dict.fromkeys(RecipientState, 0)
        after: int | None = 0
        used = 0
        while after is not None:
            part = await self._paced(self._spool.census(after, PART))
            for state, number in part.by_state.items():
                by_state[state] += number
            after, used = part.message, part.bytes_used
        oldest: float | None = None
        if self._queues is not None:
            found = self._queues[0]
            for one in (*found.queues, *([found.other] if found.other else ())):
                oldest = _earlier(oldest, one.oldest if one.queued else None)
        self._counts = SpoolCounts.of(by_state, oldest, used), begun
        self._first.set()

    async def _paced(self, question: Awaitable[_Result]) -> _Result:
        """The answer, and a pause by how long it took."""
        begun = self._clock.monotonic()
        answer = await question
        taken = self._clock.monotonic() - begun
        share = FIRST_SHARE if self._counts is None else SHARE
        await self._clock.sleep(min(taken * (1 / share - 1), LONGEST_PAUSE))
        return answer


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
