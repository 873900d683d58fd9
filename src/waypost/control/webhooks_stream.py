"""A part of the event log on its way to one endpoint: all that is new, or what is sent again.

Events are handed out in order, but several at a time, and end in any order. So the place that is
kept is the one before the oldest that has not ended. The events of one message are handed out one
after the other: nobody hears that a message was delivered before he hears that it was accepted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from typing import Final

from waypost.control.event_log_documents import Labels
from waypost.control.event_log_places import Place, PlacedEvent
from waypost.control.webhooks_store import Replay

LOOK_AHEAD: Final = 64
"""Events that are looked at for one whose message is not under way."""


class EventStream:
    """See the module."""

    def __init__(self, place: Place, replay: Replay | None = None) -> None:
        self.read_to = place
        """Up to here the log has been read."""
        self.saved = place
        """The place that is kept in the database, or on its way there."""
        self.replay = replay
        """What is sent again; None for all that is new, which has no end."""
        self.last = replay.last if replay is not None else None
        """The entry that it ends with."""
        self.labels: Mapping[int, Labels] = {}
        """Of the messages of what was read last."""
        self._buffer: deque[PlacedEvent] = deque()
        self._unsettled: dict[Place, None] = {}

    @property
    def is_empty(self) -> bool:
        """More has to be read before something can be handed out."""
        return not self._buffer

    @property
    def is_read(self) -> bool:
        """It has an end, and that has been read."""
        return self.last is not None and self.read_to.number >= self.last

    @property
    def is_over(self) -> bool:
        """Everything has ended."""
        return self.is_read and not self._unsettled

    def add(
        self, events: Iterable[PlacedEvent], read_to: Place, labels: Mapping[int, Labels]
    ) -> None:
        """What was read, in order, and up to where."""
        self.labels = labels
        replay = self.replay
        for one in events:
            if replay is None or (
                one.place.number <= replay.last and replay.since <= one.event.at <= replay.until
            ):
                self._buffer.append(one)
                self._unsettled[one.place] = None
        self.read_to = read_to

    def take(self, busy: Container[int], under_way: Container[str]) -> PlacedEvent | None:
        """The next event that is not under way already, nor anything of its message."""
        passed: set[int] = set()
        for index, one in enumerate(self._buffer):
            if index >= LOOK_AHEAD:
                return None
            message = one.entry.identifier
            is_free = not message or (message not in busy and message not in passed)
            if is_free and one.identity not in under_way:
                del self._buffer[index]
                return one
            passed.add(message)
        return None

    def place(self, without: Container[Place] = ()) -> Place:
        """Everything up to here has ended, if that is true of those, too."""
        for first in self._unsettled:
            if first not in without:
                return first.before
        return self.read_to

    def settled(self, place: Place) -> None:
        """An event has ended, durably."""
        self._unsettled.pop(place, None)
