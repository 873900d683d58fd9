"""Encoded words (RFC 2047): what is right is read, what is malformed stays, nothing raises."""

from __future__ import annotations

import encodings
from email.header import Header, decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.encoded_words import decode_encoded_words, displayable


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Hello", "Hello"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),
        ("=?iso-8859-1?q?Gr=FC=DFe?=", "Grüße"),
        ("=?iso-8859-1?q?10_=80?=", "10 €"),
        ("=?iso-8859-15?q?=A4?=", "€"),
        ("=?koi8-u?b?0NLJ18XU?=", "привет"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?= an alle", "Re: Grüße an alle"),
        # RFC 2047 8: white space between two encoded words goes, elsewhere it stays.
        ("=?us-ascii?q?a?= =?us-ascii?q?b?=", "ab"),
        ("=?us-ascii?q?a?=\r\n =?us-ascii?q?b?=", "ab"),
        ("=?us-ascii?q?a_?= =?us-ascii?q?b?=", "a b"),
        ("=?us-ascii?q?a?= b =?us-ascii?q?c?=", "a b c"),
        ("=?utf-8?q?a?= =?iso-8859-1?q?=FC?=", "aü"),
        # A letter that is cut between two words.
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        ("=?utf-8?B?w7w=?= =?utf-8?Q?=C3=9F?=", "üß"),
    ],
)
def test_reads(written: str, read: str) -> None:
    assert decode_encoded_words(written) == read


@pytest.mark.parametrize(
    "written",
    [
        "=?",
        "=?utf-8?q?",
        "=?utf-8?x?abc?=",
        "=?utf-8?q?a b?=",
        "=?no-such-charset?q?a?=",
        "=?unicode_escape?q?=5Cn?=",
        "=?base64?q?YQ?=",
        "a?= =?b",
        "=?utf-8?x?a?=  =?utf-8?x?b?=",
    ],
)
def test_what_is_malformed_stays_as_it_was_written(written: str) -> None:
    assert decode_encoded_words(written) == written


def test_octets_that_are_no_text_of_their_charset_are_shown_as_such() -> None:
    assert decode_encoded_words("=?utf-8?q?a=FFb?=") == "a\ufffdb"


def test_charsets_that_strangers_invent_are_not_remembered() -> None:
    """Python keeps the name of each codec that it did not find, for ever."""
    known = len(encodings._cache)  # type: ignore[attr-defined]
    for number in range(50):
        decode_encoded_words(f"=?x-invented-{number}?q?a?=")
    assert len(encodings._cache) == known  # type: ignore[attr-defined]


@given(text=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=60))
def test_what_python_writes_is_read(text: str) -> None:
    written = Header(text, "utf-8", maxlinelen=75).encode()
    plain = str(make_header(decode_header(written)))
    assert decode_encoded_words(written) == plain


WORDS = st.lists(
    st.sampled_from(
        ["=?", "?=", "?q?", "?b?", "utf-8", "utf-7", "utf-16", "idna", "hz", "=", "=C3", "YQ", "_",
         " ", "\r\n ", "ü", "\ud800", "x", "?"]
    ),
    max_size=24,
).map("".join)  # fmt: skip


@given(text=WORDS)
def test_nothing_is_raised_whatever_it_is(text: str) -> None:
    shown = displayable(decode_encoded_words(text))
    shown.encode()
    assert not any(sign in shown for sign in "\r\n\0\x1b\u2028\u202e")


def test_the_time_is_linear() -> None:
    for unit in ("=?", "=?a", "?= ", "=?utf-8?q?", "=?utf-8?b?YQ?= ", " ", "\r\n "):
        decode_encoded_words(unit * 20_000)


def test_a_field_stays_in_its_place_on_a_screen() -> None:
    assert displayable("a\x1b[31mb\r\nc\u202ed\u2029e\ud800f") == "a [31mb c d e f"
    assert displayable(" a ") == "a"
