"""The event log as its readers see it: events behind a place, and a wait until there are more.

The log is in the spool (`waypost.spool.events`), so what a reader has not seen yet outlives a
crash. Readers at its end share what was last read: twenty live views cost one question. They wait
without asking: the relay tells what becomes durable, and that only wakes them; what they get is
read from the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from waypost.administration import Administration
from waypost.control.event_log_courtesy import Courtesy
from waypost.control.event_log_places import (
    BEGINNING,
    WHOLE,
    Place,
    PlacedEvent,
    placed_events,
)
from waypost.net.clock import Clock
from waypost.spool.contract import (
    AttemptRecord,
    NewMessage,
    QueuedMessage,
    Spool,
    SpoolRefusal,
)

BATCH: Final = 250
"""Entries of one question to the spool."""

TAIL: Final = 5000
"""Recipients of the events at the end of the log that are kept in memory."""

GATHER_SECONDS: Final = 0.1
"""After something has happened, others have this long to happen before readers are woken."""

NEARLY_SECONDS: Final = 60.0
"""How far times may be out of the order of places; see LogEntry.at."""

LOOK_SECONDS: Final = 60.0
"""The longest wait of a reader: what the search for damage finds is told to nobody."""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """A part of the log."""

    events: tuple[PlacedEvent, ...]
    upto: Place
    """Where reading goes on. It may have moved although there is no event."""
    is_end: bool
    """There was nothing more when this was read."""
    missed: bool
    """Retention has removed what came before."""
    moment: int
    """For `wait`: what had happened when this was read."""


class EventLog:
    """See the module."""

    def __init__(self, administration: Administration, spool: Spool, clock: Clock) -> None:
        self._administration = administration
        self._spool = spool
        self._clock = clock
        self.identity = ""
        """Of this log, once open."""
        self.is_closed = False
        self.moment = 0
        """Rises with everything that happens."""
        self.courtesy = Courtesy(clock, lambda: self.moment)
        """Whoever tells of events asks it for a turn."""
        self._waiting: set[Callable[[], None]] = set()
        self._alarm = False
        self._tail: deque[tuple[int, list[PlacedEvent]]] = deque()
        self._tail_from = 0
        self._tail_to = 0
        self._tail_weight = 0
        self._loading = asyncio.Lock()
        self._report: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.events")

    async def open(self) -> None:
        """Have the log written, and be told when it grows. Where the spool cannot do that now the
        relay works without, and the log is closed from the beginning."""
        try:
            state = await self._spool.record_events(wanted=True)
        except SpoolRefusal as fault:
            self.is_closed = True
            self._report.error(
                "no event log", why=fault.text,
                fix="make room on the spool's disk and start the relay again; until then there are "
                "no webhooks and no live events",
            )  # fmt: skip
            return
        self.identity = state.identity
        self._tail_from = self._tail_to = state.last
        self._administration.watch(self._noticed)
        self._administration.watch_changes(self.wake)

    def close(self) -> None:
        """Wake everybody who waits; `is_closed` tells them why."""
        self.is_closed = True
        self._administration.unwatch(self._noticed)
        self._wake()

    # --- places -----------------------------------------------------------------------------

    async def end(self) -> Place:
        """Behind everything that has happened so far."""
        return Place((await self._spool.event_log()).last)

    async def place_at(self, at: float) -> Place:
        """Before everything that happened at a time or later."""
        return Place(await self._spool.entry_before(at))

    async def place_after(self, at: float) -> Place:
        """Behind everything that happened up to a time; some of what came later may stand before
        it, as times rise with the places only nearly."""
        behind = Place(await self._spool.entry_before(at + 2 * NEARLY_SECONDS))
        return min(behind, await self.end())

    def parse(self, text: str) -> Place:
        """The place that was kept as text. Raises ValueError, OtherLog."""
        return Place.parse(text, self.identity)

    # --- reading ----------------------------------------------------------------------------

    async def read(self, after: Place, limit: int = BATCH) -> EventBatch:
        """The events behind a place, in order; of at most `limit` entries."""
        moment = self.moment
        behind = after.number if after.index >= WHOLE else after.number - 1
        if self._tail_from <= behind <= self._tail_to:
            if behind == self._tail_to:
                await self._load_tail(behind)
            kept = [one for one in self._tail if one[0] > behind][:limit]
            # While it was loaded the tail may have moved on; then the log itself is asked.
            if self._tail_from <= behind:
                return _batch(kept, after, moment, missed=False)
        entries = await self._spool.entries(behind, min(limit, BATCH))
        found = [(entry.number, placed_events(entry)) for entry in entries]
        # Numbers rise by one, so a gap is what retention has removed.
        missed = bool(found) and found[0][0] > behind + 1
        return _batch(found, after, moment, missed=missed)

    async def event(self, place: Place) -> PlacedEvent | None:
        """One event by its place; None where retention has removed it."""
        for entry in await self._spool.entries(place.number - 1, 1):
            for one in placed_events(entry) if entry.number == place.number else ():
                if one.place == place:
                    return one
        return None

    async def _load_tail(self, behind: int) -> None:
        async with self._loading:
            if self._tail_to != behind:
                return  # somebody else has just done it
            for entry in await self._spool.entries(behind, BATCH):
                events = placed_events(entry)
                self._tail.append((entry.number, events))
                self._tail_weight += _weight(events)
                self._tail_to = entry.number
            while self._tail_weight > TAIL and len(self._tail) > 1:
                number, events = self._tail.popleft()
                self._tail_weight -= _weight(events)
                self._tail_from = number

    # --- waiting ----------------------------------------------------------------------------

    async def wait(self, read: EventBatch, longest: float = LOOK_SECONDS) -> None:
        """Return when there may be more than was read, when the log is closed, or after so many
        seconds."""
        if not read.is_end or self.moment != read.moment or self.is_closed:
            return
        told = asyncio.Event()
        self.watch(told.set)
        timer = self._clock.call_later(longest, told.set)
        try:
            await told.wait()
        finally:
            self.unwatch(told.set)
            timer.cancel()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have it called some moments after the log has grown, and when it closes."""
        self._waiting.add(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call it no more."""
        self._waiting.discard(watcher)

    def wake(self) -> None:
        """The log has grown."""
        self.moment += 1
        if self._waiting and not self._alarm:
            self._alarm = True
            self._clock.call_later(GATHER_SECONDS, self._wake)

    def _noticed(self, _message: NewMessage | QueuedMessage, _record: AttemptRecord | None) -> None:
        """On the way of every message, so it does next to nothing."""
        self.moment += 1
        if self._waiting and not self._alarm:
            self._alarm = True
            self._clock.call_later(GATHER_SECONDS, self._wake)

    def _wake(self) -> None:
        self._alarm = False
        for tell in tuple(self._waiting):
            tell()

    # --- writing ----------------------------------------------------------------------------

    async def append(
        self, name: str, message: int, detail: str = "", recipient: int | None = None
    ) -> None:
        """Add what came to be known from elsewhere: `complained`, `unsubscribed`. `detail` is
        JSON, `recipient` a number of the message. Raises SpoolRefusal."""
        await self._spool.append_event(name, message, self._clock.now(), detail, recipient)
        self.wake()


def _batch(
    found: list[tuple[int, list[PlacedEvent]]], after: Place, moment: int, *, missed: bool
) -> EventBatch:
    events = tuple(one for _, several in found for one in several if one.place > after)
    upto = max(after, Place(found[-1][0])) if found else after
    return EventBatch(events, upto, not found, missed and after != BEGINNING, moment)


def _weight(events: list[PlacedEvent]) -> int:
    return 1 + sum(len(one.event.recipients) for one in events)
