"""Questions to a SQLite spool. Each function takes a connection and is run in a reading thread."""

from __future__ import annotations

import json
import sqlite3

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
    SpoolCounts,
)
from waypost.spool.operations import envelope_from_row, recipient_from_row

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

_DUE_RECIPIENTS = """
SELECT message, number, address, attempts, due_at, options
FROM recipient INDEXED BY recipient_due
WHERE state = 0 AND domain = ? AND due_at <= ?
ORDER BY due_at, message LIMIT ?
"""


def due_queues(connection: sqlite3.Connection, after: str, limit: int) -> list[DueQueue]:
    """Destinations with queued recipients, by name after `after`."""
    rows = connection.execute(_DUE_QUEUES, {"after": after, "limit": limit})
    return [DueQueue(domain, next_due) for domain, next_due in rows]


def load_due(
    connection: sqlite3.Connection, domain: str, now: float, limit: int, excluded: frozenset[int]
) -> list[QueuedMessage]:
    """Messages of a destination that are due, oldest first; `limit` counts recipients."""
    found: dict[int, list[tuple[QueuedRecipient, str]]] = {}
    count = 0
    for message, number, address, attempts, due_at, options in connection.execute(
        _DUE_RECIPIENTS, (domain, now, limit + 1024 * len(excluded))
    ):
        if message in excluded:
            continue
        waiting = QueuedRecipient(number, address, attempts, due_at)
        found.setdefault(message, []).append((waiting, options))
        count += 1
        if count >= limit:
            break
    loaded = _with_messages(connection, found)
    loaded.sort(key=lambda message: (message.recipients[0].due_at, message.identifier))
    return loaded


def _with_messages(
    connection: sqlite3.Connection, found: dict[int, list[tuple[QueuedRecipient, str]]]
) -> list[QueuedMessage]:
    """The messages that these recipients belong to."""
    loaded: list[QueuedMessage] = []
    identifiers = list(found)
    for start in range(0, len(identifiers), 500):
        part = identifiers[start : start + 500]
        marks = ",".join("?" * len(part))
        for row in connection.execute(
            "SELECT id, reverse_path, received_at, expires_at, user, size, warned, options, "
            f"message_id FROM message WHERE id IN ({marks})",
            part,
        ):
            waiting_here = found.pop(row[0])
            recipients = [recipient_from_row(r.address, options) for r, options in waiting_here]
            loaded.append(
                QueuedMessage(
                    identifier=row[0],
                    envelope=envelope_from_row(row[1], row[7], recipients),
                    recipients=[r for r, _ in waiting_here],
                    received_at=row[2],
                    expires_at=row[3],
                    user=row[4],
                    size=row[5],
                    warned=bool(row[6]),
                    message_id=row[8],
                )
            )
    return loaded


def next_due(connection: sqlite3.Connection, domain: str, after: float) -> float | None:
    """When the next queued recipient of a destination becomes due after a time."""
    (due_at,) = connection.execute(
        "SELECT min(due_at) FROM recipient INDEXED BY recipient_due "
        "WHERE state = 0 AND domain = ? AND due_at > ?",
        (domain, after),
    ).fetchone()
    return None if due_at is None else float(due_at)


def expired(connection: sqlite3.Connection, now: float, limit: int) -> list[int]:
    """Messages whose time is over and that still have queued recipients."""
    return [
        message
        for (message,) in connection.execute(
            "SELECT DISTINCT r.message FROM recipient r INDEXED BY recipient_due "
            "JOIN message m ON m.id = r.message WHERE r.state = 0 AND m.expires_at <= ? LIMIT ?",
            (now, limit),
        )
    ]


def load_message(connection: sqlite3.Connection, message: int) -> list[QueuedMessage]:
    """A message with its queued recipients, one for each domain."""
    domains = connection.execute(
        "SELECT DISTINCT domain FROM recipient WHERE message = ? AND state = 0", (message,)
    ).fetchall()
    loaded: list[QueuedMessage] = []
    for (domain,) in domains:
        found = [
            (QueuedRecipient(number, address, attempts, due_at), options)
            for number, address, attempts, due_at, options in connection.execute(
                "SELECT number, address, attempts, due_at, options FROM recipient "
                "WHERE message = ? AND domain = ? AND state = 0 ORDER BY number",
                (message, domain),
            )
        ]
        loaded += _with_messages(connection, {message: found})
    return loaded


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


def matching(wanted: MessageFilter) -> tuple[str, list[object]]:
    """The WHERE clause over `message` for a filter, with its values."""
    clauses: list[str] = []
    values: list[object] = []
    if wanted.identifiers:
        clauses.append(f"message.id IN ({','.join('?' * len(wanted.identifiers))})")
        values += wanted.identifiers
    if wanted.sender:
        clauses.append("message.reverse_path LIKE ? ESCAPE '\\'")
        values.append(_pattern(wanted.sender))
    if wanted.older_than is not None:
        clauses.append("message.received_at < ?")
        values.append(wanted.older_than)
    if wanted.before is not None:
        clauses.append("message.id < ?")
        values.append(wanted.before)
    inner: list[str] = []
    inner_values: list[object] = []
    if wanted.recipient:
        inner.append("recipient.address LIKE ? ESCAPE '\\'")
        inner_values.append(_pattern(wanted.recipient))
    if wanted.states:
        inner.append(f"recipient.state IN ({','.join(str(int(state)) for state in wanted.states)})")
    if inner:
        clauses.append(
            "EXISTS (SELECT 1 FROM recipient WHERE recipient.message = message.id AND "
            + " AND ".join(inner)
            + ")"
        )
        values += inner_values
    if wanted.text:
        clauses.append(
            "(message.subject LIKE ? ESCAPE '\\' OR message.message_id LIKE ? ESCAPE '\\' "
            "OR message.reverse_path LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM recipient "
            "WHERE recipient.message = message.id AND recipient.address LIKE ? ESCAPE '\\'))"
        )
        values += [_pattern(wanted.text)] * 4
    return (" AND ".join(clauses) or "1"), values


def _pattern(text: str) -> str:
    """LIKE pattern for text found anywhere; "@domain" matches at the end only."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}" if text.startswith("@") else f"%{escaped}%"


def messages(connection: sqlite3.Connection, wanted: MessageFilter) -> list[MessageRow]:
    """Messages with their recipients, newest first."""
    where, values = matching(wanted)
    rows = connection.execute(
        "SELECT id, reverse_path, received_at, expires_at, user, client, size, subject, message_id "
        f"FROM message WHERE {where} ORDER BY id DESC LIMIT ?",
        [*values, wanted.limit],
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
    by_state = dict.fromkeys(RecipientState, 0)
    for state, number in connection.execute("SELECT state, count(*) FROM recipient GROUP BY state"):
        by_state[RecipientState(state)] = number
    (oldest,) = connection.execute(
        "SELECT min(received_at) FROM message WHERE id IN (SELECT message FROM recipient "
        "INDEXED BY recipient_due WHERE state = 0)"
    ).fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return SpoolCounts(
        queued=by_state[RecipientState.QUEUED],
        held=by_state[RecipientState.HELD],
        delivered=by_state[RecipientState.DELIVERED],
        bounced=by_state[RecipientState.BOUNCED],
        expired=by_state[RecipientState.EXPIRED],
        cancelled=by_state[RecipientState.CANCELLED],
        damaged=by_state[RecipientState.DAMAGED],
        oldest_queued=oldest,
        bytes_used=(pages - free) * page_size,
    )
