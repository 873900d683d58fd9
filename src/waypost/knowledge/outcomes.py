"""What replies and failures mean for what is done next (outcomes.toml).

The rows as typed values, compiled so that a reply is judged by looking only at the rows for its
stage and code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, get_args

from waypost.knowledge import tables
from waypost.smtp.reply import EnhancedStatus, Reply

TABLE: Final = "outcomes.toml"

Stage = Literal["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content"]
"""Where a reply came. "content" is what answers the final dot."""

Kind = Literal["delivered", "temporary", "permanent"]
Scope = Literal["recipient", "message", "destination"]
Next = Literal["later", "at-once", "other-host", "give-back"]
Through = Literal["smarthost", "mx"]

MAXIMUM_TEXT: Final = 2000
"""Characters of a reply that are searched for words."""

_REPLY_COLUMNS: Final = (
    "reason", "stages", "codes", "enhanced", "text", "through", "kind", "scope", "next",
    "back_off", "suspend", "alert", "source",
)  # fmt: skip
_FAILURE_COLUMNS: Final = (
    "reason", "kind", "scope", "next", "back_off", "suspend", "alert", "status", "source",
)  # fmt: skip
_CODE: Final = re.compile(r"[45](?:yz|[0-9]{2})")
_ENHANCED: Final = re.compile(r"([45])\.(\d{1,3}|\*)\.(\d{1,3}|\*)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done. See outcomes.toml for the words."""

    reason: str
    kind: Kind
    scope: Scope
    next: Next
    back_off: bool
    suspend: bool
    alert: bool
    source: str


DELIVERED: Final = Verdict(
    "", "delivered", "recipient", "later", False, False, False, "RFC 5321 4.2.1, 6.1"
)
"""The verdict on every positive reply; `next` says nothing there."""


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """One row about replies."""

    verdict: Verdict
    stages: tuple[Stage, ...]
    codes: tuple[str, ...]
    enhanced: tuple[int, int | None, int | None] | None
    text: tuple[str, ...]
    through: Through | None

    def fits(self, reply: Reply, text: str, through: Through) -> bool:
        """Whether the row is about a reply whose stage and code it names."""
        if self.through is not None and self.through != through:
            return False
        if self.enhanced is not None:
            given = reply.enhanced
            class_, subject, detail = self.enhanced
            if (
                given is None
                or given.class_ != class_
                or subject not in (None, given.subject)
                or detail not in (None, given.detail)
            ):
                return False
        return not self.text or any(word in text for word in self.text)


@dataclass(frozen=True, slots=True)
class FailureRule:
    """One row about what went wrong without a reply."""

    verdict: Verdict
    status: EnhancedStatus


class OutcomeTable:
    """All rows. Raises FaultyTable when they are not what they should be."""

    def __init__(self) -> None:
        self.replies = tuple(_reply_rule(row) for row in tables.rows(TABLE, "reply"))
        self.failures: Mapping[str, FailureRule] = {
            rule.verdict.reason: rule for rule in map(_failure_rule, tables.rows(TABLE, "failure"))
        }
        self._index: dict[tuple[str, int], tuple[ReplyRule, ...]] = {}
        for stage in get_args(Stage):
            for code in range(400, 600):
                names = (str(code), f"{code // 100}yz")
                rules = tuple(
                    rule
                    for rule in self.replies
                    if stage in rule.stages and any(name in rule.codes for name in names)
                )
                if not any(_always_fits(rule) for rule in rules):
                    raise tables.FaultyTable(TABLE, (stage, code), "no row is sure to fit")
                self._index[stage, code] = rules

    def of_reply(self, stage: Stage, reply: Reply, through: Through) -> Verdict:
        """What a negative reply (400 to 599) means."""
        text = reply.text[:MAXIMUM_TEXT].lower()
        for rule in self._index[stage, reply.code]:
            if rule.fits(reply, text, through):
                return rule.verdict
        raise AssertionError(f"outcomes.toml has no row for {reply.code} at {stage}")

    def of_failure(self, reason: str) -> FailureRule:
        """What a failure means, by its name. Raises KeyError for one that has no row."""
        return self.failures[reason]


@cache
def outcome_table() -> OutcomeTable:
    """The table, read once."""
    return OutcomeTable()


def _always_fits(rule: ReplyRule) -> bool:
    return rule.through is None and rule.enhanced is None and not rule.text


def _verdict(row: tables.Row) -> Verdict:
    kind = tables.text(TABLE, row, "kind")
    scope = tables.text(TABLE, row, "scope")
    following = tables.text(TABLE, row, "next")
    if kind not in ("temporary", "permanent") or scope not in get_args(Scope):
        raise tables.FaultyTable(TABLE, row, "has an unknown kind or scope")
    if following not in get_args(Next):
        raise tables.FaultyTable(TABLE, row, "has an unknown next")
    if following != "other-host" and (kind == "permanent") != (following == "give-back"):
        raise tables.FaultyTable(TABLE, row, "kind and next contradict each other")
    return Verdict(
        tables.text(TABLE, row, "reason"),
        "permanent" if kind == "permanent" else "temporary",
        _SCOPES[scope],
        _NEXTS[following],
        tables.truth(TABLE, row, "back_off"),
        tables.truth(TABLE, row, "suspend"),
        tables.truth(TABLE, row, "alert"),
        tables.text(TABLE, row, "source"),
    )


_SCOPES: Final[Mapping[str, Scope]] = {name: name for name in get_args(Scope)}
_NEXTS: Final[Mapping[str, Next]] = {name: name for name in get_args(Next)}
_STAGES: Final[Mapping[str, Stage]] = {name: name for name in get_args(Stage)}


def _reply_rule(row: tables.Row) -> ReplyRule:
    tables.only(TABLE, row, _REPLY_COLUMNS)
    stages = tables.texts(TABLE, row, "stages")
    if not stages or not all(stage in _STAGES for stage in stages):
        raise tables.FaultyTable(TABLE, row, "has an unknown stage")
    codes = tables.texts(TABLE, row, "codes")
    if not codes or not all(_CODE.fullmatch(code) for code in codes):
        raise tables.FaultyTable(TABLE, row, "has a code that is neither 4yz nor 450")
    enhanced: tuple[int, int | None, int | None] | None = None
    if "enhanced" in row:
        found = _ENHANCED.fullmatch(tables.text(TABLE, row, "enhanced"))
        if found is None:
            raise tables.FaultyTable(TABLE, row, "enhanced is no enhanced status code")
        subject, detail = (None if part == "*" else int(part) for part in found.group(2, 3))
        enhanced = (int(found[1]), subject, detail)
    words = tables.texts(TABLE, row, "text")
    if any(not word or word != word.lower() for word in words):
        raise tables.FaultyTable(TABLE, row, "text must be in lower case")
    through = tables.text(TABLE, row, "through", "")
    if through not in ("", *get_args(Through)):
        raise tables.FaultyTable(TABLE, row, "through must be smarthost or mx")
    return ReplyRule(
        _verdict(row),
        tuple(_STAGES[stage] for stage in stages),
        codes,
        enhanced,
        words,
        "smarthost" if through == "smarthost" else "mx" if through == "mx" else None,
    )


def _failure_rule(row: tables.Row) -> FailureRule:
    tables.only(TABLE, row, _FAILURE_COLUMNS)
    status = EnhancedStatus.parse(tables.text(TABLE, row, "status"))
    verdict = _verdict(row)
    if status is None or (status.class_ == 5) != (verdict.kind == "permanent"):
        raise tables.FaultyTable(TABLE, row, "status and kind contradict each other")
    return FailureRule(verdict, status)
