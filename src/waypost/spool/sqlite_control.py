"""Changes to a SQLite spool that people or recovery make. Run inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from waypost.spool.contract import MessageFilter, Recovery
from waypost.spool.sqlite_reading import matching

MAXIMUM_CAPTURED = 10_000
"""Messages that the sandbox keeps."""

_QUEUED, _HELD, _CANCELLED, _DAMAGED = 0, 1, 5, 6


def recover(connection: sqlite3.Connection, bodies: Path) -> Recovery:
    """After opening: check the tables, clear marks of attempts that a crash cut off, remove files
    that were never answered for, and set aside what cannot be read."""
    set_aside_now: list[tuple[int, str]] = []
    for table in ("message", "recipient"):
        for (finding,) in connection.execute(f"PRAGMA quick_check('{table}')"):
            if finding != "ok":
                raise sqlite3.DatabaseError(
                    f"the spool's table {table} is damaged: {finding}; nothing was changed. "
                    "Copy the folder, then run: waypost queue salvage"
                )
    connection.execute("BEGIN IMMEDIATE")
    for (message,) in connection.execute(
        "SELECT DISTINCT r.message FROM recipient r LEFT JOIN message m ON m.id = r.message "
        "LEFT JOIN body b ON b.message = r.message "
        "WHERE r.state = 0 AND (m.id IS NULL OR (m.in_file = 0 AND b.message IS NULL))"
    ).fetchall():
        set_aside_now.append((message, "its content is gone"))
    for (message,) in connection.execute(
        "SELECT id FROM message WHERE in_file = 1 AND id IN "
        "(SELECT message FROM recipient WHERE state < 2)"
    ).fetchall():
        if not (bodies / f"{message}.eml").exists():
            set_aside_now.append((message, "its content file is gone"))
    for message, reason in set_aside_now:
        set_aside(connection, message, reason)
    (uncertain,) = connection.execute(
        "SELECT count(*) FROM recipient INDEXED BY recipient_due WHERE state = 0 AND started = 1"
    ).fetchone()
    if uncertain:
        connection.execute(
            "UPDATE recipient SET started = 0, attempts = attempts + 1, "
            "reply = 'the relay stopped during an attempt; it may have been delivered' "
            "WHERE state = 0 AND started = 1"
        )
    messages, recipients = connection.execute(
        "SELECT count(DISTINCT message), count(*) FROM recipient INDEXED BY recipient_due "
        "WHERE state = 0"
    ).fetchone()
    connection.execute("COMMIT")
    _remove_orphans(connection, bodies)
    return Recovery(messages, recipients, uncertain, tuple(set_aside_now), 0.0)


def _remove_orphans(connection: sqlite3.Connection, bodies: Path) -> None:
    for path in bodies.iterdir():
        if path.suffix == ".part":
            path.unlink()
        elif path.suffix == ".eml" and path.stem.isdigit():
            waiting = connection.execute(
                "SELECT 1 FROM recipient WHERE message = ? AND state < 2", (int(path.stem),)
            ).fetchone()
            if waiting is None:
                path.unlink()


def bodies_in_files(connection: sqlite3.Connection, bodies: Path) -> set[int]:
    """The messages whose content is in a file."""
    del connection
    return {int(path.stem) for path in bodies.glob("*.eml") if path.stem.isdigit()}


def capture(
    connection: sqlite3.Connection,
    bodies: Path,
    captured: Path,
    message: int,
    addresses: Sequence[str],
    at: float,
) -> None:
    """Copy a message for the sandbox; the oldest beyond MAXIMUM_CAPTURED go."""
    connection.execute(
        "INSERT OR REPLACE INTO captured SELECT m.id, m.reverse_path, ?, ?, m.size, m.subject, "
        "m.checksum, b.content FROM message m LEFT JOIN body b ON b.message = m.id WHERE m.id = ?",
        (json.dumps(list(addresses)), at, message),
    )
    path = bodies / f"{message}.eml"
    if path.exists():
        (captured / path.name).unlink(missing_ok=True)
        (captured / path.name).hardlink_to(path)
    for (old,) in connection.execute(
        "DELETE FROM captured WHERE message IN (SELECT message FROM captured "
        "ORDER BY message DESC LIMIT 10 OFFSET ?) RETURNING message",
        (MAXIMUM_CAPTURED,),
    ).fetchall():
        (captured / f"{old}.eml").unlink(missing_ok=True)


def set_aside(connection: sqlite3.Connection, message: int, reason: str) -> int:
    """Waiting recipients of a message become DAMAGED; nothing of it is removed."""
    return connection.execute(
        "UPDATE recipient SET state = ?, started = 0, reply = ?, reason = 'damaged' "
        "WHERE message = ? AND state IN (0, 1)",
        (_DAMAGED, reason, message),
    ).rowcount


def hold(connection: sqlite3.Connection, wanted: MessageFilter) -> int:
    """QUEUED becomes HELD, unless an attempt is under way."""
    return _change(connection, wanted, "state = 1", "state = 0 AND started = 0", ())


def release(connection: sqlite3.Connection, wanted: MessageFilter, now: float) -> int:
    """HELD becomes QUEUED, due now."""
    return _change(connection, wanted, "state = 0, due_at = ?", "state = 1", (now,))


def retry(connection: sqlite3.Connection, wanted: MessageFilter, now: float) -> int:
    """QUEUED becomes due now."""
    return _change(connection, wanted, "due_at = ?", "state = 0 AND started = 0", (now,))


def cancel(connection: sqlite3.Connection, wanted: MessageFilter, reason: str) -> int:
    """QUEUED and HELD become CANCELLED, unless an attempt is under way; their bodies go."""
    changed = _change(
        connection, wanted, f"state = {_CANCELLED}, reply = ?, reason = 'cancelled'",
        "state IN (0, 1) AND started = 0", (reason,),
    )  # fmt: skip
    connection.execute(
        "DELETE FROM body WHERE message IN (SELECT message FROM recipient WHERE state = 5) AND NOT "
        "EXISTS (SELECT 1 FROM recipient WHERE recipient.message = body.message AND state < 2)"
    )
    return changed


def _change(
    connection: sqlite3.Connection,
    wanted: MessageFilter,
    assignment: str,
    condition: str,
    values: tuple[object, ...],
) -> int:
    where, filter_values = matching(wanted)
    narrowed = "recipient.address LIKE ? ESCAPE '\\' AND " if wanted.recipient else ""
    narrow_values = [filter_values[-1]] if wanted.recipient and not wanted.text else []
    if wanted.recipient and wanted.text:
        narrow_values = [filter_values[-5]]
    return connection.execute(
        f"UPDATE recipient SET {assignment} WHERE {narrowed}{condition} AND message IN "
        f"(SELECT id FROM message WHERE {where} ORDER BY id DESC LIMIT ?)",
        [*values, *narrow_values, *filter_values, wanted.limit],
    ).rowcount


def prune(connection: sqlite3.Connection, before: float, limit: int) -> int:
    """Remove messages received before a time for which no recipient waits."""
    identifiers = [
        row[0]
        for row in connection.execute(
            "SELECT id FROM message WHERE received_at < ? AND NOT EXISTS (SELECT 1 FROM recipient "
            "WHERE recipient.message = message.id AND state < 2) ORDER BY id LIMIT ?",
            (before, limit),
        )
    ]
    for table, column in (
        ("attempt", "message"), ("recipient", "message"), ("body", "message"), ("message", "id"),
    ):  # fmt: skip
        connection.executemany(
            f"DELETE FROM {table} WHERE {column} = ?",
            [(identifier,) for identifier in identifiers],
        )
    return len(identifiers)
