"""The event log of a SQLite spool.

Two triggers of the database write it, for messages that come and for attempts that end, so it
costs no further call and holds whoever writes those rows. They are part of the file: what commands
change while no relay runs is in the log, too. What people and the search for damage change is rare
and written by the functions that change it (`record`), which know the time.

An entry is a row of some 40 bytes at the end of its table.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final, TypeVar

from waypost.spool.contract import (
    AttemptRecord,
    MessageRow,
    RecipientResult,
    RecipientRow,
    RecipientState,
)
from waypost.spool.events import EntryKind, LogEntry, LogState

IDENTITY: Final = "event_log"
"""The fact that names this log."""

LARGEST_BATCH: Final = 5000
"""Recipients that one reading gives; a single message may exceed it."""

_Result = TypeVar("_Result")

_TRIGGERS: Final = {
    "event_of_message": (
        "AFTER INSERT ON message BEGIN INSERT INTO event (kind, message, at) "
        "VALUES (0, new.id, new.received_at); END"
    ),
    "event_of_attempt": (
        "AFTER INSERT ON attempt BEGIN INSERT INTO event (kind, message, at, started_at, serial) "
        "VALUES (1, new.message, new.started_at + new.seconds, new.started_at, new.serial); END"
    ),
}

_IS_RECORDING: Final = (
    "EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = 'event_of_message')"
)

ENTRIES: Final = """
SELECT e.id, e.kind, e.at, e.message, e.number, e.name, e.detail,
    m.id, m.reverse_path, m.received_at, m.expires_at, m.user, m.client, m.size, m.subject,
    m.message_id,
    a.message, a.started_at, a.seconds, a.route, a.next_hop, a.tls, a.results, a.uncertain
FROM event e
LEFT JOIN message m ON m.id = e.message
LEFT JOIN attempt a ON e.kind = 1 AND a.message = e.message AND a.started_at = e.started_at
    AND a.serial = e.serial
WHERE e.id > ? ORDER BY e.id LIMIT ?
"""

_RECIPIENT: Final = (
    "r.message, r.number, r.address, r.domain, r.state, r.attempts, r.due_at, r.started, "
    "r.reply, r.reason"
)

_AT_ONCE: Final = 200


class SqliteEvents(ABC):
    """The coroutines of waypost.spool.events.EventLogSpool."""

    @abstractmethod
    async def _ask(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a question that may take long."""

    @abstractmethod
    async def _write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a function in a transaction and give its result when durable."""

    @abstractmethod
    def _log_identity(self) -> str:
        """A name that no other log has."""

    async def record_events(self, *, wanted: bool) -> LogState:
        """Begin or end to write the log."""
        state = await self._ask(log_state)
        if state.is_recording != wanted:
            identity = self._log_identity()
            await self._write(lambda c: switch(c, identity, wanted=wanted))
            state = await self._ask(log_state)
        return state

    async def event_log(self) -> LogState:
        """How far the log reaches."""
        return await self._ask(log_state)

    async def entries(self, after: int, limit: int) -> list[LogEntry]:
        """The entries behind a number."""
        return await self._ask(lambda c: entries(c, after, limit))

    async def entry_before(self, at: float) -> int:
        """The number behind which all entries stand that happened at a time or later."""
        return await self._ask(lambda c: entry_before(c, at))

    async def latest_messages(self, after: int, limit: int) -> list[int]:
        """The messages of the latest entries behind a number."""
        return await self._ask(lambda c: latest_messages(c, after, limit))

    async def append_event(
        self, name: str, message: int, at: float, detail: str, number: int | None = None
    ) -> int:
        """Write an entry of kind TOLD; its number."""

        def work(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(
                "INSERT INTO event (kind, message, at, number, name, detail) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (int(EntryKind.TOLD), message, at, number, name, detail),
            )
            return int(cursor.lastrowid or 0)

        return await self._write(work)

    async def prune_events(self, before: float, limit: int) -> int:
        """Remove old entries; how many."""
        return await self._write(lambda c: prune(c, before, limit))


def switch(connection: sqlite3.Connection, identity: str, *, wanted: bool) -> None:
    """Have the log written from now on, or no longer."""
    for name, body in _TRIGGERS.items():
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        if wanted:
            connection.execute(f"CREATE TRIGGER {name} {body}")
    if wanted:
        connection.execute(
            "INSERT OR IGNORE INTO fact (name, value) VALUES (?, ?)", (IDENTITY, identity)
        )


def record(
    connection: sqlite3.Connection,
    kind: EntryKind,
    at: float,
    messages: Iterable[int],
    condition: str,
    values: tuple[object, ...] = (),
) -> None:
    """Write an entry for each recipient of these messages for which a condition holds, where the
    log is on. Before the change that makes it true, and in its transaction."""
    connection.executemany(
        "INSERT INTO event (kind, message, at, number) SELECT ?, message, ?, number "
        f"FROM recipient WHERE message = ? AND {condition} AND {_IS_RECORDING}",
        [(int(kind), at, message, *values) for message in messages],
    )


def log_state(connection: sqlite3.Connection) -> LogState:
    """How far the log reaches."""
    identity, recording, first, last = connection.execute(
        f"SELECT (SELECT value FROM fact WHERE name = ?), {_IS_RECORDING}, "
        "(SELECT min(id) FROM event), (SELECT max(id) FROM event)",
        (IDENTITY,),
    ).fetchone()
    return LogState(identity or "", bool(recording), first or 0, last or 0)


def entry_before(connection: sqlite3.Connection, at: float) -> int:
    """By halving: times rise with the numbers, nearly. A margin is for the nearly."""
    low, high = connection.execute("SELECT min(id) - 1, max(id) FROM event").fetchone()
    if low is None:
        return 0
    wanted = at - MARGIN_SECONDS
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(
            "SELECT id, at FROM event WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
        ).fetchone()
        if row is not None and row[1] < wanted:
            low = int(row[0])
        else:
            high = middle - 1
    return int(low)


def latest_messages(connection: sqlite3.Connection, after: int, limit: int) -> list[int]:
    """Each once, the latest first. Of a message with very many entries not all are passed over."""
    found: dict[int, None] = {}
    cursor = connection.execute(
        "SELECT message FROM event WHERE id > ? AND message != 0 ORDER BY id DESC LIMIT ?",
        (after, 100 * limit),
    )
    for (message,) in cursor:
        found[message] = None
        if len(found) >= limit:
            break
    cursor.close()
    return [*found]


MARGIN_SECONDS: Final = 60.0
"""How much later than its time an entry may be committed: a large message is received for so long,
and a clock is set back. Whoever looks by time looks at the time of each."""


def prune(connection: sqlite3.Connection, before: float, limit: int) -> int:
    """Remove the oldest entries up to the first that is young enough. The newest stays, for the
    numbers go on from it."""
    rows = connection.execute(
        "SELECT id, at FROM event WHERE id < (SELECT max(id) FROM event) ORDER BY id LIMIT ?",
        (limit,),
    ).fetchall()
    last = 0
    count = 0
    for identifier, at in rows:
        if at >= before:
            break
        last, count = identifier, count + 1
    if count:
        connection.execute("DELETE FROM event WHERE id <= ?", (last,))
    return count


def entries(connection: sqlite3.Connection, after: int, limit: int) -> list[LogEntry]:
    """Entries behind a number with what they refer to; fewer where they have many recipients."""
    while True:
        rows = connection.execute(ENTRIES, (after, limit)).fetchall()
        pairs: list[tuple[int, int]] = []
        whole: list[int] = []
        results = {}
        for row in rows:
            kind, message, number = row[1], row[3], row[4]
            if row[7] is None:
                continue
            if kind == EntryKind.ACCEPTED:
                whole.append(message)
            elif kind == EntryKind.ATTEMPTED and row[16] is not None:
                results[row[0]] = _results(row[22])
                pairs += [(message, one.number) for one in results[row[0]]]
            elif number is not None:
                pairs.append((message, number))
        recipients = None
        if len(pairs) <= LARGEST_BATCH or limit == 1:
            recipients = _recipients(connection, whole, pairs, bounded=limit > 1)
        if recipients is not None:
            return [_entry(row, results.get(row[0], ()), recipients) for row in rows]
        limit = max(1, min(limit, len(rows)) // 2)


_Recipients = dict[int, dict[int, RecipientRow]]


def _recipients(
    connection: sqlite3.Connection, whole: list[int], pairs: list[tuple[int, int]], *, bounded: bool
) -> _Recipients | None:
    """The recipients of whole messages, and single ones. None: there are too many."""
    found: _Recipients = {}
    most = LARGEST_BATCH if bounded else -2
    for start in range(0, len(whole), _AT_ONCE):
        part = whole[start : start + _AT_ONCE]
        rows = connection.execute(
            f"SELECT {_RECIPIENT} FROM recipient r WHERE r.message IN "
            f"({','.join('?' * len(part))}) LIMIT ?",
            (*part, most + 1),
        ).fetchall()
        if bounded and len(rows) > most:
            return None
        _add(found, rows)
    for start in range(0, len(pairs), _AT_ONCE):
        several = pairs[start : start + _AT_ONCE]
        _add(
            found,
            connection.execute(single_recipients(len(several)), list(chain.from_iterable(several))),
        )
    return found


def single_recipients(count: int) -> str:
    """The question for so many recipients, each by its primary key."""
    return (
        f"SELECT {_RECIPIENT} FROM (VALUES {','.join(['(?,?)'] * count)}) v CROSS JOIN recipient r "
        "ON r.message = v.column1 AND r.number = v.column2"
    )


def _add(found: _Recipients, rows: Iterable[tuple[Any, ...]]) -> None:
    for message, number, address, domain, state, attempts, due_at, started, reply, reason in rows:
        found.setdefault(message, {})[number] = RecipientRow(
            number, address, domain, RecipientState(state), attempts, due_at, bool(started), reply,
            reason,
        )  # fmt: skip


def _entry(
    row: tuple[Any, ...], results: Iterable[RecipientResult], recipients: _Recipients
) -> LogEntry:
    number, kind, at, message, recipient, name, detail = row[:7]
    kind = EntryKind(kind)
    attempt = None
    known = recipients.get(message, {})
    if kind is EntryKind.ATTEMPTED and row[16] is not None:
        _, started_at, seconds, route, next_hop, tls, _, uncertain = row[16:]
        attempt = AttemptRecord(
            message, started_at, seconds, route, next_hop, tls, tuple(results), "",
            bool(uncertain),
        )  # fmt: skip
        numbers = [one.number for one in attempt.results]
    else:
        numbers = sorted(known) if kind is EntryKind.ACCEPTED else [recipient]
    shown = None
    if row[7] is not None:
        about = tuple(known[one] for one in numbers if one in known)
        sender, received_at, expires_at, user, client, size, subject, message_id = row[8:16]
        shown = MessageRow(
            message, sender, received_at, expires_at, user, client, size, subject, message_id, about
        )
    return LogEntry(number, kind, at, message, shown, attempt, name or "", detail or "")


def _results(text: str) -> tuple[RecipientResult, ...]:
    return tuple(
        RecipientResult(number, RecipientState(state), due_at, reply, reason)
        for number, state, due_at, reply, reason in json.loads(text)
    )
