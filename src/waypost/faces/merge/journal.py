"""Who has had the letter already: a file beside the list, so that a mailing that broke off goes on
where it was.

Each person is marked as begun before their copy goes out, and with the outcome afterwards. One who
is begun and not ended may have had it: such a person is told of and left alone, unless somebody
asks for it, for a letter that comes twice is worse than one that can still be sent.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from waypost.faces.merge.people import Person

Outcome = Literal["sent", "refused", "deferred"]

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS letter (fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS person (
    key TEXT PRIMARY KEY, line INTEGER NOT NULL, address TEXT NOT NULL,
    outcome TEXT, reply TEXT
) WITHOUT ROWID;
"""
_VERSION: Final = 1


class WrongJournal(ValueError):
    """A file is no journal, or that of another letter."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the journal says of a person. `outcome` None: begun, and never ended."""

    outcome: Outcome | None
    reply: str


@dataclass(frozen=True, slots=True)
class Again:
    """Who is tried again, of those that the journal knows."""

    refused: bool = False
    uncertain: bool = False
    """Those whose copy may have gone out when the mailing broke off."""


def key_of(person: Person) -> str:
    """The same for the same person with the same words, wherever the row stands."""
    said = json.dumps([person.address, sorted(person.fields.items())])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(pieces: Iterable[str | bytes]) -> str:
    """Of a letter: sender, subject, templates."""
    digest = hashlib.sha256()
    for piece in pieces:
        raw = piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


class Journal:
    """See the module. Raises WrongJournal, and sqlite3.Error where the disk fails."""

    def __init__(self, path: Path, letter: str) -> None:
        self.path = path
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=1)
            self._open(letter)
        except sqlite3.DatabaseError as fault:
            raise WrongJournal(
                f"{path} cannot be used as the journal: {fault}. Where another mailing works with "
                "it, wait for that one; otherwise name another file with --journal"
            ) from fault

    def _open(self, letter: str) -> None:
        database = self._database
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA synchronous = FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise WrongJournal(f"{self.path} is the journal of another version of Waypost")
        database.executescript(f"BEGIN EXCLUSIVE; {_TABLES} PRAGMA user_version = {_VERSION};")
        known = database.execute("SELECT fingerprint FROM letter").fetchone()
        if known is None:
            database.execute("INSERT INTO letter VALUES (?)", (letter,))
        database.execute("COMMIT")
        if known is not None and known[0] != letter:
            raise WrongJournal(
                f"{self.path} is the journal of another letter: sender, subject, template or "
                "address of --unsubscribe have changed since. To go on with that mailing, give "
                "what it was begun with; for a new one, name another file with --journal"
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def known(self, key: str) -> Known | None:
        """What is known of a person; None: nothing was begun."""
        row = self._database.execute(
            "SELECT outcome, reply FROM person WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else Known(row[0], row[1] or "")

    def begin(self, key: str, person: Person) -> None:
        """Mark a person as begun; durable when this returns."""
        self._database.execute(
            "INSERT INTO person (key, line, address) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET outcome = NULL, reply = NULL, line = excluded.line",
            (key, person.line, person.address),
        )

    def end(self, key: str, outcome: Outcome, reply: str) -> None:
        """Keep what came of it."""
        self._database.execute(
            "UPDATE person SET outcome = ?, reply = ? WHERE key = ?",
            (outcome, reply.encode("utf-8", "replace").decode(), key),
        )

    def forget(self, key: str) -> None:
        """A person whose copy did not leave."""
        self._database.execute("DELETE FROM person WHERE key = ? AND outcome IS NULL", (key,))

    def counts(self) -> dict[str, int]:
        """How many by outcome; "uncertain" are those begun and not ended."""
        rows = self._database.execute(
            "SELECT COALESCE(outcome, 'uncertain'), COUNT(*) FROM person GROUP BY outcome"
        )
        return dict(rows.fetchall())
