"""The file in which the control room keeps what is its own: `control.sqlite` in the data folder.

It is small and apart from the spool, so that nothing here can hold up mail. Commands open it while
the relay runs: SQLite's WAL lets them. One thread does all the work for a running relay, so that
its event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from waypost.relay.private_database import connect_private

NAME: Final = "control.sqlite"

BUSY_SECONDS: Final = 10.0
"""How long a writer waits for another process that writes."""

_Result = TypeVar("_Result")


class DamagedDatabase(sqlite3.DatabaseError):
    """The file is no database, or no longer; the text says which and what to do."""


class ControlDatabase:
    """See the module. Each room brings its tables with `add_tables`, before or after `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pool = ThreadPoolExecutor(1, "waypost-control")
        self._connection: sqlite3.Connection | None = None

    def now(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run work in a transaction, in this thread: for commands, and before the loop runs.

        Never beside `run` of the same object. Raises sqlite3.Error, and what the work raises.
        """
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    async def run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run work in a transaction, in the database's thread; durable when it returns.

        Raises sqlite3.Error, and what the work raises; nothing is changed then.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.now, work)

    async def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run work that changes nothing, in the database's thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: work(self._open())
        )

    def add_tables(self, statements: str) -> None:
        """Make the tables of one room where they are missing (CREATE ... IF NOT EXISTS)."""
        self._open().executescript(statements)

    @staticmethod
    def is_damaged(fault: sqlite3.DatabaseError) -> bool:
        """Whether the file itself is at fault, and not who else uses it, or the disk."""
        code = getattr(fault, "sqlite_errorcode", None)
        return isinstance(fault, DamagedDatabase) or code in (
            sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT,
        )  # fmt: skip

    def close(self) -> None:
        """Let what is under way end, and close the file."""
        self._pool.shutdown(wait=True)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect_private(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.DatabaseError as fault:
                connection.close()
                if not self.is_damaged(fault):
                    raise
                raise DamagedDatabase(
                    f"{self.path} is damaged ({fault}); put a backup in its place, or move it away "
                    "to begin with no accounts and keys; the mail is not in it"
                ) from fault
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._connection = connection
        return self._connection
