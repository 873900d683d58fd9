"""Events as they are read from the spool's log: each with its place, from which reading goes on.

An entry of the log may be several events, one for each recipient of an attempt. So a place is the
number of an entry and which of its events was the last one seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from waypost.message_events import Event, accepted_event, attempt_events
from waypost.spool.contract import MessageRow
from waypost.spool.events import EntryKind, LogEntry
from waypost.spool.identifiers import identifier_text

WHOLE: Final = 1 << 30
"""The index of a place behind all events of an entry."""

EVENT_NAMES: Final = (
    "accepted", "delivered", "captured", "deferred", "bounced", "expired", "held", "released",
    "removed", "damaged", "complained", "unsubscribed",
)  # fmt: skip
"""Everything that can happen to a message."""

_OPERATORS: Final = {
    EntryKind.HELD: "held",
    EntryKind.RELEASED: "released",
    EntryKind.CANCELLED: "removed",
    EntryKind.DAMAGED: "damaged",
}


class OtherLog(Exception):
    """A place is of another log: the spool has been replaced since."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """How far somebody has read. Places of one log are in order."""

    number: int = 0
    index: int = WHOLE

    def text(self, log: str) -> str:
        """LOG.NUMBER or LOG.NUMBER.INDEX, for others to keep."""
        end = "" if self.index >= WHOLE else f".{self.index}"
        return f"{log}.{self.number}{end}"

    @property
    def before(self) -> Place:
        """The place of a reader who has seen everything up to here, but not this."""
        return Place(self.number, self.index - 1) if self.index else Place(self.number - 1)

    @classmethod
    def parse(cls, text: str, log: str) -> Place:
        """The place behind a text. Raises ValueError, OtherLog."""
        parts = text.split(".")
        digits = parts[1:]
        if len(parts) not in (2, 3) or not all(
            one.isascii() and one.isdigit() and len(one) <= 18 for one in digits
        ):
            raise ValueError(f"{text[:60]!r} is no place in the event log")
        if parts[0] != log:
            raise OtherLog
        return cls(int(digits[0]), int(digits[1]) if len(digits) > 1 else WHOLE)


BEGINNING: Final = Place(0)


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """One event with its place, and the entry that it is of."""

    place: Place
    event: Event
    entry: LogEntry

    @property
    def identity(self) -> str:
        """A name for it that stays, and that no other event has: its message's identifier, which
        no other spool gives either, and its place."""
        if self.entry.identifier:
            of = identifier_text(self.entry.identifier)
        else:
            of = identifier_text(int(self.entry.at * 1000))
        return f"{of}-{self.place.number}-{self.place.index}"


def placed_events(entry: LogEntry) -> list[PlacedEvent]:
    """The events of an entry, in order; none where retention has removed the message."""
    return [
        PlacedEvent(Place(entry.number, index), event, entry)
        for index, event in enumerate(_events(entry))
    ]


def _events(entry: LogEntry) -> list[Event]:
    message = entry.message
    if entry.kind is EntryKind.TOLD:
        return [_of_recipients(entry, entry.name, message)]
    if message is None:
        return []
    if entry.kind is EntryKind.ACCEPTED:
        return [accepted_event(message)]
    if entry.kind is EntryKind.ATTEMPTED:
        if entry.attempt is None:
            return []
        addresses = {one.number: one.address for one in message.recipients}
        return attempt_events(entry.attempt, addresses, message.reverse_path, message.user)
    return [_of_recipients(entry, _OPERATORS[entry.kind], message)]


def _of_recipients(entry: LogEntry, name: str, message: MessageRow | None) -> Event:
    if message is None:
        return Event(entry.at, name, entry.identifier)
    return Event(
        entry.at, name, entry.identifier, sender=message.reverse_path,
        recipients=tuple(one.address for one in message.recipients), size=message.size,
        client=message.client, user=message.user,
    )  # fmt: skip
