"""What the reply codes of SMTP mean (reply_codes.toml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from waypost.knowledge import tables
from waypost.knowledge.reasons import reasons

TABLE: Final = "reply_codes.toml"

_CODE: Final = re.compile(r"[2345]\d\d")
_CODES: Final = re.compile(r"[45](?:yz|\d\d)")


@dataclass(frozen=True, slots=True)
class ReplyCode:
    """One code."""

    code: int
    name: str
    meaning: str
    stages: tuple[str, ...]
    """What it answers: commands in lower case, "greeting", "content"; "any" for everything."""
    reason: str
    """What it says by itself; "" for nothing."""
    source: str

    @property
    def kind(self) -> str:
        """success, temporary or permanent; "success" as well where the server goes on (3yz)."""
        return "success" if self.code < 400 else "temporary" if self.code < 500 else "permanent"


@dataclass(frozen=True, slots=True)
class Default:
    """What codes say at a stage where nothing else is clear."""

    stages: tuple[str, ...]
    codes: tuple[str, ...]
    reason: str
    last: bool
    source: str

    def fits(self, stage: str, code: int) -> bool:
        """Whether the row is about this code at this stage; the stage "" is not known."""
        return (stage in self.stages or "any" in self.stages) and (
            str(code) in self.codes or f"{code // 100}yz" in self.codes
        )


@cache
def reply_codes() -> Mapping[int, ReplyCode]:
    """All codes. Raises FaultyTable."""
    found: dict[int, ReplyCode] = {}
    for row in tables.rows(TABLE, "code"):
        tables.only(TABLE, row, ("code", "name", "meaning", "stages", "reason", "source"))
        text = tables.text(TABLE, row, "code")
        if not _CODE.fullmatch(text) or int(text) in found:
            raise tables.FaultyTable(TABLE, row, "code is none, or is there twice")
        found[int(text)] = ReplyCode(
            int(text),
            tables.text(TABLE, row, "name"),
            tables.text(TABLE, row, "meaning"),
            tables.texts(TABLE, row, "stages"),
            _reason(row, ""),
            tables.text(TABLE, row, "source"),
        )
    return MappingProxyType(found)


@cache
def digits() -> Mapping[int, str]:
    """The meanings of the first digit."""
    return MappingProxyType(
        {
            int(tables.text(TABLE, row, "digit")): tables.text(TABLE, row, "meaning")
            for row in tables.rows(TABLE, "digit")
        }
    )


@cache
def _defaults() -> tuple[Default, ...]:
    found = []
    for row in tables.rows(TABLE, "default"):
        tables.only(TABLE, row, ("stages", "codes", "reason", "last", "source"))
        codes = tables.texts(TABLE, row, "codes")
        if not codes or not all(_CODES.fullmatch(code) for code in codes):
            raise tables.FaultyTable(TABLE, row, "has a code that is neither 4yz nor 450")
        found.append(
            Default(
                tables.texts(TABLE, row, "stages"),
                codes,
                _reason(row, None),
                tables.truth(TABLE, row, "last"),
                tables.text(TABLE, row, "source"),
            )
        )
    return tuple(found)


@cache
def reason_of_code(stage: str, code: int) -> tuple[str, str]:
    """The reason, and its source, that a code from 400 to 599 tells by itself at a stage.

    The stage "" is not known. There is always one: the table ends with a row for each class.
    """
    for last in (False, True):
        for default in _defaults():
            if default.last == last and default.fits(stage, code):
                return default.reason, default.source
        known = reply_codes().get(code)
        if not last and known is not None and known.reason:
            return known.reason, known.source
    raise tables.FaultyTable(TABLE, (stage, code), "no row is sure to fit")


def _reason(row: tables.Row, default: str | None) -> str:
    name = tables.text(TABLE, row, "reason", default)
    if name and name not in reasons():
        raise tables.FaultyTable(TABLE, row, "has an unknown reason")
    return name
