"""DMARC: who speaks for From, and what is to be done where nobody does."""

from __future__ import annotations

import asyncio

import pytest

from waypost.net.resolver import ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.sender_policy.dmarc import LONGEST_WALK, DmarcResult, evaluate_dmarc, names_above


def judged(
    records: dict[str, str], author: str, spf: str | None = None, *dkim: str
) -> tuple[str, str, str]:
    texts = {f"_dmarc.{name}": [text] for name, text in records.items()}
    resolver = StaticResolver({}, {}, {}, texts)
    found = asyncio.run(evaluate_dmarc(resolver, author, spf, dkim))
    return found.result.value, found.policy, found.place


REJECT = {"example.com": "v=DMARC1; p=reject"}


@pytest.mark.parametrize(
    ("spf", "dkim", "result"),
    [
        ("example.com", (), "pass"),
        ("bounces.example.com", (), "pass"),
        (None, ("example.com",), "pass"),
        (None, ("example.net", "news.example.com"), "pass"),
        ("example.net", ("example.org",), "fail"),
        ("notexample.com", ("badexample.com",), "fail"),
        ("com", (), "fail"),
        (None, (), "fail"),
    ],
)
def test_one_that_is_aligned_is_enough(spf: str | None, dkim: tuple[str, ...], result: str) -> None:
    assert judged(REJECT, "example.com", spf, *dkim)[0] == result


def test_strict_alignment_wants_the_very_domain() -> None:
    strict = {"example.com": "v=DMARC1; p=reject; adkim=s; aspf=s"}
    assert judged(strict, "example.com", "a.example.com", "b.example.com")[0] == "fail"
    assert judged(strict, "example.com", "example.com")[0] == "pass"
    assert judged(strict, "example.com", None, "example.com")[0] == "pass"


@pytest.mark.parametrize(
    ("records", "author", "policy", "place"),
    [
        (REJECT, "example.com", "reject", "example.com"),
        (REJECT, "a.b.example.com", "reject", "example.com"),
        ({"example.com": "v=DMARC1; p=reject; sp=none"}, "a.example.com", "none", "example.com"),
        ({"example.com": "v=DMARC1; p=none", "a.example.com": "v=DMARC1; p=reject"},
         "a.example.com", "reject", "a.example.com"),
        ({"example.com": "v=DMARC1; p=reject; t=y"}, "example.com", "quarantine", "example.com"),
        ({"example.com": "v=DMARC1; p=quarantine; t=y"}, "example.com", "none", "example.com"),
    ],
)  # fmt: skip
def test_the_policy_that_applies(
    records: dict[str, str], author: str, policy: str, place: str
) -> None:
    assert judged(records, author) == ("fail", policy, place)


def test_a_registry_speaks_for_nobody_below_it() -> None:
    records = {"co.example": "v=DMARC1; p=reject; psd=y"}
    assert judged(records, "shop.co.example")[0] == "none"
    own = {**records, "shop.co.example": "v=DMARC1; p=quarantine"}
    assert judged(own, "a.shop.co.example") == ("fail", "quarantine", "shop.co.example")
    assert judged(own, "shop.co.example", "other.co.example")[0] == "fail"


def test_an_organisation_may_end_the_walk() -> None:
    records = {
        "example.com": "v=DMARC1; p=none",
        "unit.example.com": "v=DMARC1; p=reject; psd=n",
    }
    assert judged(records, "a.unit.example.com", "example.com") == (
        "fail", "reject", "unit.example.com",
    )  # fmt: skip


def test_without_a_record_there_is_no_verdict() -> None:
    assert judged({}, "example.com", "example.com") == ("none", "none", "")
    assert judged({"example.com": "v=spf1 -all"}, "example.com")[0] == "none"


def test_several_records_count_for_nothing() -> None:
    texts = {"_dmarc.example.com": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}
    resolver = StaticResolver({}, {}, {}, texts)
    found = asyncio.run(evaluate_dmarc(resolver, "example.com", None, ()))
    assert found.result is DmarcResult.PERMERROR


def test_name_servers_that_do_not_answer_are_a_temporary_error() -> None:
    class Silent(StaticResolver):
        async def records(self, name: str, record_type: str) -> object:  # type: ignore[override]
            raise ResolutionTemporaryFailure(name, record_type, "no answer")

    found = asyncio.run(evaluate_dmarc(Silent({}, {}, {}, {}), "example.com", None, ()))
    assert found.result is DmarcResult.TEMPERROR


def test_the_walk_is_short_whatever_the_name() -> None:
    names = names_above(".".join(["a"] * 60 + ["example", "com"]))
    assert len(names) == LONGEST_WALK
    assert names[-1] == "example.com"
