"""The domains that this relay sends for, and their DKIM keys: a small SQLite file of their own.

A key begins as *new*: its record has to be in the DNS before anything is signed with it, or every
signature would fail (RFC 6376 3.6.2.1). Then it is *active*; a key that another has replaced is
*retired*: it signs no more, and its record has to stay while signatures of it are under way.

Commands change the file while the relay runs; SQLite's data_version tells that it has changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from waypost.mail.dkim import DkimSigner
from waypost.mail.dkim_keys import InvalidKey, PrivateKey, generate_key, key_pem, load_key
from waypost.relay.private_database import connect_private
from waypost.relay.signing import SigningKey

NAME: Final = "domains.sqlite"

LOOK_SECONDS: Final = 1.0
"""A change by a command counts within this time."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS domain (
    name TEXT PRIMARY KEY,
    subdomains INTEGER NOT NULL,
    added_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS key (
    domain TEXT NOT NULL REFERENCES domain (name) ON DELETE CASCADE,
    selector TEXT NOT NULL,
    pem TEXT NOT NULL,
    state TEXT NOT NULL,
    made_at REAL NOT NULL,
    PRIMARY KEY (domain, selector)
) STRICT;
"""


class KeyState(StrEnum):
    """Where a key stands; see the module."""

    NEW = "new"
    ACTIVE = "active"
    RETIRED = "retired"


class DomainExists(Exception):
    """There is a domain of this name."""


class NoSuchDomain(Exception):
    """There is none."""


@dataclass(frozen=True, slots=True)
class DomainKey:
    """One key. `made_at` in seconds since the epoch."""

    domain: str
    selector: str
    key: PrivateKey = field(repr=False)
    state: KeyState
    made_at: float

    @property
    def signer(self) -> DkimSigner:
        """What signs with it."""
        return DkimSigner(self.domain, self.selector, self.key)


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain with its keys, oldest first."""

    name: str
    subdomains: bool
    added_at: float
    keys: tuple[DomainKey, ...]


class DomainKeys:
    """See the module. `now` and `monotonic` in seconds."""

    def __init__(
        self, path: Path, now: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._path = path
        self._now = now
        self._monotonic = monotonic
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._look_at = float("-inf")

    # --- for the relay ----------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether a command has changed something since the last call; asks once a second."""
        moment = self._monotonic()
        if moment < self._look_at:
            return False
        self._look_at = moment + LOOK_SECONDS
        if self._connection is None and not self._path.exists():
            return False
        (version,) = self._open().execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, int(version)
        return self._version != before

    def signing_keys(self) -> list[SigningKey]:
        """Those that sign now."""
        if self._connection is None and not self._path.exists():
            return []
        return [
            SigningKey(key.signer, domain.subdomains)
            for domain in self.domains()
            for key in domain.keys
            if key.state is KeyState.ACTIVE
        ]

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- for the operator -------------------------------------------------------------------

    def domains(self) -> list[Domain]:
        """All, by name."""
        connection = self._open()
        found: list[Domain] = []
        for name, subdomains, added_at in connection.execute(
            "SELECT name, subdomains, added_at FROM domain ORDER BY name"
        ).fetchall():
            keys = tuple(
                DomainKey(name, selector, load_key(pem), KeyState(state), made_at)
                for selector, pem, state, made_at in connection.execute(
                    "SELECT selector, pem, state, made_at FROM key WHERE domain = ? "
                    "ORDER BY made_at, selector",
                    (name,),
                )
            )
            found.append(Domain(name, bool(subdomains), added_at, keys))
        return found

    def domain(self, name: str) -> Domain:
        """One. Raises NoSuchDomain."""
        for one in self.domains():
            if one.name == name:
                return one
        raise NoSuchDomain(name)

    def add(self, name: str, *, subdomains: bool = True) -> None:
        """Add a domain (A-labels, lower case), without a key yet. Raises DomainExists."""
        try:
            self._open().execute(
                "INSERT INTO domain VALUES (?, ?, ?)", (name, int(subdomains), self._now())
            )
        except sqlite3.IntegrityError as fault:
            raise DomainExists(name) from fault

    def remove(self, name: str) -> None:
        """Remove a domain and its keys. Raises NoSuchDomain."""
        if not self._open().execute("DELETE FROM domain WHERE name = ?", (name,)).rowcount:
            raise NoSuchDomain(name)

    def add_key(self, domain: str, selector: str, key: PrivateKey | str = "rsa") -> DomainKey:
        """Add a new key: one that is given, or one that is made ("rsa", "ed25519").

        Raises NoSuchDomain, InvalidKey for a selector that is none or that is taken.
        """
        self.domain(domain)
        made = generate_key(key) if isinstance(key, str) else key
        DkimSigner(domain, selector, made)
        now = self._now()
        try:
            self._open().execute(
                "INSERT INTO key VALUES (?, ?, ?, ?, ?)",
                (domain, selector, key_pem(made).decode(), KeyState.NEW.value, now),
            )
        except sqlite3.IntegrityError as fault:
            raise InvalidKey(f"{domain} has a key {selector} already; choose another name") from (
                fault
            )
        return DomainKey(domain, selector, made, KeyState.NEW, now)

    def set_state(self, domain: str, selector: str, state: KeyState) -> None:
        """Change where a key stands. Raises NoSuchDomain where there is no such key."""
        changed = self._open().execute(
            "UPDATE key SET state = ? WHERE domain = ? AND selector = ?",
            (state.value, domain, selector),
        )
        if not changed.rowcount:
            raise NoSuchDomain(f"{selector}._domainkey.{domain}")

    def remove_key(self, domain: str, selector: str) -> None:
        """Forget a key. Raises NoSuchDomain where there is no such key."""
        if (
            not self._open()
            .execute("DELETE FROM key WHERE domain = ? AND selector = ?", (domain, selector))
            .rowcount
        ):
            raise NoSuchDomain(f"{selector}._domainkey.{domain}")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect_private(self._path)
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.executescript(_SCHEMA)
        return self._connection
