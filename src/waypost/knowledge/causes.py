"""What mail problems come from, and what to do about each (causes.toml).

The ids are stable: they stand in the JSON of `waypost check` and `waypost explain`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, get_args

from waypost.knowledge import tables

TABLE: Final = "causes.toml"

Severity = Literal["fail", "warn"]

_COLUMNS: Final = (
    "id", "title", "meaning", "fix", "command", "severity", "rank", "signs",
    "instead", "source",
)  # fmt: skip
_ID: Final = re.compile(r"[a-z0-9]+\.[a-z0-9]+(?:_[a-z0-9]+)*")
_SEVERITIES: Final[Mapping[str, Severity]] = {name: name for name in get_args(Severity)}
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_SENTENCES: Final = re.compile(r"(?<=[.!?])\s+")
_BRACKETS: Final = re.compile(r" \([^()]*\)")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


_WORDS: Final = MappingProxyType({
    "host": "the host", "domain": "the domain", "sender": "the sender",
    "sender_domain": "the sender's domain", "recipient": "the address",
    "open_port": "587 or 465",
    "user": "the account that logs in",
    "nameserver": "the name servers of this machine (/etc/resolv.conf)",
    "alias_of": "the one that the alias leads to",
})  # fmt: skip
"""What stands for a fact that is not known."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause."""

    id: str
    title: str
    meaning: str
    fix: str
    """What to do, with {places}; see `fix_with`."""
    severity: Severity
    """fail: mail does not go; warn: it goes, but not as it should."""
    source: str
    command: str = ""
    """The exact setting or command, with {places}; see `command_with`."""
    rank: int = 50
    """How precise it is; higher is more."""
    signs: tuple[str, ...] = ()
    """What a probe records when it sees it."""
    instead: tuple[str, ...] = ()
    """Ids of what it may be as well, the most probable first."""

    def fix_with(self, facts: Mapping[str, str] = _NOTHING) -> str:
        """What to do, with what is known filled in.

        What is not known gets a general word ("the host"); where there is none, the sentence, or
        the part of it in brackets, is left out.
        """
        known = {**_WORDS, **{name: value for name, value in facts.items() if value}}
        kept = []
        for sentence in _SENTENCES.split(self.fix):
            without = _BRACKETS.sub(
                lambda part: part[0] if _known(part[0], known) else "", sentence
            )
            if _known(without, known):
                kept.append(_filled(without, known))
        return " ".join(kept)

    def command_with(self, facts: Mapping[str, str] = _NOTHING) -> str:
        """The setting or command with what is known filled in; "" where that does not suffice."""
        return _filled(self.command, facts) if _known(self.command, facts) else ""


def _known(text: str, facts: Mapping[str, str]) -> bool:
    return all(place == "starttls" or facts.get(place) for place in _PLACE.findall(text))


def _filled(text: str, facts: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: facts.get(place[1], ""), text)


@cache
def causes() -> Mapping[str, Cause]:
    """All causes by id. Raises FaultyTable."""
    found: dict[str, Cause] = {}
    for row in tables.rows(TABLE, "cause"):
        tables.only(TABLE, row, _COLUMNS)
        name = tables.text(TABLE, row, "id")
        severity = tables.text(TABLE, row, "severity")
        if _ID.fullmatch(name) is None or name in found:
            raise tables.FaultyTable(TABLE, row, "the id is none, or is there twice")
        if severity not in _SEVERITIES:
            raise tables.FaultyTable(TABLE, row, "severity is fail or warn")
        found[name] = Cause(
            name,
            tables.text(TABLE, row, "title"),
            tables.text(TABLE, row, "meaning"),
            tables.text(TABLE, row, "fix"),
            _SEVERITIES[severity],
            tables.text(TABLE, row, "source"),
            tables.text(TABLE, row, "command", ""),
            tables.whole(TABLE, row, "rank"),
            tables.texts(TABLE, row, "signs"),
            tables.texts(TABLE, row, "instead"),
        )
    for one in found.values():
        _check_ids(one.instead, found, one.id)
    return MappingProxyType(found)


def cause(name: str) -> Cause:
    """The cause of that id. Raises KeyError and FaultyTable."""
    return causes()[name]


@cache
def causes_by_sign() -> Mapping[str, Cause]:
    """The cause that each sign stands for. Raises FaultyTable."""
    found: dict[str, Cause] = {}
    for one in causes().values():
        for sign in one.signs:
            if sign in found:
                raise tables.FaultyTable(TABLE, one.id, f"the sign {sign} has two causes")
            found[sign] = one
    return MappingProxyType(found)


def _check_ids(names: tuple[str, ...], known: Mapping[str, Cause], where: object) -> None:
    for name in names:
        if name not in known:
            raise tables.FaultyTable(TABLE, where, f"{name} is no cause")


@dataclass(frozen=True, slots=True)
class _CodeRow:
    stages: tuple[str, ...]
    codes: tuple[str, ...]
    causes: tuple[str, ...]


@cache
def _code_rows() -> tuple[_CodeRow, ...]:
    rows = []
    for row in tables.rows(TABLE, "reply"):
        tables.only(TABLE, row, ("stages", "codes", "causes", "source"))
        made = _CodeRow(*(tables.texts(TABLE, row, name) for name in ("stages", "codes", "causes")))
        _check_ids(made.causes, causes(), row)
        rows.append(made)
    return tuple(rows)


def causes_of_code(code: int, stage: str) -> tuple[str, ...]:
    """What a negative reply comes from by its code alone, the most probable first."""
    for row in _code_rows():
        if stage in row.stages and (str(code) in row.codes or f"{code // 100}yz" in row.codes):
            return row.causes
    return ()
