"""Users of the relay: their passwords (argon2id, SCRAM keys) and the senders they may use.

They stand in a small SQLite file of their own, so that `waypost user add` works while the relay
runs: SQLite's data_version tells at each look-up whether another process has changed it. Checking
a password takes some 30 ms and 19 MiB on purpose, so it runs in two threads at most, and a right
password is remembered for a while as a keyed hash, for clients that log in on every connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from waypost.delivery.routing import Patterns
from waypost.relay.private_database import connect_private
from waypost.smtp.scram import ScramFault, ScramVerifier, prepared

REMEMBERED_SECONDS: Final = 300.0
"""How long a checked password is remembered."""

REMEMBERED: Final = 10_000

# OWASP's recommendation for argon2id: 19 MiB, two passes, one lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_NO_SENDERS: Final = Patterns(())

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS user (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,       -- argon2id
    scram TEXT NOT NULL,          -- SCRAM-SHA-256 verifier
    senders TEXT NOT NULL,        -- JSON list of patterns; empty: any sender
    created_at REAL NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0
) STRICT
"""


class UserExists(Exception):
    """There is a user of this name."""


class NoSuchUser(Exception):
    """There is none."""


@dataclass(frozen=True, slots=True)
class User:
    """One user. Secrets show in no repr."""

    name: str
    password_hash: str = field(repr=False)
    scram: ScramVerifier = field(repr=False)
    senders: tuple[str, ...]
    created_at: float
    disabled: bool


class CredentialStore:
    """See the module. `salt` gives random bytes."""

    def __init__(
        self,
        path: Path,
        salt: Callable[[int], bytes],
        monotonic: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._path = path
        self._salt = salt
        self._monotonic = monotonic
        self._now = now
        self._secret = salt(32)
        self._pool = ThreadPoolExecutor(2, "waypost-passwords")
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._users: dict[str, User] = {}
        self._patterns: dict[str, Patterns | None] = {}
        self._remembered: dict[bytes, float] = {}
        self._nobody = _HASHER.hash(salt(16).hex())

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect_private(self._path, check_same_thread=False)
            self._connection.execute(_SCHEMA)
        return self._connection

    def close(self) -> None:
        """Stop the threads and close the file."""
        self._pool.shutdown(wait=False)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- for the operator -------------------------------------------------------------------

    def add(self, name: str, password: str, senders: tuple[str, ...] = ()) -> None:
        """Add a user. Raises UserExists, ValueError for a name or password that cannot be."""
        _check_name(name)
        Patterns(senders)
        try:
            self._open().execute(
                "INSERT INTO user (name, password, scram, senders, created_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (name, *self._hashes(password), json.dumps(senders), self._now()),
            )
        except sqlite3.IntegrityError as fault:
            raise UserExists(f"there is a user {name!r} already") from fault
        self._version = -1

    def set_password(self, name: str, password: str) -> None:
        """Change a password. Raises NoSuchUser, ValueError."""
        self._change(name, "password = ?, scram = ?", self._hashes(password))

    def set_senders(self, name: str, senders: tuple[str, ...]) -> None:
        """Change which senders a user may use. Raises NoSuchUser, ValueError."""
        Patterns(senders)
        self._change(name, "senders = ?", (json.dumps(senders),))

    def set_disabled(self, name: str, disabled: bool) -> None:
        """Disable a user, or enable one again. Raises NoSuchUser."""
        self._change(name, "disabled = ?", (disabled,))

    def remove(self, name: str) -> None:
        """Remove a user. Raises NoSuchUser."""
        if not self._open().execute("DELETE FROM user WHERE name = ?", (name,)).rowcount:
            raise NoSuchUser(f"there is no user {name!r}")
        self._version = -1

    def users(self) -> list[User]:
        """All users, by name."""
        self._refresh()
        return sorted(self._users.values(), key=lambda user: user.name)

    def _change(self, name: str, assignment: str, values: tuple[object, ...]) -> None:
        changed = self._open().execute(
            f"UPDATE user SET {assignment} WHERE name = ?",  # noqa: S608 - constants of this class
            (*values, name),
        )
        if not changed.rowcount:
            raise NoSuchUser(f"there is no user {name!r}")
        self._version = -1

    def _hashes(self, password: str) -> tuple[str, str]:
        if not password:
            raise ValueError("the password is empty")
        try:
            ready = prepared(password)
        except ScramFault as fault:
            raise ValueError(str(fault)) from fault
        return _HASHER.hash(ready), ScramVerifier.derive(ready, self._salt(16)).encode()

    # --- for the relay ----------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read the users again when the file has changed."""
        connection = self._open()
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        self._users = {
            name: User(
                name, password, ScramVerifier.parse(scram), tuple(json.loads(senders)), created,
                bool(disabled),
            )
            for name, password, scram, senders, created, disabled in connection.execute(
                "SELECT name, password, scram, senders, created_at, disabled FROM user"
            )
        }  # fmt: skip
        self._patterns = {
            name: Patterns(user.senders) if user.senders else None
            for name, user in self._users.items()
        }
        self._remembered.clear()
        self._version = version

    def find(self, name: str) -> User | None:
        """An enabled user."""
        self._refresh()
        user = self._users.get(name)
        return None if user is None or user.disabled else user

    def owned_senders(self, name: str) -> Patterns | None:
        """The senders that a user may use; None: any. As of the last login.

        A user who has been removed since, and whose session goes on, may use none.
        """
        return self._patterns.get(name, _NO_SENDERS)

    def scram_verifier(self, name: str) -> ScramVerifier:
        """The verifier of a user, or one that looks like it for an unknown name."""
        user = self.find(name)
        return user.scram if user is not None else ScramVerifier.pretended(name, self._secret)

    async def verify(self, name: str, password: str) -> bool:
        """Whether the password is right; takes as long for a user who does not exist."""
        user = self.find(name)
        try:
            ready = prepared(password).encode()
        except ScramFault:
            ready = password.encode("utf-8", "surrogatepass")
        known = hmac.digest(
            self._secret,
            b"%b\0%b\0%b" % (name.encode(), user.password_hash.encode() if user else b"", ready),
            hashlib.sha256,
        )
        now = self._monotonic()
        if self._remembered.get(known, 0.0) > now:
            return True
        stored = user.password_hash if user is not None else self._nobody
        right = await asyncio.get_running_loop().run_in_executor(self._pool, _check, stored, ready)
        if right and user is not None:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[known] = now + REMEMBERED_SECONDS
            return True
        return False


def _check(stored: str, password: bytes) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _check_name(name: str) -> None:
    if not name or len(name) > 255 or not name.isprintable() or name != name.strip():
        raise ValueError(
            f"{name[:80]!r} is no user name: 1 to 255 printable characters, no space at the ends"
        )
