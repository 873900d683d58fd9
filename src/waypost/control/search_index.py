"""The search index: `search.sqlite` beside the spool. What is in it can be made again at any time.

Messages are indexed by trigram (search_words), without their text: only which message has which.
They are in *volumes* of a hundred thousand, by rising identifier, each a table of its own. So the
newest are searched first, what retention has removed goes by dropping a table, and what was removed
but is still in a volume is found out when the message is looked for in the spool.

It is written by one thread and read by another, each with a connection. Nothing here waits for the
disk to be sure: WAL with synchronous=NORMAL stays whole through a crash, and may forget the last
moments of a power cut; they are indexed again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAME: Final = "search.sqlite"

VERSION: Final = 1
"""Of the format; another one is made anew."""

VOLUME: Final = 100_000
"""Messages of a volume."""

_SCHEMA: Final = """
CREATE TABLE volume (
    number INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,     -- identifiers
    last INTEGER NOT NULL,
    messages INTEGER NOT NULL
) STRICT;
CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

_ALL: Final = 1 << 62
"""Above every identifier and every number of messages."""

VOLUMES_AT_ONCE: Final = 20
"""Volumes looked into before the caller may say whether to go on."""

_INDEXED: Final = "indexed"
_IS_OPEN: Final = "open"


class NoIndex(Exception):
    """This build of SQLite cannot keep such an index."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Messages that may be meant."""

    messages: tuple[int, ...]
    """Newest first."""
    before: int | None
    """Where to go on; None: there are no more."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection as both threads use it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -8000")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


class IndexWriter:
    """Writes the index. All calls are made in one thread."""

    def __init__(self, path: Path, volume: int = VOLUME) -> None:
        self._path = path
        self._volume = volume
        self._connection: sqlite3.Connection | None = None

    def open(self) -> int:
        """Make ready; the message up to which all is indexed. What cannot be used is made anew.

        Raises NoIndex, sqlite3.OperationalError, OSError.
        """
        try:
            return self._open()
        except (sqlite3.OperationalError, NoIndex):
            raise
        except sqlite3.DatabaseError:
            self.remove()
            return self._open()

    def _open(self) -> int:
        self._path.touch(mode=0o600)  # before SQLite makes it for everybody to read
        connection = self._connection = connect(self._path)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError(f"the search index has format {version}")
        if version == 0:
            _probe(connection)
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.strip().rstrip(";").split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        if _fact(connection, _IS_OPEN):
            # A crash may have cut off a message that came late, below those already indexed. What
            # is being written is written again.
            self._drop_newest(connection)
        _set_fact(connection, _IS_OPEN, 1)
        return _fact(connection, _INDEXED)

    def _drop_newest(self, connection: sqlite3.Connection) -> None:
        row = connection.execute(
            "SELECT number, first FROM volume ORDER BY first DESC LIMIT 1"
        ).fetchone()
        if row is not None:
            connection.execute("BEGIN IMMEDIATE")
            _drop(connection, row[0])
            _set_fact(connection, _INDEXED, row[1] - 1)
            connection.execute("COMMIT")

    def add(self, texts: Sequence[tuple[int, str]], indexed: int) -> None:
        """Index messages, and say that all up to `indexed` are. Raises sqlite3.Error."""
        connection = self._writing()
        connection.execute("BEGIN IMMEDIATE")
        try:
            rest = sorted(texts)
            while rest:
                number, room, below = self._volume_for(connection, rest[0][0])
                part = [one for one in rest[:room] if one[0] < below]
                rest = rest[len(part) :]
                _insert(connection, number, part)
            _set_fact(connection, _INDEXED, indexed)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _volume_for(self, connection: sqlite3.Connection, message: int) -> tuple[int, int, int]:
        """The volume of a message, how many more it takes, and only below which message."""
        volumes = connection.execute(
            "SELECT number, first, last, messages FROM volume ORDER BY first DESC"
        ).fetchall()
        if volumes and message <= volumes[0][2]:  # one that comes late: its place is given
            below = volumes[0][2] + 1
            for number, first, _, _ in volumes:
                if message >= first:
                    return number, _ALL, below
                below = first
            return volumes[-1][0], _ALL, volumes[-2][1] if len(volumes) > 1 else below
        if volumes and volumes[0][3] < self._volume:
            return volumes[0][0], self._volume - volumes[0][3], _ALL
        number = 1 + max((one[0] for one in volumes), default=0)
        _create(connection, number)
        connection.execute("INSERT INTO volume VALUES (?, ?, ?, 0)", (number, message, message))
        return number, self._volume, _ALL

    def prune(self, oldest: int) -> None:
        """Drop the volumes of messages that are all older. Raises sqlite3.Error."""
        connection = self._writing()
        for (number,) in connection.execute(
            "SELECT number FROM volume WHERE last < ?", (oldest,)
        ).fetchall():
            connection.execute("BEGIN IMMEDIATE")
            _drop(connection, number)
            connection.execute("COMMIT")

    def close(self, *, complete: bool) -> None:
        """End. Unless all that should be in it is (`complete`), the newest volume will be made
        again."""
        if self._connection is not None:
            with suppress(sqlite3.Error):  # then it will be
                if complete:
                    _set_fact(self._connection, _IS_OPEN, 0)
            self._connection.close()
            self._connection = None

    def remove(self) -> None:
        """Throw it away."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _writing(self) -> sqlite3.Connection:
        assert self._connection is not None, "the index is not open"
        return self._connection


class IndexReader:
    """Asks the index. All calls are made in one thread, of the reader's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def candidates(self, asked: str, before: int, after: int, limit: int) -> Candidates:
        """Messages between two identifiers that match an expression (search_words.expression),
        newest first, from a volume or more. Raises sqlite3.Error."""
        if self._connection is None:
            self._connection = connect(self._path)
        connection = self._connection
        volumes = connection.execute(
            "SELECT number, first FROM volume WHERE first < ? AND last > ? "
            "ORDER BY first DESC LIMIT ?",
            (before, after, VOLUMES_AT_ONCE),
        ).fetchall()
        for number, first in volumes:
            name = f"volume_{number:d}"
            # As one text, in one step: row by row it would wait for the interpreter's lock.
            (rows,) = connection.execute(
                "SELECT json_group_array(rowid) FROM ("  # noqa: S608
                f"SELECT rowid FROM {name} WHERE {name} MATCH ? AND rowid < ? AND rowid > ? "
                "ORDER BY rowid DESC LIMIT ?)",
                (asked, before, after, limit),
            ).fetchone()
            found = json.loads(rows)
            if len(found) >= limit:
                return Candidates(tuple(found), found[-1])
            if found:
                return Candidates(tuple(found), first)
        return Candidates((), volumes[-1][1] if len(volumes) == VOLUMES_AT_ONCE else None)

    def close(self) -> None:
        """Give the connection back; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _probe(connection: sqlite3.Connection) -> None:
    try:
        _create(connection, 0)
        connection.execute("DROP TABLE volume_0")
    except sqlite3.OperationalError as fault:
        if "no such" in str(fault):
            raise NoIndex(str(fault)) from fault
        raise


def _create(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(
        f"CREATE VIRTUAL TABLE volume_{number:d} USING fts5"
        "(text, content='', detail=none, columnsize=0, tokenize='trigram')"
    )


def _drop(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(f"DROP TABLE IF EXISTS volume_{number:d}")
    connection.execute("DELETE FROM volume WHERE number = ?", (number,))


def _insert(connection: sqlite3.Connection, number: int, part: list[tuple[int, str]]) -> None:
    # One statement for all: it runs without the interpreter lock.
    connection.execute(
        f"INSERT INTO volume_{number:d} (rowid, text) "  # noqa: S608
        "SELECT value ->> 0, value ->> 1 FROM json_each(?)",
        (json.dumps(part),),
    )
    connection.execute(
        "UPDATE volume SET messages = messages + ?, first = min(first, ?), last = max(last, ?) "
        "WHERE number = ?",
        (len(part), part[0][0], part[-1][0], number),
    )


def _fact(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def _set_fact(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))
