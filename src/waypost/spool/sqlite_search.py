"""Searching and counting in a SQLite spool, each question within bounds.

What waits is counted in the partial indexes alone. Sums and long texts are made by SQLite, in one
step outside the interpreter lock: they do not take the event loop's time, nor wait for it row by
row while it is busy.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from waypost.spool import sqlite_reading
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.room import Room
from waypost.spool.search import (
    CountedPart,
    Looked,
    Newest,
    SearchText,
    WaitingCount,
    WaitingPart,
    WaitingPlace,
)
from waypost.spool.sqlite_filter import INDEXES

_QUEUED: Final = """
WITH part AS MATERIALIZED (
    SELECT domain, due_at, message FROM recipient INDEXED BY recipient_due
    WHERE state = 0 AND (domain, due_at, message) > (:domain, :due_at, :message)
    ORDER BY domain, due_at, message LIMIT :limit
)
SELECT json_group_array(json_array(
    domain, queued, (SELECT received_at FROM message WHERE id = first), due_at
)) FROM (
    SELECT domain, count(*) AS queued, min(message) AS first, min(due_at) AS due_at
    FROM part GROUP BY domain ORDER BY domain
)
"""

_LAST_QUEUED: Final = """
SELECT domain, due_at, message FROM recipient INDEXED BY recipient_due
WHERE state = 0 AND (domain, due_at, message) > (:domain, :due_at, :message)
ORDER BY domain, due_at, message LIMIT 1 OFFSET :limit - 1
"""

_HELD: Final = """
SELECT json_group_array(json_array(
    domain, held, (SELECT received_at FROM message WHERE id = first), last
)) FROM (SELECT domain, count(*) AS held, min(message) AS first, max(message) AS last FROM (
    SELECT domain, message FROM recipient INDEXED BY recipient_held
    WHERE state = 1 AND message > :message
    AND message <= coalesce((
        SELECT message FROM recipient INDEXED BY recipient_held
        WHERE state = 1 AND message > :message ORDER BY message LIMIT 1 OFFSET :limit - 1
    ), 1 << 62)
) GROUP BY domain)
"""

_COUNTED: Final = """
SELECT sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 3), sum(state = 4),
       sum(state = 5), sum(state = 6)
FROM recipient WHERE message > :message AND message <= :last
"""

_LAST_COUNTED: Final = """
SELECT message FROM recipient WHERE message > :message ORDER BY message LIMIT 1 OFFSET :limit - 1
"""

_DEEPEST: Final = """
SELECT id FROM message WHERE id < :before AND id > :after ORDER BY id DESC LIMIT 1 OFFSET :depth - 1
"""

_TEXTS: Final = """
SELECT json_group_array(json_array(
    id, subject, reverse_path || char(10) || message_id || char(10) || coalesce((
        SELECT substr(group_concat(address, char(10)), 1, 32768) FROM (
            SELECT address FROM recipient WHERE recipient.message = part.id LIMIT 1000
        )
    ), '')
)) FROM (
    SELECT id, subject, reverse_path, message_id FROM message WHERE id > ? ORDER BY id LIMIT ?
) AS part
"""

LAST: Final = 1 << 62
"""Above every identifier."""

_Result = TypeVar("_Result")


class SqliteSearch(ABC):
    """See waypost.spool.search.SearchableSpool."""

    _room: Room

    @abstractmethod
    async def _glance(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a question that takes little; those that may take long do not stand before it."""

    async def look(self, wanted: MessageFilter, depth: int) -> Looked:
        """Some of the newest messages."""
        return await self._glance(lambda c: looked(c, wanted, depth))

    async def newest_in(self, states: Sequence[RecipientState], before: int, limit: int) -> Newest:
        """The newest messages in one of these states."""
        return await self._glance(lambda c: newest_in(c, states, before, limit))

    async def search_texts(self, after: int, limit: int) -> list[SearchText]:
        """The texts of the next messages."""
        return await self._glance(lambda c: search_texts(c, after, limit))

    async def oldest(self) -> int | None:
        """The oldest message there is."""
        (oldest,) = await self._glance(
            lambda c: c.execute("SELECT min(id) FROM message").fetchone()
        )
        return None if oldest is None else int(oldest)

    async def census_of_waiting(self, place: WaitingPlace | None, limit: int) -> WaitingPart:
        """Count a part of what waits."""
        return await self._glance(lambda c: waiting(c, place, limit))

    async def census(self, after: int, limit: int) -> CountedPart:
        """Count a part of all recipients."""
        files = self._room.files
        return await self._glance(
            lambda c: counted(c, after, limit, files + sqlite_reading.used_pages(c)[0])
        )


def looked(connection: sqlite3.Connection, wanted: MessageFilter, depth: int) -> Looked:
    """Of the newest messages within the bounds of a filter, those that it is for."""
    before = LAST if wanted.before is None else wanted.before
    values = {"before": before, "after": wanted.after or 0, "depth": depth}
    deepest = connection.execute(_DEEPEST, values).fetchone()
    if deepest is not None:
        wanted = replace(wanted, after=deepest[0] - 1)
    rows = tuple(sqlite_reading.messages(connection, wanted, few=True))
    if wanted.limit and len(rows) >= wanted.limit:
        return Looked(rows, rows[-1].identifier)
    return Looked(rows, None if deepest is None else deepest[0])


def newest_in(
    connection: sqlite3.Connection, states: Sequence[RecipientState], before: int, limit: int
) -> Newest:
    """Messages with a recipient in one of these states, newest first."""
    found: set[int] = set()
    lowest = 0
    for state in states:
        index = INDEXES.get(state)
        condition = f"INDEXED BY {index.name} WHERE {index.condition}" if index else "WHERE 1"
        (rows,) = connection.execute(
            "SELECT json_group_array(message) FROM ("
            f"SELECT message FROM recipient {condition} AND state = ? AND message < ? "
            "ORDER BY message DESC LIMIT ?)",
            (int(state), before, limit),
        ).fetchone()
        messages = json.loads(rows)
        found.update(messages)
        if len(messages) >= limit:  # of this state there may be more, so no state counts below
            lowest = max(lowest, messages[-1])
    newest = tuple(sorted((one for one in found if one >= lowest), reverse=True))
    return Newest(newest, lowest or None)


def search_texts(connection: sqlite3.Connection, after: int, limit: int) -> list[SearchText]:
    """The texts of the next messages above an identifier."""
    (rows,) = connection.execute(_TEXTS, (after, limit)).fetchone()
    return [SearchText(message, subject, others) for message, subject, others in json.loads(rows)]


def waiting(connection: sqlite3.Connection, place: WaitingPlace | None, limit: int) -> WaitingPart:
    """Count a part of what waits: the queued recipients, then the held ones."""
    if place is None:
        place = WaitingPlace(False, "", float("-inf"), 0)
    if place.held:
        return _held(connection, place.message, limit)
    values = {
        "domain": place.domain, "due_at": place.due_at, "message": place.message, "limit": limit
    }  # fmt: skip
    last = connection.execute(_LAST_QUEUED, values).fetchone()
    (rows,) = connection.execute(_QUEUED, values).fetchone()
    counts = tuple(
        WaitingCount(domain, queued, 0, received_at, due_at)
        for domain, queued, received_at, due_at in json.loads(rows)
    )
    if last is None:
        return WaitingPart(counts, WaitingPlace(True, "", 0.0, 0))
    return WaitingPart(counts, WaitingPlace(False, *last))


def _held(connection: sqlite3.Connection, after: int, limit: int) -> WaitingPart:
    (found,) = connection.execute(_HELD, {"message": after, "limit": limit}).fetchone()
    rows = json.loads(found)
    counts = tuple(
        WaitingCount(domain, 0, held, received_at, None) for domain, held, received_at, _ in rows
    )
    if sum(one.held for one in counts) < limit:
        return WaitingPart(counts, None)
    return WaitingPart(counts, WaitingPlace(True, "", 0.0, max(row[3] for row in rows)))


def counted(connection: sqlite3.Connection, after: int, limit: int, used: int) -> CountedPart:
    """Count a part of all recipients by state; `used` bytes are used by the whole spool."""
    last = connection.execute(_LAST_COUNTED, {"message": after, "limit": limit}).fetchone()
    row = connection.execute(
        _COUNTED, {"message": after, "last": LAST if last is None else last[0]}
    ).fetchone()
    by_state = {state: row[state] or 0 for state in RecipientState}
    return CountedPart(by_state, None if last is None else int(last[0]), used)
