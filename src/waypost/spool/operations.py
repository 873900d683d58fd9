"""What the committer writes: operations, and their rows as multi-row statements."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.committer import Operation
from waypost.spool.contract import (
    AttemptRecord,
    Done,
    NewMessage,
    NotQueued,
)

_LARGEST_STATEMENT = 64
"""Rows of one INSERT; the statements for each size up to it are kept prepared."""


@dataclass(slots=True)
class Append:
    """Keep a message."""

    message: NewMessage
    content: bytes | None
    """None: the body is in a file."""
    checksum: int
    done: Done | None


@dataclass(slots=True)
class MarkStarted:
    """An attempt begins."""

    message: int
    numbers: Sequence[int]
    done: Done | None


@dataclass(slots=True)
class Finish:
    """An attempt has ended."""

    record: AttemptRecord
    serial: int
    done: Done | None
    notification: Append | None = None


@dataclass(slots=True)
class Execute:
    """Anything else, rare: a function of the connection."""

    work: Callable[[sqlite3.Connection], None]
    done: Done | None


def apply_operations(connection: sqlite3.Connection, group: Sequence[Operation]) -> None:
    """Write a group inside the open transaction, appends first, in few statements."""
    messages: list[tuple[object, ...]] = []
    recipients: list[tuple[object, ...]] = []
    bodies: list[tuple[object, ...]] = []
    attempts: list[tuple[object, ...]] = []
    results: list[tuple[object, ...]] = []
    settled: list[int] = []
    started: list[tuple[object, ...]] = []
    rare: list[Execute] = []
    for operation in group:
        if isinstance(operation, Append):
            _append_rows(operation, messages, recipients, bodies)
        elif isinstance(operation, Finish):
            _finish_rows(operation, attempts, results, settled)
            if operation.notification is not None:
                _append_rows(operation.notification, messages, recipients, bodies)
        elif isinstance(operation, MarkStarted):
            started += [(operation.message, number) for number in operation.numbers]
        elif isinstance(operation, Execute):
            rare.append(operation)
    _insert(connection, "message", 12, messages)
    _insert(connection, "recipient", 11, recipients)
    _insert(connection, "body", 2, bodies)
    if started:
        marked = connection.executemany(
            "UPDATE recipient SET started = 1 WHERE message = ? AND number = ? AND state = 0",
            started,
        ).rowcount
        if marked != len(started):
            # The group is rolled back and done one by one; only the one at fault fails then.
            raise NotQueued("a recipient was held, cancelled or set aside meanwhile")
    _insert(connection, "attempt", 10, attempts)
    for rare_operation in rare:  # before the bodies go: a capture takes a copy of one
        rare_operation.work(connection)
    _update_results(connection, results)
    _delete_bodies(connection, settled)


def _append_rows(
    operation: Append,
    messages: list[tuple[object, ...]],
    recipients: list[tuple[object, ...]],
    bodies: list[tuple[object, ...]],
) -> None:
    message = operation.message
    envelope = message.envelope
    identifier = message.identifier
    messages.append(
        (
            identifier, envelope.reverse_path, message.received_at, message.expires_at,
            message.user, message.client, message.size, message.subject, message.message_id,
            envelope_options(envelope), operation.checksum, operation.content is None,
        )
    )  # fmt: skip
    started = message.started
    due_at = message.due_at
    for number, recipient in enumerate(envelope.recipients):
        address = recipient.address
        recipients.append(
            (
                identifier, number, address, address[address.rfind("@") + 1 :].lower(),
                recipient_options(recipient), 0, 0, due_at, started, "", "",
            )
        )  # fmt: skip
    if operation.content is not None:
        bodies.append((identifier, operation.content))


def _finish_rows(
    operation: Finish,
    attempts: list[tuple[object, ...]],
    results: list[tuple[object, ...]],
    settled: list[int],
) -> None:
    record = operation.record
    identifier = record.message
    attempts.append(
        (
            identifier, record.started_at, operation.serial, record.seconds, record.route,
            record.next_hop, record.tls, record.uncertain, _results_text(record),
            record.transcript,
        )
    )  # fmt: skip
    any_final = False
    for result in record.results:
        state = int(result.state)
        results.append(
            (identifier, result.number, state, result.due_at, result.reply, result.reason)
        )
        any_final = any_final or state > 1
    if any_final:
        settled.append(identifier)


def _results_text(record: AttemptRecord) -> str:
    return json.dumps(
        [(r.number, int(r.state), r.due_at, r.reply, r.reason) for r in record.results],
        ensure_ascii=False,
        separators=(",", ":"),
    )


@lru_cache(maxsize=1024)
def _insert_statement(table: str, columns: int, rows: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    names = _COLUMNS[table]
    return f"INSERT INTO {table} ({names}) VALUES {','.join([row] * rows)}"


_COLUMNS = {
    "message": "id, reverse_path, received_at, expires_at, user, client, size, subject, "
    "message_id, options, checksum, in_file",
    "recipient": "message, number, address, domain, options, state, attempts, due_at, started, "
    "reply, reason",
    "body": "message, content",
    "attempt": "message, started_at, serial, seconds, route, next_hop, tls, uncertain, results, "
    "transcript",
}


def _insert(
    connection: sqlite3.Connection, table: str, columns: int, rows: list[tuple[object, ...]]
) -> None:
    for start in range(0, len(rows), _LARGEST_STATEMENT):
        part = rows[start : start + _LARGEST_STATEMENT]
        values: list[object] = []
        for row in part:
            values += row
        connection.execute(_insert_statement(table, columns, len(part)), values)


@lru_cache(maxsize=128)
def _update_statement(rows: int) -> str:
    # CROSS JOIN order is fixed by the subquery being outermost: each row of it is one look-up by
    # primary key. Only queued recipients change, so a cancelled one stays cancelled.
    return (
        "UPDATE recipient SET state = v.column3, due_at = v.column4, reply = v.column5, "
        "reason = v.column6, attempts = attempts + 1, started = 0 "
        f"FROM (VALUES {','.join(['(?,?,?,?,?,?)'] * rows)}) AS v "
        "WHERE recipient.message = v.column1 AND recipient.number = v.column2 "
        "AND recipient.state = 0"
    )


def _update_results(connection: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    for start in range(0, len(rows), _LARGEST_STATEMENT):
        part = rows[start : start + _LARGEST_STATEMENT]
        values: list[object] = []
        for row in part:
            values += row
        connection.execute(_update_statement(len(part)), values)


def _delete_bodies(connection: sqlite3.Connection, settled: list[int]) -> None:
    """Bodies whose last recipient has come to an end; not those that were set aside."""
    if settled:
        marks = ",".join("?" * len(settled))
        connection.execute(
            f"DELETE FROM body WHERE message IN ({marks}) AND NOT EXISTS ("
            "SELECT 1 FROM recipient WHERE recipient.message = body.message "
            "AND state IN (0, 1, 6))",
            settled,
        )


def envelope_options(envelope: Envelope) -> str:
    """The parameters of MAIL as stored; "" when there are none, as mostly."""
    if not (
        envelope.body
        or envelope.smtputf8
        or envelope.require_tls
        or envelope.returned
        or envelope.envelope_id
    ):
        return ""
    return json.dumps(
        {
            "body": envelope.body,
            "smtputf8": envelope.smtputf8,
            "require_tls": envelope.require_tls,
            "returned": envelope.returned,
            "envelope_id": envelope.envelope_id,
        }
    )


def envelope_from_row(reverse_path: str, options: str, recipients: Sequence[Recipient]) -> Envelope:
    """The envelope from its row."""
    if not options:
        return Envelope(reverse_path, tuple(recipients))
    stored = json.loads(options)
    return Envelope(
        reverse_path,
        tuple(recipients),
        stored["body"],
        stored["smtputf8"],
        stored["require_tls"],
        stored["returned"],
        stored["envelope_id"],
    )


def recipient_options(recipient: Recipient) -> str:
    """NOTIFY and ORCPT as stored."""
    if recipient.notify is None and recipient.original is None:
        return ""
    notify = sorted(recipient.notify) if recipient.notify is not None else None
    return json.dumps({"notify": notify, "original": recipient.original})


def recipient_from_row(address: str, options: str) -> Recipient:
    """The recipient from its row."""
    if not options:
        return Recipient(address)
    stored = json.loads(options)
    notify = stored["notify"]
    return Recipient(address, frozenset(notify) if notify is not None else None, stored["original"])
