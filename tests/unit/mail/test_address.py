"""Mailboxes: what RFC 5321 4.1.2 and RFC 6531 3.3 allow, and that nothing else gets through."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waypost.mail.address import (
    MAXIMUM_ADDRESS,
    Address,
    InvalidAddress,
    address_to_ascii,
    domain_to_ascii,
    domain_to_unicode,
    parse_address,
)

LABEL_63 = "a" * 63
LOCAL_64 = "u" * 64

# Every sign that the grammar gives a meaning, letters of other scripts, and what must never pass.
SIGNS = 'aZ09.@-_+"\\[]:<>() \t\r\n\0%!ü日ß\u0130\u200b\u202e\u0085\u2028\ud800\U0001f600'
SOUP = st.text(alphabet=SIGNS, max_size=40)
SOUPS = st.one_of(
    SOUP,
    st.builds("{}@{}".format, SOUP, SOUP),
    st.builds("{}@[{}]".format, SOUP, SOUP),
    st.builds('"{}"@example.com'.format, SOUP),
    st.builds("x@{}.example".format, st.text(min_size=1, max_size=20)),
    st.text(max_size=300),
)


@pytest.mark.parametrize(
    ("text", "local_part", "domain"),
    [
        ("ada@example.com", "ada", "example.com"),
        ("Ada.Lovelace@EXAMPLE.Com", "Ada.Lovelace", "example.com"),
        ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~", "example.com"),
        ("root@localhost", "root", "localhost"),
        ("a@1and1.example", "a", "1and1.example"),
        ("a@x--y.example", "a", "x--y.example"),
        ("a@example.c0", "a", "example.c0"),
        ('"a b"@example.com', '"a b"', "example.com"),
        ('"a@b"@example.com', '"a@b"', "example.com"),
        (r'"a\"b\\"@example.com', r'"a\"b\\"', "example.com"),
        ('""@example.com', '""', "example.com"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:0DB8::0001]", "a", "[ipv6:2001:db8::1]"),
        (f"{LOCAL_64}@example.com", LOCAL_64, "example.com"),
        (f"a@{LABEL_63}.example", "a", f"{LABEL_63}.example"),
    ],
)
def test_a_mailbox_of_rfc_5321(text: str, local_part: str, domain: str) -> None:
    for smtputf8 in (False, True):
        assert parse_address(text, smtputf8=smtputf8) == Address(local_part, domain)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no @"),
        ("ada", "no @"),
        ("@example.com", "both sides"),
        ("ada@", "both sides"),
        (".ada@example.com", "a dot"),
        ("ada.@example.com", "a dot"),
        ("a..da@example.com", "a dot"),
        ("a b@example.com", "needs quoting"),
        ("a@b@example.com", "needs quoting"),
        ("a(comment)@example.com", "needs quoting"),
        ('"ada@example.com', "not closed"),
        ('"a"b"@example.com', "not closed"),
        ('"a\\"@example.com', "not closed"),
        ("ada@-example.com", "letters, digits and hyphens"),
        ("ada@example-.com", "letters, digits and hyphens"),
        ("ada@example..com", "letters, digits and hyphens"),
        ("ada@example.com.", "letters, digits and hyphens"),
        ("ada@exa_mple.com", "letters, digits and hyphens"),
        ("ada@192.0.2.1", "in brackets"),
        ("ada@[192.0.2.256]", "no IP address"),
        ("ada@[2001:db8::1]", "no IP address"),
        ("ada@[IPv6:192.0.2.1]", "no IP address"),
        ("ada@[IPv6:fe80::1%eth0]", "no IP address"),
        ("ada@[]", "no IP address"),
        (f"u{LOCAL_64}@example.com", "64 octets"),
        (f"a@{LABEL_63}a.example", "63 octets"),
        (f"a@{'.'.join([LABEL_63] * 4)}", "254 octets"),
        ("ada@example.com\n", "control character"),
        ("ada\r\nRCPT@example.com", "control character"),
        ("ada\0@example.com", "control character"),
        ("büro@example.com", "need SMTPUTF8"),
        ("ada@bücher.example", "need SMTPUTF8"),
        ("a\udc80@example.com", "not valid UTF-8"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason) as refused:
        parse_address(text, smtputf8=False)
    assert refused.value.reason in str(refused.value)


def test_the_longest_address_is_taken_and_one_octet_more_is_not() -> None:
    domain = f"{LABEL_63}.{LABEL_63}.{'b' * 61}"
    text = f"{LOCAL_64}@{domain}"
    assert len(text) == MAXIMUM_ADDRESS
    assert str(parse_address(text, smtputf8=False)) == text
    with pytest.raises(InvalidAddress):
        parse_address(f"{LOCAL_64}@{domain}b", smtputf8=False)


def test_lengths_count_octets_not_characters() -> None:
    assert parse_address("ü" * 32 + "@example.com", smtputf8=True)
    with pytest.raises(InvalidAddress, match="64 octets"):
        parse_address("ü" * 33 + "@example.com", smtputf8=True)


@pytest.mark.parametrize(
    ("text", "local_part", "domain"),
    [
        ("büro@example.com", "büro", "example.com"),
        ("ada@Bücher.example", "ada", "bücher.example"),
        ("用户@例え.example", "用户", "例え.example"),
        ('"ü ü"@example.com', '"ü ü"', "example.com"),
        ("ada@\uff25xample.com", "ada", "example.com"),
    ],
)
def test_an_international_mailbox(text: str, local_part: str, domain: str) -> None:
    address = parse_address(text, smtputf8=True)
    assert address == Address(local_part, domain)


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2028", "\u0085", "\u200b", "\u061c", "\ufeff", "\u00a0", "\u3000"]
)
def test_signs_that_make_a_screen_lie_are_no_letters(hidden: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_address(f"a{hidden}b@example.com", smtputf8=True)


@given(text=SOUPS, smtputf8=st.booleans())
@example(text="x@\u0130.example", smtputf8=True)
@example(text="x@xn--0.bücher.example", smtputf8=True)
@example(text="x@ü" + "\u0301" * 100 + ".example", smtputf8=True)
def test_nothing_but_invalid_address_is_raised(text: str, smtputf8: bool) -> None:
    try:
        address = parse_address(text, smtputf8=smtputf8)
    except InvalidAddress as fault:
        str(fault).encode()  # can be logged
        return
    written = str(address)
    assert smtputf8 or written.isascii()
    assert not any(sign in written for sign in "\r\n\0<>") or address.local_part.startswith('"')
    assert not any(ord(sign) < 32 for sign in written)
    assert parse_address(written, smtputf8=smtputf8) == address


@given(text=SOUPS)
def test_what_goes_without_smtputf8_is_the_same_with_it(text: str) -> None:
    try:
        plain = parse_address(text, smtputf8=False)
    except InvalidAddress:
        return
    assert parse_address(text, smtputf8=True) == plain


@given(text=SOUPS)
def test_the_form_in_us_ascii_is_an_address_again(text: str) -> None:
    try:
        address = parse_address(text, smtputf8=True)
    except InvalidAddress:
        return
    plain = address_to_ascii(address)
    assert (plain is None) == (not address.local_part.isascii())
    if plain is not None and len(plain) <= MAXIMUM_ADDRESS:
        again = parse_address(plain, smtputf8=False)
        assert again.local_part == address.local_part
        assert address.literal == again.literal


def test_only_the_domain_has_a_form_in_us_ascii() -> None:
    assert address_to_ascii(Address("ada", "bücher.example")) == "ada@xn--bcher-kva.example"
    assert address_to_ascii(Address("ada", "example.com")) == "ada@example.com"
    assert address_to_ascii(Address("büro", "example.com")) is None


def test_a_domain_has_one_form_to_compare() -> None:
    forms = ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.Example"]
    assert {domain_to_ascii(form) for form in forms} == {"xn--bcher-kva.example"}


@pytest.mark.parametrize(
    "domain", ["", ".", "a..b", "ü..b", "-a", "a b", "ü b", "a" * 256, "ü" * 200]
)
def test_no_domain_is_invalid_too(domain: str) -> None:
    with pytest.raises(InvalidAddress):
        domain_to_ascii(domain)


def test_a_domain_is_shown_as_people_read_it() -> None:
    assert domain_to_unicode("xn--bcher-kva.example") == "bücher.example"
    assert domain_to_unicode("example.com") == "example.com"
    assert domain_to_unicode("xn--\x7f.example") == "xn--\x7f.example"


def test_a_literal_is_an_ip_address() -> None:
    address = parse_address("a@[IPv6:2001:db8:0:0::1]", smtputf8=False)
    assert address.literal == ipaddress.ip_address("2001:db8::1")
    assert parse_address("a@[192.0.2.7]", smtputf8=False).literal == ipaddress.ip_address(
        "192.0.2.7"
    )
    assert parse_address("a@example.com", smtputf8=False).literal is None


def test_the_time_to_read_is_linear() -> None:
    """Were one of the expressions to try every split of these, the test would never end."""
    for unit in ("a.", "a-", ".", "-", '"', "\\", "@", "a@", "[", "ü", "xn--", " "):
        for frame in ("{}", "x@{}", "{}@x", '"{}', "x@{}!", "x@[{}"):
            with pytest.raises(InvalidAddress):
                parse_address(frame.format(unit * 100_000), smtputf8=True)
            with pytest.raises(InvalidAddress):
                parse_address(frame.format((unit * 124)[:124]) + "\0", smtputf8=True)


def test_the_evidence_is_short_and_can_be_written() -> None:
    fault = InvalidAddress("why", "\ud800" + "x" * 1000)
    assert len(fault.evidence) < 120
    fault.evidence.encode()
