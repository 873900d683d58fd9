"""Header blocks: where they end, what is in them, and that no block is too odd to be looked at."""

from __future__ import annotations

import email.parser
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.headers import (
    HeaderBlock,
    HeaderTooLarge,
    TooManyFields,
    decoded_field,
    decoded_text,
)

MAIL = (
    b"Received: from a (b)\r\n\tby c; Tue, 24 Nov 2026 05:00:00 +0000\r\n"
    b"Received: from d by e\r\n"
    b"From: Ada <ada@example.com>\r\n"
    b"Subject: Good news\r\n"
    b"\r\n"
    b"Subject: not a field, but text\r\n"
)


def scan(
    content: bytes, *, size: int = 65536, fields: int = 1000, whole: bool = False
) -> HeaderBlock | None:
    return HeaderBlock.scan(content, maximum_size=size, maximum_fields=fields, whole=whole)


def block_of(content: bytes, *, whole: bool = False) -> HeaderBlock:
    block = scan(content, whole=whole)
    assert block is not None
    return block


# --- where it ends ---------------------------------------------------------------------------


def test_the_block_ends_before_the_empty_line() -> None:
    block = block_of(MAIL)
    assert block.block == MAIL[: MAIL.index(b"\r\n\r\n") + 2]
    assert block.received_count == 2
    assert block.starts_with_field


def test_until_the_empty_line_has_come_more_is_needed() -> None:
    end = MAIL.index(b"\r\n\r\n") + 4
    for length in range(end):
        assert scan(MAIL[:length]) is None
    for length in range(end, len(MAIL)):
        assert block_of(MAIL[:length]) == block_of(MAIL)


def test_a_message_without_a_header_has_an_empty_block() -> None:
    block = block_of(b"\r\ntext\r\n\r\n")
    assert block.block == b""
    assert not block.starts_with_field
    assert block.raw_field(b"subject", 100) == ""
    assert block.fields() == []


def test_a_message_that_is_all_header_has_a_block() -> None:
    for content in (b"Subject: a\r\n", b"Subject: a"):
        assert scan(content) is None
        assert block_of(content, whole=True).raw_field(b"subject", 100) == "a"
    assert block_of(b"", whole=True).block == b""


def test_text_without_a_header_does_not_begin_with_a_field() -> None:
    assert not block_of(b"Hello, how are you?\r\n\r\n").starts_with_field
    assert not block_of(b" folded: into nothing\r\n\r\n").starts_with_field
    assert block_of(b"X :y\r\n\r\n").starts_with_field


# --- bounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True])
def test_a_block_of_the_largest_size_is_taken_and_one_byte_more_is_not(whole: bool) -> None:
    content = b"Subject: " + b"a" * 80 + b"\r\n"
    size = len(content)
    block = scan(content + b"\r\ntext", size=size, whole=whole)
    assert block is not None
    assert block.block == content
    with pytest.raises(HeaderTooLarge):
        scan(content + b"\r\ntext", size=size - 1, whole=whole)


def test_a_block_without_an_end_is_refused_as_soon_as_it_is_too_large() -> None:
    endless = b"Subject: a\r\n" * 100
    assert scan(endless[:101], size=100) is None
    with pytest.raises(HeaderTooLarge, match="exceeds 100 bytes"):
        scan(endless[:102], size=100)
    with pytest.raises(HeaderTooLarge):
        scan(endless[:101], size=100, whole=True)
    assert scan(endless[:100], size=100, whole=True) is not None


def test_fields_are_counted_and_their_folds_are_not() -> None:
    content = b"A: 1\r\n 2\r\n\t3\r\nB: 4\r\n\r\n"
    assert scan(content, fields=2) is not None
    with pytest.raises(TooManyFields, match="has 2 fields"):
        scan(content, fields=1)


# --- fields ----------------------------------------------------------------------------------


def test_a_field_is_found_by_its_name_in_any_case() -> None:
    block = block_of(b"SUBJECT: a\r\nx-Other:b\r\nMessage-Id: <c@d>\r\n\r\nDate: none\r\n")
    assert block.raw_field(b"subject", 100) == "a"
    assert block.raw_field(b"x-other", 100) == "b"
    assert block.has(b"message-id")
    assert block.has(b"x-other")
    assert not block.has(b"date")
    assert not block.has(b"other")
    assert block.raw_field(b"other", 100) == ""


def test_the_obsolete_form_with_space_before_the_colon_is_a_field() -> None:
    block = block_of(b"Received \t: a\r\nSubject : b\r\nX-Other\t: c : d\r\n\r\n")
    assert block.received_count == 1
    assert block.raw_field(b"subject", 100) == "b"
    assert block.raw_field(b"x-other", 100) == "c : d"
    assert block.fields() == [(b"Received", b"a"), (b"Subject", b"b"), (b"X-Other", b"c : d")]


@pytest.mark.parametrize("first", [b"Subject: a\r\n", b"Subject : a\r\n"])
@pytest.mark.parametrize("second", [b"Subject: b\r\n", b"Subject\t: b\r\n"])
def test_of_two_fields_the_first_is_meant(first: bytes, second: bytes) -> None:
    assert block_of(first + second + b"\r\n").raw_field(b"subject", 100) == "a"


def test_a_folded_value_is_unfolded() -> None:
    block = block_of(b"Subject:\r\n one\r\n\ttwo\r\n  three\r\nFrom: a\r\n\r\n")
    assert block.raw_field(b"subject", 100) == "one two  three"
    assert block.raw_field(b"subject", 6) == "one"
    assert block.raw_field(b"from", 100) == "a"


def test_a_name_within_a_folded_line_is_none() -> None:
    block = block_of(b"X-Other: a\r\n Received: b\r\n Subject: c\r\n\r\n")
    assert block.received_count == 0
    assert not block.has(b"subject")
    assert block.raw_field(b"subject", 100) == ""


def test_a_value_is_cut_at_the_length_asked_for() -> None:
    block = block_of(b"Subject: " + b"a" * 10_000 + b"\r\nX: y\r\n\r\n")
    assert block.raw_field(b"subject", 50).strip("a") == ""
    assert len(block.raw_field(b"subject", 50)) <= 50


def test_octets_that_are_no_text_do_no_harm() -> None:
    block = block_of(b"Subject: a\xff\x1b[31m\r\n\r\n")
    assert block.raw_field(b"subject", 100) == r"a\xff [31m"


# --- taking fields out -----------------------------------------------------------------------


def test_fields_are_taken_out_with_their_folds() -> None:
    block = block_of(
        b"Bcc: a@example.com,\r\n b@example.com\r\nTo: c\r\nBCC : d\r\nReturn-Path: <e>\r\n\r\n"
    )
    assert block.without([b"bcc", b"return-path"]) == b"To: c\r\n"
    assert block.without([b"x-none"]) == block.block
    assert block.without([]) == block.block


def test_a_span_is_where_the_field_stands() -> None:
    block = block_of(b"A: 1\r\nB: 2\r\n 3\r\nA: 4\r\n\r\n")
    assert [block.block[a:b] for a, b in block.spans(b"a")] == [b"A: 1\r\n", b"A: 4\r\n"]
    assert [block.block[a:b] for a, b in block.spans(b"b")] == [b"B: 2\r\n 3\r\n"]


# --- for display -----------------------------------------------------------------------------


def test_a_decoded_field_is_text_on_one_line() -> None:
    block = block_of(b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe=0A?=\r\n =?utf-8?q?von_Ada?=\r\n\r\n")
    assert decoded_field(block, b"subject") == "Grüße von Ada"
    assert decoded_field(block, b"from") is None
    assert decoded_field(block, b"subject", 5) == "Grüße"


def test_utf_8_in_a_header_is_read_as_it_is() -> None:
    assert decoded_field(block_of("Subject: Grüße\r\n\r\n".encode()), b"subject") == "Grüße"


@given(raw=st.text(max_size=200), maximum=st.integers(1, 40))
def test_a_decoded_field_is_no_longer_than_asked_for(raw: str, maximum: int) -> None:
    text = decoded_text(raw, maximum)
    assert len(text) <= maximum
    assert "\n" not in text


# --- any block -------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(["Received", "DATE", "message-id", "From", "subject", "bcc", "X-a", "Sub"]),
    st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True),
)
VALUES = st.lists(
    st.from_regex(r"[!-~]([ -~]{0,12}[!-~])?", fullmatch=True), min_size=1, max_size=3
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


@given(fields=FIELDS)
def test_what_is_found_is_what_the_email_package_finds(fields: list[tuple[str, list[str]]]) -> None:
    written = b"".join(
        f"{name}: {f'{chr(13)}{chr(10)} '.join(lines)}\r\n".encode() for name, lines in fields
    )
    block = block_of(written + b"\r\ntext\r\n")
    assert block.block == written
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(written + b"\r\n")
    known = [(name.encode(), value.encode()) for name, value in message.raw_items()]
    assert block.fields() == known
    assert block.received_count == len(message.get_all("Received", []))
    for name in {name.lower() for name, _ in fields} | {"date", "x-b"}:
        assert block.has(name.encode()) == (name in message)
        value = str(message[name]).replace("\r\n", "") if name in message else ""
        assert block.raw_field(name.encode(), 1000) == value
        assert len(block.spans(name.encode())) == len(message.get_all(name, []))
        kept = [(n, v) for n, v in known if n.decode().lower() != name]
        left = block_of(block.without([name.encode()]) + b"\r\n" if kept else b"\r\n")
        assert left.fields() == kept


SOUP = st.lists(
    st.sampled_from([b"\r\n", b":", b" ", b"\t", b"Subject", b"received", b"a", b"\xff", b"\0"]),
    max_size=30,
).map(b"".join)


@given(content=SOUP, cuts=st.lists(st.integers(0, 200), max_size=4))
def test_any_content_in_any_pieces_is_seen_the_same(content: bytes, cuts: list[int]) -> None:
    content += b"\r\n\r\nrest"
    whole = block_of(content)
    for cut in sorted(cuts):
        early = scan(content[:cut])
        assert early is None or early == whole
    for name in (b"subject", b"received", b"a", b"nothing"):
        assert (whole.raw_field(name, 100) == "") or whole.has(name)
        whole.without([name])
        decoded_field(whole, name)
        if whole.has(name):
            assert not block_of(whole.without([name]) + b"\r\n\r\n").block.startswith(name + b":")


def test_the_time_to_look_is_linear() -> None:
    for unit in (b"a", b" ", b"\r\n ", b"a :", b"a:\r\n", b":", b"subject \t"):
        content = b"x: " + unit * 100_000 + b"\r\n\r\n"
        block = scan(content, size=len(content), fields=len(content))
        assert block is not None
        block.fields()
        block.without([b"subject", b"a"])
        block.raw_field(b"x", 10**7)
