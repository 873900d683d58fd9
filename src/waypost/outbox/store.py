"""The rows of an outbox, as a worker works on them: over a connection of its own.

Life of an entry:

    added --lease--> leased, fence n --postpone--> waiting, due later
      ^                 |     |
      |    give back    |     +------finish------> finished (the content is gone, the row stays for
      +-----------------+                          its key and its results until it is pruned)

A lease is committed before the attempt begins. A worker that dies leaves it to run out; the next
lease then counts one attempt as uncertain, since the message may have gone out. The fence keeps
a worker that was only slow from settling what another one has taken meanwhile.
"""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from waypost.outbox import statements
from waypost.outbox.connections import Database, count, database_of, run
from waypost.outbox.entry import (
    MAXIMUM_REPLY,
    LeasedEntry,
    NewEntry,
    OutboxCounts,
    Settlement,
    UnreadableEntry,
    envelope_from_json,
    envelope_to_json,
    results_from_json,
    results_to_json,
)

BUSY_SECONDS: Final = 10.0
"""How long SQLite waits for another writer of the application."""

Connect = Callable[[], Any]
"""Opens a connection: what a driver's `connect` does."""

Result = TypeVar("Result")


class UnknownDatabase(ValueError):
    """A database's URL that is no outbox's."""


def connect_to(url: str, *, create: bool = True) -> Connect:
    """What opens a connection to the database of a URL: sqlite:PATH or postgresql://...

    A file that is not there is made, unless `create` is off. Raises UnknownDatabase.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest and rest != ":memory:":
        path = unquote(rest.removeprefix("//")) if rest.startswith("///") else rest
        name = f"file:{quote(path)}?mode={'rwc' if create else 'rw'}"
        return lambda: sqlite3.connect(name, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    if scheme in ("postgresql", "postgres"):
        return lambda: _connect_to_postgresql(url)
    raise UnknownDatabase(
        f"an outbox cannot be kept in {scheme + ':...' if rest else url!r}: write sqlite:PATH (a "
        "file) or postgresql://user@host/database, or give a function that returns a connection"
    )


def _connect_to_postgresql(url: str) -> Any:
    try:
        psycopg = importlib.import_module("psycopg")
    except ImportError as missing:
        raise UnknownDatabase(
            "an outbox in PostgreSQL needs psycopg: pip install 'waypost[postgres]', or give a "
            "function that returns a connection of your driver"
        ) from missing
    return psycopg.connect(url)


def add_values(entry: NewEntry) -> dict[str, Any]:
    """The values of the statement that adds an entry."""
    return {
        "idempotency_key": entry.idempotency_key,
        "envelope": envelope_to_json(entry.envelope),
        "content": entry.content,
        "created_at": entry.created_at,
        "due_at": entry.due_at,
        "expires_at": entry.expires_at,
    }


class OutboxStore:
    """One connection to the outbox, used by one thread at a time. Driver errors pass through."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._database: Database | None = None

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(Exception):  # it may be why we close it
                database.driver.close()

    def create(self) -> None:
        """Create the table where it is not there."""
        for statement in self._opened().dialect.create:
            self._rows(statement, {})

    def lease(
        self, now: float, limit: int, seconds: float
    ) -> tuple[list[LeasedEntry], list[tuple[int, int, str]]]:
        """Entries that are due and nobody's, the longest due first.

        Behind them those that cannot be read: identifier, fence, why.
        """
        values = {"now": now, "limit": limit, "leased_until": now + seconds}
        rows = self._rows(self._opened().dialect.lease, values)
        leased, unreadable = [], []
        for row in sorted(rows, key=lambda row: int(row[0])):
            try:
                leased.append(_leased(row))
            except UnreadableEntry as fault:
                unreadable.append((int(row[0]), int(row[1]), str(fault)))
        return leased, unreadable

    def renew(self, identifier: int, fence: int, until: float) -> bool:
        """Keep a lease; False where it has gone to another worker."""
        return self._change(
            statements.RENEW, {"id": identifier, "fence": fence, "leased_until": until}
        )

    def give_back(self, identifier: int, fence: int) -> bool:
        """End a lease of which no attempt came."""
        return self._change(statements.GIVE_BACK, {"id": identifier, "fence": fence})

    def settle(self, settlement: Settlement, now: float) -> bool:
        """Keep what an attempt came to; False where the lease has gone to another worker."""
        values: dict[str, Any] = {
            "id": settlement.identifier,
            "fence": settlement.fence,
            "results": results_to_json(settlement.results),
            "last_reply": _storable(settlement.last_reply),
        }
        if settlement.envelope is not None:
            values |= {
                "due_at": settlement.due_at,
                "envelope": envelope_to_json(settlement.envelope),
            }
            return self._change(statements.POSTPONE, values)
        failed = any(one.kind != "delivered" for one in settlement.results)
        return self._change(statements.FINISH, values | {"finished_at": now, "failed": int(failed)})

    def give_up(self, identifier: int, fence: int, why: str, now: float) -> bool:
        """Bring an entry that cannot be read to its end, with the reason."""
        values = {
            "id": identifier, "fence": fence, "finished_at": now, "failed": 1,
            "results": "[]", "last_reply": _storable(why),
        }  # fmt: skip
        return self._change(statements.FINISH, values)

    def retry_now(self, now: float) -> int:
        """Make everything due that waits for later; how many entries."""
        return self._count(statements.RETRY_NOW, {"now": now})

    def prune(self, before: float, limit: int) -> int:
        """Remove entries that were finished before; how many."""
        values = {"before": before, "limit": limit}
        return self._count(statements.PRUNE, values)

    def counts(self) -> OutboxCounts:
        """How much is where."""
        [row] = self._rows(statements.COUNT, {})
        oldest = None if row[4] is None else float(row[4])
        waiting, finished, failed, uncertain = (int(number) for number in row[:4])
        return OutboxCounts(waiting, finished, failed, uncertain, oldest)

    # --- one statement, one transaction ---------------------------------------------------------

    def _change(self, statement: str, values: Mapping[str, Any]) -> bool:
        return bool(self._count(statement, values))

    def _rows(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._transact(run, statement, values)

    def _count(self, statement: str, values: Mapping[str, Any]) -> int:
        return self._transact(count, statement, values)

    def _transact(
        self,
        work: Callable[[Database, str, tuple[Any, ...]], Result],
        statement: str,
        values: Mapping[str, Any],
    ) -> Result:
        database = self._opened()
        try:
            result = work(database, *statements.rendered(statement, database.style, values))
            database.driver.commit()
        except BaseException:
            self.close()  # which rolls back; a connection that has failed is not used again
            raise
        return result

    def _opened(self) -> Database:
        if self._database is None:
            self._database = database_of(self._connect())
        return self._database


def _leased(row: Sequence[Any]) -> LeasedEntry:
    identifier, fence, envelope, content, created_at, expires_at, attempts, uncertain, results = row
    if content is None:
        raise UnreadableEntry("an entry of the outbox has lost its content")
    return LeasedEntry(
        int(identifier), int(fence), envelope_from_json(envelope), bytes(content),
        float(created_at), float(expires_at), int(attempts), int(uncertain),
        results_from_json(results),
    )  # fmt: skip


def _storable(text: str) -> str:
    """Without what PostgreSQL's TEXT cannot hold: NUL, and bytes that are no UTF-8."""
    return text[:MAXIMUM_REPLY].replace("\0", "").encode("utf-8", "replace").decode("utf-8")
