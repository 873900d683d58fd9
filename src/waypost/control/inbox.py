"""The sandbox's inbox: what applications sent while nothing was to leave this machine, as a list
that can be searched, with what has been looked at.

The spool keeps the captured messages. Here stands what a list shows of each, read out once: sender,
subject, a line of text, attachments, words to search. It is brought up to date when somebody asks,
a bounded number of messages at a time, so that a load test into an unwatched sandbox costs nothing.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waypost.administration import Administration
from waypost.control.database import ControlDatabase
from waypost.control.inbox_reading import CapturedSummary, read_captured
from waypost.service import Service
from waypost.spool.contract import AttemptRecord, Captured, NewMessage, QueuedMessage

TABLES: Final = """
CREATE TABLE IF NOT EXISTS inbox (
    message INTEGER PRIMARY KEY,
    captured_at REAL NOT NULL,
    sender TEXT NOT NULL,           -- as the header shows it, else the envelope's
    recipients TEXT NOT NULL,       -- of the envelope, one a line
    subject TEXT NOT NULL,
    snippet TEXT NOT NULL,
    words TEXT NOT NULL,            -- of all this and the text, in lower case
    size INTEGER NOT NULL,
    attachments INTEGER NOT NULL,
    is_read INTEGER NOT NULL DEFAULT 0
) STRICT;
"""

KEPT: Final = 10_000
"""Rows; the spool keeps as many captured messages."""

AT_ONCE: Final = 200
"""Messages read out for one question; the next one goes on."""

PAGE: Final = 100
"""Captured messages asked of the spool at a time."""

_ROWS: Final = """
SELECT message, captured_at, sender, recipients, subject, snippet, size, attachments, is_read
FROM inbox
WHERE message < ? AND is_read <= ?
    AND NOT EXISTS (SELECT 1 FROM json_each(?) WHERE instr(words, value) = 0)
ORDER BY message DESC LIMIT ?
"""

MAXIMUM_WORDS: Final = 10
"""Words of a search; further ones are not asked about."""


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One message as listed."""

    identifier: int
    captured_at: float
    sender: str
    recipients: tuple[str, ...]
    subject: str
    snippet: str
    size: int
    attachments: int
    is_read: bool


@dataclass(frozen=True, slots=True)
class InboxCounts:
    """How much there is."""

    all: int
    unread: int
    newest: int
    """The identifier of the newest; 0: there is none."""


class Inbox:
    """See the module."""

    def __init__(
        self, database: ControlDatabase, service: Service, administration: Administration
    ) -> None:
        self._database = database
        self._spool = service.spool
        self._service = service
        self._administration = administration
        self._turn = asyncio.Lock()
        self._known: set[int] = set()
        self._pending: dict[int, Captured] = {}
        self._late: set[int] = set()
        """Captured since the last question, perhaps long after they were accepted."""
        self._capturing: frozenset[str] = frozenset()
        """Names of routes that capture; looked up at each question."""
        self._has_scanned = False

    def open(self) -> None:
        """Make ready, and be told of what is captured."""
        self._database.add_tables(TABLES)
        rows = self._database.now(lambda c: c.execute("SELECT message FROM inbox").fetchall())
        self._known = {message for (message,) in rows}
        self._look_at_routes()
        self._administration.watch(self._watch)

    def close(self) -> None:
        """Be told no more."""
        self._administration.unwatch(self._watch)

    def _watch(self, message: NewMessage | QueuedMessage, record: AttemptRecord | None) -> None:
        """On the way of every message: nothing but a look at the route."""
        if record is not None and record.route in self._capturing and len(self._late) < KEPT:
            self._late.add(message.identifier)

    def _look_at_routes(self) -> None:
        routes = self._service.engine.routing.routes
        self._capturing = frozenset(one.name for one in routes if one.is_sandbox or one.tee_sandbox)

    # --- to look at -------------------------------------------------------------------------

    async def rows(
        self, limit: int, *, text: str = "", unread: bool = False, before: int | None = None
    ) -> list[InboxRow]:
        """The newest that fit; `before`: with identifiers below this. Every word of `text` must
        be somewhere in addresses, subject or text."""
        await self.refresh()
        words = json.dumps(text.lower().split()[:MAXIMUM_WORDS])
        below = before if before is not None else 1 << 62
        return await self._database.read(
            lambda c: [
                _row(one) for one in c.execute(_ROWS, (below, 0 if unread else 1, words, limit))
            ]
        )

    async def row(self, message: int) -> InboxRow | None:
        """One of them; None: the sandbox has no such message."""
        found = await self.rows(1, before=message + 1)
        return found[0] if found and found[0].identifier == message else None

    async def counts(self) -> InboxCounts:
        """How much there is."""
        await self.refresh()
        found = await self._database.read(
            lambda c: c.execute(
                "SELECT count(*), coalesce(sum(is_read = 0), 0), coalesce(max(message), 0) "
                "FROM inbox"
            ).fetchone()
        )
        return InboxCounts(*found)

    # --- to change --------------------------------------------------------------------------

    async def mark(self, messages: Sequence[int], *, is_read: bool) -> None:
        """Say of messages that they have been looked at, or not."""
        await self._database.run(
            lambda c: c.executemany(
                "UPDATE inbox SET is_read = ? WHERE message = ?",
                [(is_read, one) for one in messages],
            )
        )

    async def mark_all_read(self) -> None:
        """Say it of all."""
        await self._database.run(lambda c: c.execute("UPDATE inbox SET is_read = 1"))

    async def remove(self, messages: Sequence[int]) -> int:
        """Forget captured messages; how many there were."""
        async with self._turn:
            return await self._remove(messages)

    async def remove_all(self) -> int:
        """Forget all that there is now; how many."""
        async with self._turn:
            removed = 0
            while found := await self._spool.captured(PAGE):
                removed += await self._remove([one.identifier for one in found])
            return removed

    async def _remove(self, messages: Sequence[int]) -> int:
        removed = await self._spool.remove_captured(messages)
        await self._database.run(
            lambda c: c.executemany(
                "DELETE FROM inbox WHERE message = ?", [(one,) for one in messages]
            )
        )
        self._known.difference_update(messages)
        for one in messages:
            self._pending.pop(one, None)
        return removed

    # --- to keep in step --------------------------------------------------------------------

    async def refresh(self) -> None:
        """Take up what was captured since the last time, AT_ONCE messages at most."""
        async with self._turn:
            self._look_at_routes()
            await self._find_new()
            chosen = sorted(self._pending, reverse=True)[:AT_ONCE]
            summaries = []
            for message in chosen:
                summary = await read_captured(self._spool, self._pending.pop(message))
                if summary is not None:
                    summaries.append(summary)
            if summaries:
                await self._keep(summaries)

    async def _find_new(self) -> None:
        """What the spool has and the list has not. The first time all of it is compared; later
        the newest, and those that were told of."""
        before: int | None = None
        seen: set[int] = set()
        while True:
            found = await self._spool.captured(PAGE, before)
            new = [one for one in found if self._is_new(one.identifier)]
            self._pending.update({one.identifier: one for one in new})
            seen.update(one.identifier for one in found)
            if len(found) < PAGE or (self._has_scanned and not new):
                break
            before = found[-1].identifier
        if not self._has_scanned:
            self._has_scanned = True
            await self._forget(self._known - seen)
        late, self._late = self._late, set()
        for message in sorted(late):
            if self._is_new(message):
                one = await self._spool.captured(1, message + 1)
                if one and one[0].identifier == message:
                    self._pending[message] = one[0]

    def _is_new(self, message: int) -> bool:
        return message not in self._known and message not in self._pending

    async def _keep(self, summaries: Sequence[CapturedSummary]) -> None:
        def work(connection: sqlite3.Connection) -> list[int]:
            connection.executemany(
                "INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                [
                    (
                        one.identifier, one.captured_at, one.sender, "\n".join(one.recipients),
                        one.subject, one.snippet, one.words, one.size, one.attachments,
                    )
                    for one in summaries
                ],
            )  # fmt: skip
            # The spool lets the oldest go as well.
            gone = connection.execute(
                "DELETE FROM inbox WHERE message IN (SELECT message FROM inbox "
                "ORDER BY message DESC LIMIT -1 OFFSET ?) RETURNING message",
                (KEPT,),
            ).fetchall()
            return [message for (message,) in gone]

        gone = await self._database.run(work)
        self._known.update(one.identifier for one in summaries)
        self._known.difference_update(gone)

    async def _forget(self, messages: set[int]) -> None:
        """What the spool has no more."""
        if messages:
            await self._database.run(
                lambda c: c.executemany(
                    "DELETE FROM inbox WHERE message = ?", [(one,) for one in messages]
                )
            )
            self._known -= messages


def _row(found: tuple[object, ...]) -> InboxRow:
    message, captured_at, sender, recipients, subject, snippet, size, attachments, is_read = found
    return InboxRow(
        int(str(message)), float(str(captured_at)), str(sender),
        tuple(str(recipients).split("\n")), str(subject), str(snippet), int(str(size)),
        int(str(attachments)), bool(is_read),
    )  # fmt: skip
