"""One-time links: with one, a person chooses a password, and nobody ever has a default one.

A link is made at the first start, for a new operator, and where a password is forgotten. It is good
for an hour, for one use, and only its hash is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection
from typing import Final

from waypost.control import accounts
from waypost.control.accounts import AccountFault, Operator
from waypost.control.accounts_secrets import hash_of, new_secret
from waypost.control.permissions import Role

LINK_SECONDS: Final = 3600.0

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS one_time_link (
    hash BLOB PRIMARY KEY,
    operator TEXT COLLATE NOCASE REFERENCES operator(name) ON DELETE CASCADE,  -- NULL: first run
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS panel_place (
    number INTEGER PRIMARY KEY CHECK (number = 1),
    address TEXT NOT NULL                  -- where the panel was last served
) STRICT;
"""


class LinkInvalid(AccountFault):
    """The link was used, is too old, or never was one. They are not told apart."""

    def __init__(self) -> None:
        super().__init__(
            "this link has been used already or is more than an hour old; make a new one with "
            "`waypost operator reset NAME`, or start the relay again where nobody has an account"
        )


def serve_at(connection: Connection, address: str) -> None:
    """Remember where the panel is, for the links that commands print."""
    connection.execute("INSERT OR REPLACE INTO panel_place VALUES (1, ?)", (address,))


def served_at(connection: Connection) -> str | None:
    """Where the panel is, or was when it was last served: http://127.0.0.1:8025/."""
    row = connection.execute("SELECT address FROM panel_place").fetchone()
    return None if row is None else str(row[0])


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """What a link that is good is for."""

    operator: str | None
    """Whose password it sets; None: of the first admin, who chooses a name with it."""


def make(connection: Connection, operator: str | None, now: float) -> str:
    """The secret of a new link; an earlier one for the same person is no longer good."""
    secret = new_secret()
    connection.execute(
        "DELETE FROM one_time_link WHERE operator IS ? OR expires_at <= ?", (operator, now)
    )
    connection.execute(
        "INSERT INTO one_time_link (hash, operator, expires_at) VALUES (?, ?, ?)",
        (hash_of(secret), operator, now + LINK_SECONDS),
    )
    return secret


def look(connection: Connection, secret: str, now: float) -> OneTimeLink:
    """What a link is for, without using it up. Raises LinkInvalid."""
    row = connection.execute(
        "SELECT operator FROM one_time_link WHERE hash = ? AND expires_at > ?",
        (hash_of(secret), now),
    ).fetchone()
    if row is None:
        raise LinkInvalid
    if row[0] is None:
        is_good = accounts.nobody_can_log_in(connection)
    else:
        is_good = not accounts.known(connection, row[0]).disabled
    if not is_good:
        raise LinkInvalid
    return OneTimeLink(row[0])


def redeem(
    connection: Connection, secret: str, name: str, password_hash: str, now: float
) -> Operator:
    """Use a link up: the password is set, at the first run for a new admin of this name.

    Raises LinkInvalid, OperatorExists, ValueError.
    """
    link = look(connection, secret, now)
    connection.execute("DELETE FROM one_time_link WHERE hash = ?", (hash_of(secret),))
    if link.operator is not None:
        return accounts.set_password(connection, link.operator, password_hash)
    made = accounts.find(connection, name) or accounts.add(connection, name, Role.ADMIN, now)
    if made.role is not Role.ADMIN:
        accounts.set_role(connection, made.name, Role.ADMIN)
    return accounts.set_password(connection, made.name, password_hash)
