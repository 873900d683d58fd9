"""An application's database, as the tests of the outbox see it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from waypost.outbox import statements
from waypost.outbox.connections import database_of, run
from waypost.outbox.entry import NewEntry
from waypost.outbox.store import Connect, OutboxStore, add_values, connect_to
from waypost.smtp.envelope import Envelope, Recipient

ENVELOPE = Envelope(
    "shop@example.com",
    (
        Recipient("ann@example.org", frozenset({"FAILURE"}), "rfc822;ann@example.org"),
        Recipient("bob@example.net"),
    ),
    smtputf8=True,
    returned="HDRS",
    envelope_id="order 17",
)
CONTENT = b"Subject: caf\xc3\xa9\r\n\r\n\x00binary\xff\r\n"


@dataclass(frozen=True)
class Application:
    """An application's database."""

    url: str

    @property
    def connect(self) -> Connect:
        return connect_to(self.url)

    @property
    def store(self) -> OutboxStore:
        return OutboxStore(self.connect)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        connection = self.connect()
        with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            found = cursor.fetchall() if cursor.description is not None else []
            connection.commit()
            return found


def add(
    application: Application,
    key: str | None = None,
    due_at: float = 100.0,
    expires_at: float = 1000.0,
) -> int | None:
    """Add an entry as an application does, in a transaction; None where the key was there."""
    entry = NewEntry(ENVELOPE, CONTENT, 100.0, due_at, expires_at, key)
    connection = application.connect()
    with contextlib.closing(connection):
        database = database_of(connection)
        rows = run(
            database, *statements.rendered(statements.ADD, database.style, add_values(entry))
        )
        connection.commit()
    return rows[0][0] if rows else None
