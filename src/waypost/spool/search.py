"""What a spool has for those who search it, and count it, while mail flows: questions that look at
no more than they are told to, so that none takes long, however much there is.

A census counts what waits by destination, and all recipients by state, a part at a time. Mail comes
and goes between two parts; a census is right for what stood still meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from waypost.spool.contract import MessageFilter, MessageRow, RecipientState


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at some of the newest messages has found."""

    rows: tuple[MessageRow, ...]
    """Newest first."""
    before: int | None
    """Where to look on, as MessageFilter.before; None: everything was looked at."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest messages of some kind."""

    messages: tuple[int, ...]
    """Newest first."""
    before: int | None
    """Below which there may be more of them; None: these are all."""


@dataclass(frozen=True, slots=True)
class SearchText:
    """What a search finds a message by."""

    message: int
    subject: str
    """As received, encoded words and all."""
    others: str
    """Sender, Message-ID and recipients, each on a line; of very many recipients the first."""


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


class SearchableSpool(Protocol):
    """What every spool has for searching and counting."""

    async def look(self, wanted: MessageFilter, depth: int) -> Looked:
        """Of the `depth` newest messages between `after` and `before` of a filter, those that it
        is for, `limit` of them at most."""

    async def newest_in(self, states: Sequence[RecipientState], before: int, limit: int) -> Newest:
        """The newest messages below an identifier that have a recipient in one of these states;
        `limit` recipients of each state are looked at. Of a state in which nearly all messages are
        (DELIVERED) it takes long."""

    async def search_texts(self, after: int, limit: int) -> list[SearchText]:
        """The texts of the next messages above an identifier, in order."""

    async def oldest(self) -> int | None:
        """The oldest message there is."""

    async def census_of_waiting(self, place: WaitingPlace | None, limit: int) -> WaitingPart:
        """Count a part of what waits, by destination: some `limit` recipients from a place on."""

    async def census(self, after: int, limit: int) -> CountedPart:
        """Count a part of all recipients by state: some `limit` behind a message, 0 for all."""
