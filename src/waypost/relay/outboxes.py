"""Outboxes of applications that this relay empties: what an application has committed in its own
database becomes a message of the relay.

The relay's worker leases an entry, keeps the message durably, and settles the entry. A crash
between the two commits leaves the entry to be taken again: its lease runs out and it counts as
uncertain, as an attempt by SMTP would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from waypost.delivery.chance import Chance
from waypost.net.clock import Clock
from waypost.outbox.entry import Kind, Progress
from waypost.outbox.store import OutboxStore, connect_to
from waypost.outbox.worker import OutboxWorker, WorkerSettings
from waypost.relay.submission import SubmissionRefused, Submissions
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply

SUBMISSION_SECONDS: Final = 300.0
"""For one message to become durable; then it is tried again later."""


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """One application's outbox."""

    database: str
    """sqlite:PATH or postgresql://..."""
    user: str | None = None
    """Whose mail it is, for routes and the log."""
    worker: WorkerSettings = WorkerSettings()


class Outboxes:
    """All outboxes of a relay. `start` and `stop` on its event loop."""

    def __init__(
        self,
        settings: Sequence[OutboxSettings],
        submissions: Submissions,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._settings = settings
        self._submissions = submissions
        self._clock = clock
        self._chance = chance
        self._workers: list[OutboxWorker] = []
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.outbox")

    def start(self) -> None:
        """Begin to take entries. A database that does not answer is tried again and again."""
        loop = asyncio.get_running_loop()
        for one in self._settings:
            store = OutboxStore(connect_to(one.database, create=False))
            carrier = _Carrier(self._submissions, one.user, loop)
            worker = OutboxWorker(store, carrier, self._clock, self._chance, one.worker)
            worker.start()
            self._workers.append(worker)

    async def stop(self) -> None:
        """Take nothing new; what is under way ends."""
        workers, self._workers = self._workers, []
        for worker in workers:
            await asyncio.to_thread(worker.stop)


class _Carrier:
    """Brings an entry from a worker's thread to the relay's loop."""

    def __init__(
        self, submissions: Submissions, user: str | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._submissions = submissions
        self._user = user
        self._loop = loop

    def __call__(self, envelope: Envelope, content: bytes) -> Sequence[Progress]:
        submission = self._submissions.submit(envelope, content, source="outbox", user=self._user)
        waiting = asyncio.run_coroutine_threadsafe(submission, self._loop)
        try:
            submitted = waiting.result(SUBMISSION_SECONDS)
        except SubmissionRefused as refused:
            return [_refused(one.address, refused.reply) for one in envelope.recipients]
        except TimeoutError:
            waiting.cancel()
            text = f"the relay did not keep the message within {SUBMISSION_SECONDS:.0f} s"
            return [
                Progress(one.address, "temporary", text, "timeout", uncertain=True)
                for one in envelope.recipients
            ]
        progress = []
        for number, one in enumerate(envelope.recipients):
            refusal = submitted.refusals.get(number)
            if refusal is None:
                text = f"the relay has it as {submitted.identifier}"
                progress.append(Progress(one.address, "delivered", text, ""))
            else:
                progress.append(_refused(one.address, refusal))
        return progress


def _refused(address: str, refusal: Reply) -> Progress:
    kind: Kind = "permanent" if refusal.is_permanent else "temporary"
    return Progress(address, kind, refusal.text, "refused-by-relay")
