"""Tables of what is counted by name, bounded: the names used most, and one row for all the rest.

Names (destinations) come from strangers, so there is no end to them. A table takes new names until
it holds four times as many as it wants to keep; then the least used go into the row of the rest,
whose name is "". No count is ever lost: the sum of all rows is the sum of what was put in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

REST: Final = ""
"""The name of the row that stands for all the others."""

SLACK: Final = 4
"""How many times the names kept a table may hold before it is cut."""


class Row(Protocol):
    """What a table holds by name."""

    @property
    def use(self) -> int:
        """How much the name was used; those used least make room."""

    def add(self, other: object) -> None:
        """Take over the counts of another row of the same kind."""


_Row = TypeVar("_Row", bound=Row)


class BoundedTable(Generic[_Row]):
    """See the module."""

    __slots__ = ("_keep", "_make", "rows")

    def __init__(self, keep: int, make: Callable[[], _Row]) -> None:
        self._keep = keep
        self._make = make
        self.rows: dict[str, _Row] = {}

    def add(self, name: str, row: _Row) -> None:
        """Add the counts of a row to those of its name."""
        rows = self.rows
        found = rows.get(name)
        if found is None:
            if len(rows) >= self._keep * SLACK:
                self.cut()
            found = rows[name] = self._make()
        found.add(row)

    def cut(self) -> None:
        """Keep the names used most; the others become part of the rest."""
        rows = self.rows
        rest = rows.pop(REST, None)
        if len(rows) > self._keep:
            names = sorted(rows, key=lambda name: rows[name].use, reverse=True)
            for name in names[self._keep :]:
                if rest is None:
                    rest = self._make()
                rest.add(rows.pop(name))
        if rest is not None:
            rows[REST] = rest

    def take(self, others: Iterable[BoundedTable[_Row]]) -> BoundedTable[_Row]:
        """Add all rows of other tables; this table."""
        for other in others:
            for name, row in other.rows.items():
                self.add(name, row)
        return self
