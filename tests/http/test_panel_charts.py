"""Charts: paths from numbers."""

from __future__ import annotations

import re

import pytest

from waypost.faces.http.panel.charts import HEIGHT, WIDTH, bars, ceiling, lines


@pytest.mark.parametrize(
    ("most", "top"),
    [(0, 2), (1, 2), (2, 2), (3, 3), (7, 8), (9.5, 10), (10, 10), (11, 15), (310, 400),
     (61_000, 80_000)],
)  # fmt: skip
def test_the_top_of_an_axis_is_round_and_not_far(most: float, top: float) -> None:
    assert ceiling(most) == top
    assert top >= most


def test_a_bar_stands_for_each_value_that_is_not_nought() -> None:
    made = bars("Accepted", [0, 10, 5, 0, 20], 1000.0, 60)
    heights = [float(high) for high in re.findall(r"v-([\d.]+)h", made.path)]
    assert heights == [50.0, 25.0, 100.0]
    lefts = [float(left) for left in re.findall(r"M([\d.]+) ", made.path)]
    assert lefts == [WIDTH / 5, 2 * WIDTH / 5, 4 * WIDTH / 5]
    assert (made.total, made.most, made.most_at, made.top) == (35, 20, 1240.0, 20)
    assert (made.moments.first, made.moments.last, made.moments.form) == (1000.0, 1300.0, "%H:%M")


def test_one_is_seen_beside_a_thousand() -> None:
    made = bars("Bounced", [1, 1000], 0.0, 60)
    assert "v-1.0h" in made.path


def test_nothing_draws_nothing() -> None:
    made = bars("Bounced", [0, 0], 0.0, 14_400)
    assert (made.path, made.total, made.most_at) == ("", 0, None)
    assert bars("Bounced", [], 0.0, 60).path == ""


def test_days_stand_under_long_times() -> None:
    assert bars("Accepted", [1] * 168, 0.0, 3600).moments.form == "%m-%d"


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    made = lines([("mail", [0.5, None, 0.25, 0.75, None])], 0.0, 300, 1.0)
    (line,) = made.lines
    assert line.path.count("M") == 2, "two pieces, the first of them a dot"
    assert line.path.count("L") == 1
    assert "h0" in line.path


def test_the_limit_is_always_on_the_chart() -> None:
    quick = lines([("mail", [0.01, 0.02])], 0.0, 300, 1.0)
    slow = lines([("mail", [8.0, None]), ("other", [None, 0.1])], 0.0, 300, 1.0)
    for made in (quick, slow):
        assert 0 < made.limit_y < HEIGHT
    assert slow.top >= 8.0
    assert [line.number for line in slow.lines] == [1, 2]
    empty = lines([("mail", [None, None])], 0.0, 300, 1.0)
    assert empty.lines[0].path == ""
