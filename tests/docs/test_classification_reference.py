"""The tables of the reference on classification are those of the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypost.knowledge.causes import cause
from waypost.knowledge.reasons import Reason, reasons
from waypost.knowledge.reply_rules import reply_rules

TEXT = (Path(__file__).parents[2] / "docs/reference/classification.md").read_text("utf-8")


@pytest.mark.parametrize("reason", reasons().values(), ids=list(reasons()))
def test_each_reason_has_its_row(reason: Reason) -> None:
    where = f"`{reason.cause}`" if reason.cause else ""
    row = (
        f"| `{reason.name}` | {reason.meaning} | {where} | `{reason.sisimai}` | "
        f"`{reason.kumomta}` | {reason.permanent} | {reason.temporary} |"
    )
    assert row in TEXT


@pytest.mark.parametrize("reason", reasons().values(), ids=list(reasons()))
def test_each_reason_comes_from_a_cause_that_is_known(reason: Reason) -> None:
    if reason.cause:
        assert cause(reason.cause).id == reason.cause


def test_the_systems_and_the_number_of_rows_are_told() -> None:
    rules = reply_rules().rules
    assert f"{len(rules)} rows" in TEXT
    told = TEXT.partition("Systems with rows of their own: ")[2].partition(".\n")[0].split(", ")
    assert told == sorted({rule.system for rule in rules if rule.system})
