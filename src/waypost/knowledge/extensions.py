"""What the keywords of a reply to EHLO offer (extensions.toml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from waypost.knowledge import tables

TABLE: Final = "extensions.toml"

_COLUMNS: Final = ("keyword", "meaning", "mail", "rcpt", "commands", "source")


@dataclass(frozen=True, slots=True)
class Extension:
    """One service extension."""

    keyword: str
    meaning: str
    mail: tuple[str, ...]
    """Parameters of MAIL; those that take a value end in "="."""
    rcpt: tuple[str, ...]
    commands: tuple[str, ...]
    source: str


@cache
def extensions() -> Mapping[str, Extension]:
    """All known extensions by keyword. Raises FaultyTable."""
    found: dict[str, Extension] = {}
    for row in tables.rows(TABLE, "extension"):
        tables.only(TABLE, row, _COLUMNS)
        one = Extension(
            tables.text(TABLE, row, "keyword"),
            tables.text(TABLE, row, "meaning"),
            tables.texts(TABLE, row, "mail"),
            tables.texts(TABLE, row, "rcpt"),
            tables.texts(TABLE, row, "commands"),
            tables.text(TABLE, row, "source"),
        )
        if one.keyword != one.keyword.upper() or one.keyword in found:
            raise tables.FaultyTable(TABLE, row, "keyword is not in upper case, or is there twice")
        found[one.keyword] = one
    return MappingProxyType(found)
