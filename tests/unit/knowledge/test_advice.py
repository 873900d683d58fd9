"""Advice: whatever goes wrong, somebody is told what to do."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from waypost.knowledge import tables
from waypost.knowledge.advice import advice_for, advice_for_operator

REASONS = sorted(
    {
        str(row["reason"])
        for name in ("reply", "failure")
        for row in tables.rows("outcomes.toml", name)
    }
    | {"expired"}
)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_next_step_for_the_operator(reason: str) -> None:
    assert advice_for_operator(reason).endswith(".")


def test_every_reason_for_which_mail_is_given_back_has_one_for_the_sender() -> None:
    permanent = {
        str(row["reason"])
        for name in ("reply", "failure")
        for row in tables.rows("outcomes.toml", name)
        if row["kind"] == "permanent"
    }
    assert [one for one in sorted(permanent) if not advice_for(one)] == []


def test_no_advice_is_for_a_reason_that_does_not_exist() -> None:
    text = resources.files("waypost.knowledge").joinpath("advice.toml").read_text("utf-8")
    for section in tomllib.loads(text).values():
        assert set(section) <= set(REASONS)


def test_the_sender_is_not_told_of_settings_that_are_not_theirs() -> None:
    assert "route" in advice_for_operator("tls-not-offered")
    assert advice_for("tls-not-offered") == ""
    assert "operator" in advice_for("relay-denied")
    assert "USER" not in advice_for("relay-denied")
