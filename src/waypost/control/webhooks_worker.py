"""Sends events to one endpoint, for as long as it is enabled.

Each endpoint has a worker of its own, so that none waits for another. A worker takes first what is
to be tried again by now, then what is new, then what is sent again on request. What attempts came
to is kept by `webhooks_outcomes`.

While an endpoint fails, events stay in the log, where they cost nothing, and only what waits is
tried, by its schedule, and a new event now and then (`webhooks_health`). The first that is taken
brings everything on its way at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from waypost.control import webhooks_deliveries, webhooks_store
from waypost.control.event_log_courtesy import REQUEST_SPACING
from waypost.control.event_log_documents import (
    NO_LABELS,
    event_payload,
    event_type,
    payload_bytes,
)
from waypost.control.event_log_places import BEGINNING, PlacedEvent
from waypost.control.webhooks_client import Answer, Poster
from waypost.control.webhooks_deliveries import Attempt, Delivery, DeliveryState
from waypost.control.webhooks_endpoint import Endpoint
from waypost.control.webhooks_health import GONE, EndpointHealth
from waypost.control.webhooks_outcomes import FAULT_SECONDS, Outcome, OutcomeBook, move_all
from waypost.control.webhooks_reader import EndpointReader, Surroundings
from waypost.control.webhooks_schedule import next_attempt
from waypost.control.webhooks_signing import signed_headers
from waypost.control.webhooks_stream import EventStream
from waypost.spool.contract import SpoolRefusal

CONCURRENCY: Final = 4
"""Requests to one endpoint at the same time."""

SAVE_EVERY: Final = 1000
"""Entries of the log that were of no interest, after which the place is kept all the same."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One delivery that is under way."""

    delivery: Delivery
    event: PlacedEvent | None
    """None: it has to be read again."""
    stream: EventStream | None


class EndpointWorker:
    """See the module."""

    def __init__(
        self,
        endpoint: Endpoint,
        poster: Poster,
        shared: Surroundings,
        on_disabled: Callable[[str], None],
    ) -> None:
        self._endpoint = endpoint
        self._poster = poster
        self._shared = shared
        self._on_disabled = on_disabled
        self._reader = EndpointReader(endpoint, shared)
        self._health = EndpointHealth(endpoint)
        same = endpoint.log == shared.log.identity  # otherwise the spool has been replaced
        self._streams = [EventStream(endpoint.place if same else BEGINNING)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()
        self._busy: Counter[int] = Counter()
        self._stir = asyncio.Event()
        self._stopping = False
        self._next_due: float | None = 0.0
        self._book = OutcomeBook(endpoint.id, shared, self._health, self._written)

    # --- the loop ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `stop`, or until the endpoint is disabled."""
        log = self._shared.log
        log.watch(self._stir.set)
        try:
            while not self._stopping:
                self._stir.clear()
                now = self._shared.clock.now()
                try:
                    went_on = await self._fill(now)
                except (sqlite3.Error, SpoolRefusal) as fault:
                    self._shared.report.error("webhooks stand still", why=str(fault))
                    await self._rest(FAULT_SECONDS)
                    continue
                if not went_on:
                    await self._rest(self._until(now))
        finally:
            log.unwatch(self._stir.set)

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, and let what is under way end within this time."""
        self._stopping = True
        self._stir.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._book.close()
        await self._save_place()
        await self._poster.close()

    def look(self) -> None:
        """Something was asked for: a delivery or a part of the log is to be sent again."""
        self._next_due = 0.0
        self._stir.set()

    async def _rest(self, seconds: float | None) -> None:
        if self._stopping:
            return
        timer = None
        if seconds is not None:
            timer = self._shared.clock.call_later(seconds, self._stir.set)
        try:
            await self._stir.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _until(self, looked_at: float) -> float | None:
        """Seconds until something is due by itself that was not when we looked. What was is under
        way, or waits for its turn behind that."""
        moments = [self._next_due] if self._next_due is not None else []
        if self._health.is_failing and not self._tasks:
            moments.append(self._health.probe_at)
        later = [moment for moment in moments if moment > looked_at]
        return max(0.0, min(later) - self._shared.clock.now()) if later else None

    # --- what comes next --------------------------------------------------------------------

    async def _fill(self, now: float) -> bool:
        """Begin as much as there is room for; whether anything moved."""
        room = CONCURRENCY - len(self._tasks)
        if room <= 0 or self._book.is_full:
            return False
        jobs: list[_Job] = []
        if self._next_due is not None and self._next_due <= now:
            jobs = await self._due(room, now)
        moved = False
        is_failing = self._health.is_failing
        if is_failing:
            room = 1 if not (self._tasks or jobs) and now >= self._health.probe_at else 0
        else:
            room -= len(jobs)
        if room:
            fresh, moved = await self._fresh(room, jobs)
            if fresh and is_failing:
                self._health.probed(now)
            jobs += fresh
        for job in jobs:
            self._begin(job)
        return bool(jobs) or moved

    async def _due(self, room: int, now: float) -> list[_Job]:
        name, limit = self._endpoint.id, room + len(self._under_way)

        def work(
            connection: sqlite3.Connection,
        ) -> tuple[list[Delivery], int, float | None, list[webhooks_store.Replay]]:
            due = webhooks_deliveries.due(connection, name, now, limit)
            count, first = webhooks_deliveries.waiting(connection, name)
            return due, count, first, webhooks_store.replays(connection, name)

        due, waiting, self._next_due, replays = await self._shared.database.read(work)
        self._health.waiting = waiting
        known = {stream.replay.id for stream in self._streams if stream.replay is not None}
        self._streams += [EventStream(one.place, one) for one in replays if one.id not in known]
        chosen = [one for one in due if one.event not in self._under_way][:room]
        return [_Job(one, None, None) for one in chosen]

    async def _fresh(self, room: int, beside: list[_Job]) -> tuple[list[_Job], bool]:
        """What is new or sent again; and whether the log was read on."""
        jobs: list[_Job] = []
        moved = False
        for stream in tuple(self._streams):
            if stream.is_empty and not stream.is_read:
                moved = await self._reader.read(stream) or moved
                if stream.is_empty and stream.read_to.number - stream.saved.number >= SAVE_EVERY:
                    await self._save_place()
            elif stream.is_over:
                await self._end(stream)
                moved = True
            while len(jobs) < room:
                busy = set(self._busy) | {job.delivery.message for job in (*beside, *jobs)}
                under_way = self._under_way | {job.delivery.event for job in jobs}
                one = stream.take(busy, under_way)
                if one is None:
                    break
                jobs.append(self._job(one, stream))
        return jobs, moved

    def _job(self, one: PlacedEvent, stream: EventStream) -> _Job:
        return _Job(
            Delivery(
                0, self._endpoint.id, one.identity, self._shared.log.identity, one.place,
                event_type(one), one.entry.identifier, one.event.at, DeliveryState.WAITING, 0, None,
            ),
            one,
            stream,
        )  # fmt: skip

    # --- sending ----------------------------------------------------------------------------

    def _begin(self, job: _Job) -> None:
        self._under_way.add(job.delivery.event)
        self._busy[job.delivery.message] += 1
        task = asyncio.get_running_loop().create_task(self._send(job))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end_of(done, job))

    def _end_of(self, task: asyncio.Task[None], job: _Job) -> None:
        self._tasks.discard(task)
        self._busy[job.delivery.message] -= 1
        if not self._busy[job.delivery.message]:
            del self._busy[job.delivery.message]
        if task.cancelled() or task.exception() is not None:
            self._under_way.discard(job.delivery.event)
        if not task.cancelled() and task.exception() is not None:
            self._shared.report.error("a webhook could not be sent", exc_info=task.exception())
        self._stir.set()

    async def _send(self, job: _Job) -> None:
        await self._shared.log.courtesy.turn(REQUEST_SPACING)
        delivery, one = job.delivery, job.event
        now = self._shared.clock.now()
        if one is None and delivery.log == self._shared.log.identity:
            one = await self._shared.log.event(delivery.place)
        if one is None:
            gone = Answer(None, 0.0, "the event is gone: retention has removed it")
            self._settle(job, now, gone, is_final=True)
            return
        known = job.stream.labels if job.stream is not None else await self._reader.labels((one,))
        labels = known.get(one.entry.identifier, NO_LABELS)
        body = payload_bytes(event_payload(one, labels))
        headers = signed_headers(self._endpoint.secrets(now), delivery.event, int(now), body)
        answer = await self._poster.post(self._endpoint.settings.url, body, headers)
        self._settle(job, now, answer, is_final=answer.status == GONE)

    def _settle(self, job: _Job, at: float, answer: Answer, *, is_final: bool) -> None:
        """What an attempt came to goes into the book."""
        now = self._shared.clock.now()
        settled = self._after(job.delivery, now, answer, is_final=is_final)
        is_back = answer.is_taken and self._health.is_failing
        is_given_up = settled.state is DeliveryState.FAILED
        reason = self._health.judge(answer, now, is_given_up=is_given_up)
        if self._stopping:
            reason = ""  # it is being changed, or disabled already
        attempt = Attempt(at, answer.status, answer.seconds, answer.error, answer.text)
        self._book.add(Outcome(settled, attempt, job.stream, now, is_back, reason))
        if reason:
            self._disable(reason)

    def _written(self, outcomes: Sequence[Outcome], next_due: float | None) -> None:
        self._next_due = next_due
        self._under_way.difference_update(one.delivery.event for one in outcomes)
        self._stir.set()

    def _disable(self, reason: str) -> None:
        self._stopping = True
        self._shared.report.warning(
            "webhook disabled", webhook=self._endpoint.id, why=reason,
            fix="mend the endpoint and enable the webhook; it goes on where it stopped",
        )  # fmt: skip
        self._on_disabled(self._endpoint.id)

    def _after(self, delivery: Delivery, now: float, answer: Answer, *, is_final: bool) -> Delivery:
        """The delivery as it stands after an attempt."""
        if answer.is_taken:
            return replace(delivery, state=DeliveryState.DELIVERED, failed=0, next_at=None)
        failed = delivery.failed + 1
        again = next_attempt(failed, now, self._shared.chance, answer.retry_after)
        if is_final or again is None:
            return replace(delivery, state=DeliveryState.FAILED, failed=failed, next_at=None)
        return replace(delivery, state=DeliveryState.WAITING, failed=failed, next_at=again)

    # --- places -----------------------------------------------------------------------------

    async def _save_place(self) -> None:
        """Keep how far all have come."""
        behind = [(one, one.place()) for one in self._streams if one.place() > one.saved]
        if not behind:
            return

        def work(connection: sqlite3.Connection) -> None:
            move_all(connection, self._endpoint.id, self._shared.log.identity, behind)

        try:
            await self._shared.database.run(work)
        except sqlite3.Error as fault:  # the place before will do; some is sent again
            self._shared.report.error("a webhook's place is not kept", why=str(fault))
            return
        for stream, place in behind:
            stream.saved = max(stream.saved, place)

    async def _end(self, stream: EventStream) -> None:
        """A replay is over."""
        replay = stream.replay
        if replay is not None:
            await self._shared.database.run(lambda c: webhooks_store.end_replay(c, replay.id))
            self._streams.remove(stream)
