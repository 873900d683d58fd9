"""Charts as inline SVG: a path for each series in a plot without text, so that it may be stretched
to any width; the words around it are HTML (templates/charts.html).

Pure: from numbers to paths. The plot is WIDTH by HEIGHT units with the origin above left, as SVG
has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 600.0
HEIGHT: Final = 100.0

_STEPS: Final = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Moments:
    """The times under a plot, seconds since the epoch."""

    first: float
    middle: float
    last: float
    form: str
    """As strftime has it; hours for a day and less, else days."""


@dataclass(frozen=True, slots=True)
class Bars:
    """One series of counts."""

    name: str
    path: str
    top: float
    """What the upper edge stands for."""
    total: int
    most: int
    most_at: float | None
    """When there were most; None: there were none."""
    moments: Moments


@dataclass(frozen=True, slots=True)
class Line:
    """One of several series of durations."""

    name: str
    path: str
    number: int
    """1 and up: its colour and its dashes."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Several series of durations over one axis."""

    lines: tuple[Line, ...]
    top: float
    limit_y: float
    """Where the line of the limit is."""
    moments: Moments


def ceiling(most: float) -> float:
    """The next round number, for the top of an axis of counts; at least 2."""
    if most <= 2:
        return 2
    power = 10.0 ** math.floor(math.log10(most))
    for step in _STEPS:
        if most <= step * power:
            return step * power
    raise AssertionError("ten times its power is above every number")


def bars(name: str, values: Sequence[int], start: float, step: int) -> Bars:
    """A bar for each value; value number n is of the `step` seconds from `start + n * step`."""
    most = max(values, default=0)
    top = ceiling(most)
    width = WIDTH / max(1, len(values))
    # A narrow gap, where there is room for one.
    gap = min(1.0, width * 0.15)
    path = []
    for place, value in enumerate(values):
        if value > 0:
            high = max(HEIGHT * value / top, 1.0)  # one is seen beside a thousand
            path.append(
                f"M{place * width:.1f} {HEIGHT:g}v-{high:.1f}h{width - gap:.1f}v{high:.1f}z"
            )
    most_at = start + list(values).index(most) * step if most else None
    moments = moments_of(start, step, len(values))
    return Bars(name, "".join(path), top, sum(values), most, most_at, moments)


def lines(
    series: Sequence[tuple[str, Sequence[float | None]]], start: float, step: int, limit: float
) -> Lines:
    """A line for each series, broken where there is no value, with a limit that is always seen."""
    known = [one for _, values in series for one in values if one is not None]
    top = max(limit * 1.25, max(known, default=0.0) * 1.05)
    number = max((len(values) for _, values in series), default=0)
    drawn = tuple(
        Line(name, _line(values, top), place) for place, (name, values) in enumerate(series, 1)
    )
    return Lines(drawn, top, HEIGHT - HEIGHT * limit / top, moments_of(start, step, number))


def _line(values: Sequence[float | None], top: float) -> str:
    width = WIDTH / max(1, len(values))
    path, pen_down = [], False
    for place, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        x, y = (place + 0.5) * width, HEIGHT - HEIGHT * value / top
        # A value alone is a dot: a line of no length with round ends.
        path.append(f"L{x:.1f} {y:.1f}" if pen_down else f"M{x:.1f} {y:.1f}h0")
        pen_down = True
    return "".join(path)


def moments_of(start: float, step: int, number: int) -> Moments:
    """What stands under a plot of so many steps."""
    length = step * max(1, number)
    form = "%H:%M" if length <= 2 * 86400 else "%m-%d"
    return Moments(start, start + length / 2, start + length, form)
