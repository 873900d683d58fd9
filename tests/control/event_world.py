"""An event log over a spool in memory in virtual time, and mail that happens when a test says so.

@in_world
async def test_...(world: EventWorld) -> None:
    message = await world.accept("ann@there.example")
    await world.deliver(message)
"""

from __future__ import annotations

import asyncio
import functools
import random
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from waypost.administration import Administration
from waypost.control import audit
from waypost.control.database import ControlDatabase
from waypost.control.event_log import EventLog
from waypost.control.event_log_places import BEGINNING, Place, PlacedEvent
from waypost.control.webhooks import Webhooks
from waypost.control.webhooks_client import Answer
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import AttemptRecord, NewMessage, RecipientResult, RecipientState
from waypost.spool.memory import MemorySpool

DELIVERED, QUEUED, BOUNCED = (
    RecipientState.DELIVERED, RecipientState.QUEUED, RecipientState.BOUNCED,
)  # fmt: skip

_Result = TypeVar("_Result")


class InlineDatabase(ControlDatabase):
    """Without its thread, which virtual time knows nothing of."""

    failing = False

    async def run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        await asyncio.sleep(0)
        if self.failing:
            raise sqlite3.OperationalError("disk I/O error")
        return self.now(work)

    async def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        await asyncio.sleep(0)
        return work(self._open())


@dataclass(slots=True)
class Sent:
    """One request that reached an endpoint."""

    at: float
    """Seconds since the world began."""
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def identity(self) -> str:
        return self.headers["webhook-id"]


TAKEN = Answer(200, 0.01, "", "thanks")


@dataclass(slots=True)
class Endpoints:
    """All endpoints of a world: what they were sent, and how they answer."""

    clock: VirtualClock
    answer: Callable[[Sent], Awaitable[Answer]]
    sent: list[Sent] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        one = Sent(self.clock.monotonic(), url, headers, body)
        self.sent.append(one)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.answer(one)
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        """Nothing is held."""


class EventWorld:
    """See the module."""

    def __init__(self, clock: VirtualClock, folder: Path) -> None:
        self.clock = clock
        self.folder = folder
        self.spool = MemorySpool(clock)
        self.endpoints = Endpoints(clock, self._taken)
        self.database = InlineDatabase(folder / "control.sqlite")
        self.log: EventLog
        self.webhooks: Webhooks

    @staticmethod
    async def _taken(_: Sent) -> Answer:
        return TAKEN

    async def open(self) -> None:
        await self.spool.open()
        self.database.add_tables(audit.SCHEMA)
        self.administration = Administration.over_spool(self.spool, self.clock.now)
        self.log = EventLog(self.administration, self.spool, self.clock)
        await self.log.open()
        self.webhooks = Webhooks(
            self.database, self.log, self.clock, random.Random(1), lambda: self.endpoints,
            random_bytes=random.Random(2).randbytes,
        )  # fmt: skip
        await self.webhooks.open()

    async def close(self) -> None:
        await self.webhooks.close()
        self.log.close()
        self.database.close()

    async def crash(self) -> None:
        """Everything in memory is lost: nothing is brought to an end or saved."""
        for running in self.webhooks._running.values():
            running.task.cancel()
            for task in running.worker._tasks:
                task.cancel()
        self.spool = self.spool.crash()
        self.database.close()
        self.database = InlineDatabase(self.folder / "control.sqlite")
        await self.open()

    async def passes(self, seconds: float) -> None:
        """So much time."""
        await self.clock.sleep(seconds)

    # --- mail ---------------------------------------------------------------------------------

    async def accept(self, *recipients: str, user: str | None = "app", wake: bool = True) -> int:
        writer = self.spool.body_writer(None)
        writer.write(b"Subject: x\r\n\r\n")
        now = self.clock.now()
        message = NewMessage(
            writer.identifier,
            Envelope(
                "joe@here.example",
                tuple(Recipient(one) for one in recipients or ("ann@there.example",)),
            ),
            now, now + 86400.0, now, user, "127.0.0.1", 14, "Hello", "<1@here.example>", False,
        )  # fmt: skip
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.spool.append(message, writer, done.set_result)
        assert await done is None
        if wake:
            self.log.wake()
        return message.identifier

    async def attempt(
        self, message: int, *results: RecipientResult, route: str = "default", wake: bool = True
    ) -> None:
        record = AttemptRecord(
            message, self.clock.now(), 0.5, route, "mx.there.example[192.0.2.1]:25", "TLSv1.3",
            results or (result(),), "0.0 > QUIT",
        )  # fmt: skip
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.spool.finish(record, done.set_result)
        assert await done is None
        if wake:
            self.log.wake()

    async def events(self, after: Place = BEGINNING) -> list[PlacedEvent]:
        """The log from a place to its end."""
        found: list[PlacedEvent] = []
        while True:
            batch = await self.log.read(after, 3)
            found += batch.events
            after = batch.upto
            if batch.is_end:
                return found

    def audited(self) -> list[str]:
        """Actions in the audit log, in order."""
        rows = self.database.now(lambda c: c.execute("SELECT action FROM audit ORDER BY id"))
        return [action for (action,) in rows]


def result(
    number: int = 0,
    state: RecipientState = DELIVERED,
    reply: str = "250 2.0.0 ok",
    reason: str = "",
    due: float = 0.0,
) -> RecipientResult:
    return RecipientResult(number, state, due, reply, reason)


def names(events: list[PlacedEvent]) -> list[str]:
    return [one.event.event for one in events]


def in_world(test: Callable[[EventWorld], Awaitable[Any]]) -> Callable[[], None]:
    """Run an async test in a world of its own."""

    @functools.wraps(test)
    def run() -> None:
        async def main(clock: VirtualClock) -> None:
            with tempfile.TemporaryDirectory() as folder:
                world = EventWorld(clock, Path(folder))
                await world.open()
                try:
                    await test(world)
                finally:
                    await world.close()

        run_virtual(main)

    del run.__wrapped__  # or pytest takes the world for a fixture
    return run
