"""API keys, for programs: shown once, kept as a hash, with the permissions they were given.

A key may be bound to a user of the relay: it then sends as that user, and sees that user's mail
alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from sqlite3 import Connection, IntegrityError
from typing import Final

from waypost.control.accounts_secrets import hash_of, new_secret
from waypost.control.permissions import Permission

PREFIX: Final = "wpk_"
"""By which people, and programs that look for leaked secrets, know one."""

HINT_LENGTH: Final = len(PREFIX) + 6
"""Characters of a key that lists show: enough to tell keys apart, of no use for a guess."""

USED_SECONDS: Final = 60.0
"""How exact the time of the last use is: it is written no more often."""

LONGEST_NAME: Final = 64

DEFAULT_SCOPES: Final = (Permission.SEND,)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS api_key (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    hash BLOB NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    permissions TEXT NOT NULL,             -- JSON list
    user TEXT,                             -- a user of the relay; NULL: everybody's mail
    created_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    expires_at REAL,                       -- NULL: never
    last_used_at REAL,
    last_used_from TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
"""

_COLUMNS: Final = (
    "name, hint, permissions, user, created_at, created_by, expires_at, last_used_at, "
    "last_used_from"
)


class NoSuchKey(Exception):
    """There is no key of this name."""


class KeyExists(Exception):
    """There is one of this name."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key."""

    name: str
    hint: str
    """Its first characters."""
    permissions: frozenset[Permission]
    user: str | None
    created_at: float
    created_by: str
    expires_at: float | None
    last_used_at: float | None
    last_used_from: str

    def has_expired(self, now: float) -> bool:
        """It is no longer good."""
        return self.expires_at is not None and self.expires_at <= now

    def needs_use_written(self, now: float) -> bool:
        """Whether its last use is long enough ago to be written again."""
        return self.last_used_at is None or now - self.last_used_at >= USED_SECONDS


def checked_name(name: str) -> str:
    """A name that a key can have. Raises ValueError."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or set(name) & set(":/\\"):
        raise ValueError(
            f"{name[:80]!r} is no name for a key: 1 to {LONGEST_NAME} printable characters, none "
            "of them : / \\"
        )
    return name


def add(
    connection: Connection,
    name: str,
    permissions: Iterable[Permission],
    now: float,
    *,
    created_by: str,
    expires_at: float | None = None,
    user: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which is shown once. Raises KeyExists, ValueError."""
    name = checked_name(name)
    given = sorted(set(permissions))
    if not given:
        raise ValueError("a key without permissions is good for nothing; give it one")
    if expires_at is not None and expires_at <= now:
        raise ValueError("the key would have expired already")
    secret = new_secret(PREFIX)
    try:
        connection.execute(
            "INSERT INTO api_key (name, hash, hint, permissions, user, created_at, created_by, "
            "expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                name, hash_of(secret), secret[:HINT_LENGTH], json.dumps(given), user or None, now,
                created_by, expires_at,
            ),
        )  # fmt: skip
    except IntegrityError:
        raise KeyExists(
            f"there is a key {name!r} already; revoke it, or take another name"
        ) from None
    (made,) = _select(connection, "WHERE name = ?", name)
    return made, secret


def keys(connection: Connection) -> list[ApiKey]:
    """All keys, by name."""
    return _select(connection, "ORDER BY name")


def find(connection: Connection, secret: str, now: float) -> ApiKey | None:
    """The key of a secret, if it is good."""
    if not secret.startswith(PREFIX) or len(secret) > 100:
        return None
    found = _select(connection, "WHERE hash = ?", hash_of(secret))
    return found[0] if found and not found[0].has_expired(now) else None


def used(connection: Connection, key: ApiKey, now: float, address: str) -> None:
    """Remember when and from where it was used last."""
    connection.execute(
        "UPDATE api_key SET last_used_at = ?, last_used_from = ? WHERE name = ?",
        (now, address, key.name),
    )


def revoke(connection: Connection, name: str) -> ApiKey:
    """Make an end of a key, at once. Raises NoSuchKey."""
    found = _select(connection, "WHERE name = ?", name)
    if not found:
        raise NoSuchKey(f"there is no key {name!r}")
    connection.execute("DELETE FROM api_key WHERE name = ?", (name,))
    return found[0]


def _select(connection: Connection, clause: str, *values: object) -> list[ApiKey]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM api_key {clause}", values)  # noqa: S608
    return [ApiKey(name, hint, _permissions(given), *rest) for name, hint, given, *rest in rows]


def _permissions(text: str) -> frozenset[Permission]:
    """Those that this version knows; one that another version wrote gives nothing."""
    known = set(Permission)
    return frozenset(Permission(one) for one in json.loads(text) if one in known)
