"""What response times are good (response_times.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from waypost.knowledge import tables

TABLE: Final = "response_times.toml"

_COLUMNS: Final = ("name", "seconds", "meaning", "source")


@dataclass(frozen=True, slots=True)
class ResponseLimit:
    """Up to which time a response is good."""

    name: str
    seconds: float
    meaning: str
    source: str


@cache
def response_limit(name: str) -> ResponseLimit:
    """The row of that name. Raises KeyError and FaultyTable."""
    for row in tables.rows(TABLE, "limit"):
        tables.only(TABLE, row, _COLUMNS)
        seconds = row.get("seconds")
        if not isinstance(seconds, float) or seconds <= 0:
            raise tables.FaultyTable(TABLE, row, "seconds must be a number above 0")
        if tables.text(TABLE, row, "name") == name:
            return ResponseLimit(
                name, seconds, tables.text(TABLE, row, "meaning"), tables.text(TABLE, row, "source")
            )
    raise KeyError(name)
