"""Reads the event log for one endpoint: the events that are wanted there, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from waypost.control import webhooks_deliveries
from waypost.control.database import ControlDatabase
from waypost.control.event_log import EventLog
from waypost.control.event_log_documents import NO_LABELS, Labelled, Labels
from waypost.control.event_log_places import PlacedEvent
from waypost.control.webhooks_endpoint import Endpoint
from waypost.control.webhooks_stream import EventStream
from waypost.delivery.chance import Chance
from waypost.net.clock import Clock


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers share."""

    database: ControlDatabase
    log: EventLog
    clock: Clock
    chance: Chance
    labelled: Labelled | None
    report: structlog.stdlib.BoundLogger


class EndpointReader:
    """See the module."""

    def __init__(self, endpoint: Endpoint, shared: Surroundings) -> None:
        self._endpoint = endpoint
        self._shared = shared
        self._wanted = endpoint.settings.filter()
        self._known_to: int | None = None
        """Entries up to here may have been dealt with by an earlier run."""

    async def read(self, stream: EventStream) -> bool:
        """Read on in the log; whether there was anything."""
        batch = await self._shared.log.read(stream.read_to)
        if batch.missed:
            self._shared.report.warning(
                "webhook events are gone", webhook=self._endpoint.id,
                why="retention removed them before the endpoint took them",
            )  # fmt: skip
        events = batch.events
        labels = await self.labels(events)
        wanted = [
            one
            for one in events
            if self._wanted.matches(one, labels.get(one.entry.identifier, NO_LABELS))
        ]
        if stream.replay is None:
            wanted = await self._without_known(wanted)
        stream.add(wanted, batch.upto, labels)
        if batch.is_end and stream.last is not None:
            stream.last = min(stream.last, stream.read_to.number)
        return not batch.is_end

    async def _without_known(self, events: list[PlacedEvent]) -> list[PlacedEvent]:
        """Without those that an earlier run has dealt with, ahead of the place that it kept."""
        name, log, database = self._endpoint.id, self._shared.log.identity, self._shared.database
        if self._known_to is None:
            self._known_to = await database.read(
                lambda c: webhooks_deliveries.last_place(c, name, log)
            )
        if not events or events[0].place.number > self._known_to:
            return events
        identities = [one.identity for one in events]
        known = await database.read(lambda c: webhooks_deliveries.known(c, name, identities))
        return [one for one in events if one.identity not in known]

    async def labels(self, events: Sequence[PlacedEvent]) -> dict[int, Labels]:
        """What programs have written on the messages of these."""
        labelled = self._shared.labelled
        messages = {one.entry.identifier for one in events} - {0}
        return dict(await labelled.labels(messages)) if labelled and messages else {}
