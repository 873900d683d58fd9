"""Opening a SQLite spool: schema, recovery after a crash, and the search for damage.

What must be known before the first message is taken is done at once, and costs no more than a look
at what waits: attempts that a crash cut off, files without rows, rows without files. Whether every
page of the database is sound takes a look at every page; that is done while the spool works
already (`findings`), and a damaged message that is reached before is set aside all the same.

Who cleans up what a crash leaves:

    ID.part            a body that was arriving: never answered for, removed at start
    ID.eml, no row     durable, but its commit was lost: never answered for, removed at start
    ID.eml, no waiting delivered, but its removal was lost: removed at start
    row, no ID.eml     somebody removed the file: the message is set aside at start
    started            an attempt was under way: cleared at start and counted as uncertain
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from waypost.spool.contract import Recovery
from waypost.spool.sqlite_control import set_aside

SCHEMA_VERSION: Final = 1

UNCERTAIN_REPLY: Final = "the relay stopped during an attempt; it may have been delivered"
"""What a recipient shows whose attempt a crash cut off."""

_MAGIC: Final = b"SQLite format 3\0"

_PAGE: Final = 2000
"""Rows looked at in one step of the search for damage."""


class SpoolDamaged(sqlite3.DatabaseError):
    """The database of a spool cannot be used. Nothing was changed."""

    def __init__(self, path: Path, finding: object) -> None:
        super().__init__(
            f"the spool {path} is damaged: {finding}. Nothing was changed. Copy the folder "
            f"{path.parent} first; then read what can be read into a new spool with "
            "`waypost queue salvage`, or start with another --spool"
        )


def connect(path: Path) -> sqlite3.Connection:
    """A connection as all parts of the spool use it. For any thread, but one at a time."""
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=512, timeout=30, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("PRAGMA temp_store = MEMORY")
    # Some distributions build SQLite to overwrite all that is deleted with zeros. That would write
    # each delivered body a second time, and fill the very disk that it is deleted from.
    connection.execute("PRAGMA secure_delete = FAST")
    return connection


def prepare(path: Path) -> None:
    """Make the tables of a new spool, or see that those of an old one are ours. Writes nothing
    into an old one, so that it opens on a full disk. Raises SpoolDamaged, sqlite3.DatabaseError."""
    new = not path.exists() or path.stat().st_size == 0
    if not new:
        _look_at_header(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        path.chmod(0o600)
        if new:
            connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.NotSupportedError(
                f"{path} has schema {version}; this version of waypost knows "
                f"{SCHEMA_VERSION}. Run the version that wrote it, or choose another --spool"
            )
        schema = resources.files("waypost.spool").joinpath("schema.sql").read_text("utf-8")
        _drop_old_indexes(connection)
        connection.executescript(schema)
        if version != SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except sqlite3.NotSupportedError:
        raise
    except sqlite3.DatabaseError as fault:
        if isinstance(fault, sqlite3.OperationalError):
            raise  # locked, read-only, full: not a question of damage
        raise SpoolDamaged(path, fault) from fault
    finally:
        connection.close()


def _drop_old_indexes(connection: sqlite3.Connection) -> None:
    """Indexes of spools from before the state was a part of them; the schema makes them anew."""
    for name, sql in connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' "
        "AND name IN ('recipient_due', 'recipient_held')"
    ).fetchall():
        if ", state)" not in sql:
            connection.execute(f"DROP INDEX {name}")


def _look_at_header(path: Path) -> None:
    """Cheap signs of damage: not a database at all, or cut off at the end."""
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC):
        raise SpoolDamaged(path, "it does not begin as a SQLite database does")
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        return  # the log may hold a newer header, and the pages that seem to miss
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    expected = int.from_bytes(header[28:32], "big") * page_size
    if path.stat().st_size < expected:
        raise SpoolDamaged(path, f"it has {path.stat().st_size} bytes of {expected}")


def recover(connection: sqlite3.Connection, path: Path, bodies: Path, now: float) -> Recovery:
    """Clear what a crash left half-done. Raises SpoolDamaged."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        gone = [
            (message, "its content file is gone")
            for (message,) in connection.execute(
                "SELECT id FROM message INDEXED BY message_in_file WHERE in_file = 1 AND id IN "
                "(SELECT message FROM recipient WHERE recipient.message = message.id "
                "AND state < 2)"
            ).fetchall()
            if not (bodies / f"{message}.eml").exists()
        ]
        for message, reason in gone:
            set_aside(connection, message, reason, now)
        uncertain = connection.execute(
            "UPDATE recipient SET started = 0, attempts = attempts + 1, reply = ? "
            "WHERE state = 0 AND started = 1",
            (UNCERTAIN_REPLY,),
        ).rowcount
        messages, recipients = connection.execute(
            "SELECT count(DISTINCT message), count(*) FROM recipient INDEXED BY recipient_due "
            "WHERE state = 0"
        ).fetchone()
        connection.execute("COMMIT")
        _remove_orphans(connection, bodies)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as fault:
        raise SpoolDamaged(path, fault) from fault
    return Recovery(messages, recipients, uncertain, tuple(gone), 0.0)


def _remove_orphans(connection: sqlite3.Connection, bodies: Path) -> None:
    with os.scandir(bodies) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        stem, _, suffix = name.rpartition(".")
        if suffix == "part" and stem.isdigit():
            (bodies / name).unlink()
        elif suffix == "eml" and stem.isdigit():
            held = connection.execute(
                "SELECT 1 FROM recipient WHERE message = ? AND state IN (0, 1, 6)", (int(stem),)
            ).fetchone()
            if held is None:
                (bodies / name).unlink()


def file_sizes(directory: Path) -> dict[int, int]:
    """The bodies in a folder: identifier and bytes."""
    with os.scandir(directory) as entries:
        return {
            int(entry.name[:-4]): entry.stat().st_size
            for entry in entries
            if entry.name.endswith(".eml") and entry.name[:-4].isdigit()
        }


def findings(connection: sqlite3.Connection, stop: Callable[[], bool]) -> Iterator[str]:
    """What is wrong with the structure of the database, table by table. Reads all of it: for a
    thread and a connection of its own, while the spool works. It ends when `stop` says so, and
    within a table by `interrupt` of the connection, with sqlite3.OperationalError."""
    for table in ("message", "recipient", "attempt", "captured", "event", "suppression"):
        if stop():
            return
        try:
            for (finding,) in connection.execute(f"PRAGMA quick_check('{table}')"):
                if finding != "ok":
                    yield f"table {table}: {finding}"
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as fault:
            yield f"table {table}: {fault}"


def unreadable(connection: sqlite3.Connection, after: int) -> tuple[list[tuple[int, str]], int]:
    """Of the next waiting messages after an identifier, those whose row or content is missing;
    and the last one looked at, or 0 at the end."""
    rows = connection.execute(
        "SELECT DISTINCT message FROM recipient WHERE message > ? AND state < 2 "
        "ORDER BY message LIMIT ?",
        (after, _PAGE),
    ).fetchall()
    found: list[tuple[int, str]] = []
    for (message,) in rows:
        row = connection.execute(
            "SELECT m.in_file, b.message FROM message m LEFT JOIN body b ON b.message = m.id "
            "WHERE m.id = ?",
            (message,),
        ).fetchone()
        if row is None:
            found.append((message, "its row is gone"))
        elif not row[0] and row[1] is None:
            found.append((message, "its content is gone"))
    return found, (rows[-1][0] if rows else 0)
