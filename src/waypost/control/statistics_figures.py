"""The values that statistics give: figures over time, of routes, destinations and reasons.

Everything is counted by recipient where a name does not say otherwise, because only a recipient
has one outcome. Times are seconds since the epoch, durations seconds, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from waypost.spool.contract import SpoolCounts


class Figure(StrEnum):
    """What is counted."""

    MESSAGES = "messages"
    """Messages accepted, the relay's own notices among them."""
    ACCEPTED = "accepted"
    """Recipients of accepted messages."""
    BYTES = "bytes"
    """Of accepted messages."""
    ATTEMPTS = "attempts"
    """Attempts that have ended; one is for a message and all its recipients of a destination."""
    DELIVERED = "delivered"
    """Recipients that a next hop has taken; without those that the sandbox has caught."""
    CAPTURED = "captured"
    """Recipients that the sandbox has caught."""
    DEFERRED = "deferred"
    """Refusals for now: a recipient counts with each attempt."""
    BOUNCED = "bounced"
    """Recipients refused for good."""
    EXPIRED = "expired"
    """Recipients given up when their time was over."""
    SENT_BYTES = "sent_bytes"
    """Bytes of messages that went out, once for each attempt that delivered."""


FIGURES: Final = tuple(Figure)


class Span(StrEnum):
    """How far back a question looks, ending now."""

    MINUTE = "minute"
    """60 seconds; only for `totals`."""
    HOUR = "hour"
    """60 minutes."""
    DAY = "day"
    """24 hours."""
    WEEK = "week"
    """7 days."""
    MONTH = "month"
    """31 days."""

    @property
    def seconds(self) -> int:
        """Its length."""
        return _SECONDS[self]

    @property
    def step(self) -> int:
        """Seconds between two points of a series of this span."""
        return _STEPS[self]


_SECONDS: Final = {
    Span.MINUTE: 60, Span.HOUR: 3600, Span.DAY: 86400, Span.WEEK: 7 * 86400, Span.MONTH: 31 * 86400
}  # fmt: skip

_STEPS: Final = {
    Span.MINUTE: 60, Span.HOUR: 60, Span.DAY: 600, Span.WEEK: 3600, Span.MONTH: 4 * 3600
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Totals:
    """The sum of each figure over a span; the fields are named as `Figure` names them."""

    messages: int = 0
    accepted: int = 0
    bytes: int = 0
    attempts: int = 0
    delivered: int = 0
    captured: int = 0
    deferred: int = 0
    bounced: int = 0
    expired: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """A figure over time. Point number n covers `start + n * step` and the `step` seconds after;
    the last one is not over yet."""

    figure: Figure
    start: float
    step: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, read off a histogram: exact to the width of its buckets."""

    number: int
    """How many were measured."""
    median: float
    p95: float
    p99: float
    within_a_second: float
    """The share of those that took no longer than a second: 0 to 1."""


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """What went over a route in a span."""

    route: str
    totals: Totals
    """Accepted messages have no route yet, so `messages`, `accepted` and `bytes` are 0."""
    attempts: Durations | None
    """How long attempts took, from their beginning to the last reply; None: there were none."""
    first_reply: Durations | None
    """Until the peer's first reply in the attempt; where there are many attempts, of a sample."""


@dataclass(frozen=True, slots=True)
class DurationSeries:
    """A percentile over time; None where nothing was measured. Steps as in `Series`."""

    start: float
    step: int
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class DestinationFigures:
    """What happened with the recipients of a domain in a span."""

    domain: str
    """"" for all those that are too many to be kept apart."""
    delivered: int
    captured: int
    deferred: int
    bounced: int
    expired: int
    sent_bytes: int
    mean_seconds: float
    """Of attempts, by recipient."""
    slowest_seconds: float
    failed_at: float
    """The last failure; 0.0: none in the span."""
    reply: str
    """Its words, untrusted."""
    reason: str
    """From the taxonomy of waypost.knowledge."""
    message: int
    """Its message."""
    route: str
    """The route it was tried over last."""

    @property
    def failed(self) -> int:
        """Failed attempts, for now or for good."""
        return self.deferred + self.bounced + self.expired

    @property
    def recipients(self) -> int:
        """Outcomes of any kind."""
        return self.delivered + self.captured + self.failed


@dataclass(frozen=True, slots=True)
class ReasonFigures:
    """How often one reason decided in a span."""

    reason: str
    """"" for all those that are too many to be kept apart."""
    deferred: int
    bounced: int
    expired: int
    last_at: float
    reply: str
    """The last words, untrusted."""
    message: int
    """The last message."""

    @property
    def failed(self) -> int:
        """Failed attempts, for now or for good."""
        return self.deferred + self.bounced + self.expired


@dataclass(frozen=True, slots=True)
class Counted:
    """What the spool holds, as of a moment ago."""

    counts: SpoolCounts
    age: float
    """Seconds since it was counted. It grows while nobody asks."""


@dataclass(frozen=True, slots=True)
class WaitingQueue:
    """The mail that waits for one destination."""

    domain: str
    queued: int
    """Recipients that wait for an attempt."""
    held: int
    oldest: float | None
    """When the oldest message that waits was received."""
    next_due: float | None
    """When the next attempt of any is due; in the past: as soon as its turn comes."""


@dataclass(frozen=True, slots=True)
class Queues:
    """What waits, by destination, as of a moment ago."""

    queues: tuple[WaitingQueue, ...]
    """The longest first; bounded, see `other`."""
    other: WaitingQueue | None
    """The sum of all destinations beyond those, where there are more; its domain is ""."""
    destinations: int
    """How many there are."""
    age: float
    """Seconds since they were counted."""
