"""Changes to a SQLite spool that people or the sandbox make. Run inside a transaction.

Which messages a change is for has been found before, by a reader, so that no long search stands
between the commits of arriving mail. What it depends on is looked at again here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from waypost.spool.bodies import fsync_directory
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.events import EntryKind
from waypost.spool.sqlite_events import record
from waypost.spool.sqlite_filter import narrowing

MAXIMUM_CAPTURED = 10_000
"""Messages that the sandbox keeps."""

_QUEUED, _HELD = RecipientState.QUEUED, RecipientState.HELD


def capture(
    connection: sqlite3.Connection,
    bodies: Path,
    captured: Path,
    message: int,
    addresses: Sequence[str],
    at: float,
) -> None:
    """Copy a message for the sandbox; the oldest beyond MAXIMUM_CAPTURED go."""
    known = connection.execute(
        "SELECT recipients FROM captured WHERE message = ?", (message,)
    ).fetchone()
    if known is not None:
        before = json.loads(known[0])
        added = [address for address in addresses if address not in before]
        connection.execute(
            "UPDATE captured SET recipients = ?, captured_at = ? WHERE message = ?",
            (json.dumps(before + added), at, message),
        )
        return
    path = bodies / f"{message}.eml"
    if path.exists():
        link = captured / path.name
        link.unlink(missing_ok=True)
        link.hardlink_to(path)
        fsync_directory(captured)
    connection.execute(
        "INSERT INTO captured SELECT m.id, m.reverse_path, ?, ?, m.size, m.subject, "
        "m.checksum, b.content FROM message m LEFT JOIN body b ON b.message = m.id "
        "WHERE m.id = ? AND (m.in_file OR b.content IS NOT NULL)",
        (json.dumps(list(addresses)), at, message),
    )
    for (old,) in connection.execute(
        "DELETE FROM captured WHERE message IN (SELECT message FROM captured "
        "ORDER BY message DESC LIMIT 10 OFFSET ?) RETURNING message",
        (MAXIMUM_CAPTURED,),
    ).fetchall():
        (captured / f"{old}.eml").unlink(missing_ok=True)


def remove_captured(
    connection: sqlite3.Connection, captured: Path, messages: Sequence[int]
) -> tuple[int, int]:
    """Forget captured messages; how many, and how many bytes of files went with them.

    The rows go first. Should the transaction fail, their content above 256 KiB is gone, which
    reading them says; should a file be left behind, it is counted until the next start.
    """
    count = freed = 0
    for message in messages:
        row = connection.execute(
            "DELETE FROM captured WHERE message = ? RETURNING content IS NULL", (message,)
        ).fetchone()
        if row is None:
            continue
        count += 1
        path = captured / f"{message}.eml"
        if row[0] and path.exists():
            status = path.stat()
            path.unlink()
            freed += status.st_size if status.st_nlink == 1 else 0
    return count, freed


def set_aside(connection: sqlite3.Connection, message: int, reason: str, at: float) -> int:
    """Waiting recipients of a message become DAMAGED; nothing of it is removed."""
    record(connection, EntryKind.DAMAGED, at, [message], "state IN (0, 1)")
    return connection.execute(
        "UPDATE recipient SET state = 6, started = 0, reply = ?, reason = 'damaged' "
        "WHERE message = ? AND state IN (0, 1)",
        (reason, message),
    ).rowcount


def hold(
    connection: sqlite3.Connection, messages: Sequence[int], wanted: MessageFilter, now: float
) -> int:
    """QUEUED becomes HELD, unless an attempt is under way."""
    told = (EntryKind.HELD, now)
    return _change(connection, messages, wanted, "state = 1", (_QUEUED,), (), told)


def release(
    connection: sqlite3.Connection, messages: Sequence[int], wanted: MessageFilter, now: float
) -> int:
    """HELD becomes QUEUED, due now."""
    told = (EntryKind.RELEASED, now)
    return _change(connection, messages, wanted, "state = 0, due_at = ?", (_HELD,), (now,), told)


def retry(
    connection: sqlite3.Connection, messages: Sequence[int], wanted: MessageFilter, now: float
) -> int:
    """QUEUED becomes due now."""
    return _change(connection, messages, wanted, "due_at = ?", (_QUEUED,), (now,), None)


def cancel(
    connection: sqlite3.Connection,
    messages: Sequence[int],
    wanted: MessageFilter,
    reason: str,
    now: float,
) -> int:
    """QUEUED and HELD become CANCELLED, unless an attempt is under way; their bodies go."""
    changed = _change(
        connection, messages, wanted, "state = 5, reply = ?, reason = 'cancelled'",
        (_QUEUED, _HELD), (reason,), (EntryKind.CANCELLED, now),
    )  # fmt: skip
    connection.executemany(
        "DELETE FROM body WHERE message = ? AND NOT EXISTS (SELECT 1 FROM recipient "
        "WHERE recipient.message = body.message AND state IN (0, 1, 6))",
        [(message,) for message in messages],
    )
    return changed


def _change(
    connection: sqlite3.Connection,
    messages: Sequence[int],
    wanted: MessageFilter,
    assignment: str,
    states: Sequence[RecipientState],
    values: tuple[object, ...],
    told: tuple[EntryKind, float] | None,
) -> int:
    """`told`: as what the event log has it, and when."""
    condition, narrow = narrowing(wanted, states)
    if told is not None:
        kind, at = told
        record(connection, kind, at, messages, f"started = 0 AND {condition}", tuple(narrow))
    return connection.executemany(
        f"UPDATE recipient SET {assignment} WHERE message = ? AND started = 0 AND {condition}",
        [(*values, message, *narrow) for message in messages],
    ).rowcount


def remove(connection: sqlite3.Connection, messages: Sequence[int]) -> None:
    """Remove messages for which nobody waits, with their attempts."""
    for table, column in (
        ("attempt", "message"), ("recipient", "message"), ("body", "message"), ("message", "id"),
    ):  # fmt: skip
        connection.executemany(
            f"DELETE FROM {table} WHERE {column} = ?", [(message,) for message in messages]
        )
