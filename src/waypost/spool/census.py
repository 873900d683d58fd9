"""A census of a spool: what waits by destination, and how much there is of each state, counted a
part at a time, so that no other question waits long for it, however much there is.

Mail comes and goes between two parts; a census is right for what stood still meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypost.spool.contract import RecipientState


@dataclass(frozen=True, slots=True)
class WaitingCount:
    """Recipients of one destination that wait."""

    domain: str
    queued: int
    held: int
    oldest: float | None
    """When the first message among them was received, seconds since the epoch."""
    next_due: float | None
    """When the first queued one is due."""


@dataclass(frozen=True, slots=True)
class WaitingPlace:
    """Where a census of what waits has got to: behind this recipient."""

    held: bool
    """Through the queued ones; now the held ones are counted."""
    domain: str
    due_at: float
    message: int


@dataclass(frozen=True, slots=True)
class WaitingPart:
    """A part of a census of what waits. A destination may be in several parts, one after the
    other, and once more among the held ones."""

    counts: tuple[WaitingCount, ...]
    place: WaitingPlace | None
    """Where to go on; None: that was all."""


@dataclass(frozen=True, slots=True)
class CountedPart:
    """A part of a census of all recipients."""

    by_state: Mapping[RecipientState, int]
    message: int | None
    """Go on behind this message; None: that was all."""
    bytes_used: int
    """By the whole spool."""
