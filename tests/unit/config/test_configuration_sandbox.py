"""Fault rules in the configuration: read, refused where they mean nothing or would hurt."""

from __future__ import annotations

from pathlib import Path

import pytest
from configuration_loading import loaded, problems

from waypost.faults.rule import FaultRule

RULE = '[[sandbox.rule]]\non = "rcpt"\nreply = "450 4.7.1 Greylisted"\n'
REAL = '[[route]]\nname = "out"\nvia = "smtp://smtp.example.com:587"\n'


def test_a_rule_with_everything(tmp_path: Path) -> None:
    text = (
        '[[sandbox.rule]]\non = "content"\nreply = "451 4.3.0 Later"\ndelay = "2 s"\n'
        'sender = "shop@*"\nrecipient = ".example.org"\nafter = 3\ntimes = 2\nshare = 0.5\n'
        'rate = "20/10s"\n[[sandbox.rule]]\non = "data"\ndrop = true\n'
    )
    assert loaded(tmp_path, text).service.fault_rules == (
        FaultRule(
            "content", "451 4.3.0 Later", 2.0, False, "shop@*", ".example.org", 3, 2, 0.5, "20/10s"
        ),
        FaultRule("data", drop=True),
    )


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('[[sandbox.rule]]\non = "rcpt"\n', ("sandbox.rule[0]", 1), "does nothing"),
        (RULE + "drop = true\n", ("sandbox.rule[0]", 1), "gives no reply"),
        (RULE.replace("450", "150"), ("sandbox.rule[0]", 1), "is no reply"),
        (RULE.replace("rcpt", "rcp"), ("sandbox.rule[0].on", 2), "must be one of connect"),
        (RULE + 'rate = "x"\n', ("sandbox.rule[0].rate", 4), "is no rate"),
        (RULE + "share = 0\n", ("sandbox.rule[0]", 1), "share is 0"),
        (RULE + 'sendr = "x"\n', ("sandbox.rule[0].sendr", 4), "unknown setting"),
        (REAL + RULE, ("sandbox.rule", 4), "mail leaves by route out"),
    ],
)
def test_what_means_nothing_or_would_hurt_is_refused(
    tmp_path: Path, text: str, place: tuple[str, int], words: str
) -> None:
    (found,) = problems(tmp_path, text)
    assert (found.key, found.line) == place
    assert words in found.reason


def test_it_may_be_allowed_beside_a_real_route(tmp_path: Path) -> None:
    text = REAL + "[sandbox]\nallow_beside_real_routes = true\n" + RULE
    service = loaded(tmp_path, text).service
    assert service.faults_beside_real_routes
    assert len(service.fault_rules) == 1
