"""What is printed: harmless on a terminal, aligned in a pipe."""

from __future__ import annotations

import datetime as dt
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.faces.cli.output import ago, print_table, shown, shown_subject, size, span
from waypost.faces.cli.story import transcript_line


@given(st.text(max_size=300))
def test_nothing_from_outside_moves_the_cursor(text: str) -> None:
    lines = (
        shown(text),
        shown_subject(text),
        transcript_line(text),
        transcript_line(f"1 < {text}"),
    )
    for line in lines:
        assert not {unicodedata.category(sign) for sign in line} & {"Cc", "Cs", "Zl", "Zp"}


def test_encoded_words_do_not_smuggle_controls() -> None:
    assert "\x1b" not in shown_subject("=?utf-8?q?=1B[2J?=")


def test_long_text_is_cut_visibly() -> None:
    assert shown("abcdef", 4) == "abc…"
    assert shown("abcd", 4) == "abcd"


def test_a_pipe_gets_aligned_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG"), [("one", "x"), ("two two", "")])
    assert capsys.readouterr().out == "A        LONG\none      x\ntwo two\n"


def test_sizes_and_times_in_their_largest_unit() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536, 5 * 1024**2)] == [
        "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB",
    ]  # fmt: skip
    assert [span(n) for n in (5, 90, 7200, 200000)] == ["5s", "2m", "2h", "2d"]
    now = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
    assert ago("2026-11-24T09:00:00.000Z", now) == "3h"
    assert ago(None, now) == ""
