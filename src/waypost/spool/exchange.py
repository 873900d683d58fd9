"""The ordinary work of a group in one statement: messages that arrive, and attempts that end.

Each call into SQLite gives the interpreter lock away several times and has to fetch it back from a
busy event loop, so it is the number of calls that a commit waits for. Here is one call: a view of
the writing connection takes rows, and its triggers put their halves into the tables. One half is a
message with its first recipient and its content, the other an attempt with its one result; they
have nothing to do with each other, and either may be missing (NULL).

Outside of a transaction the statement is one by itself, commit included.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

LARGEST: Final = 64
"""Rows of one statement; the statements for each size up to it are kept prepared."""

Row = tuple[object, ...]

_ARRIVAL: Final = (
    "id", "reverse_path", "received_at", "expires_at", "user", "client", "size", "subject",
    "message_id", "options", "checksum", "in_file", "address", "domain", "recipient_options",
    "due_at", "started", "content",
)  # fmt: skip
"""`content` is NULL where it is in a file."""

_OUTCOME: Final = (
    "attempt", "started_at", "serial", "seconds", "route", "next_hop", "tls", "uncertain",
    "results", "transcript", "number", "state", "next_at", "reply", "reason",
)  # fmt: skip
"""`number` and what follows are of the one result; NULL where there are several."""

NO_ARRIVAL: Final[Row] = (None,) * len(_ARRIVAL)
NO_OUTCOME: Final[Row] = (None,) * len(_OUTCOME)
NO_RESULT: Final[Row] = (None,) * 5

_ARRIVES: Final = """
CREATE TEMP TRIGGER arrives INSTEAD OF INSERT ON exchange WHEN new.id IS NOT NULL BEGIN
    INSERT INTO message (id, reverse_path, received_at, expires_at, user, client, size, subject,
            message_id, options, checksum, in_file)
        VALUES (new.id, new.reverse_path, new.received_at, new.expires_at, new.user, new.client,
            new.size, new.subject, new.message_id, new.options, new.checksum, new.in_file);
    INSERT INTO recipient (message, number, address, domain, options, state, attempts, due_at,
            started, reply, reason)
        VALUES (new.id, 0, new.address, new.domain, new.recipient_options, 0, 0, new.due_at,
            new.started, '', '');
    INSERT INTO body (message, content) SELECT new.id, new.content WHERE new.content IS NOT NULL;
END
"""

# Only a queued recipient changes, so a cancelled one stays cancelled; a body goes when its last
# recipient has come to an end, and stays when one was set aside (6).
_ENDS: Final = """
CREATE TEMP TRIGGER ends INSTEAD OF INSERT ON exchange WHEN new.attempt IS NOT NULL BEGIN
    INSERT INTO attempt (message, started_at, serial, seconds, route, next_hop, tls, uncertain,
            results, transcript)
        VALUES (new.attempt, new.started_at, new.serial, new.seconds, new.route, new.next_hop,
            new.tls, new.uncertain, new.results, new.transcript);
    UPDATE recipient SET state = new.state, due_at = new.next_at, reply = new.reply,
            reason = new.reason, attempts = attempts + 1, started = 0
        WHERE message = new.attempt AND number = new.number AND state = 0;
    DELETE FROM body WHERE message = new.attempt AND new.state > 1 AND NOT EXISTS (
        SELECT 1 FROM recipient WHERE message = new.attempt AND state IN (0, 1, 6));
END
"""


def with_exchange(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, with the view on it; it goes with the connection."""
    columns = ", ".join(f"NULL AS {name}" for name in (*_ARRIVAL, *_OUTCOME))
    connection.execute(f"CREATE TEMP VIEW exchange AS SELECT {columns}")
    connection.execute(_ARRIVES)
    connection.execute(_ENDS)
    return connection


def exchange(
    connection: sqlite3.Connection, arrivals: Sequence[Row], outcomes: Sequence[Row]
) -> None:
    """Write messages that arrive and attempts that end, of other messages, in a statement for
    each `LARGEST` of them."""
    count = max(len(arrivals), len(outcomes))
    left = [*arrivals, *[NO_ARRIVAL] * (count - len(arrivals))]
    right = [*outcomes, *[NO_OUTCOME] * (count - len(outcomes))]
    for start in range(0, count, LARGEST):
        end = min(start + LARGEST, count)
        values: list[object] = []
        for arrival, outcome in zip(left[start:end], right[start:end], strict=True):
            values += arrival
            values += outcome
        connection.execute(_statement(end - start), values)


@lru_cache(maxsize=LARGEST)
def _statement(rows: int) -> str:
    row = f"({','.join('?' * (len(_ARRIVAL) + len(_OUTCOME)))})"
    return f"INSERT INTO exchange VALUES {','.join([row] * rows)}"
