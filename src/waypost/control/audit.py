"""The audit log: who did what, when, from where, to what.

Nothing here changes an entry, and the table refuses it. Entries leave by age and by number, so that
the file stays bounded. Who acts through the web is told by the caller; from which address, by the
request under way (`acting_from`).
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Final

from waypost.control.database import ControlDatabase
from waypost.net.clock import Clock

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_at ON audit (at);
CREATE INDEX IF NOT EXISTS audit_nobody ON audit (id) WHERE who = '';
CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never changed'); END;
"""

_COLUMNS: Final = "id, at, who, address, action, subject, detail"

KEPT_ENTRIES: Final = 200_000

KEPT_OF_NOBODY: Final = 10_000
"""Of failed logins and the like: strangers can make as many as they want, and must not push out
what people did."""

KEPT_SECONDS: Final = 400 * 86400.0
"""A year, and some time to look at it."""

PAGE: Final = 1000
"""Entries that one call gives, at most."""

LONGEST: Final = {"who": 100, "action": 60, "subject": 500, "detail": 1000}
"""Characters of a text; what comes from outside is cut, never refused."""

acting_from: ContextVar[str] = ContextVar("acting_from", default="")
"""The address of the client whose request is under way; "": none, the relay itself acts."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action."""

    id: int
    at: float
    who: str
    """A name of an operator; key:NAME; command:LOGIN for a command on the machine; "": nobody
    who has logged in."""
    address: str
    action: str
    """What was done: `login`, `key added`, `queue retried`."""
    subject: str
    """To what."""
    detail: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; "" and None: any."""

    who: str = ""
    action: str = ""
    """Begins with this."""
    text: str = ""
    """Somewhere in the subject or the detail."""
    since: float | None = None
    until: float | None = None
    before: int | None = None
    """Only entries with a lower id: the next page."""
    limit: int = 100


def append(
    connection: Connection,
    now: float,
    who: str,
    action: str,
    subject: str = "",
    detail: str = "",
    *,
    address: str = "",
) -> None:
    """Write an entry, in the transaction of what it tells of; the oldest make room."""
    values = {"who": who, "action": action, "subject": subject, "detail": detail}
    cut = {name: _clean(text, LONGEST[name]) for name, text in values.items()}
    written = connection.execute(
        "INSERT INTO audit (at, who, address, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (now, cut["who"], address[:100], cut["action"], cut["subject"], cut["detail"]),
    ).lastrowid
    assert written is not None
    connection.execute(
        "DELETE FROM audit WHERE id <= ? OR at < ?",
        (written - KEPT_ENTRIES, now - KEPT_SECONDS),
    )
    if not cut["who"]:
        connection.execute(
            "DELETE FROM audit WHERE who = '' AND id <= "
            "(SELECT id FROM audit WHERE who = '' ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (KEPT_OF_NOBODY,),
        )


def entries(connection: Connection, wanted: AuditFilter) -> list[AuditEntry]:
    """Entries, the latest first; PAGE at most."""
    clauses, values = ["1"], []
    for clause, value in (
        ("who = ? COLLATE NOCASE", wanted.who),
        ("substr(action, 1, length(?1)) = ?1", wanted.action),
        ("instr(lower(subject || ' ' || detail), lower(?1)) > 0", wanted.text),
        ("at >= ?", wanted.since),
        ("at < ?", wanted.until),
        ("id < ?", wanted.before),
    ):
        if value not in ("", None):
            clauses.append(clause.replace("?1", "?"))
            values += [value] * clauses[-1].count("?")
    values.append(max(1, min(wanted.limit, PAGE)))
    where = " AND ".join(clauses)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
        values,
    )
    return [AuditEntry(*row) for row in rows]


class AuditLog:
    """The audit log of a running relay."""

    def __init__(self, database: ControlDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open(self) -> None:
        """Make the table where it is missing. Raises sqlite3.Error."""
        self._database.add_tables(SCHEMA)

    async def record(self, who: str, action: str, subject: str = "", detail: str = "") -> None:
        """Write an entry; durable when it returns. Raises sqlite3.Error."""
        now, address = self._clock.now(), acting_from.get()
        await self._database.run(
            lambda c: append(c, now, who, action, subject, detail, address=address)
        )

    async def entries(self, wanted: AuditFilter = AuditFilter()) -> list[AuditEntry]:
        """Entries, the latest first; PAGE at most."""
        return await self._database.read(lambda c: entries(c, wanted))


def _clean(text: str, longest: int) -> str:
    """One line without surrogates, cut."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
