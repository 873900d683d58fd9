"""check_host(): each mechanism, each limit, each way in which a policy is no help."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.net.resolver import ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.sender_policy import Result, Sending, Verdict, evaluate, survey
from waypost.sender_policy.evaluation import MAXIMUM_LOOKUPS

HERE = Sending("192.0.2.10", "user@example.com", "mail.example.com")


def zone(
    texts: dict[str, str | list[str]], addresses: dict[str, list[str]] | None = None
) -> StaticResolver:
    return StaticResolver(
        {"example.com": [(10, "mx.example.com")], "many.example": [
            (n, f"mx{n}.many.example") for n in range(11)
        ]},
        {
            "mx.example.com": ["192.0.2.10", "2001:db8::10"],
            "host.example.com": ["198.51.100.7"],
            **(addresses or {}),
        },
        {"192.0.2.10": "mail.example.com", "192.0.2.66": "liar.example.com"},
        {
            name: [text] if isinstance(text, str) else text
            for name, text in texts.items()
        },
    )  # fmt: skip


def judged(
    policy: str | dict[str, str | list[str]],
    sending: Sending = HERE,
    addresses: dict[str, list[str]] | None = None,
) -> Verdict:
    texts = {"example.com": policy} if isinstance(policy, str) else policy
    return asyncio.run(evaluate(zone(texts, addresses), sending))


@pytest.mark.parametrize(
    ("terms", "result"),
    [
        ("ip4:192.0.2.0/28 -all", Result.PASS),
        ("ip4:192.0.2.0/29 -all", Result.FAIL),
        ("ip4:192.0.2.0/29 ~all", Result.SOFTFAIL),
        ("ip4:192.0.2.0/29 ?all", Result.NEUTRAL),
        ("ip4:192.0.2.0/29", Result.NEUTRAL),
        ("mx -all", Result.PASS),
        ("mx:other.example -all", Result.FAIL),
        ("a:host.example.com -all", Result.FAIL),
        ("a:host.example.com/4 a:mx.example.com -all", Result.PASS),
        ("a:mx.example.com/0 -all", Result.PASS),
        ("ptr:example.com -all", Result.PASS),
        ("ptr:example.org -all", Result.FAIL),
        ("exists:%{i}.ok.example.com -all", Result.PASS),
        ("exists:%{ir}.ok.example.com -all", Result.FAIL),
        ("-ip4:192.0.2.10 +all", Result.FAIL),
        ("all -all", Result.PASS),
    ],
)
def test_the_first_term_that_matches_decides(terms: str, result: Result) -> None:
    addresses = {
        "mail.example.com": ["192.0.2.10"],
        "192.0.2.10.ok.example.com": ["127.0.0.2"],
    }
    assert judged(f"v=spf1 {terms}", addresses=addresses).result is result


def test_the_term_and_its_place_are_told() -> None:
    verdict = judged(
        {
            "example.com": "v=spf1 include:_spf.example.net -all",
            "_spf.example.net": "v=spf1 ip4:192.0.2.10 ?all",
        }
    )
    assert (verdict.result, verdict.term, verdict.place, verdict.lookups) == (
        Result.PASS, "include:_spf.example.net", "example.com", 1,
    )  # fmt: skip


def test_an_include_that_does_not_pass_does_not_match() -> None:
    for inner in ("-all", "~all", "?all"):
        verdict = judged(
            {"example.com": "v=spf1 include:b.example ~all", "b.example": f"v=spf1 {inner}"}
        )
        assert verdict.result is Result.SOFTFAIL


def test_redirect_stands_in_only_where_nothing_matches() -> None:
    texts: dict[str, str | list[str]] = {
        "example.com": "v=spf1 ip4:198.51.100.1 redirect=b.example",
        "b.example": "v=spf1 mx:example.com -all",
    }
    assert judged(texts).result is Result.PASS
    texts["example.com"] = "v=spf1 ?all redirect=b.example"
    assert judged(texts).result is Result.NEUTRAL


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("v=spf1 include:none.example", "no SPF record"),
        ("v=spf1 redirect=none.example", "no SPF record"),
        ("v=spf1 include:a..b", "no domain"),
        ("v=spf1 mx:many.example -all", "more than 10 MX"),
        ("v=spf1 foo -all", "unknown mechanism"),
        ("v=spf1 " + "a:host.example.com " * 11, "more than 10 look-ups"),
        ("v=spf1 a:x1.example a:x2.example a:x3.example -all", "have no answer"),
        ("v=spf1 include:example.com", "more than 10 look-ups"),
    ],
)
def test_what_the_owner_must_mend_is_told(policy: str, said: str) -> None:
    verdict = judged(policy)
    assert verdict.result is Result.PERMERROR
    assert said in verdict.reason


def test_two_records_are_an_error_and_none_is_none() -> None:
    assert judged({"example.com": ["v=spf1 -all", "v=spf1 a"]}).result is Result.PERMERROR
    assert judged({"example.com": ["other", "v=spf10"]}).result is Result.NONE
    assert judged({}).result is Result.NONE


def test_what_the_dns_does_not_tell_is_temporary() -> None:
    fault = ResolutionTemporaryFailure("example.com", "TXT", "SERVFAIL")
    resolver = StaticResolver(texts={"example.com": fault})
    verdict = asyncio.run(evaluate(resolver, HERE))
    assert verdict.result is Result.TEMPERROR
    assert "SERVFAIL" in verdict.reason


def test_a_null_sender_is_judged_by_its_helo_name() -> None:
    sending = dataclasses.replace(HERE, sender="")
    verdict = judged({"mail.example.com": "v=spf1 ip4:192.0.2.10 -all"}, sending)
    assert (verdict.result, verdict.domain) == (Result.PASS, "mail.example.com")


def test_a_mapped_address_is_its_ipv4_address() -> None:
    sending = dataclasses.replace(HERE, address="::ffff:192.0.2.10")
    assert judged("v=spf1 ip4:192.0.2.10 -all", sending).result is Result.PASS


def test_ipv6_is_matched_by_ipv6_records() -> None:
    sending = dataclasses.replace(HERE, address="2001:db8::10")
    assert judged("v=spf1 mx -all", sending).result is Result.PASS
    assert judged("v=spf1 ip6:2001:db8::/126 -all", sending).result is Result.FAIL


@pytest.mark.parametrize("domain", ["localhost", "a..example", "x" * 64 + ".example", "192.0.2.1"])
def test_what_is_no_domain_has_no_policy(domain: str) -> None:
    sending = dataclasses.replace(HERE, sender=f"user@{domain}")
    assert judged({}, sending).result is Result.NONE


def test_a_failure_carries_the_domain_s_own_words() -> None:
    texts: dict[str, str | list[str]] = {
        "example.com": "v=spf1 -all exp=why.%{d}",
        "why.example.com": "%{i} may not send for %{d}, says %{R} to %{L}",
    }
    sending = dataclasses.replace(
        HERE, address="203.0.113.5", sender="a b@example.com", receiver="mx.example.net"
    )
    words = judged(texts, sending).explanation
    assert words == "203.0.113.5 may not send for example.com, says mx.example.net to a%20b"
    texts["why.example.com"] = ["one", "two"]
    assert judged(texts, sending).explanation == ""


def test_the_name_of_a_liar_is_not_believed() -> None:
    sending = dataclasses.replace(HERE, address="192.0.2.66")
    addresses = {"liar.example.com": ["198.51.100.9"]}
    assert judged("v=spf1 ptr -all", sending, addresses).result is Result.FAIL


@pytest.mark.parametrize(
    ("macro", "name"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l-}", "strong.bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}", "3.2.0.192.in-addr"),
    ],
)
def test_macros_are_those_of_the_rfc(macro: str, name: str) -> None:
    """RFC 7208 7.4."""
    sending = Sending("192.0.2.3", "strong-bad@email.example.com", "mx.example.org")
    addresses = {f"{name}.x.example.org": ["127.0.0.2"]}
    texts: dict[str, str | list[str]] = {
        "email.example.com": f"v=spf1 exists:{macro}.x.example.org -all"
    }
    assert judged(texts, sending, addresses).result is Result.PASS


NAMES = st.sampled_from(["example.com", "a.example", "b.example", "none.example"])
TERMS = st.one_of(
    NAMES.map("include:{}".format), NAMES.map("redirect={}".format), NAMES.map("a:{}".format),
    NAMES.map("mx:{}/24//64".format), st.sampled_from(["ptr", "exists:%{l}.%{p}.a.example", "bad"]),
    st.sampled_from(["-all", "?ip4:192.0.2.0/30"]),
)  # fmt: skip
POLICIES = st.lists(TERMS, max_size=6).map(lambda terms: " ".join(("v=spf1", *terms)))


@settings(max_examples=200)
@given(st.dictionaries(NAMES, POLICIES, max_size=4))
def test_no_policy_makes_us_ask_for_ever(texts: dict[str, str | list[str]]) -> None:
    verdict = judged(texts)
    assert verdict.lookups <= MAXIMUM_LOOKUPS + 1
    assert isinstance(verdict.result, Result)
    found = asyncio.run(survey(zone(texts), "example.com"))
    assert len(found.leaves) <= found.lookups + 1
    if verdict.result is Result.PASS and found.is_whole:
        assert found.policy is not None


def test_a_survey_counts_every_term_as_if_none_matched() -> None:
    texts: dict[str, str | list[str]] = {
        "example.com": "v=spf1 mx a:gone.example include:b.example exists:%{i}.x.example -all",
        "b.example": "v=spf1 ip4:192.0.2.0/24 include:c.example include:b.example ~all",
        "c.example": "v=spf1 a:host.example.com/33",
    }
    found = asyncio.run(survey(zone(texts), "example.com"))
    assert found.lookups == 6
    assert found.void == ("a:gone.example (gone.example has no address)",)
    assert found.ending is Result.FAIL
    assert [(leaf.domain, leaf.depth, leaf.fault) for leaf in found.leaves] == [
        ("example.com", 0, ""),
        ("b.example", 1, ""),
        ("c.example", 2, "'a:host.example.com/33' has a prefix length that is too long"),
        ("b.example", 2, "includes itself"),
    ]


def test_a_survey_follows_redirect_to_its_ending() -> None:
    texts: dict[str, str | list[str]] = {
        "example.com": "v=spf1 redirect=b.example",
        "b.example": "v=spf1 ip4:192.0.2.0/24 ~all",
    }
    found = asyncio.run(survey(zone(texts), "example.com"))
    assert (found.ending, found.lookups) == (Result.SOFTFAIL, 1)
    assert asyncio.run(survey(zone({"example.com": "v=spf1 a"}), "example.com")).ending is None
