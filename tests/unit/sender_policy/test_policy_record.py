"""Policies as text: what each term means, and which fault makes the whole one unusable."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.sender_policy import MalformedPolicy, Result, parse_policy
from waypost.sender_policy.record import is_policy


def test_a_policy_is_read() -> None:
    policy = parse_policy(
        "v=spf1  MX a:mail.example.com/24//64 +ip4:192.0.2.0/25 ~ip6:2001:db8::/32 "
        "include:_spf.example.net ?exists:%{ir}.list.example.com -ALL exp=why.%{d} note=1 "
    )
    assert [(one.name, one.qualifier) for one in policy.mechanisms] == [
        ("mx", Result.PASS),
        ("a", Result.PASS),
        ("ip4", Result.PASS),
        ("ip6", Result.SOFTFAIL),
        ("include", Result.PASS),
        ("exists", Result.NEUTRAL),
        ("all", Result.FAIL),
    ]
    mx, a, four, *_ = policy.mechanisms
    assert (mx.domain, mx.length_4, mx.length_6) == ("", 32, 128)
    assert (a.domain, a.length_4, a.length_6) == ("mail.example.com", 24, 64)
    assert four.network == ipaddress.ip_network("192.0.2.0/25")
    assert (policy.explanation, policy.redirect) == ("why.%{d}", None)
    assert policy.unknown == ("note=1",)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("v=spf1", True),
        ("V=SPF1 -all", True),
        ("v=spf10 -all", False),
        ("v=spf1\t-all", False),
        (" v=spf1", False),
        ("spf2.0/pra -all", False),
    ],
)
def test_a_record_is_a_policy_by_its_version(text: str, known: bool) -> None:
    assert is_policy(text) is known


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("alll", "unknown mechanism"),
        ("all:x", "something behind all"),
        ("include", "needs a colon"),
        ("include:", "needs a colon"),
        ("ip4:192.0.2", "no IPv4 network"),
        ("ip4:192.0.2.0/33", "no IPv4 network"),
        ("ip4:192.0.2.0/", "no prefix length"),
        ("ip4:192.0.2.0/024", "no prefix length"),
        ("ip4:2001:db8::1", "no IPv4 network"),
        ("ip6:192.0.2.1", "no IPv6 network"),
        ("ip6:fe80::1%lo", "zone"),
        ("ip4", "needs a colon"),
        ("a:mail", "names no domain"),
        ("a:example.com/33", "too long"),
        ("a//129", "too long"),
        ("a:example.com/024", "names no domain"),
        ("mx:example.com:25", "names no domain"),
        ("exists:%{x}.example.com", "unknown macro"),
        ("exists:%{c}.example.com", "unknown macro"),
        ("exists:%{d0}.example.com", "keeps no label"),
        ("exists:%(d).example.com", "broken macro"),
        ("exists:example.com%", "broken macro"),
        ("redirect=", "names no domain"),
        ("exp=example", "names no domain"),
        ("=x", "no term"),
        ("-", "no term"),
        ("a\texample.com", "needs a colon"),
        ("note=%{zz}", "broken macro"),
    ],
)
def test_a_fault_is_told_with_its_term(term: str, said: str) -> None:
    with pytest.raises(MalformedPolicy, match=said) as caught:
        parse_policy(f"v=spf1 a {term} -all")
    assert caught.value.term == term


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v=spf2 -all", "does not begin"),
        ("v=spf1 redirect=a.example redirect=b.example", "second redirect="),
        ("v=spf1 exp=a.example exp=b.example", "second exp="),
        ("v=spf1 ip4:192.0.2.1 \u2013all", "outside ASCII"),
    ],
)
def test_a_fault_of_the_whole_is_told(text: str, said: str) -> None:
    with pytest.raises(MalformedPolicy, match=said):
        parse_policy(text)


TERM = st.one_of(
    st.text("aimpx4:/=%{}.-+~?slodrv 019_", max_size=24),
    st.sampled_from(["a", "mx", "include:x.example", "ip4:192.0.2.0/24", "exp=%{d}", "-all"]),
)


@given(st.lists(TERM, max_size=8).map(lambda terms: " ".join(("v=spf1", *terms))))
def test_any_record_is_read_or_told(text: str) -> None:
    with contextlib.suppress(MalformedPolicy):
        for one in parse_policy(text).mechanisms:
            assert one.text
            assert 0 <= one.length_4 <= 32
            assert 0 <= one.length_6 <= 128


@given(st.text())
def test_any_text_is_read_or_told(text: str) -> None:
    with contextlib.suppress(MalformedPolicy):
        parse_policy(f"v=spf1 {text}")
