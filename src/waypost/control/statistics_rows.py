"""The rows in which statistics count: a route's, a destination's, a reason's.

They are plain lists of numbers and a few words. The first is counted up for every message, so its
places are constants, and nothing is made for a message but what a new name takes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from waypost.control.statistics_figures import (
    DestinationFigures,
    Durations,
    ReasonFigures,
    RouteFigures,
    Totals,
)

BOUNDS: Final = (
    0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0,
    3.0, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
"""Upper bounds of the buckets of durations, in seconds; one more bucket is for what took longer."""

BUCKETS: Final = len(BOUNDS) + 1

ATTEMPTS: Final = 0
DELIVERED: Final = 1
CAPTURED: Final = 2
DEFERRED: Final = 3
BOUNCED: Final = 4
EXPIRED: Final = 5
SENT_BYTES: Final = 6
ATTEMPT_SECONDS: Final = 7
"""The first bucket of how long attempts took."""
FIRST_REPLY: Final = ATTEMPT_SECONDS + BUCKETS
"""The first bucket of how long the first reply took."""
ROUTE_WIDTH: Final = FIRST_REPLY + BUCKETS

OUTCOMES: Final = (DEFERRED, DEFERRED, DELIVERED, BOUNCED, EXPIRED, BOUNCED, BOUNCED)
"""The place of an outcome by RecipientState; of those, an attempt has QUEUED, DELIVERED, BOUNCED
and EXPIRED."""


def bucket_of(seconds: float) -> int:
    """The number of the bucket of a duration."""
    return bisect_left(BOUNDS, seconds)


def percentile(buckets: Sequence[int], share: float) -> float:
    """The duration that a share (0 to 1) stays below, as if spread evenly within a bucket."""
    wanted = sum(buckets) * share
    lower = 0.0
    for count, upper in zip(buckets, (*BOUNDS, BOUNDS[-1]), strict=True):
        if count and wanted <= count:
            return lower + (upper - lower) * max(wanted, 0.0) / count
        wanted -= count
        lower = upper
    return lower


def durations_of(buckets: Sequence[int]) -> Durations | None:
    """What a histogram says; None where it is empty."""
    number = sum(buckets)
    if not number:
        return None
    within = sum(buckets[: bucket_of(1.0) + 1])
    return Durations(
        number, percentile(buckets, 0.5), percentile(buckets, 0.95), percentile(buckets, 0.99),
        within / number,
    )  # fmt: skip


def first_reply_of(transcript: str) -> float | None:
    """Seconds until the peer's first line in a transcript; None where there is none."""
    at = transcript.find(" < ")
    if at < 0:
        return None
    start = transcript.rfind("\n", 0, at) + 1
    try:
        return float(transcript[start:at]) / 1000
    except ValueError:
        return None  # a sent line with these signs in it


class DestinationRow:
    """The outcomes of a destination's recipients, and its last failure."""

    __slots__ = (
        "failed_at",
        "message",
        "numbers",
        "reason",
        "reply",
        "route",
        "seconds",
        "slowest",
    )

    def __init__(self) -> None:
        self.numbers = [0] * ATTEMPT_SECONDS
        """By the places above; ATTEMPTS counts outcomes."""
        self.seconds = 0.0
        self.slowest = 0.0
        self.failed_at = 0.0
        self.reply = ""
        self.reason = ""
        self.message = 0
        self.route = ""

    @property
    def use(self) -> int:
        """Outcomes."""
        return self.numbers[ATTEMPTS]

    def add(self, other: object) -> None:
        """Take over another's counts; the later failure counts."""
        assert isinstance(other, DestinationRow)
        numbers = self.numbers
        for place, number in enumerate(other.numbers):
            numbers[place] += number
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.route = other.route or self.route
        if other.failed_at >= self.failed_at and other.failed_at:
            self.failed_at, self.reply = other.failed_at, other.reply
            self.reason, self.message = other.reason, other.message

    def kept(self) -> list[Any]:
        """For JSON."""
        return [
            self.numbers, self.seconds, self.slowest, self.failed_at, self.reply, self.reason,
            self.message, self.route,
        ]  # fmt: skip

    @classmethod
    def restored(cls, kept: Sequence[Any]) -> DestinationRow:
        """From `kept`. Raises ValueError, TypeError."""
        made = cls()
        numbers, seconds, slowest, failed_at, reply, reason, message, route = kept
        made.numbers = counts_of(numbers, ATTEMPT_SECONDS)
        made.seconds, made.slowest = float(seconds), float(slowest)
        made.failed_at, made.message = float(failed_at), int(message)
        made.reply, made.reason, made.route = str(reply), str(reason), str(route)
        return made


class ReasonRow:
    """How often a reason decided, and when last."""

    __slots__ = ("last_at", "message", "numbers", "reply")

    def __init__(self) -> None:
        self.numbers = [0] * ATTEMPT_SECONDS
        self.last_at = 0.0
        self.reply = ""
        self.message = 0

    @property
    def use(self) -> int:
        """Failures."""
        return sum(self.numbers)

    def add(self, other: object) -> None:
        """Take over another's counts; the later words count."""
        assert isinstance(other, ReasonRow)
        numbers = self.numbers
        for place, number in enumerate(other.numbers):
            numbers[place] += number
        if other.last_at >= self.last_at:
            self.last_at, self.reply, self.message = other.last_at, other.reply, other.message

    def kept(self) -> list[Any]:
        """For JSON."""
        return [self.numbers, self.last_at, self.reply, self.message]

    @classmethod
    def restored(cls, kept: Sequence[Any]) -> ReasonRow:
        """From `kept`. Raises ValueError, TypeError."""
        made = cls()
        numbers, last_at, reply, message = kept
        made.numbers = counts_of(numbers, ATTEMPT_SECONDS)
        made.last_at, made.reply, made.message = float(last_at), str(reply), int(message)
        return made


def counts_of(numbers: Sequence[Any], width: int) -> list[int]:
    """A row of counts that was kept. Raises ValueError where it has another width, TypeError."""
    counts = [int(number) for number in numbers]
    if len(counts) != width or min(counts) < 0:
        raise ValueError(f"{width} counts were kept, not {len(counts)}")
    return counts


def route_figures(name: str, numbers: Sequence[int]) -> RouteFigures:
    """A route's counts, for people."""
    outcomes = [
        numbers[place]
        for place in (ATTEMPTS, DELIVERED, CAPTURED, DEFERRED, BOUNCED, EXPIRED, SENT_BYTES)
    ]
    return RouteFigures(
        name,
        Totals(0, 0, 0, *outcomes),
        durations_of(numbers[ATTEMPT_SECONDS:FIRST_REPLY]),
        durations_of(numbers[FIRST_REPLY:]),
    )


def destination_figures(name: str, row: DestinationRow) -> DestinationFigures:
    """A destination's row, for people."""
    numbers = row.numbers
    return DestinationFigures(
        name, numbers[DELIVERED], numbers[CAPTURED], numbers[DEFERRED], numbers[BOUNCED],
        numbers[EXPIRED], numbers[SENT_BYTES], row.seconds / max(row.use, 1), row.slowest,
        row.failed_at, row.reply, row.reason, row.message, row.route,
    )  # fmt: skip


def reason_figures(name: str, row: ReasonRow) -> ReasonFigures:
    """A reason's row, for people."""
    numbers = row.numbers
    return ReasonFigures(
        name, numbers[DEFERRED], numbers[BOUNCED], numbers[EXPIRED], row.last_at, row.reply,
        row.message,
    )  # fmt: skip
