"""Takes entries from the outbox, has them carried, and keeps what came of it.

One thread leases and settles over one connection; a few more carry. What is leased is what is
being carried, so a worker that is stopped gives nothing back but what it has not begun. Leases are
renewed while an attempt lasts, so that they can be short: a worker that was killed is replaced
within `lease_seconds`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import structlog

from waypost.delivery.chance import Chance
from waypost.delivery.retry import RetrySchedule
from waypost.net.clock import Clock
from waypost.outbox.entry import LeasedEntry, Progress, Settlement
from waypost.outbox.store import OutboxStore
from waypost.smtp.envelope import Envelope

Carry = Callable[[Envelope, bytes], Sequence[Progress]]
"""One attempt: what it came to for each recipient, in the envelope's order. Called from several
threads at once."""

Report = Callable[[LeasedEntry, Sequence[Progress]], None]
"""Told when an entry has come to its end: with what came of all its recipients."""

FAILURE_SECONDS: Final = 5.0
"""Between two tries to reach a database that does not answer."""

FAILURES_AT_STOP: Final = 3
"""So often a worker that is to stop tries to settle what was carried."""

PRUNE_SECONDS: Final = 600.0
PRUNE_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works. Times in seconds."""

    concurrency: int = 4
    """Messages that are carried at the same time."""
    poll_seconds: float = 1.0
    """Between two looks for entries, when nobody says `wake`."""
    lease_seconds: float = 120.0
    """After this long without a sign of life an entry goes to another worker."""
    retention: float = 7 * 86400.0
    """How long the row of a finished entry, and so its key, is kept."""
    schedule: RetrySchedule = RetrySchedule()

    def __post_init__(self) -> None:
        for name in ("concurrency", "poll_seconds", "lease_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of an outbox worker must be above 0")


@dataclass(frozen=True, slots=True)
class _Carried:
    entry: LeasedEntry
    progress: tuple[Progress, ...]


class OutboxWorker:
    """One worker. `start` and `stop` it, or let `drain` do what is due."""

    def __init__(
        self,
        store: OutboxStore,
        carry: Carry,
        clock: Clock,
        chance: Chance,
        settings: WorkerSettings | None = None,
        on_finished: Report | None = None,
    ) -> None:
        self.settings = settings or WorkerSettings()
        self._store = store
        self._carry = carry
        self._clock = clock
        self._chance = chance
        self._on_finished = on_finished
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.outbox")
        self._arrived: queue.SimpleQueue[_Carried | None] = queue.SimpleQueue()
        self._in_flight: dict[int, LeasedEntry] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._renew_at = 0.0
        self._renewed_at = 0.0
        self._prune_at = 0.0

    # --- for the application -----------------------------------------------------------------

    def start(self) -> None:
        """Work in a thread of its own until `stop`."""
        if self._thread is not None:
            raise RuntimeError("this outbox worker runs already")
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="waypost-outbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take nothing new, let what is being carried end, settle it."""
        self._stopping.set()
        self.wake()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def wake(self) -> None:
        """Look now: an entry has been committed."""
        self._arrived.put(None)

    def drain(self) -> int:
        """Carry what is due, in this thread's name; how many attempts were made.

        Entries that are put off wait for their time as ever. Errors of the database are raised.
        """
        if self._thread is not None:
            raise RuntimeError("this outbox worker runs already; stop it before drain")
        attempts = 0
        with self._carriers() as carriers:
            try:
                while (taken := self._take(carriers)) or self._in_flight:
                    attempts += taken
                    self._settle_next(self.settings.poll_seconds)
            finally:
                while self._in_flight:  # the carriers end by their own timeouts
                    self._settle_next(None)
        return attempts

    # --- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        with self._carriers() as carriers:
            while not self._stopping.is_set() or self._in_flight:
                try:
                    if self._stopping.is_set():
                        self._renew(self._clock.now())
                    else:
                        self._take(carriers)
                        self._prune()
                    self._settle_next(self.settings.poll_seconds)
                    failures = 0
                except Exception as fault:  # noqa: BLE001 - whatever the driver raises, it goes on
                    failures += 1
                    self._log.error("the outbox's database does not answer", why=repr(fault))
                    self._store.close()
                    if self._stopping.wait(FAILURE_SECONDS) and failures >= FAILURES_AT_STOP:
                        break  # what is in flight counts as uncertain, once its lease has run out
        self._store.close()

    def _carriers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="waypost-carrier")

    def _take(self, carriers: ThreadPoolExecutor) -> int:
        """Lease as much as there are free carriers, and begin.

        Own leases are renewed first and at the same moment: when the clock has jumped, as after a
        machine slept, what is being carried here looks like the entry of a worker that is gone.
        """
        now = self._clock.now()
        self._renew(now)
        free = self.settings.concurrency - len(self._in_flight)
        if free <= 0:
            return 0
        leased, unreadable = self._store.lease(now, free, self.settings.lease_seconds)
        for identifier, fence, why in unreadable:
            self._log.error("an entry of the outbox cannot be read", entry=identifier, why=why)
            self._store.give_up(identifier, fence, why, now)
        for entry in leased:
            if entry.uncertain:
                self._log.warning(
                    "an attempt was begun before and never ended; the message may go out twice",
                    entry=entry.identifier,
                    times=entry.uncertain,
                )
            self._in_flight[entry.identifier] = entry
            carriers.submit(self._carry_one, entry)
        return len(leased)

    def _carry_one(self, entry: LeasedEntry) -> None:
        """In a thread of the carriers."""
        try:
            progress = tuple(self._carry(entry.envelope, entry.content))
        except Exception as fault:  # noqa: BLE001 - told and kept as what came of the attempt
            self._log.error("carrying failed", entry=entry.identifier, why=repr(fault))
            progress = tuple(
                Progress(one.address, "temporary", repr(fault), "carrying-failed")
                for one in entry.envelope.recipients
            )
        self._arrived.put(_Carried(entry, progress))

    def _settle_next(self, seconds: float | None) -> None:
        """Wait for something that was carried, or a word; then settle all that is there."""
        try:
            arrived = self._arrived.get(timeout=seconds)
        except queue.Empty:
            return
        while True:
            if arrived is not None:
                self._settle(arrived)
            try:
                arrived = self._arrived.get_nowait()
            except queue.Empty:
                return

    def _settle(self, carried: _Carried) -> None:
        entry = carried.entry
        now = self._clock.now()
        settlement = settlement_of(entry, carried.progress, now, self.settings.schedule,
                                   self._chance)  # fmt: skip
        try:
            ours = self._store.settle(settlement, now)
        except Exception:
            self._arrived.put(carried)  # once more when the database is back
            raise
        del self._in_flight[entry.identifier]
        if not ours:
            self._log.error(
                "the lease of an entry had run out; another worker has it, and the message may "
                "go out twice",
                entry=entry.identifier,
            )
        elif settlement.envelope is None and self._on_finished is not None:
            try:
                self._on_finished(entry, settlement.results)
            except Exception as fault:  # noqa: BLE001 - the application's code; the mail is settled
                self._log.error("on_finished failed", entry=entry.identifier, why=repr(fault))

    def _renew(self, now: float) -> None:
        """Renew the leases of what is being carried, when a part of their time has passed."""
        moment, part = self._clock.monotonic(), self.settings.lease_seconds / 4
        if moment < self._renew_at and now < self._renewed_at + part:
            return
        self._renew_at, self._renewed_at = moment + part, now
        for entry in self._in_flight.values():
            self._store.renew(entry.identifier, entry.fence, now + self.settings.lease_seconds)

    def _prune(self) -> None:
        """Remove old rows now and then."""
        moment = self._clock.monotonic()
        if moment >= self._prune_at:
            self._prune_at = moment + PRUNE_SECONDS
            before = self._clock.now() - self.settings.retention
            while self._store.prune(before, PRUNE_ROWS) == PRUNE_ROWS:
                pass


def settlement_of(
    entry: LeasedEntry,
    progress: Sequence[Progress],
    now: float,
    schedule: RetrySchedule,
    chance: Chance,
) -> Settlement:
    """What becomes of an entry: who is done with, and when the others are tried again."""
    ended = [one for one in progress if one.kind != "temporary"]
    waiting = [one for one in progress if one.kind == "temporary"]
    results = (*entry.results, *ended)
    last_reply = next((one.reply for one in (*waiting, *ended) if one.reply), "")
    due_at = None
    if waiting:
        due_at = schedule.next_attempt(entry.attempts, now, entry.expires_at, chance)
        if due_at is None:  # expired: temporary until there was no time left
            results += tuple(replace(one, kind="permanent", reason="expired") for one in waiting)
    if due_at is None:
        return Settlement(entry.identifier, entry.fence, None, now, results, last_reply)
    remaining = tuple(
        recipient
        for recipient, one in zip(entry.envelope.recipients, progress, strict=True)
        if one.kind == "temporary"
    )
    return Settlement(
        entry.identifier, entry.fence, replace(entry.envelope, recipients=remaining), due_at,
        results, last_reply,
    )  # fmt: skip
