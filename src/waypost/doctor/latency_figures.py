"""What many measured sessions come to: the spread of each stage, and whether the server is slow.

The median decides, so that one hiccup does not; a lost session counts as infinitely slow, so that
a server which answers half the time is not called quick. While a server is watched, the last few
sessions count, and not its good past.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from waypost.doctor.latency import STAGES, Measured, Stage

WATCHED: Final = 3
"""Sessions that count while a server is watched."""

Verdict = Literal["ok", "slow", "lossy", "lost"]


@dataclass(frozen=True, slots=True)
class Spread:
    """How values lie. In seconds."""

    count: int
    least: float
    median: float
    p95: float
    """At most this in 95 of 100, by nearest rank; of few values it is the greatest."""


def spread(values: Sequence[float]) -> Spread | None:
    """The spread; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    count = len(ordered)
    rank = math.ceil(0.95 * count)
    return Spread(count, ordered[0], _median(ordered), ordered[rank - 1])


def by_stage(sessions: Sequence[Measured]) -> dict[Stage, Spread]:
    """The spread of each stage that was passed, lost sessions with what they had passed."""
    found: dict[Stage, Spread] = {}
    for stage in STAGES:
        values = [one.stages[stage] for one in sessions if stage in one.stages]
        of_stage = spread(values)
        if of_stage is not None:
            found[stage] = of_stage
    return found


def totals(sessions: Sequence[Measured]) -> list[float]:
    """The totals of the sessions that came to their end."""
    return [total for one in sessions if (total := one.total) is not None]


def is_past(sessions: Sequence[Measured], threshold: float) -> bool:
    """Whether the median of the totals is past the threshold, in seconds."""
    ordered = sorted(math.inf if one.total is None else one.total for one in sessions)
    return bool(ordered) and _median(ordered) > threshold


def verdict(sessions: Sequence[Measured], threshold: float) -> Verdict:
    """ok, slow (past the threshold), lossy (some were lost), lost (all were)."""
    lost = sum(one.loss is not None for one in sessions)
    if lost == len(sessions):
        return "lost"
    if is_past(sessions, threshold):
        return "slow"
    return "lossy" if lost else "ok"


def slowest_stage(sessions: Sequence[Measured]) -> Stage | None:
    """Where most of the time goes, by the medians."""
    spreads = by_stage(sessions)
    return max(spreads, key=lambda stage: spreads[stage].median, default=None)


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


BARS: Final = "▁▂▃▄▅▆▇█"


def sparkline(sessions: Sequence[Measured]) -> str:
    """A bar for each session, from nothing up to the slowest of them; "x" for a lost one."""
    highest = max(totals(sessions), default=0.0)
    line = ""
    for one in sessions:
        total = one.total
        if total is None:
            line += "x"
        else:
            share = total / highest if highest else 0.0
            line += BARS[min(len(BARS) - 1, int(share * len(BARS)))]
    return line
