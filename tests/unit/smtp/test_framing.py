"""Framing: the end of content and what hides in it."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.smtp.framing import (
    ChunkDecoder,
    DataDecoder,
    has_bare_line_end,
    normalise_line_ends,
)

SOUP = st.text(alphabet="\r\n.a", max_size=30).map(str.encode)


@given(SOUP)
def test_a_bare_line_end_is_found_exactly_where_one_is(content: bytes) -> None:
    assert has_bare_line_end(content) == bool(re.search(rb"\r(?!\n)|(?<!\r)\n", content))


@pytest.mark.parametrize("content", [b"a\rb\n", b"x\rsmug\ngle", b"\n\r", b"\r\r\n\n"])
def test_a_pair_that_only_adds_up_is_bare(content: bytes) -> None:
    assert has_bare_line_end(content)


@given(SOUP, st.lists(st.integers(0, 30), max_size=5))
def test_data_ends_only_at_crlf_dot_crlf(content: bytes, cuts: list[int]) -> None:
    wire = content + b"\r\n.\r\nREST"
    decoder = DataDecoder()
    taken: list[bytes] = []
    rest: bytes | None = None
    edges = sorted({0, *(cut for cut in cuts if cut < len(wire)), len(wire)})
    for start, end in itertools.pairwise(edges):
        if rest is None:
            piece, rest = decoder.feed(wire[start:end])
            taken.append(piece)
        else:
            rest += wire[start:end]
    expected = (b"\r\n" + wire).index(b"\r\n.\r\n")
    body = wire[:expected]
    assert b"".join(taken) == re.sub(rb"(^|\r\n)\.", rb"\1", body)
    assert rest == wire[expected + 3 :]
    assert decoder.bare_line_end == has_bare_line_end(body)


@given(SOUP, st.integers(1, 5))
def test_chunks_may_be_cut_between_cr_and_lf(content: bytes, step: int) -> None:
    decoder = ChunkDecoder()
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    out = b"".join(
        decoder.feed(piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces)
    )
    assert out == content
    assert decoder.bare_line_end == has_bare_line_end(content)


@given(SOUP)
def test_normalised_content_has_no_bare_line_end(content: bytes) -> None:
    assert not has_bare_line_end(normalise_line_ends(content))


@given(SOUP, st.integers(1, 6))
def test_normalising_decoder_gives_out_clean_content(content: bytes, step: int) -> None:
    decoder = DataDecoder(normalise=True)
    wire = content + b"\r\n.\r\n"
    out = b""
    for start in range(0, len(wire), step):
        piece, rest = decoder.feed(wire[start : start + step])
        out += piece
        if rest is not None:
            break
    assert not has_bare_line_end(out)
