"""Questions to a SQLite spool. Each function takes a connection and is run in a reading thread."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from waypost.spool.contract import (
    AttemptRecord,
    Captured,
    DueQueue,
    MessageFilter,
    MessageRow,
    QueuedMessage,
    QueuedRecipient,
    RecipientResult,
    RecipientRow,
    RecipientState,
    SelectedRecipient,
    SpoolCounts,
    Suppression,
)
from waypost.spool.operations import envelope_from_row, recipient_from_row
from waypost.spool.sqlite_filter import matching, narrowing

# A skip scan of the index (domain, due_at): one seek for each domain, however many rows it has.
_DUE_QUEUES = """
WITH RECURSIVE destination(domain) AS (
    SELECT min(domain) FROM recipient INDEXED BY recipient_due WHERE state = 0 AND domain > :after
    UNION ALL
    SELECT (SELECT min(domain) FROM recipient INDEXED BY recipient_due
            WHERE state = 0 AND domain > destination.domain)
    FROM destination WHERE destination.domain IS NOT NULL
    LIMIT :limit
)
SELECT domain, (SELECT min(due_at) FROM recipient INDEXED BY recipient_due
                WHERE state = 0 AND recipient.domain = destination.domain)
FROM destination WHERE domain IS NOT NULL
"""

# In the order of the index, so it is read only as far as messages are wanted.
_DUE = """
SELECT message FROM recipient INDEXED BY recipient_due
WHERE state = 0 AND domain = ? AND due_at <= ? ORDER BY due_at, message
"""

_WAITING_MESSAGES = "SELECT message FROM recipient INDEXED BY recipient_due WHERE state = 0"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Messages, and those that should have been among them and cannot be read."""

    messages: list[QueuedMessage]
    unreadable: list[tuple[int, str]]


def due_queues(connection: sqlite3.Connection, after: str, limit: int) -> list[DueQueue]:
    """Destinations with queued recipients, by name after `after`."""
    rows = connection.execute(_DUE_QUEUES, {"after": after, "limit": limit})
    return [DueQueue(domain, next_due) for domain, next_due in rows]


def load_due(
    connection: sqlite3.Connection, domain: str, now: float, limit: int, excluded: frozenset[int]
) -> Loaded:
    """Messages of a destination that are due, oldest first; `limit` counts recipients.

    The cursor is read only as far as needed. It passes over those `excluded`, which are in memory
    and therefore few.
    """
    chosen: dict[int, int] = {}
    count = 0
    cursor = connection.execute(_DUE, (domain, now))
    for (message,) in cursor:
        if message in excluded:
            continue
        if message not in chosen:
            if count >= limit:
                break
            chosen[message] = 0
        chosen[message] += 1
        count += 1
    cursor.close()
    return _load(
        connection, list(chosen), "state = 0 AND domain = ? AND due_at <= ?", (domain, now)
    )


def load_message(connection: sqlite3.Connection, message: int) -> Loaded:
    """A message with its queued recipients, one for each domain."""
    found = Loaded([], [])
    for (domain,) in connection.execute(
        "SELECT DISTINCT domain FROM recipient WHERE message = ? AND state = 0 ORDER BY domain",
        (message,),
    ).fetchall():
        part = _load(connection, [message], "state = 0 AND domain = ?", (domain,))
        found.messages.extend(part.messages)
        found.unreadable.extend(part.unreadable)
    return found


def _load(
    connection: sqlite3.Connection,
    identifiers: Sequence[int],
    condition: str,
    values: tuple[object, ...],
) -> Loaded:
    """These messages with those of their recipients for which the condition holds."""
    loaded = Loaded([], [])
    for start in range(0, len(identifiers), _AT_ONCE):
        part = identifiers[start : start + _AT_ONCE]
        try:
            found = _load_part(connection, part, condition, values)
        except _UNREADABLE:
            found = {}  # at least one of them is damaged: each is read alone below
        for identifier in part:
            if identifier not in found:
                try:
                    found |= _load_part(connection, [identifier], condition, values)
                except _UNREADABLE as fault:
                    loaded.unreadable.append((identifier, f"its rows cannot be read: {fault}"))
                    continue
            if identifier in found:
                loaded.messages.append(found[identifier])
            else:
                loaded.unreadable.append((identifier, "its row is gone"))
    return loaded


_AT_ONCE = 500
"""Messages of one query."""

_UNREADABLE = (sqlite3.DatabaseError, ValueError, KeyError, TypeError)
"""What reading a damaged row raises."""


def _load_part(
    connection: sqlite3.Connection,
    identifiers: Sequence[int],
    condition: str,
    values: tuple[object, ...],
) -> dict[int, QueuedMessage]:
    marks = ",".join("?" * len(identifiers))
    recipients: dict[int, list[tuple[Any, ...]]] = {}
    for row in connection.execute(
        "SELECT message, number, address, attempts, due_at, options FROM recipient "
        f"WHERE message IN ({marks}) AND {condition} ORDER BY message, number",
        (*identifiers, *values),
    ):
        recipients.setdefault(row[0], []).append(row[1:])
    return {
        row[0]: _queued(row[0], row[1:], recipients[row[0]])
        for row in connection.execute(
            "SELECT id, reverse_path, received_at, expires_at, user, size, warned, options, "
            f"message_id FROM message WHERE id IN ({marks})",
            identifiers,
        )
        if row[0] in recipients
    }


def _queued(
    identifier: int, row: tuple[Any, ...], rows: Sequence[tuple[Any, ...]]
) -> QueuedMessage:
    reverse_path, received_at, expires_at, user, size, warned, options, message_id = row
    return QueuedMessage(
        identifier=identifier,
        envelope=envelope_from_row(
            reverse_path, options, [recipient_from_row(address, o) for _, address, _, _, o in rows]
        ),
        recipients=[
            QueuedRecipient(number, address, attempts, due_at)
            for number, address, attempts, due_at, _ in rows
        ],
        received_at=received_at,
        expires_at=expires_at,
        user=user,
        size=size,
        warned=bool(warned),
        message_id=message_id,
    )


def next_due(connection: sqlite3.Connection, domain: str, after: float) -> float | None:
    """When the next queued recipient of a destination becomes due after a time."""
    (due_at,) = connection.execute(
        "SELECT min(due_at) FROM recipient INDEXED BY recipient_due "
        "WHERE state = 0 AND domain = ? AND due_at > ?",
        (domain, after),
    ).fetchone()
    return None if due_at is None else float(due_at)


def expired(
    connection: sqlite3.Connection, now: float, limit: int
) -> tuple[list[int], float | None]:
    """Messages whose time is over and that still have queued recipients, by identifier; and when
    the time of the first queued message is over, which spares the next look until then."""
    (first,) = connection.execute(
        f"SELECT min(expires_at) FROM message WHERE id IN ({_WAITING_MESSAGES})"
    ).fetchone()
    if first is None or first > now:
        return [], first
    rows = connection.execute(
        f"SELECT id FROM message WHERE expires_at <= ? AND id IN ({_WAITING_MESSAGES}) "
        "ORDER BY id LIMIT ?",
        (now, limit),
    )
    return [message for (message,) in rows], first


def captured(connection: sqlite3.Connection, limit: int, before: int | None) -> list[Captured]:
    """What the sandbox has caught, newest first."""
    return [
        Captured(message, reverse_path, tuple(json.loads(recipients)), at, size, subject)
        for message, reverse_path, recipients, at, size, subject in connection.execute(
            "SELECT message, reverse_path, recipients, captured_at, size, subject FROM captured "
            "WHERE message < ? ORDER BY message DESC LIMIT ?",
            (before if before is not None else 1 << 62, limit),
        )
    ]


def messages(
    connection: sqlite3.Connection, wanted: MessageFilter, *, few: bool = False
) -> list[MessageRow]:
    """Messages with their recipients, newest first. `few`: the bounds leave few to look at."""
    where, values = matching(wanted, few=few)
    rows = connection.execute(
        "SELECT id, reverse_path, received_at, expires_at, user, client, size, subject, message_id "
        f"FROM message WHERE {where} ORDER BY id DESC LIMIT ?",
        [*values, wanted.limit or -1],
    ).fetchall()
    return [
        MessageRow(
            message, reverse_path, received_at, expires_at, user, client, size, subject,
            message_id, _recipients(connection, message),
        )
        for message, reverse_path, received_at, expires_at, user, client, size, subject, message_id
        in rows
    ]  # fmt: skip


def _recipients(connection: sqlite3.Connection, message: int) -> tuple[RecipientRow, ...]:
    return tuple(
        RecipientRow(number, address, domain, RecipientState(state), attempts, due, bool(started),
                     reply, reason)
        for number, address, domain, state, attempts, due, started, reply, reason in
        connection.execute(
            "SELECT number, address, domain, state, attempts, due_at, started, reply, reason "
            "FROM recipient WHERE message = ? ORDER BY number LIMIT 1000",
            (message,),
        )
    )  # fmt: skip


def selected(
    connection: sqlite3.Connection, wanted: MessageFilter, states: Sequence[RecipientState]
) -> list[SelectedRecipient]:
    """The recipients in `states` that an operation with this filter is for."""
    condition, narrow = narrowing(wanted, states)
    found: list[SelectedRecipient] = []
    for message in selected_messages(connection, wanted, states):
        rows = connection.execute(
            "SELECT number, address, state, started FROM recipient "
            f"WHERE message = ? AND {condition} ORDER BY number",
            (message, *narrow),
        )
        found += [
            SelectedRecipient(message, number, address, RecipientState(state), bool(started))
            for number, address, state, started in rows
        ]
    return found


def selected_messages(
    connection: sqlite3.Connection, wanted: MessageFilter, states: Sequence[RecipientState]
) -> list[int]:
    """The messages that an operation on recipients in `states` is for, newest first."""
    where, values = matching(wanted, states)
    rows = connection.execute(
        f"SELECT id FROM message WHERE {where} ORDER BY id DESC LIMIT ?",
        (*values, wanted.limit or -1),
    )
    return [message for (message,) in rows]


def finished_before(connection: sqlite3.Connection, before: float, limit: int) -> list[int]:
    """Messages received before a time that nothing holds any more, oldest first.

    Identifiers rise with the time of receipt, so the look ends at the first that is too young.
    """
    found: list[int] = []
    cursor = connection.execute(
        "SELECT id, received_at, EXISTS (SELECT 1 FROM recipient WHERE recipient.message = "
        "message.id AND state IN (0, 1, 6)) FROM message ORDER BY id"
    )
    for message, received_at, is_held in cursor:
        if received_at >= before or len(found) >= limit:
            break
        if not is_held:
            found.append(message)
    cursor.close()
    return found


def suppressions(connection: sqlite3.Connection, limit: int, after: str) -> list[Suppression]:
    """Suppressed addresses, by name after `after`."""
    rows = connection.execute(
        "SELECT address, reason, added_at FROM suppression WHERE address > ? "
        "ORDER BY address LIMIT ?",
        (after, limit),
    )
    return [Suppression(address, reason, added_at) for address, reason, added_at in rows]


def attempts(connection: sqlite3.Connection, message: int) -> list[AttemptRecord]:
    """The attempts of a message, oldest first."""
    return [
        AttemptRecord(
            message=message,
            started_at=started_at,
            seconds=seconds,
            route=route,
            next_hop=next_hop,
            tls=tls,
            results=tuple(
                RecipientResult(number, RecipientState(state), due_at, reply, reason)
                for number, state, due_at, reply, reason in json.loads(results)
            ),
            transcript=transcript,
            uncertain=bool(uncertain),
        )
        for started_at, seconds, route, next_hop, tls, results, transcript, uncertain in
        connection.execute(
            "SELECT started_at, seconds, route, next_hop, tls, results, transcript, uncertain "
            "FROM attempt WHERE message = ? ORDER BY started_at, serial LIMIT 1000",
            (message,),
        )
    ]  # fmt: skip


def counts(connection: sqlite3.Connection) -> SpoolCounts:
    """Totals by state, and how much is kept."""
    rows = connection.execute("SELECT state, count(*) FROM recipient GROUP BY state")
    by_state = {RecipientState(state): number for state, number in rows}
    (oldest,) = connection.execute(
        f"SELECT min(received_at) FROM message WHERE id IN ({_WAITING_MESSAGES})"
    ).fetchone()
    return SpoolCounts.of(by_state, oldest, used_pages(connection)[0])


def used_pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """Bytes used and bytes free inside the database."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return (pages - free) * page_size, free * page_size
