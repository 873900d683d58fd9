"""Figures over time, kept over restarts: a row of `control.sqlite` for each slot of each ring.

Only what has changed since the last time is written. What cannot be read (another version wrote it,
or the file was damaged) is left out: figures of the past are not worth a relay that does not start.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from waypost.control.database import ControlDatabase
from waypost.control.statistics_rings import Ring
from waypost.control.statistics_tables import BoundedTable

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS statistics_slot (
    ring TEXT NOT NULL,
    name TEXT NOT NULL,     -- of the route, where there is a ring for each; else ''
    slot INTEGER NOT NULL,
    content TEXT NOT NULL,  -- JSON
    PRIMARY KEY (ring, name, slot)
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class KeptRing:
    """A ring, under which name it is kept, and how its slots become JSON and come back."""

    ring: str
    name: str
    slots: Ring[Any]
    kept: Callable[[Any], Any]
    restored: Callable[[Any], Any]
    """Raises ValueError, TypeError, KeyError, AttributeError for what it cannot read."""

    def restore(self, slots: Iterable[tuple[int, Any]]) -> None:
        """Put back what can be read."""
        for number, content in slots:
            try:
                self.slots.restore(number, self.restored(content))
            except (ValueError, TypeError, KeyError, AttributeError):
                continue


def kept_table(table: BoundedTable[Any]) -> dict[str, Any]:
    """A table as JSON."""
    return {name: row.kept() for name, row in table.rows.items()}


def restored_table(content: Any, keep: int, row: type[Any]) -> BoundedTable[Any]:
    """A table from JSON. Raises what the rows raise."""
    table: BoundedTable[Any] = BoundedTable(keep, row)
    for name, kept in content.items():
        table.add(str(name), row.restored(kept))
    return table


class StatisticsStore:
    """See the module."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def load(self) -> dict[tuple[str, str], list[tuple[int, Any]]]:
        """What was kept, by ring and name: slots by number. Raises sqlite3.Error."""

        def work(
            connection: sqlite3.Connection,
        ) -> dict[tuple[str, str], list[tuple[int, Any]]]:
            connection.execute(_TABLE)
            found: dict[tuple[str, str], list[tuple[int, Any]]] = {}
            for ring, name, slot, content in connection.execute(
                "SELECT ring, name, slot, content FROM statistics_slot ORDER BY ring, name, slot"
            ):
                try:
                    found.setdefault((ring, name), []).append((slot, json.loads(content)))
                except ValueError:
                    continue
            return found

        return await self._database.run(work)

    async def save(self, rings: Iterable[KeptRing]) -> None:
        """Write what has changed. Raises sqlite3.Error; then it will be written the next time."""
        written: list[tuple[str, str, int, str]] = []
        removed: list[tuple[str, str, int]] = []
        taken: list[tuple[Ring[Any], set[int], set[int]]] = []
        for one in rings:
            slots = one.slots
            if not slots.changed and not slots.gone:
                continue
            taken.append((slots, slots.changed, slots.gone))
            for number in slots.changed:
                content = json.dumps(one.kept(slots.get(number)), separators=(",", ":"))
                written.append((one.ring, one.name, number, content))
            removed += [(one.ring, one.name, number) for number in slots.gone]
            slots.changed, slots.gone = set(), set()
        if not taken:
            return

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO statistics_slot VALUES (?, ?, ?, ?)", written
            )
            connection.executemany(
                "DELETE FROM statistics_slot WHERE ring = ? AND name = ? AND slot = ?", removed
            )

        try:
            await self._database.run(work)
        except BaseException:
            for slots, changed, gone in taken:
                slots.changed |= {number for number in changed if slots.get(number) is not None}
                slots.gone |= gone
            raise
