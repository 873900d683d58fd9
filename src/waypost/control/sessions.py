"""Sessions of people who have logged in. Of the token in the cookie only a hash is kept.

A session ends at logout, after a time without requests, at the latest after its lifetime, and when
its person gets another role or password, is disabled or removed (see `accounts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection
from typing import Final

from waypost.control.accounts_secrets import hash_of, new_secret
from waypost.control.permissions import Role

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS session (
    hash BLOB PRIMARY KEY,
    operator TEXT NOT NULL COLLATE NOCASE REFERENCES operator(name) ON DELETE CASCADE,
    created_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    address TEXT NOT NULL,
    browser TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_operator ON session (operator);
"""

SESSIONS_EACH: Final = 20
"""Of one person; the oldest ends when there is one more."""

TOUCH_SECONDS: Final = 60.0
"""How exact the time of the last request is: it is written no more often."""

BROWSER_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class SessionLifetimes:
    """When sessions end by themselves, in seconds."""

    idle: float = 12 * 3600.0
    """Without a request."""
    absolute: float = 7 * 86400.0
    """Since the login."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session, with who it is."""

    hash: bytes
    operator: str
    role: Role
    created_at: float
    seen_at: float
    address: str
    browser: str

    def needs_touch(self, now: float) -> bool:
        """Whether the time of its last request is old enough to be written again."""
        return now - self.seen_at >= TOUCH_SECONDS


_SELECT: Final = """
SELECT session.hash, operator.name, operator.role, session.created_at, session.seen_at,
       session.address, session.browser
FROM session JOIN operator ON operator.name = session.operator
WHERE operator.disabled = 0 AND session.created_at > ? AND session.seen_at > ?
"""


def begin(
    connection: Connection,
    operator: str,
    now: float,
    lifetimes: SessionLifetimes,
    *,
    address: str,
    browser: str,
) -> str:
    """The token of a new session; what has run out is swept away."""
    token = new_secret()
    connection.execute(
        "DELETE FROM session WHERE created_at <= ? OR seen_at <= ?",
        (now - lifetimes.absolute, now - lifetimes.idle),
    )
    connection.execute(
        "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)",
        (hash_of(token), operator, now, now, address, browser[:BROWSER_LENGTH]),
    )
    connection.execute(
        "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE operator = ? "
        "ORDER BY created_at DESC, seen_at DESC LIMIT -1 OFFSET ?)",
        (operator, SESSIONS_EACH),
    )
    return token


def find(
    connection: Connection, token: str, now: float, lifetimes: SessionLifetimes
) -> Session | None:
    """The session of a token, if it goes on."""
    row = connection.execute(
        _SELECT + " AND session.hash = ?",
        (now - lifetimes.absolute, now - lifetimes.idle, hash_of(token)),
    ).fetchone()
    return None if row is None else _session(row)


def of_operator(
    connection: Connection, operator: str, now: float, lifetimes: SessionLifetimes
) -> list[Session]:
    """The sessions of a person, the latest first."""
    rows = connection.execute(
        _SELECT + " AND session.operator = ? ORDER BY session.seen_at DESC",
        (now - lifetimes.absolute, now - lifetimes.idle, operator),
    )
    return [_session(row) for row in rows]


def touch(connection: Connection, session: Session, now: float) -> None:
    """There was a request."""
    connection.execute("UPDATE session SET seen_at = ? WHERE hash = ?", (now, session.hash))


def end(connection: Connection, token: str) -> None:
    """Log out."""
    connection.execute("DELETE FROM session WHERE hash = ?", (hash_of(token),))


def end_all(connection: Connection, operator: str) -> int:
    """Log out everywhere; how many sessions that were."""
    return connection.execute("DELETE FROM session WHERE operator = ?", (operator,)).rowcount


def _session(row: tuple[bytes, str, str, float, float, str, str]) -> Session:
    hashed, name, role, created, seen, address, browser = row
    return Session(hashed, name, Role(role), created, seen, address, browser)
