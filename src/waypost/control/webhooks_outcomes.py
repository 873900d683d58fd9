"""What attempts came to, on its way into the database: several in one transaction.

A commit waits for the disk, the same that mail is waiting for, so one for each request would cost
the relay more than the request. Outcomes gather for a moment. With them goes the place up to which
all has ended; a crash before the commit sends these events again, under the same identifiers.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.control import audit, webhooks_deliveries, webhooks_store
from waypost.control.event_log_places import Place
from waypost.control.webhooks_deliveries import Attempt, Delivery
from waypost.control.webhooks_health import EndpointHealth
from waypost.control.webhooks_reader import Surroundings
from waypost.control.webhooks_stream import EventStream

GATHER_SECONDS: Final = 0.05

MOST: Final = 200
"""Outcomes that wait; with more, nothing is sent until they are written."""

TRIM_EVERY: Final = 500
"""Outcomes between two looks for deliveries that are too many."""

FAULT_SECONDS: Final = 5.0
"""After the relay's own storage has failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to."""

    delivery: Delivery
    """As it stands after it."""
    attempt: Attempt
    stream: EventStream | None
    at: float
    is_back: bool
    """The endpoint was left alone, and has taken this."""
    reason: str
    """Why the endpoint is disabled by it; "" where it is not."""


class OutcomeBook:
    """See the module. One for each endpoint."""

    def __init__(
        self,
        webhook: str,
        shared: Surroundings,
        health: EndpointHealth,
        on_written: Callable[[Sequence[Outcome], float | None], None],
    ) -> None:
        """`on_written`: told of outcomes that are durable, and when the first of those deliveries
        is due that wait."""
        self._webhook = webhook
        self._shared = shared
        self._health = health
        self._on_written = on_written
        self._gathered: list[Outcome] = []
        self._writing: asyncio.Task[None] | None = None
        self._ended = 0
        self._closing = False

    @property
    def is_full(self) -> bool:
        """The storage does not keep up."""
        return len(self._gathered) >= MOST

    def add(self, outcome: Outcome) -> None:
        """Keep it soon."""
        self._gathered.append(outcome)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """Write what is there; what cannot be written now is sent again."""
        self._closing = True
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        if not self._closing:
            await self._shared.clock.sleep(GATHER_SECONDS)
        while self._gathered:
            part, self._gathered = self._gathered, []
            first = await self._commit(part)
            if first is not None:
                self._on_written(part, first.at)
        self._writing = None

    async def _commit(self, part: Sequence[Outcome]) -> _FirstDue | None:
        """Write a part; None where the storage fails and nobody waits for it to come back."""
        self._ended += len(part)
        trims = self._ended >= TRIM_EVERY
        places = _places(part)
        failures, failing_since = self._health.failures, self._health.failing_since

        def work(connection: sqlite3.Connection) -> tuple[int, float | None]:
            for one in part:
                webhooks_deliveries.write_attempt(connection, one.delivery, one.attempt)
                if one.is_back:
                    webhooks_deliveries.hasten(connection, self._webhook, one.at)
                if one.reason:
                    webhooks_store.disable(connection, self._webhook, one.reason)
                    audit.append(
                        connection, one.at, "", "webhook disabled", self._webhook, one.reason
                    )
            webhooks_store.set_health(connection, self._webhook, failures, failing_since)
            move_all(connection, self._webhook, self._shared.log.identity, places)
            if trims:
                webhooks_deliveries.trim(connection, self._webhook)
            return webhooks_deliveries.waiting(connection, self._webhook)

        while True:
            try:
                self._health.waiting, first = await self._shared.database.run(work)
                break
            except sqlite3.Error as fault:
                self._shared.report.error("a webhook's outcome is not kept yet", why=str(fault))
                if self._closing:
                    return None
                await self._shared.clock.sleep(FAULT_SECONDS)
        if trims:
            self._ended = 0
        for stream, place in places:
            stream.saved = max(stream.saved, place)
        for one in part:
            if one.stream is not None:
                one.stream.settled(one.delivery.place)
        return _FirstDue(first)


@dataclass(frozen=True, slots=True)
class _FirstDue:
    at: float | None


Places = list[tuple[EventStream, Place]]


def _places(part: Sequence[Outcome]) -> Places:
    """How far each stream will have come with these."""
    ended: dict[EventStream, set[Place]] = {}
    for one in part:
        if one.stream is not None:
            ended.setdefault(one.stream, set()).add(one.delivery.place)
    found = [(stream, stream.place(without=places)) for stream, places in ended.items()]
    return [(stream, place) for stream, place in found if place > stream.saved]


def move_all(connection: sqlite3.Connection, webhook: str, log: str, places: Places) -> None:
    """Keep how far streams have come."""
    for stream, place in places:
        if stream.replay is not None:
            webhooks_store.move_replay(connection, stream.replay.id, place)
        else:
            webhooks_store.move(connection, webhook, log, place)
