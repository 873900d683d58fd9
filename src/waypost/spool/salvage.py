"""Salvage: what can be read of a damaged spool goes into a new one.

The damaged folder is only read. A row that cannot be read is passed over and counted; one page of
damage costs the rows of that page and not those behind it, for every message is looked up on its
own by identifiers gathered from all tables, from both ends. Recipients keep their states; a
message whose content is lost is written DAMAGED, so that it is seen and not forgotten.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from waypost.spool.bodies import CHUNK, fsync_directory
from waypost.spool.sqlite_control import set_aside
from waypost.spool.sqlite_opening import connect, file_sizes, prepare

_DAMAGE = (sqlite3.DatabaseError, OverflowError)

_TABLES: Final = {
    "message": ("id", 13),
    "recipient": ("message", 11),
    "attempt": ("message", 10),
    "body": ("message", 2),
    "captured": ("message", 8),
}
"""Each table with the column of the message identifier, and how many columns it has."""

_AT_ONCE: Final = 500
"""Messages of one transaction into the new spool."""


class NothingToSalvage(Exception):
    """There is no spool at the place given, or the target is not empty."""


@dataclass(slots=True)
class Salvaged:
    """What came over and what did not."""

    messages: int = 0
    waiting: int = 0
    """Recipients that will be tried again."""
    damaged: list[tuple[int, str]] = field(default_factory=list)
    """Messages of which something is lost, and what."""


def salvage(directory: Path, target: Path) -> Salvaged:
    """Read a damaged spool into a new folder. Blocks; raises NothingToSalvage, OSError,
    sqlite3.Error of the target."""
    source = directory / "spool.sqlite"
    if not source.is_file():
        raise NothingToSalvage(f"{directory} holds no spool.sqlite")
    if target.exists() and any(target.iterdir()):
        raise NothingToSalvage(f"{target} is not empty; name a new folder for what is saved")
    for folder in (target / "bodies", target / "captured"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A copy is read, because even reading a database replays its log.
    work = target / "damaged"
    work.mkdir(mode=0o700)
    try:
        for suffix in ("", "-wal"):
            path = source.with_name(source.name + suffix)
            if path.exists():
                shutil.copyfile(path, work / path.name)
        prepare(target / "spool.sqlite")
        with (
            closing(sqlite3.connect(work / source.name, isolation_level=None)) as damaged,
            closing(connect(target / "spool.sqlite")) as new,
        ):
            return _Salvage(damaged, new, directory, target).run()
    finally:
        shutil.rmtree(work)


class _Salvage:
    def __init__(
        self, damaged: sqlite3.Connection, new: sqlite3.Connection, directory: Path, target: Path
    ) -> None:
        self._damaged = damaged
        self._new = new
        self._directory = directory
        self._target = target
        self._found = Salvaged()

    def run(self) -> Salvaged:
        identifiers = sorted(self._identifiers())
        for start in range(0, len(identifiers), _AT_ONCE):
            self._new.execute("BEGIN IMMEDIATE")
            for identifier in identifiers[start : start + _AT_ONCE]:
                self._take_over(identifier)
            for folder in ("bodies", "captured"):
                fsync_directory(self._target / folder)
            self._new.execute("COMMIT")
        for row in self._rows("SELECT * FROM suppression"):
            self._new.execute("INSERT OR IGNORE INTO suppression VALUES (?, ?, ?)", row)
        return self._found

    def _identifiers(self) -> set[int]:
        """All that any table still names, read from both ends up to where the damage begins."""
        found: set[int] = set()
        for table, (column, _) in _TABLES.items():
            for order in ("ASC", "DESC"):
                query = f"SELECT {column} FROM {table} ORDER BY {column} {order}"
                found.update(row[0] for row in self._rows(query))
        # Behind a damaged page: from each end of the gaps, on to the next that can be found.
        for table, (column, _) in _TABLES.items():
            found.update(self._beyond_gaps(table, column, found))
        for folder in ("bodies", "captured"):
            if (self._directory / folder).is_dir():
                found |= file_sizes(self._directory / folder).keys()
        return {identifier for identifier in found if 0 < identifier < 1 << 63}

    def _beyond_gaps(self, table: str, column: str, known: set[int]) -> set[int]:
        """Rows of a table between two damaged pages, reached from what other tables name."""
        found: set[int] = set()
        reached = 0
        for start in sorted(known):
            if start <= reached:
                continue
            reached = start
            for (identifier,) in self._rows(
                f"SELECT {column} FROM {table} WHERE {column} >= ? ORDER BY {column}", start
            ):
                found.add(identifier)
                reached = identifier
        return found

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """The rows up to the first that cannot be read."""
        try:
            yield from self._damaged.execute(query, values)
        except _DAMAGE:
            return

    def _row_set(self, table: str, identifier: int) -> list[tuple[Any, ...]] | None:
        column, _ = _TABLES[table]
        try:
            return self._damaged.execute(
                f"SELECT * FROM {table} WHERE {column} = ?", (identifier,)
            ).fetchall()
        except _DAMAGE:
            return None

    def _take_over(self, identifier: int) -> None:
        lost: list[str] = []
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for table in _TABLES:
            found = self._row_set(table, identifier)
            if found is None:
                lost.append(f"its rows in table {table} cannot be read")
            rows[table] = found or []
        if rows["captured"]:
            self._copy("captured", identifier)
        if not rows["message"]:
            self._insert("captured", rows["captured"], lost)
            if rows["recipient"] or lost:
                self._found.damaged.append((identifier, "; ".join(lost) or "its row is gone"))
            return
        if not rows["recipient"]:
            lost.append("its recipients are gone")
        for table in _TABLES:
            self._insert(table, rows[table], lost)
        self._found.messages += 1
        waiting = sum(row[5] in (0, 1) for row in rows["recipient"])
        if waiting:
            content_lost = self._content(identifier, rows)
            if content_lost:
                lost.append(content_lost)
                set_aside(self._new, identifier, content_lost, 0.0)  # no log yet
                waiting = 0
        self._found.waiting += waiting
        if lost:
            self._found.damaged.append((identifier, "; ".join(lost)))

    def _insert(self, table: str, rows: list[tuple[Any, ...]], lost: list[str]) -> None:
        marks = ",".join("?" * _TABLES[table][1])
        try:
            self._new.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)
        except sqlite3.IntegrityError as fault:
            lost.append(f"its rows in table {table} make no sense: {fault}")

    def _content(self, identifier: int, rows: dict[str, list[tuple[Any, ...]]]) -> str:
        """Bring the content over. -> what is wrong with it, "" when it is whole."""
        message = rows["message"][0]
        checksum, in_file = message[10], message[11]
        if not in_file:
            if not rows["body"]:
                return "its content is gone"
            content = rows["body"][0][1]
            whole = isinstance(content, bytes) and zlib.crc32(content) == checksum
            return "" if whole else "its content does not match its checksum"
        copied = self._copy("bodies", identifier)
        if copied is None:
            return "its content file is gone"
        return "" if copied == checksum else "its content file does not match its checksum"

    def _copy(self, folder: str, identifier: int) -> int | None:
        """Copy a file durably. -> its checksum, None when it is not there."""
        path = self._directory / folder / f"{identifier}.eml"
        if not path.exists():
            return None
        checksum = 0
        with path.open("rb") as source, (self._target / folder / path.name).open("wb") as copy:
            while piece := source.read(CHUNK):
                checksum = zlib.crc32(piece, checksum)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        return checksum
