"""The taxonomy: what each reason means, and what other programs call it (reasons.toml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, get_args

from waypost.knowledge import tables

TABLE: Final = "reasons.toml"

Action = Literal["deliver", "retry", "back-off", "suppress", "give-back", "alert"]
"""What Waypost does, in one word. See the head of the table."""

_COLUMNS: Final = (
    "name", "title", "meaning", "cause", "kind", "sisimai", "kumomta", "permanent", "temporary",
    "source",
)  # fmt: skip
_ACTIONS: Final[Mapping[str, Action]] = {name: name for name in get_args(Action)}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of the taxonomy."""

    name: str
    title: str
    meaning: str
    cause: str
    """An id of causes.toml; "" where none fits."""
    kind: Literal["temporary", "permanent"]
    """What it is where no code tells."""
    sisimai: str
    kumomta: str
    permanent: Action
    temporary: Action
    source: str


@cache
def reasons() -> Mapping[str, Reason]:
    """All reasons by name. Raises FaultyTable."""
    found: dict[str, Reason] = {}
    for row in tables.rows(TABLE, "reason"):
        tables.only(TABLE, row, _COLUMNS)
        reason = Reason(
            tables.text(TABLE, row, "name"),
            tables.text(TABLE, row, "title"),
            tables.text(TABLE, row, "meaning"),
            tables.text(TABLE, row, "cause", ""),
            _kind(row),
            tables.text(TABLE, row, "sisimai"),
            tables.text(TABLE, row, "kumomta"),
            _action(row, "permanent"),
            _action(row, "temporary"),
            tables.text(TABLE, row, "source"),
        )
        if reason.name in found:
            raise tables.FaultyTable(TABLE, row, "is there twice")
        found[reason.name] = reason
    return MappingProxyType(found)


def _kind(row: tables.Row) -> Literal["temporary", "permanent"]:
    kind = tables.text(TABLE, row, "kind", "permanent")
    if kind not in ("temporary", "permanent"):
        raise tables.FaultyTable(TABLE, row, "has an unknown kind")
    return "temporary" if kind == "temporary" else "permanent"


def _action(row: tables.Row, column: str) -> Action:
    name = tables.text(TABLE, row, column)
    if name not in _ACTIONS:
        raise tables.FaultyTable(TABLE, row, f"{column} is no action")
    return _ACTIONS[name]
