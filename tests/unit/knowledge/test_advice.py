"""Advice: whatever goes wrong, somebody is told what to do."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from waypost.knowledge.advice import advice_for, advice_for_operator
from waypost.knowledge.outcomes import outcome_table
from waypost.knowledge.reasons import reasons

REASONS = sorted(reasons())

NOT_REFUSALS = {"delivered", "automatic-reply", "complaint"}
"""What is never said of mail that goes back."""

OURS = {name for name, rule in outcome_table().failures.items() if rule.verdict.kind != "permanent"}
"""Failures without a reply, for which nothing goes back."""


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_next_step_for_the_operator(reason: str) -> None:
    assert advice_for_operator(reason).endswith(".")


def test_every_reason_for_which_mail_is_given_back_has_one_for_the_sender() -> None:
    given_back = set(REASONS) - NOT_REFUSALS - OURS
    assert [one for one in sorted(given_back) if not advice_for(one)] == []


def test_no_advice_is_for_a_reason_that_does_not_exist() -> None:
    text = resources.files("waypost.knowledge").joinpath("advice.toml").read_text("utf-8")
    for section in tomllib.loads(text).values():
        assert set(section) <= set(REASONS)


def test_the_sender_is_not_told_of_settings_that_are_not_theirs() -> None:
    assert "route" in advice_for_operator("tls-not-offered")
    assert advice_for("tls-not-offered") == ""
    assert "operator" in advice_for("relay-denied")
    assert "USER" not in advice_for("relay-denied")
