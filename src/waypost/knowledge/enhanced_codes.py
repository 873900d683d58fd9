"""What enhanced status codes mean: those of the IANA registry, and some beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from waypost.knowledge import tables
from waypost.knowledge.reasons import reasons
from waypost.smtp.reply import EnhancedStatus

TABLE: Final = "enhanced_codes.toml"

_COLUMNS: Final = (
    "code", "name", "meaning", "replies", "reason", "temporary", "precise", "source",
)  # fmt: skip
_CODE: Final = re.compile(r"X\.(\d{1,3})\.(\d{1,3})")


@dataclass(frozen=True, slots=True)
class EnhancedCode:
    """One code of the registry, for whatever class."""

    subject: int
    detail: int
    name: str
    meaning: str
    replies: tuple[str, ...]
    """Reply codes that the registry names beside it."""
    reason: str
    """What class 5 says by itself; "" for nothing."""
    temporary_reason: str
    """What class 4 says by itself; "" for nothing."""
    precise: bool
    """Counts for more than weak words."""
    source: str

    def reason_for(self, class_: int) -> str:
        """The reason that it tells in this class; "" for none."""
        return self.reason if class_ == 5 else self.temporary_reason if class_ == 4 else ""

    def __str__(self) -> str:
        return f"X.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True)
class Part:
    """What the first or the second number of a code says."""

    digit: int
    name: str
    meaning: str
    source: str


@cache
def enhanced_codes() -> Mapping[tuple[int, int], EnhancedCode]:
    """All codes by subject and detail. Raises FaultyTable."""
    found: dict[tuple[int, int], EnhancedCode] = {}
    for row in tables.rows(TABLE, "code"):
        tables.only(TABLE, row, _COLUMNS)
        numbers = _CODE.fullmatch(tables.text(TABLE, row, "code"))
        if numbers is None:
            raise tables.FaultyTable(TABLE, row, "code is not like X.1.1")
        reason = tables.text(TABLE, row, "reason", "")
        temporary = tables.text(TABLE, row, "temporary", reason)
        if any(name and name not in reasons() for name in (reason, temporary)):
            raise tables.FaultyTable(TABLE, row, "has an unknown reason")
        key = int(numbers[1]), int(numbers[2])
        if key in found:
            raise tables.FaultyTable(TABLE, row, "is there twice")
        found[key] = EnhancedCode(
            *key,
            tables.text(TABLE, row, "name"),
            tables.text(TABLE, row, "meaning"),
            tables.texts(TABLE, row, "replies"),
            reason,
            temporary,
            tables.truth(TABLE, row, "precise"),
            tables.text(TABLE, row, "source"),
        )
    return MappingProxyType(found)


@cache
def private_codes() -> Mapping[tuple[int, int, int], EnhancedCode]:
    """Codes that are not in the registry, by class, subject and detail. Raises FaultyTable."""
    found: dict[tuple[int, int, int], EnhancedCode] = {}
    for row in tables.rows(TABLE, "private"):
        tables.only(TABLE, row, ("code", "last", "name", "classes", "reason", "source"))
        numbers = _CODE.fullmatch(tables.text(TABLE, row, "code"))
        reason, name = tables.text(TABLE, row, "reason"), tables.text(TABLE, row, "name")
        if numbers is None or reason not in reasons():
            raise tables.FaultyTable(TABLE, row, "has no code like X.1.1 or an unknown reason")
        subject, first = int(numbers[1]), int(numbers[2])
        for detail in range(first, tables.whole(TABLE, row, "last", first) + 1):
            code = EnhancedCode(
                subject, detail, name, f"{name}.", (), reason, reason, True,
                tables.text(TABLE, row, "source"),
            )  # fmt: skip
            for class_ in tables.texts(TABLE, row, "classes"):
                found[int(class_), subject, detail] = code
    return MappingProxyType(found)


@cache
def classes() -> Mapping[int, Part]:
    """The meanings of the first number."""
    return _parts("class")


@cache
def subjects() -> Mapping[int, Part]:
    """The meanings of the second number."""
    return _parts("subject")


def enhanced_code(status: EnhancedStatus) -> EnhancedCode | None:
    """The row of the registry or of what is known beside it; None for a code in neither."""
    registered = enhanced_codes().get((status.subject, status.detail))
    if registered is not None:
        return registered
    return private_codes().get((status.class_, status.subject, status.detail))


def meaning_of(status: EnhancedStatus) -> str:
    """A code in plain words, with what its class says; "" where nothing of it is known."""
    code, class_ = enhanced_code(status), classes().get(status.class_)
    if code is not None:
        said = code.meaning
    else:
        subject = subjects().get(status.subject)
        if subject is None or class_ is None:
            return ""
        said = f"{subject.meaning} The last number is not registered."
    return said if class_ is None else f"{said} {class_.meaning}"


def _parts(name: str) -> Mapping[int, Part]:
    found: dict[int, Part] = {}
    for row in tables.rows(TABLE, name):
        tables.only(TABLE, row, ("digit", "name", "meaning", "source"))
        part = Part(
            int(tables.text(TABLE, row, "digit")),
            tables.text(TABLE, row, "name"),
            tables.text(TABLE, row, "meaning"),
            tables.text(TABLE, row, "source"),
        )
        found[part.digit] = part
    return MappingProxyType(found)
