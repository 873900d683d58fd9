"""Records of strangers: whatever stands in them, reading never fails."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from waypost.doctor.domain_health.dkim_keys import read_key
from waypost.doctor.domain_health.finding import text_record
from waypost.mail.strict_transport import LONGEST_AGE, read_policy
from waypost.mail.tag_list import parse_tags, versioned
from waypost.sender_policy.dmarc_record import POLICIES, read_dmarc, report_domain

PIECES = st.sampled_from(
    ["v=DMARC1", "v=DKIM1", "p=", "p=reject", "p=AAAA", "sp=x", "pct=101", "rua=mailto:a@b.c!1g",
     "rua=mailto:[x", "t=y:s", "k=ed25519", "k=rsa", "h=sha1", "=", "x", ";", " "]
)  # fmt: skip
TAGGED = st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=8).map(";".join)


@given(TAGGED)
def test_any_text_is_a_tag_list(text: str) -> None:
    tags = parse_tags(text)
    assert all(name == name.lower() for name in tags.tags)
    versioned([text], "DMARC1")


@given(TAGGED)
def test_any_text_is_read_as_dmarc(text: str) -> None:
    record = read_dmarc(text)
    assert record.policy in (*POLICIES, "")
    assert 0 <= record.percent <= 100
    assert all(report_domain(one) for one in record.reports)


@given(TAGGED)
def test_any_text_is_read_as_a_key(text: str) -> None:
    key = read_key(text)
    assert key.bits >= 0
    assert key.bits == 0 or key.kind in ("rsa", "ed25519")


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from([
    b"version: STSv1", b"mode: enforce", b"mode: x", b"mx: a.example", b"mx: *", b"max_age: 9",
    b"max_age: 99999999999", b"x", b"\r", b"",
])).map(b"\n".join)))  # fmt: skip
def test_any_bytes_are_read_as_a_transport_policy(body: bytes) -> None:
    policy = read_policy(body)
    assert policy.faults or (policy.mode and policy.max_age <= LONGEST_AGE)
    policy.allows("a.example")


@given(st.text(max_size=20))
def test_any_uri_is_looked_at(text: str) -> None:
    report_domain(f"mailto:{text}")
    report_domain(text)


def test_a_long_text_is_cut_into_strings_for_a_zone_file() -> None:
    line = text_record("x.example", 'a"\\' + "b" * 300).zone_line
    assert line.startswith('x.example. IN TXT "a\\"\\\\bbb')
    assert line.count('"') == 5
