"""Selectors that DKIM keys are often published under (dkim_selectors.toml)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from waypost.knowledge import tables

TABLE: Final = "dkim_selectors.toml"


@cache
def common_selectors() -> Mapping[str, str]:
    """Each selector with who uses it. Raises FaultyTable."""
    found: dict[str, str] = {}
    for row in tables.rows(TABLE, "selector"):
        tables.only(TABLE, row, ("names", "used_by", "source"))
        for name in tables.texts(TABLE, row, "names"):
            if name in found:
                raise tables.FaultyTable(TABLE, row, f"{name} is there twice")
            found[name] = tables.text(TABLE, row, "used_by")
    return MappingProxyType(found)
