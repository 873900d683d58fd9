"""Server programs that are out of date by what their greeting says (outdated_servers.toml)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from waypost.knowledge import tables

TABLE: Final = "outdated_servers.toml"

_COLUMNS: Final = ("product", "banner", "before", "advice", "source")
_VERSION: Final = re.compile(r"[(]?(\d{1,4}(?:\.\d{1,6}){1,3})")


@dataclass(frozen=True, slots=True)
class OutdatedServer:
    """A program of a version that is no longer mended."""

    product: str
    version: str
    advice: str


@dataclass(frozen=True, slots=True)
class _Row:
    product: str
    banner: str
    before: tuple[int, ...]
    advice: str


@cache
def _rows() -> tuple[_Row, ...]:
    found = []
    for row in tables.rows(TABLE, "server"):
        tables.only(TABLE, row, _COLUMNS)
        product, banner, before, advice = (tables.text(TABLE, row, one) for one in _COLUMNS[:4])
        if banner != banner.lower() or _VERSION.fullmatch(before) is None:
            raise tables.FaultyTable(TABLE, row, "the banner is lower case, before is a version")
        found.append(_Row(product, banner, _numbers(before), advice))
    return tuple(found)


def outdated_server(greeting: str) -> OutdatedServer | None:
    """What a greeting says of a program that is out of date; None where it says no such thing."""
    text = greeting.lower()[:500]
    for row in _rows():
        at = text.find(row.banner)
        if at < 0:
            continue
        version = _VERSION.match(text, at + len(row.banner))
        if version is not None and _numbers(version[1]) < row.before:
            return OutdatedServer(row.product, version[1], row.advice)
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in version.split("."))
