"""The people of the panel, here called operators: names, roles, hashes of their passwords.

Every rule stands in a function over a connection, which a running relay calls in the thread of its
database and a command calls itself: `await database.run(lambda c: set_role(c, ...))` and
`database.now(lambda c: set_role(c, ...))` do the same.

Whoever loses a role, a password or the account loses all sessions with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from sqlite3 import Connection, IntegrityError
from typing import Final

from waypost.control.permissions import Role

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS operator (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    role TEXT NOT NULL,
    password TEXT NOT NULL DEFAULT '',     -- argon2id; '': none chosen yet
    disabled INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    last_login_at REAL,
    last_login_from TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
"""

LONGEST_NAME: Final = 64

_SELECT: Final = (
    "SELECT name, role, password, disabled, created_at, last_login_at, last_login_from "
    "FROM operator"
)


class AccountFault(Exception):
    """What was asked cannot be done with the accounts as they are; the text says why."""


class NoSuchOperator(AccountFault):
    """There is none of this name."""


class OperatorExists(AccountFault):
    """There is one of this name."""


class LastAdmin(AccountFault):
    """Nobody would be left who may decide about accounts."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One person of the panel."""

    name: str
    role: Role
    password_hash: str = field(repr=False)
    disabled: bool
    created_at: float
    last_login_at: float | None
    last_login_from: str

    @property
    def is_active(self) -> bool:
        """Can log in."""
        return bool(self.password_hash) and not self.disabled

    @property
    def state(self) -> str:
        """In a word."""
        return "disabled" if self.disabled else "active" if self.password_hash else "invited"


def checked_name(name: str) -> str:
    """A name that an operator can have. Raises ValueError."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or set(name) & set(":/\\"):
        raise ValueError(
            f"{name[:80]!r} is no name for an operator: 1 to {LONGEST_NAME} printable characters, "
            "none of them : / \\"
        )
    return name


def operators(connection: Connection) -> list[Operator]:
    """All of them, by name."""
    return [_operator(row) for row in connection.execute(_SELECT + " ORDER BY name")]


def find(connection: Connection, name: str) -> Operator | None:
    """One of them."""
    row = connection.execute(_SELECT + " WHERE name = ?", (name,)).fetchone()
    return None if row is None else _operator(row)


def known(connection: Connection, name: str) -> Operator:
    """One of them. Raises NoSuchOperator."""
    found = find(connection, name)
    if found is None:
        raise NoSuchOperator(f"there is no operator {name!r}")
    return found


def nobody_can_log_in(connection: Connection) -> bool:
    """Whether this is a panel before its first run: nobody has chosen a password yet."""
    found = connection.execute("SELECT 1 FROM operator WHERE password != '' LIMIT 1").fetchone()
    return found is None


def add(connection: Connection, name: str, role: Role, now: float) -> Operator:
    """Add a person, who has no password yet. Raises OperatorExists, ValueError."""
    name = checked_name(name)
    try:
        connection.execute(
            "INSERT INTO operator (name, role, created_at) VALUES (?, ?, ?)", (name, role, now)
        )
    except IntegrityError:
        raise OperatorExists(f"there is an operator {name!r} already") from None
    return known(connection, name)


def remove(connection: Connection, name: str) -> Operator:
    """Remove a person, with sessions and links. Raises NoSuchOperator, LastAdmin."""
    found = known(connection, name)
    _keep_an_admin(connection, found, "removed")
    connection.execute("DELETE FROM operator WHERE name = ?", (name,))
    return found


def set_role(connection: Connection, name: str, role: Role) -> Operator:
    """Change a role; the sessions end. Raises NoSuchOperator, LastAdmin."""
    found = known(connection, name)
    if found.role is role:
        return found
    if role is not Role.ADMIN:
        _keep_an_admin(connection, found, f"made {role}")
    connection.execute("UPDATE operator SET role = ? WHERE name = ?", (role, name))
    _end_sessions(connection, name)
    return known(connection, name)


def set_disabled(connection: Connection, name: str, *, disabled: bool) -> Operator:
    """Keep a person out, or let in again; the sessions end. Raises NoSuchOperator, LastAdmin."""
    found = known(connection, name)
    if disabled:
        _keep_an_admin(connection, found, "disabled")
    connection.execute("UPDATE operator SET disabled = ? WHERE name = ?", (disabled, name))
    _end_sessions(connection, name)
    return known(connection, name)


def set_password(connection: Connection, name: str, password_hash: str) -> Operator:
    """Store the hash of a new password; all sessions and open links end. Raises NoSuchOperator."""
    known(connection, name)
    connection.execute("UPDATE operator SET password = ? WHERE name = ?", (password_hash, name))
    _end_sessions(connection, name)
    connection.execute("DELETE FROM one_time_link WHERE operator = ?", (name,))
    return known(connection, name)


def logged_in(connection: Connection, name: str, now: float, address: str) -> None:
    """Remember when and from where somebody was here last."""
    connection.execute(
        "UPDATE operator SET last_login_at = ?, last_login_from = ? WHERE name = ?",
        (now, address, name),
    )


def _keep_an_admin(connection: Connection, leaving: Operator, what: str) -> None:
    if leaving.role is not Role.ADMIN or not leaving.is_active:
        return
    (others,) = connection.execute(
        "SELECT count(*) FROM operator "
        "WHERE role = 'admin' AND password != '' AND disabled = 0 AND name != ?",
        (leaving.name,),
    ).fetchone()
    if not others:
        raise LastAdmin(
            f"{leaving.name} is the last admin who can log in and cannot be {what}; "
            "make somebody else admin first"
        )


def _end_sessions(connection: Connection, name: str) -> None:
    connection.execute("DELETE FROM session WHERE operator = ?", (name,))


def _operator(row: tuple[str, str, str, int, float, float | None, str]) -> Operator:
    name, role, password, disabled, created, last, place = row
    return Operator(name, Role(role), password, bool(disabled), created, last, place)
