"""Sizes and times are read as people write them, and written so that they read the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.config.units import (
    MAXIMUM_SECONDS,
    MAXIMUM_SIZE,
    parse_seconds,
    parse_size,
    seconds_text,
    size_text,
)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0), (1024, 1024), ("1024", 1024), ("50 MiB", 50 * 1024**2), ("50mib", 50 * 1024**2),
        ("1 MB", 10**6), ("1.5 KiB", 1536), (" 2 GiB ", 2 * 1024**3), ("3 kB", 3000),
    ],
)  # fmt: skip
def test_a_size(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "MiB", "5 M", "-1", -1, True, 1.5, None, [], "1e9", 2**70])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(written)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30), (0.5, 0.5), ("30", 30), ("30 s", 30), ("5min", 300), ("1 h 30 min", 5400),
        ("5 days", 432000), ("1 Week", 604800), ("1.5 h", 5400), ("2h5m", 7500),
    ],
)  # fmt: skip
def test_a_time(written: object, seconds: float) -> None:
    assert parse_seconds(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "s", "5 dais", "5 30", "1 h 30", -1, True, float("nan"), float("inf"), None, 10**400,
     "-5 s"],
)  # fmt: skip
def test_what_is_no_time_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"time|seconds"):
        parse_seconds(written)


@given(st.integers(0, MAXIMUM_SIZE))
def test_a_size_reads_as_it_was_written(size: int) -> None:
    assert parse_size(size_text(size)) == size


@given(st.integers(0, int(MAXIMUM_SECONDS)))
def test_a_time_reads_as_it_was_written(seconds: int) -> None:
    assert parse_seconds(seconds_text(seconds)) == seconds
