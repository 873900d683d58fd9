"""What is kept beside messages that came over the API: idempotency keys, tags, metadata, schedule.

An idempotency key makes a submission safe to repeat. Its life, and what a crash leaves behind:

    (nothing) --claim--> claimed --the message is durable--> done --24 h--> (nothing)
                            |
                            +-- refused, or a crash before: no message of that number in the spool

The claim names the number that the message will have and holds the whole answer, and is durable
before anything of the message is. So after a crash the spool tells which of the two has happened:
with the message there, the answer is true and is given again; without it, the claim counts for
nothing. A repetition while the first is on its way is told so.

Tags and metadata become durable with the claim and go when their message has gone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from sqlite3 import Connection, Error, IntegrityError
from typing import Any, Final

import structlog

from waypost.control.database import ControlDatabase
from waypost.net.clock import Clock

KEPT_SECONDS: Final = 24 * 3600.0
"""For which a key is remembered."""

MAXIMUM_KEYS: Final = 500_000
"""Remembered at the same time; beyond, the oldest are forgotten."""

HOUSEKEEPING_SECONDS: Final = 600.0

AT_ONCE: Final = 500
"""Rows of one step of housekeeping."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS idempotency (
    owner TEXT NOT NULL,            -- whose key it is: two callers may use the same
    key TEXT NOT NULL,
    digest BLOB NOT NULL,           -- of the request
    message INTEGER NOT NULL,
    answer TEXT NOT NULL,           -- JSON, as it was or would have been given
    claimed_at REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_age ON idempotency (claimed_at);

CREATE TABLE IF NOT EXISTS submission (
    message INTEGER PRIMARY KEY,
    tags TEXT NOT NULL,             -- JSON list
    metadata TEXT NOT NULL,         -- JSON object
    send_at REAL
) STRICT;

CREATE TABLE IF NOT EXISTS submission_tag (
    tag TEXT NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (tag, message)
) STRICT, WITHOUT ROWID;
"""


class InProgress(Exception):
    """A request with this key is being answered."""


class KeyReused(Exception):
    """This key was used for another request."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """An idempotency key and whose it is."""

    owner: str
    key: str


@dataclass(frozen=True, slots=True)
class Notes:
    """What a sender wants to be kept with a message."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    send_at: float | None = None

    def __bool__(self) -> bool:
        return bool(self.tags or self.metadata or self.send_at is not None)


@dataclass(frozen=True, slots=True)
class _Earlier:
    digest: bytes
    message: int
    answer: str
    done: bool


Existing = Callable[[Sequence[int]], Awaitable[set[int]]]
"""Which of these messages the spool has."""


class SubmissionRecords:
    """See the module. Start the housekeeping with `open`."""

    def __init__(
        self, database: ControlDatabase, clock: Clock, existing: Existing, retention: float
    ) -> None:
        """`retention`: seconds for which finished messages stay in the spool."""
        self._database = database
        self._clock = clock
        self.existing = existing
        self._retention = retention
        self._under_way: set[Ticket] = set()
        self._ended: set[Ticket] = set()
        """Whose end is not written down yet."""
        self._writing: asyncio.Task[None] | None = None
        self._keys = 0
        self._task: asyncio.Task[None] | None = None
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.http")

    async def open(self) -> None:
        """Make the tables, and begin to keep house. Raises sqlite3.Error."""
        self._database.add_tables(_SCHEMA)
        self._keys = await self._database.read(
            lambda c: int(c.execute("SELECT count(*) FROM idempotency").fetchone()[0])
        )
        self._task = asyncio.get_running_loop().create_task(self._keep_house())

    async def close(self) -> None:
        """End the housekeeping, and write down what has ended."""
        if self._writing is not None:
            await self._writing
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    # --- idempotency ------------------------------------------------------------------------

    @contextmanager
    def under_way(self, ticket: Ticket) -> Iterator[None]:
        """While a request with this key is being answered. Raises InProgress for a second one."""
        if ticket in self._under_way:
            raise InProgress
        self._under_way.add(ticket)
        try:
            yield
        finally:
            self._under_way.discard(ticket)

    async def is_known(self, ticket: Ticket) -> bool:
        """Whether `earlier_answer` could have one: ask it once the request is whole."""
        return await self._earlier(ticket) is not None

    async def earlier_answer(self, ticket: Ticket, digest: bytes) -> dict[str, Any] | None:
        """The answer that this request had before; None: it is to be done. Inside `under_way`.

        Raises KeyReused where it was another request.
        """
        found = await self._earlier(ticket)
        if found is None:
            return None
        if not found.done and ticket not in self._ended:
            # A crash came between the claim and its end: the spool knows how far it got.
            if found.message not in await self.existing((found.message,)):
                await self._database.run(lambda c: _forget(c, ticket))
                return None
            await self.done(ticket)
        if found.digest != digest:
            raise KeyReused
        answer: dict[str, Any] = json.loads(found.answer)
        return answer

    async def _earlier(self, ticket: Ticket) -> _Earlier | None:
        oldest = self._clock.now() - KEPT_SECONDS
        return await self._database.read(lambda c: _earlier(c, ticket, oldest))

    async def claim(
        self,
        message: int,
        notes: Notes,
        ticket: Ticket | None,
        digest: bytes,
        answer: Mapping[str, Any],
    ) -> None:
        """Say that a message is going to be submitted; durable when it returns.

        Raises InProgress where somebody else has the key, and sqlite3.Error.
        """
        now = self._clock.now()

        def work(connection: Connection) -> None:
            if ticket is not None:
                connection.execute(
                    "DELETE FROM idempotency WHERE owner = ? AND key = ? AND claimed_at < ?",
                    (ticket.owner, ticket.key, now - KEPT_SECONDS),
                )
                connection.execute(
                    "INSERT INTO idempotency (owner, key, digest, message, answer, claimed_at) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (ticket.owner, ticket.key, digest, message, json.dumps(answer), now),
                )
            if notes:
                connection.execute(
                    "INSERT INTO submission VALUES (?, ?, ?, ?)",
                    (
                        message, json.dumps(notes.tags), json.dumps(dict(notes.metadata)),
                        notes.send_at,
                    ),
                )  # fmt: skip
                connection.executemany(
                    "INSERT OR IGNORE INTO submission_tag VALUES (?, ?)",
                    [(tag, message) for tag in notes.tags],
                )

        try:
            await self._database.run(work)
        except IntegrityError:
            raise InProgress from None
        if ticket is not None:
            self._keys += 1
            if self._keys > MAXIMUM_KEYS:
                self._keys -= await self._database.run(_forget_oldest)

    async def done(self, ticket: Ticket) -> None:
        """The message is durable. It is written down with others, some time later: should that be
        lost, the spool still knows."""
        self._ended.add(ticket)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_ended())

    async def _write_ended(self) -> None:
        while self._ended:
            several = list(self._ended)
            try:
                await self._database.run(lambda c, several=several: _mark_done(c, several))  # type: ignore[misc]
            except Error as fault:
                self._log.error("ends of submissions were not written down", why=str(fault))
            self._ended.difference_update(several)

    async def withdraw(self, message: int, ticket: Ticket | None) -> None:
        """The message was not taken after all."""

        def work(connection: Connection) -> None:
            if ticket is not None:
                _forget(connection, ticket)
            _remove_notes(connection, [message])

        await self._database.run(work)

    # --- notes ------------------------------------------------------------------------------

    async def notes(self, messages: Sequence[int]) -> dict[int, Notes]:
        """What is kept with these messages; those with nothing are not in it."""
        if not messages:
            return {}
        return await self._database.read(lambda c: _notes(c, messages))

    async def tagged(self, tag: str, before: int | None, limit: int) -> list[int]:
        """Messages with a tag, newest first, with numbers below `before`."""
        top = before if before is not None else 1 << 62
        return await self._database.read(
            lambda c: [
                message
                for (message,) in c.execute(
                    "SELECT message FROM submission_tag WHERE tag = ? AND message < ? "
                    "ORDER BY message DESC LIMIT ?",
                    (tag, top, limit),
                )
            ]
        )

    # --- housekeeping -----------------------------------------------------------------------

    async def _keep_house(self) -> None:
        while True:
            await self._clock.sleep(HOUSEKEEPING_SECONDS)
            try:
                await self.forget_the_old()
            except Error as fault:
                self._log.error("old submissions were not forgotten", why=str(fault))

    async def forget_the_old(self) -> None:
        """Forget keys that are too old, and notes whose message has gone. A message may outlive
        the retention, as long as it waits; so each is asked for."""
        now = self._clock.now()
        self._keys -= await self._database.run(
            lambda c: (
                c.execute(
                    "DELETE FROM idempotency WHERE claimed_at < ?", (now - KEPT_SECONDS,)
                ).rowcount
            )
        )
        until = int((now - self._retention) * 1_000_000)  # see spool.identifiers
        after = 0
        while True:
            page = await self._database.read(lambda c, after=after: _page(c, after, until))  # type: ignore[misc]
            if page:
                gone = sorted(set(page) - await self.existing(page))
                if gone:
                    await self._database.run(lambda c, gone=gone: _remove_notes(c, gone))  # type: ignore[misc]
            if len(page) < AT_ONCE:
                return
            after = page[-1]


def _earlier(connection: Connection, ticket: Ticket, oldest: float) -> _Earlier | None:
    row = connection.execute(
        "SELECT digest, message, answer, done FROM idempotency "
        "WHERE owner = ? AND key = ? AND claimed_at >= ?",
        (ticket.owner, ticket.key, oldest),
    ).fetchone()
    return None if row is None else _Earlier(row[0], row[1], row[2], bool(row[3]))


def _mark_done(connection: Connection, tickets: Sequence[Ticket]) -> None:
    connection.executemany(
        "UPDATE idempotency SET done = 1 WHERE owner = ? AND key = ?",
        [(ticket.owner, ticket.key) for ticket in tickets],
    )


def _forget(connection: Connection, ticket: Ticket) -> None:
    connection.execute(
        "DELETE FROM idempotency WHERE owner = ? AND key = ?", (ticket.owner, ticket.key)
    )


def _forget_oldest(connection: Connection) -> int:
    return connection.execute(
        "DELETE FROM idempotency WHERE (owner, key) IN "
        "(SELECT owner, key FROM idempotency ORDER BY claimed_at LIMIT ?)",
        (AT_ONCE,),
    ).rowcount


def _notes(connection: Connection, messages: Sequence[int]) -> dict[int, Notes]:
    marks = ",".join("?" * len(messages))
    return {
        message: Notes(tuple(json.loads(tags)), json.loads(metadata), send_at)
        for message, tags, metadata, send_at in connection.execute(
            f"SELECT message, tags, metadata, send_at FROM submission WHERE message IN ({marks})",  # noqa: S608
            messages,
        )
    }


def _page(connection: Connection, after: int, until: int) -> list[int]:
    return [
        message
        for (message,) in connection.execute(
            "SELECT message FROM submission WHERE message > ? AND message < ? "
            "ORDER BY message LIMIT ?",
            (after, until, AT_ONCE),
        )
    ]


def _remove_notes(connection: Connection, messages: Sequence[int]) -> None:
    several = [(message,) for message in messages]
    connection.executemany(
        "DELETE FROM submission_tag WHERE message = ?1 AND tag IN "
        "(SELECT value FROM json_each((SELECT tags FROM submission WHERE message = ?1)))",
        several,
    )
    connection.executemany("DELETE FROM submission WHERE message = ?", several)
