"""What happens to messages, as events: accepted, then for each recipient and attempt its outcome.

An event is made from rows of the spool or, while somebody follows, from what the engine has just
made durable; both look the same. Who follows and does not keep up loses events, and is told how
many, rather than holding the relay's memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from waypost.spool.contract import (
    AttemptRecord,
    MessageRow,
    NewMessage,
    QueuedMessage,
    RecipientState,
)

BUFFERED: Final = 2000
"""Events kept for a follower that does not keep up."""

_NAMES: Final = {
    RecipientState.QUEUED: "deferred",
    RecipientState.HELD: "held",
    RecipientState.DELIVERED: "delivered",
    RecipientState.BOUNCED: "bounced",
    RecipientState.EXPIRED: "expired",
    RecipientState.CANCELLED: "removed",
    RecipientState.DAMAGED: "damaged",
}

SANDBOX_HOP: Final = "sandbox"
"""The next hop in attempts of the sandbox."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that has happened. Fields that do not apply are empty."""

    at: float
    """Seconds since the epoch."""
    event: str
    """accepted, delivered, captured, deferred, bounced, expired, missed."""
    message: int
    sender: str = ""
    recipients: tuple[str, ...] = ()
    size: int = 0
    client: str = ""
    user: str | None = None
    route: str = ""
    next_hop: str = ""
    tls: str = ""
    seconds: float = 0.0
    reply: str = ""
    reason: str = ""
    next_attempt: float | None = None
    """Of a deferred recipient; seconds since the epoch."""
    uncertain: bool = False
    count: int = 0
    """Of missed: how many events were lost."""


def accepted_event(message: MessageRow | NewMessage) -> Event:
    """The first event of a message."""
    if isinstance(message, NewMessage):
        sender = message.envelope.reverse_path
        recipients = tuple(one.address for one in message.envelope.recipients)
    else:
        sender = message.reverse_path
        recipients = tuple(one.address for one in message.recipients)
    return Event(
        message.received_at, "accepted", message.identifier, sender=sender, recipients=recipients,
        size=message.size, client=message.client, user=message.user,
    )  # fmt: skip


def attempt_events(
    attempt: AttemptRecord,
    addresses: Mapping[int, str],
    sender: str = "",
    user: str | None = None,
) -> list[Event]:
    """One for each recipient of an attempt; `addresses` by its number in the envelope."""
    events: list[Event] = []
    for result in attempt.results:
        name = _NAMES[result.state]
        if result.state is RecipientState.DELIVERED and attempt.next_hop == SANDBOX_HOP:
            name = "captured"
        waits = result.state is RecipientState.QUEUED
        events.append(
            Event(
                attempt.started_at + attempt.seconds, name, attempt.message, sender=sender,
                recipients=(addresses.get(result.number, "?"),), route=attempt.route,
                next_hop=attempt.next_hop, tls=attempt.tls, seconds=attempt.seconds,
                reply=result.reply, reason=result.reason,
                next_attempt=result.due_at if waits else None, uncertain=attempt.uncertain,
                user=user,
            )
        )  # fmt: skip
    return events


class Follower:
    """The events of one who follows; bounded."""

    def __init__(self, buffered: int = BUFFERED) -> None:
        self._events: deque[Event] = deque()
        self._buffered = buffered
        self._missed = 0
        self._there = asyncio.Event()

    def take(self, message: NewMessage | QueuedMessage, record: AttemptRecord | None) -> None:
        """Called by the engine (delivery.engine.Watcher)."""
        if isinstance(message, NewMessage):
            events = [accepted_event(message)]
        elif record is not None:
            addresses = {one.number: one.address for one in message.recipients}
            events = attempt_events(record, addresses, message.envelope.reverse_path)
        else:
            return
        for event in events:
            if len(self._events) >= self._buffered:
                self._missed += 1
            else:
                self._events.append(event)
        self._there.set()

    def waiting(self) -> list[Event]:
        """Those that can be had at once."""
        events = list(self._events)
        self._events.clear()
        if self._missed:
            missed, self._missed = self._missed, 0
            events.append(Event(0.0, "missed", 0, count=missed))
        return events

    async def next(self) -> Event:
        """The next event; waits for it. After lost ones, an event that says how many."""
        while not self._events:
            if self._missed:
                missed, self._missed = self._missed, 0
                return Event(0.0, "missed", 0, count=missed)
            self._there.clear()
            await self._there.wait()
        return self._events.popleft()
