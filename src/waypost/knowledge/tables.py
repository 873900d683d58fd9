"""Reads the tables of facts that lie beside this file.

A table is TOML; each row names its source, so that a fact can be checked and a wrong one found.
Rows are read once into frozen values by the module that knows their meaning. A fault in a table is
a fault of the program: `FaultyTable` says which row and why.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

Row = Mapping[str, object]

SOURCE: Final = "source"
"""The column that every row has."""


class FaultyTable(ValueError):
    """A table of this package does not hold what it should."""

    def __init__(self, table: str, row: object, reason: str) -> None:
        self.table = table
        self.row = row
        self.reason = reason
        super().__init__(f"{table}: {reason}, in {row!r}")


def rows(table: str, name: str) -> tuple[Row, ...]:
    """The rows `[[name]]` of a table file, such as "providers.toml". Raises FaultyTable."""
    # importlib.resources would take longer to load than the table takes to read.
    text = (Path(__file__).parent / table).read_text("utf-8")
    found = tomllib.loads(text).get(name)
    if not isinstance(found, list) or not found:
        raise FaultyTable(table, name, "has no such rows")
    for row in found:
        if not isinstance(row, dict):
            raise FaultyTable(table, row, "is no row")
        if not row.get(SOURCE):
            raise FaultyTable(table, row, "has no source")
    return tuple(found)


def only(table: str, row: Row, known: Sequence[str]) -> None:
    """Refuse columns that nobody would read. Raises FaultyTable."""
    for column in row:
        if column not in known:
            raise FaultyTable(table, row, f"has an unknown column {column!r}")


def text(table: str, row: Row, column: str, default: str | None = None) -> str:
    """A column that holds a text. Raises FaultyTable."""
    value = row.get(column, default)
    if not isinstance(value, str):
        raise FaultyTable(table, row, f"{column} must be a text")
    return value


def whole(table: str, row: Row, column: str, default: int | None = None) -> int:
    """A column that holds a whole number. Raises FaultyTable."""
    value = row.get(column, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FaultyTable(table, row, f"{column} must be a whole number")
    return value


def truth(table: str, row: Row, column: str, default: bool = False) -> bool:
    """A column that is true or false. Raises FaultyTable."""
    value = row.get(column, default)
    if not isinstance(value, bool):
        raise FaultyTable(table, row, f"{column} must be true or false")
    return value


def texts(table: str, row: Row, column: str) -> tuple[str, ...]:
    """A column that holds a list of texts; () where it is absent. Raises FaultyTable."""
    value = row.get(column, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FaultyTable(table, row, f"{column} must be a list of texts")
    return tuple(value)
