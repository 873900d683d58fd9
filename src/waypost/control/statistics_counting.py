"""Counting, on the way of every message: a few numbers are counted up, and nothing else is done.

What has gathered here is taken once a second (`Gathered`), and laid into rings and tables then.
New destinations make rows until there are PENDING of them in that second; the others count
together.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from waypost.control.statistics_rows import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    BOUNDS,
    CAPTURED,
    DELIVERED,
    FIRST_REPLY,
    OUTCOMES,
    ROUTE_WIDTH,
    SENT_BYTES,
    DestinationRow,
    ReasonRow,
    bucket_of,
    first_reply_of,
)
from waypost.control.statistics_tables import REST
from waypost.message_events import SANDBOX_HOP
from waypost.spool.contract import AttemptRecord, NewMessage, QueuedMessage, RecipientResult

PENDING: Final = 1000
"""Destinations told apart within a second."""

HEARD: Final = 64
"""Attempts a second of which the first reply is looked for; of more, these are a sample."""

MAXIMUM_REPLY: Final = 300
"""Characters of a refusal kept."""

MAXIMUM_NAME: Final = 255
"""Characters of a destination's name."""


class Gathered:
    """What has been counted since the last was taken."""

    __slots__ = ("accepted", "bytes", "destinations", "heard", "messages", "reasons", "routes")

    def __init__(self) -> None:
        self.messages = 0
        self.accepted = 0
        self.bytes = 0
        self.routes: dict[str, list[int]] = {}
        """By the places of statistics_rows. Routes come from the configuration, so they are few."""
        self.destinations: dict[str, DestinationRow] = {}
        self.reasons: dict[str, ReasonRow] = {}
        """Reasons come from waypost.knowledge, so they are few."""

        self.heard: list[tuple[list[int], str]] = []
        """Transcripts in which to look for the first reply, with the row to count it in."""

    @property
    def is_empty(self) -> bool:
        """Nothing has happened."""
        return not self.messages and not self.routes


class Counting:
    """See the module. `take` is a watcher (administration.watch)."""

    __slots__ = ("_gathered",)

    def __init__(self) -> None:
        self._gathered = Gathered()

    def gathered(self) -> Gathered:
        """What has been counted until now, and a new beginning."""
        taken, self._gathered = self._gathered, Gathered()
        for route, transcript in taken.heard:
            first = first_reply_of(transcript)
            if first is not None:
                route[FIRST_REPLY + bucket_of(first)] += 1
        taken.heard.clear()
        return taken

    def take(self, message: NewMessage | QueuedMessage, record: AttemptRecord | None) -> None:
        """Count a message that has become durable, or an attempt."""
        gathered = self._gathered
        if record is None:
            gathered.messages += 1
            gathered.accepted += len(message.envelope.recipients)
            gathered.bytes += message.size
            return
        route = gathered.routes.get(record.route)
        if route is None:
            route = gathered.routes[record.route] = [0] * ROUTE_WIDTH
        seconds = record.seconds
        is_caught = record.next_hop == SANDBOX_HOP
        if record.next_hop and not is_caught:
            route[ATTEMPTS] += 1
            route[ATTEMPT_SECONDS + bisect_left(BOUNDS, seconds)] += 1
            heard = gathered.heard
            if len(heard) < HEARD:
                heard.append((route, record.transcript))
        destinations = gathered.destinations
        delivers = False
        for result, recipient in zip(record.results, message.envelope.recipients, strict=False):
            address = recipient.address
            domain = address[address.rfind("@") + 1 :]
            row = destinations.get(domain)
            if row is None:
                row = self._destination(domain)
            place = OUTCOMES[result.state]
            if place == DELIVERED:
                if is_caught:
                    place = CAPTURED
                else:
                    delivers = True
                    row.numbers[SENT_BYTES] += message.size
            else:
                self._failed(row, result, record, place)
            route[place] += 1
            numbers = row.numbers
            numbers[ATTEMPTS] += 1
            numbers[place] += 1
            row.seconds += seconds
            if seconds > row.slowest:
                row.slowest = seconds
            row.route = record.route
        if delivers:
            route[SENT_BYTES] += message.size

    def _destination(self, domain: str) -> DestinationRow:
        """The row of a name not met, as it is written, in this second."""
        destinations = self._gathered.destinations
        name = domain.lower()[:MAXIMUM_NAME]
        if len(destinations) >= PENDING and name not in destinations:
            name = REST
        row = destinations.get(name)
        if row is None:
            row = destinations[name] = DestinationRow()
        return row

    def _failed(
        self, row: DestinationRow, result: RecipientResult, record: AttemptRecord, place: int
    ) -> None:
        at = record.started_at + record.seconds
        row.failed_at, row.reply = at, result.reply[:MAXIMUM_REPLY]
        row.reason, row.message = result.reason, record.message
        reasons = self._gathered.reasons
        reason = reasons.get(result.reason)
        if reason is None:
            reason = reasons[result.reason] = ReasonRow()
        reason.numbers[place] += 1
        reason.last_at, reason.reply, reason.message = at, row.reply, record.message
