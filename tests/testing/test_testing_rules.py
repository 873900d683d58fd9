"""Faults by rule: for whom, at which command, how often."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.faults.rule import Command, FaultRule, InvalidRule
from waypost.faults.rules import FaultRules


def rules(*several: FaultRule) -> FaultRules:
    made = FaultRules(random.Random(1))
    for one in several:
        made.add(one)
    return made


def codes(
    made: FaultRules, count: int, on: Command = "rcpt", sender: str = "a@example.com",
    recipient: str = "b@example.org", step: float = 1.0,
) -> list[int]:  # fmt: skip
    """The replies to so many commands in a row; 0 where nothing goes wrong."""
    found = []
    for number in range(count):
        strike = made.strike(on, sender, (recipient,), number * step)
        found.append(strike.reply.code if strike is not None and strike.reply else 0)
    return found


def test_a_rule_strikes_at_its_command() -> None:
    made = rules(FaultRule("rcpt", reply="450 4.7.1 Greylisted"))
    strike = made.strike("rcpt", "", ("b@example.org",), 0)
    assert strike is not None
    assert str(strike.reply) == "450 4.7.1 Greylisted"
    assert made.strike("mail", "", (), 0) is None


@pytest.mark.parametrize(
    ("pattern", "address", "fits"),
    [
        ("example.org", "b@Example.ORG", True),
        ("example.org", "b@sub.example.org", False),
        (".example.org", "b@sub.example.org", True),
        ("b@example.org", "b@example.org", True),
        ("*@slow.*", "x@slow.example", True),
        ("bad-*@example.org", "bad-1@example.org", True),
        ("bad-*@example.org", "good@example.org", False),
    ],
)
def test_a_rule_is_for_some(pattern: str, address: str, fits: bool) -> None:
    made = rules(FaultRule("rcpt", reply="550 no", recipient=pattern))
    assert codes(made, 1, recipient=address) == [550 if fits else 0]
    made = rules(FaultRule("mail", reply="550 no", sender=pattern))
    assert codes(made, 1, "mail", sender=address) == [550 if fits else 0]


def test_the_first_that_fits_decides() -> None:
    made = rules(
        FaultRule("rcpt", reply="450 one", recipient="a.example"), FaultRule("rcpt", reply="451 x")
    )
    assert codes(made, 1, recipient="x@a.example") == [450]
    assert codes(made, 1) == [451]


def test_some_pass_first_and_then_it_strikes_so_often() -> None:
    made = rules(FaultRule("rcpt", reply="450 x", after=2, times=3))
    assert codes(made, 8) == [0, 0, 450, 450, 450, 0, 0, 0]


def test_a_rate_lets_pass_what_it_allows() -> None:
    made = rules(FaultRule("rcpt", reply="421 x", rate="2/10s"))
    assert codes(made, 12, step=1.0) == [0, 0] + [421] * 8 + [0, 0]


def test_a_share_strikes_by_chance() -> None:
    made = rules(FaultRule("rcpt", reply="450 x", share=0.25))
    struck = sum(code == 450 for code in codes(made, 2000))
    assert 400 < struck < 600


def test_one_recipient_of_several_is_enough() -> None:
    made = rules(FaultRule("content", drop=True, recipient="b@example.org"))
    strike = made.strike("content", "", ("a@example.org", "b@example.org"), 0)
    assert strike is not None
    assert strike.drop
    assert made.strike("content", "", ("a@example.org",), 0) is None


def test_rules_can_be_cleared() -> None:
    made = rules(FaultRule("rcpt", reply="450 x"))
    made.clear()
    assert codes(made, 1) == [0]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"on": "helo", "reply": "450 x"}, "on is 'helo'"),
        ({"on": "rcpt"}, "does nothing"),
        ({"on": "rcpt", "reply": "450 x", "drop": True}, "gives no reply"),
        ({"on": "rcpt", "reply": "greylisted"}, "is no reply"),
        ({"on": "rcpt", "reply": "650 x"}, "is no reply"),
        ({"on": "rcpt", "reply": "450 a\rb"}, "control character"),
        ({"on": "rcpt", "delay": -1.0}, "at least 0"),
        ({"on": "rcpt", "drop": True, "times": 0}, "times at least 1"),
        ({"on": "rcpt", "drop": True, "share": 0.0}, "share is 0"),
        ({"on": "rcpt", "drop": True, "share": 1.5}, "share is 1.5"),
        ({"on": "rcpt", "drop": True, "rate": "often"}, "often"),
        ({"on": "rcpt", "drop": True, "rate": "1000000/day"}, "at most"),
        ({"on": "mail", "drop": True, "recipient": "x"}, "no recipient is known at mail"),
        ({"on": "ehlo", "drop": True, "sender": "x"}, "no sender is known at ehlo"),
        ({"on": "rcpt", "drop": True, "recipient": " "}, "empty pattern"),
    ],
)
def test_a_rule_that_means_nothing_is_told(rule: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRule, match=reason):
        rules(FaultRule(**rule))


@given(st.text(max_size=60))
def test_whatever_a_reply_is_given_as_it_is_read_or_told(text: str) -> None:
    try:
        made = rules(FaultRule("rcpt", reply=text, delay=1.0))
    except InvalidRule:
        return
    strike = made.strike("rcpt", "", ("x@y.example",), 0)
    assert strike is not None
    if strike.reply is not None:
        raw = strike.reply.encode()
        assert raw.count(b"\r") == raw.count(b"\n") == len(strike.reply.lines)
