"""What replies and failures mean for what is done next (outcomes.toml).

The reason of a reply is found by reply_reason.py from its words and codes; the rows here say what
follows from it. They are compiled so that only the rows for a reply's stage and code are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, get_args

from waypost.knowledge import tables
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_contexts import STAGES
from waypost.knowledge.reply_contexts import Stage as Stage  # noqa: PLC0414  # callers have it from here
from waypost.knowledge.reply_reason import find_reason
from waypost.smtp.reply import EnhancedStatus, Reply

TABLE: Final = "outcomes.toml"

Kind = Literal["delivered", "temporary", "permanent"]
Scope = Literal["recipient", "message", "destination"]
Next = Literal["later", "at-once", "other-host", "give-back"]
Through = Literal["smarthost", "mx"]

_REPLY_COLUMNS: Final = (
    "reasons", "stages", "codes", "enhanced", "through", "kind", "scope", "next", "back_off",
    "suspend", "alert", "source",
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
class ReplyRow:
    """One row about replies."""

    verdict: Verdict
    """Its reason is "": each reply brings its own."""
    reasons: tuple[str, ...]
    stages: tuple[Stage, ...]
    codes: tuple[str, ...]
    enhanced: tuple[int, int | None, int | None] | None
    through: Through | None

    def fits(self, reason: str, enhanced: EnhancedStatus | None, through: Through | None) -> bool:
        """Whether the row is about a reply whose stage and code it names."""
        if self.through is not None and self.through != through:
            return False
        if self.reasons and reason not in self.reasons:
            return False
        if self.enhanced is None:
            return True
        class_, subject, detail = self.enhanced
        return (
            enhanced is not None
            and enhanced.class_ == class_
            and subject in (None, enhanced.subject)
            and detail in (None, enhanced.detail)
        )


@dataclass(frozen=True, slots=True)
class FailureRule:
    """One row about what went wrong without a reply."""

    verdict: Verdict
    status: EnhancedStatus


class OutcomeTable:
    """All rows. Raises FaultyTable when they are not what they should be."""

    def __init__(self) -> None:
        self.replies = tuple(_reply_row(row) for row in tables.rows(TABLE, "reply"))
        self.failures: Mapping[str, FailureRule] = {
            rule.verdict.reason: rule for rule in map(_failure_rule, tables.rows(TABLE, "failure"))
        }
        self._index: dict[tuple[str, int], tuple[ReplyRow, ...]] = {}
        self._verdicts: dict[tuple[ReplyRow, str], Verdict] = {}
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
        finding = find_reason(reply.text, reply.code, reply.enhanced, stage)
        assert finding is not None, "a reply has a code, so there is a reason"
        return self.of_reason(finding.reason, stage, reply.code, reply.enhanced, through)

    def of_reason(
        self,
        reason: str,
        stage: Stage,
        code: int,
        enhanced: EnhancedStatus | None,
        through: Through | None,
    ) -> Verdict:
        """What a reason that was given at a stage leads to, for a code from 400 to 599."""
        for row in self._index[stage, code]:
            if row.fits(reason, enhanced, through):
                verdict = self._verdicts.get((row, reason))
                if verdict is None:
                    verdict = self._verdicts[row, reason] = replace(row.verdict, reason=reason)
                return verdict
        raise AssertionError(f"outcomes.toml has no row for {code} at {stage}")

    def of_failure(self, reason: str) -> FailureRule:
        """What a failure means, by its name. Raises KeyError for one that has no row."""
        return self.failures[reason]


@cache
def outcome_table() -> OutcomeTable:
    """The table, read once."""
    return OutcomeTable()


def _always_fits(row: ReplyRow) -> bool:
    return row.through is None and row.enhanced is None and not row.reasons


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
        _known(row, tables.text(TABLE, row, "reason", "")),
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


def _known(row: tables.Row, reason: str) -> str:
    if reason and reason not in reasons():
        raise tables.FaultyTable(TABLE, row, "has an unknown reason")
    return reason


def _reply_row(row: tables.Row) -> ReplyRow:
    tables.only(TABLE, row, _REPLY_COLUMNS)
    stages = tables.texts(TABLE, row, "stages")
    if not stages or not all(stage in STAGES for stage in stages):
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
    through = tables.text(TABLE, row, "through", "")
    if through not in ("", *get_args(Through)):
        raise tables.FaultyTable(TABLE, row, "through must be smarthost or mx")
    return ReplyRow(
        _verdict(row),
        tuple(_known(row, reason) for reason in tables.texts(TABLE, row, "reasons")),
        tuple(STAGES[stage] for stage in stages),
        codes,
        enhanced,
        "smarthost" if through == "smarthost" else "mx" if through == "mx" else None,
    )


def _failure_rule(row: tables.Row) -> FailureRule:
    tables.only(TABLE, row, _FAILURE_COLUMNS)
    status = EnhancedStatus.parse(tables.text(TABLE, row, "status"))
    verdict = _verdict(row)
    if (
        not verdict.reason
        or status is None
        or (status.class_ == 5) != (verdict.kind == "permanent")
    ):
        raise tables.FaultyTable(
            TABLE, row, "has no reason, or status and kind contradict each other"
        )
    return FailureRule(verdict, status)
