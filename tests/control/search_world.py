"""A spool with a search over it, and a clock that does not wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from waypost.control.search import Search
from waypost.control.search_index import NAME
from waypost.net.clock import SystemClock
from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import (
    AttemptRecord,
    MessageFilter,
    NewMessage,
    RecipientResult,
    RecipientState,
)
from waypost.spool.sqlite import SqliteSettings, SqliteSpool

WAIT = 60.0


class QuickClock(SystemClock):
    """Real time, but a pause is over at once: the indexer works without a rest."""

    async def sleep(self, delay: float) -> None:
        await asyncio.sleep(min(delay, 0.002))


class Watched:
    """As much of an Administration as a search needs."""

    def __init__(self, directory: Path) -> None:
        self.spool_directory = str(directory)
        self.watchers: list[Callable[..., None]] = []

    def watch(self, watcher: Callable[..., None]) -> None:
        self.watchers.append(watcher)

    def unwatch(self, watcher: Callable[..., None]) -> None:
        self.watchers.remove(watcher)


class SearchWorld:
    """See the module."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.index = directory / NAME
        self.clock = QuickClock()
        self.administration = Watched(directory)
        self.spool = SqliteSpool(SqliteSettings(directory, minimum_free=0), self.clock.now)
        self.search = Search(self.administration, self.spool, self.clock)  # type: ignore[arg-type]

    async def open(self) -> None:
        await self.spool.open()
        await self.search.open()

    async def close(self) -> None:
        await self.search.close()
        await self.spool.close()

    async def append(
        self,
        *addresses: str,
        subject: str = "hello",
        sender: str = "app@here.example",
        message_id: str = "<1@here.example>",
        identifier: int | None = None,
        announced: bool = True,
        state: RecipientState = RecipientState.QUEUED,
    ) -> int:
        """A durable message, of which the watchers are told."""
        writer = self.spool.body_writer(10)
        if identifier is not None:
            writer.identifier = identifier
        writer.write(b"x")
        envelope = Envelope(sender, tuple(map(Recipient, addresses or ("a@there.example",))))
        now = self.clock.now()
        message = NewMessage(
            writer.identifier, envelope, now, now + 9999, now, None, "test", 1, subject,
            message_id, False,
        )  # fmt: skip
        await committed(lambda done: self.spool.append(message, writer, done))
        for watcher in self.administration.watchers if announced else ():
            watcher(message, None)
        if state is not RecipientState.QUEUED:
            await self.end(message.identifier, state, len(envelope.recipients))
        return message.identifier

    async def end(self, message: int, state: RecipientState, recipients: int = 1) -> None:
        """Every recipient comes to its end."""
        results = tuple(RecipientResult(n, state, 0.0, "", "") for n in range(recipients))
        record = AttemptRecord(message, time.time(), 0.1, "r", "h", "", results, "")
        await committed(lambda done: self.spool.finish(record, done))

    async def indexed(self, message: int) -> None:
        """Until the index has come to this message and nothing is under way."""
        indexer = self.search._indexer
        assert indexer is not None
        await until(lambda: indexer.is_ready and indexer.indexed >= message)
        await until(lambda: not indexer._announced and indexer._is_complete)

    async def find(self, text: str = "", **wanted: object) -> list[int]:
        """Everything that a search finds, page by page."""
        found: list[int] = []
        before = wanted.pop("before", None)
        for _ in range(1000):
            page = await self.search.find(MessageFilter(text=text, before=before, **wanted))  # type: ignore[arg-type]
            found += [row.identifier for row in page.rows]
            before = page.before
            if before is None:
                assert page.complete
                return found
        raise AssertionError("a search does not come to an end")


async def until(true: Callable[[], bool]) -> None:
    """Until something is true."""
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.002)


async def committed(operation: Callable[[Callable[[Exception | None], None]], object]) -> None:
    """Until an operation of the spool is durable."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(failure: Exception | None) -> None:
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

    operation(done)
    await future


def run(directory: Path, test: Callable[[SearchWorld], Awaitable[None]]) -> None:
    """A test in an open world."""

    async def main() -> None:
        world = SearchWorld(directory)
        await world.open()
        try:
            await test(world)
        finally:
            await world.close()

    asyncio.run(asyncio.wait_for(main(), WAIT))
