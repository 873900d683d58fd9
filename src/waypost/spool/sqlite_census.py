"""A census of a SQLite spool. Each function takes a connection and reads `limit` rows or so.

What waits is counted in the partial indexes alone. The sums are made by SQLite, outside the
interpreter lock: a census does not take the event loop's time.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from waypost.spool.census import CountedPart, WaitingCount, WaitingPart, WaitingPlace
from waypost.spool.contract import RecipientState

_QUEUED: Final = """
WITH part AS MATERIALIZED (
    SELECT domain, due_at, message FROM recipient INDEXED BY recipient_due
    WHERE state = 0 AND (domain, due_at, message) > (:domain, :due_at, :message)
    ORDER BY domain, due_at, message LIMIT :limit
)
SELECT domain, count(*), min(message), min(due_at) FROM part GROUP BY domain
ORDER BY domain
"""

_LAST_QUEUED: Final = """
SELECT domain, due_at, message FROM recipient INDEXED BY recipient_due
WHERE state = 0 AND (domain, due_at, message) > (:domain, :due_at, :message)
ORDER BY domain, due_at, message LIMIT 1 OFFSET :limit - 1
"""

_HELD: Final = """
SELECT domain, count(*), min(message), max(message) FROM (
    SELECT domain, message FROM recipient INDEXED BY recipient_held
    WHERE state = 1 AND message > :message
    AND message <= coalesce((
        SELECT message FROM recipient INDEXED BY recipient_held
        WHERE state = 1 AND message > :message ORDER BY message LIMIT 1 OFFSET :limit - 1
    ), 1 << 62)
) GROUP BY domain
"""

_COUNTED: Final = """
SELECT sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 3), sum(state = 4),
       sum(state = 5), sum(state = 6)
FROM recipient WHERE message > :message AND message <= :last
"""

_LAST_COUNTED: Final = """
SELECT message FROM recipient WHERE message > :message ORDER BY message LIMIT 1 OFFSET :limit - 1
"""

_ALL: Final = 1 << 62


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
    rows = connection.execute(_QUEUED, values).fetchall()
    counts = tuple(
        WaitingCount(domain, queued, 0, _received(connection, first), due_at)
        for domain, queued, first, due_at in rows
    )
    if last is None:
        return WaitingPart(counts, WaitingPlace(True, "", 0.0, 0))
    return WaitingPart(counts, WaitingPlace(False, *last))


def _held(connection: sqlite3.Connection, after: int, limit: int) -> WaitingPart:
    rows = connection.execute(_HELD, {"message": after, "limit": limit}).fetchall()
    counts = tuple(
        WaitingCount(domain, 0, held, _received(connection, first), None)
        for domain, held, first, _ in rows
    )
    if sum(one.held for one in counts) < limit:
        return WaitingPart(counts, None)
    return WaitingPart(counts, WaitingPlace(True, "", 0.0, max(row[3] for row in rows)))


def _received(connection: sqlite3.Connection, message: int) -> float | None:
    """Identifiers rise with the time of receipt: the first message is the oldest."""
    row = connection.execute("SELECT received_at FROM message WHERE id = ?", (message,)).fetchone()
    return None if row is None else float(row[0])


def counted(connection: sqlite3.Connection, after: int, limit: int, used: int) -> CountedPart:
    """Count a part of all recipients by state; `used` bytes are used by the whole spool."""
    last = connection.execute(_LAST_COUNTED, {"message": after, "limit": limit}).fetchone()
    row = connection.execute(
        _COUNTED, {"message": after, "last": _ALL if last is None else last[0]}
    ).fetchone()
    by_state = {state: row[state] or 0 for state in RecipientState}
    return CountedPart(by_state, None if last is None else int(last[0]), used)
