"""Webhooks: events of messages, sent to programs by HTTP, signed, until they are taken.

See `webhooks_worker` for how they are sent, `webhooks_signing` for how a receiver knows that they
are ours, and `waypost.spool.events` for why none is lost.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Final

import structlog

from waypost.control import webhooks_deliveries, webhooks_store
from waypost.control.database import ControlDatabase
from waypost.control.event_log import EventLog
from waypost.control.event_log_documents import TEST_TYPE, Labelled, moment_text, payload_bytes
from waypost.control.webhooks_client import Answer, Poster
from waypost.control.webhooks_deliveries import Delivery, DeliveryState
from waypost.control.webhooks_endpoint import (
    MOST_ENDPOINTS,
    ROTATION_SECONDS,
    Endpoint,
    EndpointSettings,
    InvalidWebhook,
    checked,
    checked_own_secret,
)
from waypost.control.webhooks_reader import Surroundings
from waypost.control.webhooks_signing import RandomBytes, new_secret, signed_headers
from waypost.control.webhooks_worker import EndpointWorker
from waypost.delivery.chance import Chance
from waypost.net.clock import Clock

STOP_SECONDS: Final = 2.0
"""Requests under way have this long to end when the relay stops."""

CHANGE_SECONDS: Final = 15.0
"""And this long when an endpoint is changed."""


@dataclass(frozen=True, slots=True)
class _Running:
    worker: EndpointWorker
    task: asyncio.Task[None]


class Webhooks:
    """See the module."""

    def __init__(
        self,
        database: ControlDatabase,
        log: EventLog,
        clock: Clock,
        chance: Chance,
        posters: Callable[[], Poster],
        labelled: Labelled | None = None,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._chance = chance
        self._posters = posters
        self.labelled = labelled
        """Knows tags and metadata; set before `open`."""
        self._random_bytes = random_bytes
        self._running: dict[str, _Running] = {}
        self._changing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._report: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.webhooks")

    async def open(self) -> None:
        """Make ready, and go on where the last run stopped; the log is open. Raises
        sqlite3.Error."""
        self._database.add_tables(webhooks_store.SCHEMA)
        for endpoint in await self.endpoints():
            self._start(endpoint)

    async def close(self) -> None:
        """Let what is under way end."""
        async with self._changing:
            await asyncio.gather(*[self._stop(name, STOP_SECONDS) for name in [*self._running]])
        if self._ending:
            await asyncio.wait(self._ending)

    # --- endpoints --------------------------------------------------------------------------

    async def endpoints(self) -> list[Endpoint]:
        """All of them, the oldest first."""
        return await self._database.read(webhooks_store.endpoints)

    async def endpoint(self, identifier: str) -> Endpoint:
        """One of them. Raises NoSuchWebhook."""
        return await self._database.read(lambda c: webhooks_store.endpoint(c, identifier))

    async def add(self, settings: EndpointSettings, secret: str = "") -> Endpoint:
        """A new endpoint, for what happens from now on; without a secret one is made. Raises
        InvalidWebhook."""
        settings = checked(settings)
        made = Endpoint(
            id="wh_" + self._random_bytes(8).hex(),
            settings=settings,
            secret=checked_own_secret(secret) if secret else new_secret(self._random_bytes),
            old_secret="",
            old_until=0.0,
            created_at=self._clock.now(),
            log=self._log.identity,
            place=await self._log.end(),
        )

        def work(connection: Connection) -> None:
            if len(webhooks_store.endpoints(connection)) >= MOST_ENDPOINTS:
                raise InvalidWebhook(
                    "url", f"there are {MOST_ENDPOINTS} webhooks already; remove one first"
                )
            webhooks_store.insert(connection, made)

        await self._database.run(work)
        self._start(made)
        return made

    async def change(
        self, identifier: str, settings: EndpointSettings, *, skip: bool = False
    ) -> Endpoint:
        """Other settings. With `skip` what has happened so far is not sent any more. Raises
        NoSuchWebhook, InvalidWebhook."""
        settings = checked(settings)
        end = await self._log.end() if skip else None

        def work(connection: Connection) -> Endpoint:
            if end is not None:
                webhooks_store.move(connection, identifier, self._log.identity, end)
            return webhooks_store.change(connection, identifier, settings)

        return await self._restarted(identifier, work)

    async def rotate(self, identifier: str) -> Endpoint:
        """A new secret; the one before signs along for a day. Raises NoSuchWebhook."""
        secret = new_secret(self._random_bytes)
        until = self._clock.now() + ROTATION_SECONDS
        return await self._restarted(
            identifier, lambda c: webhooks_store.rotate(c, identifier, secret, until)
        )

    async def remove(self, identifier: str) -> None:
        """Send there no more, and forget it. Raises NoSuchWebhook."""
        async with self._changing:
            await self.endpoint(identifier)
            await self._stop(identifier, CHANGE_SECONDS)
            await self._database.run(lambda c: webhooks_store.remove(c, identifier))

    async def test(self, identifier: str) -> Answer:
        """Send an event of the type `webhook.test` now and once. Raises NoSuchWebhook."""
        endpoint = await self.endpoint(identifier)
        now = self._clock.now()
        payload = {
            "type": TEST_TYPE, "timestamp": moment_text(now), "data": {"webhook": identifier},
        }  # fmt: skip
        body = payload_bytes(payload)
        name = f"test-{int(now * 1_000_000)}"
        headers = signed_headers(endpoint.secrets(now), name, int(now), body)
        poster = self._posters()
        try:
            return await poster.post(endpoint.settings.url, body, headers)
        finally:
            await poster.close()

    # --- deliveries -------------------------------------------------------------------------

    async def deliveries(
        self,
        identifier: str,
        states: Sequence[DeliveryState] = (),
        before: int | None = None,
        limit: int = webhooks_deliveries.PAGE,
    ) -> list[Delivery]:
        """Deliveries with their last attempts, the newest first. Raises NoSuchWebhook."""

        def work(connection: Connection) -> list[Delivery]:
            webhooks_store.endpoint(connection, identifier)
            return webhooks_deliveries.deliveries(connection, identifier, states, before, limit)

        return await self._database.read(work)

    async def delivery(self, identifier: str, number: int) -> Delivery:
        """One delivery with its attempts. Raises NoSuchWebhook."""
        return await self._database.read(
            lambda c: webhooks_deliveries.delivery(c, identifier, number)
        )

    async def waiting(self, identifier: str) -> int:
        """How many deliveries wait to be tried again."""
        count, _ = await self._database.read(lambda c: webhooks_deliveries.waiting(c, identifier))
        return count

    async def send_again(self, identifier: str, number: int) -> Delivery:
        """Send one delivery now, whatever became of it. Raises NoSuchWebhook."""
        now = self._clock.now()
        again = await self._database.run(
            lambda c: webhooks_deliveries.send_again(c, identifier, number, now)
        )
        self._look(identifier)
        return again

    async def replay(self, identifier: str, since: float, until: float) -> None:
        """Send everything again that happened in a time and is wanted there. Raises
        NoSuchWebhook."""
        last = (await self._log.place_after(until)).number
        wanted = webhooks_store.Replay(0, await self._log.place_at(since), last, since, until)
        await self._database.run(lambda c: webhooks_store.add_replay(c, identifier, wanted))
        self._look(identifier)

    # --- workers ----------------------------------------------------------------------------

    async def _restarted(self, identifier: str, work: Callable[[Connection], Endpoint]) -> Endpoint:
        """Change an endpoint between two runs of its worker."""
        async with self._changing:
            await self.endpoint(identifier)
            await self._stop(identifier, CHANGE_SECONDS)
            try:
                return await self._database.run(work)
            finally:
                self._start(await self.endpoint(identifier))

    def _start(self, endpoint: Endpoint) -> None:
        if not endpoint.settings.enabled or self._log.is_closed:
            return
        shared = Surroundings(
            self._database, self._log, self._clock, self._chance, self.labelled, self._report,
        )  # fmt: skip
        worker = EndpointWorker(endpoint, self._posters(), shared, self._disabled)
        task = asyncio.get_running_loop().create_task(worker.run())
        task.add_done_callback(self._ended)
        self._running[endpoint.id] = _Running(worker, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._report.error("webhooks stand still until a restart", exc_info=task.exception())

    async def _stop(self, identifier: str, seconds: float) -> None:
        running = self._running.pop(identifier, None)
        if running is not None:
            await running.worker.stop(seconds)
            await asyncio.wait([running.task])

    def _disabled(self, identifier: str) -> None:
        """A worker has ended by itself."""
        task = asyncio.get_running_loop().create_task(self._stop(identifier, STOP_SECONDS))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _look(self, identifier: str) -> None:
        running = self._running.get(identifier)
        if running is not None:
            running.worker.look()
