"""What the contract suite needs of a spool beside the contract: to open it, to crash it, a clock.

A further spool joins the suite with a `World` of its own in conftest.py.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    MessageFilter,
    NewMessage,
    QueuedMessage,
    RecipientResult,
    RecipientState,
    Recovery,
    Spool,
)
from waypost.spool.memory import MemorySpool
from waypost.spool.sqlite import SqliteSettings, SqliteSpool

NOON = 1_800_000_000.0
DAY = 86400.0


class StandingClock:
    """A time that moves when a test says so."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[[], object]) -> object:
        raise AssertionError("a spool without latency sets no timers")


class World(Protocol):
    """A spool and what can happen to it."""

    clock: StandingClock
    spool: Spool

    async def open(self) -> Recovery: ...

    async def crash(self) -> Recovery:
        """Lose everything that is not durable, and open what is found."""

    async def close(self) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self.clock = StandingClock()
        self._memory = MemorySpool(self.clock)
        self.spool: Spool = self._memory

    async def open(self) -> Recovery:
        return await self.spool.open()

    async def crash(self) -> Recovery:
        self.spool = self._memory = self._memory.crash()
        return await self.open()

    async def close(self) -> None:
        await self.spool.close()


class SqliteWorld:
    def __init__(self, directory: Path) -> None:
        self.clock = StandingClock()
        self._root = directory
        self._generation = 0
        self._abandoned: list[SqliteSpool] = []
        self.sqlite = self._made()
        self.spool: Spool = self.sqlite

    @property
    def directory(self) -> Path:
        return self._root / str(self._generation)

    def _made(self) -> SqliteSpool:
        return SqliteSpool(SqliteSettings(self.directory, minimum_free=0), self.clock.now)

    async def open(self) -> Recovery:
        self.sqlite = self._made()
        self.spool = self.sqlite
        return await self.spool.open()

    async def crash(self) -> Recovery:
        """What a killed process leaves is what the files hold at that moment."""
        left = self.directory
        self._abandoned.append(self.sqlite)
        self._generation += 1
        await asyncio.to_thread(shutil.copytree, left, self.directory)
        return await self.open()

    async def close(self) -> None:
        await self.spool.close()
        for spool in self._abandoned:
            await spool.close()
        self._abandoned.clear()


SpoolTest = Callable[[Any], Awaitable[None]]


def on_spool(test: SpoolTest) -> Callable[[Callable[[], World]], None]:
    """Run an async test on each spool of the suite, opened and closed around it."""

    def run(make_world: Callable[[], World]) -> None:
        async def main() -> None:
            world = make_world()
            await world.open()
            try:
                await test(world)
            finally:
                await world.close()

        asyncio.run(asyncio.wait_for(main(), 60))

    run.__name__ = test.__name__  # type: ignore[attr-defined]
    run.__doc__ = test.__doc__
    return run


class Commit:
    """Callbacks as something to wait for, in the order in which they came."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Exception | None] = {}
        self._changed = asyncio.Event()

    def done(self, name: str) -> Callable[[Exception | None], None]:
        def callback(failure: Exception | None) -> None:
            assert name not in self.outcomes, f"{name} was called back twice"
            self.outcomes[name] = failure
            self._changed.set()

        return callback

    async def all(self, *names: str) -> None:
        """Until all have been called back; the first failure is raised."""
        while not all(name in self.outcomes for name in names):
            self._changed.clear()
            await self._changed.wait()
        for name in names:
            failure = self.outcomes[name]
            if failure is not None:
                raise failure


def envelope(*addresses: str, sender: str = "joe@sender.example") -> Envelope:
    return Envelope(sender, tuple(Recipient(address) for address in addresses))


async def append(
    world: World,
    *addresses: str,
    content: bytes = b"Subject: x\r\n\r\nhello\r\n",
    sender: str = "joe@sender.example",
    due: float = 0.0,
    expires: float = 5 * DAY,
    received: float = 0.0,
    started: bool = False,
    subject: str = "hello",
    message_id: str = "<1@sender.example>",
    envelope_given: Envelope | None = None,
    first: bytes = b"",
) -> int:
    """Keep a message and give its identifier; times in seconds from NOON."""
    commit = Commit()
    identifier, _ = begin_append(
        world, commit.done("append"), *addresses, content=content, sender=sender, due=due,
        expires=expires, received=received, started=started, subject=subject,
        message_id=message_id, envelope_given=envelope_given, first=first,
    )  # fmt: skip
    await commit.all("append")
    return identifier


def begin_append(
    world: World,
    done: Callable[[Exception | None], None],
    *addresses: str,
    content: bytes = b"Subject: x\r\n\r\nhello\r\n",
    sender: str = "joe@sender.example",
    due: float = 0.0,
    expires: float = 5 * DAY,
    received: float = 0.0,
    started: bool = False,
    subject: str = "hello",
    message_id: str = "<1@sender.example>",
    envelope_given: Envelope | None = None,
    first: bytes = b"",
) -> tuple[int, Body]:
    writer = world.spool.body_writer(len(content))
    if first:
        writer.reserve(len(first))
    for start in range(0, len(content), 65536):
        writer.write(content[start : start + 65536])
    if first:
        writer.fill(first)
    message = NewMessage(
        identifier=writer.identifier,
        envelope=envelope_given or envelope(*addresses or ("ann@there.example",), sender=sender),
        received_at=NOON + received,
        expires_at=NOON + expires,
        due_at=NOON + due,
        user="app",
        client="127.0.0.1",
        size=len(first) + len(content),
        subject=subject,
        message_id=message_id,
        started=started,
    )
    return message.identifier, world.spool.append(message, writer, done)


def result(
    number: int,
    state: RecipientState = RecipientState.DELIVERED,
    due: float = 0.0,
    reply: str = "250 2.0.0 ok",
    reason: str = "",
) -> RecipientResult:
    return RecipientResult(number, state, NOON + due, reply, reason)


def record(message: int, *results: RecipientResult, at: float = 0.0) -> AttemptRecord:
    return AttemptRecord(
        message, NOON + at, 0.25, "smarthost", "mx.there.example[127.0.0.9]:25",
        "TLSv1.3 TLS_AES_256_GCM_SHA384", results or (result(0),), "0.0 > QUIT\n1.5 < 221 bye",
    )  # fmt: skip


async def finish(world: World, message: int, *results: RecipientResult, at: float = 0.0) -> None:
    commit = Commit()
    world.spool.finish(record(message, *results, at=at), commit.done("finish"))
    await commit.all("finish")


async def mark_started(world: World, message: int, *numbers: int) -> None:
    commit = Commit()
    world.spool.mark_started(message, numbers or (0,), commit.done("mark"))
    await commit.all("mark")


async def barrier(world: World) -> None:
    """Until everything given so far is committed."""
    commit = Commit()
    world.spool.warned(0, commit.done("barrier"))
    await commit.all("barrier")


async def content_of(body: Body) -> bytes:
    return b"".join([piece async for piece in body.chunks()])


async def states(world: World, message: int) -> list[RecipientState]:
    (row,) = await world.spool.messages(MessageFilter(identifiers=(message,)))
    return [recipient.state for recipient in row.recipients]


def identifiers(messages: Sequence[QueuedMessage]) -> list[int]:
    return [message.identifier for message in messages]
