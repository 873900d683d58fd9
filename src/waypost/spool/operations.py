"""What the committer writes: operations, and their rows.

Ordinary mail goes through the one statement of exchange.py. What does not fit there (further
recipients, several results, marks, rare operations) follows in multi-row statements of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring as quoted

from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.committer import Operation
from waypost.spool.contract import (
    AttemptRecord,
    Done,
    NewMessage,
    NotQueued,
    RecipientResult,
)
from waypost.spool.exchange import LARGEST, NO_RESULT, Row, exchange


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
    """Write a group in one transaction and few statements: appends first, the bodies go last.

    Where it raises, a transaction may be left open, to be rolled back.
    """
    work = _Work()
    for operation in group:
        if isinstance(operation, Append):
            work.append(operation)
        elif isinstance(operation, Finish):
            work.finish(operation)
        elif isinstance(operation, MarkStarted):
            work.started += [(operation.message, number) for number in operation.numbers]
        elif isinstance(operation, Execute):
            work.rare.append(operation)
    if work.is_ordinary():
        exchange(connection, work.arrivals, work.outcomes)
        return
    connection.execute("BEGIN IMMEDIATE")
    work.do(connection)
    connection.execute("COMMIT")


class _Work:
    """The rows of a group, by the statements that write them."""

    __slots__ = ("arrivals", "further", "outcomes", "rare", "results", "settled", "started")

    def __init__(self) -> None:
        self.arrivals: list[Row] = []
        """Messages with their first recipients."""
        self.further: list[Row] = []
        """Their other recipients."""
        self.started: list[tuple[int, int]] = []
        self.rare: list[Execute] = []
        self.outcomes: list[Row] = []
        """Attempts with their one result, or without any."""
        self.results: list[Row] = []
        """Of attempts with several."""
        self.settled: list[int] = []
        """Messages of which such a result is final."""

    def append(self, operation: Append) -> None:
        """A message, with its recipients and its content."""
        message = operation.message
        envelope = message.envelope
        identifier = message.identifier
        first = envelope.recipients[0]
        self.arrivals.append(
            (
                identifier, envelope.reverse_path, message.received_at, message.expires_at,
                message.user, message.client, message.size, message.subject, message.message_id,
                envelope_options(envelope), operation.checksum, operation.content is None,
                first.address, _domain(first), recipient_options(first), message.due_at,
                message.started, operation.content,
            )
        )  # fmt: skip
        if len(envelope.recipients) > 1:
            self.further += [
                (
                    identifier, number, one.address, _domain(one), recipient_options(one), 0, 0,
                    message.due_at, message.started, "", "",
                )
                for number, one in enumerate(envelope.recipients)
                if number
            ]  # fmt: skip

    def finish(self, operation: Finish) -> None:
        """An attempt, and what it came to."""
        record = operation.record
        results = record.results
        attempt = (
            record.message, record.started_at, operation.serial, record.seconds, record.route,
            record.next_hop, record.tls, record.uncertain, _results_text(results),
            record.transcript,
        )  # fmt: skip
        if len(results) == 1:
            one = results[0]
            state = int(one.state)
            self.outcomes.append((*attempt, one.number, state, one.due_at, one.reply, one.reason))
        else:
            self.outcomes.append((*attempt, *NO_RESULT))
            self.results += [
                (record.message, one.number, int(one.state), one.due_at, one.reply, one.reason)
                for one in results
            ]
            if any(one.state > 1 for one in results):
                self.settled.append(record.message)
        if operation.notification is not None:
            self.append(operation.notification)

    def is_ordinary(self) -> bool:
        """One statement does it: no attempt is of a message that arrives in this very group."""
        return (
            not (self.further or self.started or self.rare or self.results)
            and max(len(self.arrivals), len(self.outcomes)) <= LARGEST
            and {row[0] for row in self.arrivals}.isdisjoint([row[0] for row in self.outcomes])
        )

    def do(self, connection: sqlite3.Connection) -> None:
        """Everything, inside the open transaction."""
        exchange(connection, self.arrivals, ())
        _insert_recipients(connection, self.further)
        if self.started:
            marked = connection.executemany(
                "UPDATE recipient SET started = 1 WHERE message = ? AND number = ? AND state = 0",
                self.started,
            ).rowcount
            if marked != len(self.started):
                # The group is rolled back and done one by one; only the one at fault fails then.
                raise NotQueued("a recipient was held, cancelled or set aside meanwhile")
        for operation in self.rare:  # before the bodies go: a capture takes a copy of one
            operation.work(connection)
        exchange(connection, (), self.outcomes)
        _update_results(connection, self.results)
        _delete_bodies(connection, self.settled)


def _domain(recipient: Recipient) -> str:
    address = recipient.address
    return address[address.rfind("@") + 1 :].lower()


def _results_text(results: Sequence[RecipientResult]) -> str:
    """As JSON: [[number, state, due_at, reply, reason], ...]."""
    rows = [
        f"[{one.number},{int(one.state)},{one.due_at!r},{quoted(one.reply)},{quoted(one.reason)}]"
        for one in results
    ]
    return f"[{','.join(rows)}]"


@lru_cache(maxsize=LARGEST)
def _recipients_statement(rows: int) -> str:
    row = f"({','.join('?' * 11)})"
    return (
        "INSERT INTO recipient (message, number, address, domain, options, state, attempts, "
        f"due_at, started, reply, reason) VALUES {','.join([row] * rows)}"
    )


def _insert_recipients(connection: sqlite3.Connection, rows: list[Row]) -> None:
    for start in range(0, len(rows), LARGEST):
        part = rows[start : start + LARGEST]
        values = [value for row in part for value in row]
        connection.execute(_recipients_statement(len(part)), values)


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


def _update_results(connection: sqlite3.Connection, rows: list[Row]) -> None:
    for start in range(0, len(rows), LARGEST):
        part = rows[start : start + LARGEST]
        values = [value for row in part for value in row]
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
        or envelope.hold_until is not None
    ):
        return ""
    return json.dumps(
        {
            "body": envelope.body,
            "smtputf8": envelope.smtputf8,
            "require_tls": envelope.require_tls,
            "returned": envelope.returned,
            "envelope_id": envelope.envelope_id,
            "hold_until": envelope.hold_until,
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
        hold_until=stored.get("hold_until"),  # not there in rows of earlier versions
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
