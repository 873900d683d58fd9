"""Content that goes out ends where we say and nowhere else."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.smtp.framing import DataDecoder
from waypost.smtp.stuffing import (
    BareLineEnd,
    DotStuffer,
    LineEnds,
    check_line_ends,
    stuff_whole,
    whole_lines,
)

# Bytes among which every interesting neighbourhood is likely.
telling_bytes = st.lists(st.sampled_from([b"\r\n", b".", b"a", b"\r", b"\n"]), max_size=12).map(
    b"".join
)
proper_content = st.lists(st.sampled_from([b"\r\n", b".", b"a", b"..", b"b"]), max_size=12).map(
    b"".join
)
cuts = st.lists(st.integers(0, 24), max_size=6)


def pieces_of(content: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(content)) for cut in at), len(content)]
    return [content[start:end] for start, end in pairwise(edges)]


def stuffed_in_pieces(content: bytes, at: list[int], *, normalise: bool = False) -> bytes:
    stuffer = DotStuffer(normalise=normalise)
    return b"".join(map(stuffer.feed, pieces_of(content, at))) + stuffer.finish()


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..\r\n", b"...\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n.b", b"a\r\n..b\r\n.\r\n"),
        (b"a.b\r\n", b"a.b\r\n.\r\n"),
        (b"\r\n\r\n", b"\r\n\r\n.\r\n"),
    ],
)
def test_dots_are_doubled_at_line_starts_and_a_lone_dot_ends(content: bytes, wire: bytes) -> None:
    assert stuff_whole(content) == wire
    assert stuffed_in_pieces(content, list(range(len(content)))) == wire


@given(proper_content, cuts)
def test_pieces_cut_anywhere_give_what_the_whole_gives(content: bytes, at: list[int]) -> None:
    assert stuffed_in_pieces(content, at) == stuff_whole(content)


@given(proper_content)
def test_a_server_reads_back_what_was_given_and_nothing_more(content: bytes) -> None:
    read, rest = DataDecoder().feed(stuff_whole(content) + b"NEXT")
    assert read == whole_lines(content)
    assert rest == b"NEXT"


@pytest.mark.parametrize(
    ("content", "position"),
    [
        (b"\n", 0),
        (b"\r", 0),
        (b"a\nb", 1),
        (b"a\rb\r\n", 1),
        (b"a\rb\nc", 1),  # as many CR as LF, yet no pair
        (b"\n\r", 0),
        (b"a\r\n.\nb\r\n", 4),
        (b"a\r\n\r.\r\n", 3),
        (b"a\r\n\r\r\n", 3),
        (b"a\r\n.\r\r\n", 4),
        (b"ab\r\nc\r", 5),
    ],
)
def test_a_bare_line_end_is_refused_with_its_position(content: bytes, position: int) -> None:
    with pytest.raises(BareLineEnd) as whole:
        stuff_whole(content)
    with pytest.raises(BareLineEnd) as chunk:
        whole_lines(content)
    with pytest.raises(ValueError, match=f"byte {position} ") as pieces:
        stuffed_in_pieces(content, list(range(len(content))))
    assert whole.value.position == chunk.value.position == position
    assert isinstance(pieces.value, BareLineEnd)


@given(telling_bytes, cuts)
def test_refusal_depends_on_the_content_and_not_on_the_cuts(content: bytes, at: list[int]) -> None:
    alone = re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    if alone is None:
        check_line_ends(content)
        assert stuffed_in_pieces(content, at) == stuff_whole(content)
        return
    with pytest.raises(BareLineEnd) as pieces:
        stuffed_in_pieces(content, at)
    with pytest.raises(BareLineEnd) as whole:
        stuff_whole(content)
    assert pieces.value.position == whole.value.position == alone.start()


@given(telling_bytes, cuts)
def test_on_request_every_line_end_becomes_crlf(content: bytes, at: list[int]) -> None:
    wire = stuff_whole(content, normalise=True)
    assert stuffed_in_pieces(content, at, normalise=True) == wire
    check_line_ends(wire)
    read, rest = DataDecoder().feed(wire)
    assert rest == b""
    assert read == whole_lines(content, normalise=True)
    assert read.translate(None, b"\r\n") == content.translate(None, b"\r\n")


@given(proper_content, cuts)
def test_chunks_are_left_as_they_are_but_for_the_last_line_end(
    content: bytes, at: list[int]
) -> None:
    lines = LineEnds()
    passed = b"".join(map(lines.feed, pieces_of(content, at))) + lines.finish()
    assert passed == whole_lines(content)
    assert passed in (content, content + b"\r\n")
