"""The worker of an outbox: everything is carried, put off or given up, whatever goes wrong."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from outbox_database import CONTENT, ENVELOPE, Application, add

from waypost.delivery.retry import RetrySchedule
from waypost.net.clock import SystemClock
from waypost.outbox.entry import LeasedEntry, Progress
from waypost.outbox.store import OutboxStore
from waypost.outbox.worker import Carry, OutboxWorker, WorkerSettings, settlement_of
from waypost.smtp.envelope import Envelope

SCHEDULE = RetrySchedule(delays=(60.0, 300.0), afterwards=600.0, jitter=0.0)
SOON = 20.0
"""Seconds within which anything here happens, on a busy machine."""


class HandClock(SystemClock):
    """Its `now` is moved by hand."""

    def __init__(self, now: float) -> None:
        self.moment = now

    def now(self) -> float:
        return self.moment


def delivered(envelope: Envelope, content: bytes) -> Sequence[Progress]:
    assert content == CONTENT
    return [Progress(one.address, "delivered", "250 Ok", "") for one in envelope.recipients]


def put_off(envelope: Envelope, _content: bytes) -> Sequence[Progress]:
    return [
        Progress(one.address, "temporary", "450 later", "greylisted") for one in envelope.recipients
    ]


def worker(
    application: Application,
    carry: Carry = delivered,
    clock: HandClock | None = None,
    **settings: object,
) -> OutboxWorker:
    made = WorkerSettings(schedule=SCHEDULE, poll_seconds=0.02, **settings)  # type: ignore[arg-type]
    return OutboxWorker(application.store, carry, clock or HandClock(100.0), random.Random(1), made)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def test_what_is_due_is_carried_once(application: Application) -> None:
    for _ in range(10):
        add(application)

    assert worker(application).drain() == 10

    counts = application.store.counts()
    assert (counts.waiting, counts.finished, counts.failed) == (0, 10, 0)
    assert worker(application).drain() == 0


def test_a_temporary_refusal_is_tried_again_by_schedule(application: Application) -> None:
    add(application)
    clock = HandClock(100.0)
    worker(application, put_off, clock).drain()

    clock.moment = 159.0
    assert worker(application, delivered, clock).drain() == 0
    clock.moment = 160.0
    assert worker(application, delivered, clock).drain() == 1

    assert application.store.counts().finished == 1


def test_only_who_was_put_off_is_tried_again(application: Application) -> None:
    add(application)
    clock = HandClock(100.0)
    tried: list[list[str]] = []

    def one_of_two(envelope: Envelope, _content: bytes) -> Sequence[Progress]:
        tried.append([one.address for one in envelope.recipients])
        if len(envelope.recipients) == 2:
            return [
                Progress("ann@example.org", "delivered", "250 Ok", ""),
                Progress("bob@example.net", "temporary", "450 later", "greylisted"),
            ]
        return [Progress("bob@example.net", "permanent", "550 no", "no-such-mailbox")]

    ended: list[Sequence[Progress]] = []
    one = worker(application, one_of_two, clock)
    one._on_finished = lambda _entry, results: ended.append(results)
    one.drain()
    clock.moment = 160.0
    one.drain()

    assert tried == [["ann@example.org", "bob@example.net"], ["bob@example.net"]]
    assert [[(each.address, each.kind) for each in results] for results in ended] == [
        [("ann@example.org", "delivered"), ("bob@example.net", "permanent")]
    ]
    assert application.store.counts().failed == 1


def test_an_entry_expires(application: Application) -> None:
    add(application)  # until 1000
    clock = HandClock(990.0)
    ended: list[Sequence[Progress]] = []
    one = worker(application, put_off, clock)
    one._on_finished = lambda _entry, results: ended.append(results)

    one.drain()

    assert [(each.kind, each.reason, each.reply) for each in ended[0]] == [
        ("permanent", "expired", "450 later")
    ] * 2


def test_a_carrier_that_fails_puts_the_entry_off(application: Application) -> None:
    add(application)

    def broken(_envelope: Envelope, _content: bytes) -> Sequence[Progress]:
        raise RuntimeError("a bug")

    worker(application, broken).drain()

    [(reply,)] = application.rows("SELECT last_reply FROM waypost_outbox")
    assert "a bug" in reply
    assert application.store.counts().waiting == 1


def test_a_started_worker_carries_what_is_added_meanwhile(application: Application) -> None:
    one = worker(application)
    one.start()
    try:
        for _ in range(5):
            add(application)
        one.wake()
        wait_until(lambda: application.store.counts().finished == 5)
    finally:
        one.stop()


def test_several_workers_share_the_work(application: Application) -> None:
    for _ in range(60):
        add(application)
    carried: list[int] = []

    def slowly(envelope: Envelope, content: bytes) -> Sequence[Progress]:
        carried.append(threading.get_ident())
        return delivered(envelope, content)

    workers = [worker(application, slowly) for _ in range(3)]
    for one in workers:
        one.start()
    try:
        wait_until(lambda: application.store.counts().finished == 60)
    finally:
        for one in workers:
            one.stop()

    assert len(carried) == 60
    assert application.store.counts().uncertain == 0


def test_stop_waits_for_what_is_being_carried(application: Application) -> None:
    for _ in range(3):
        add(application)
    begun, go_on = threading.Event(), threading.Event()

    def held(envelope: Envelope, content: bytes) -> Sequence[Progress]:
        begun.set()
        assert go_on.wait(SOON)
        return delivered(envelope, content)

    one = worker(application, held, concurrency=1)
    one.start()
    assert begun.wait(SOON)
    stopping = threading.Thread(target=one.stop)
    stopping.start()
    go_on.set()
    stopping.join(SOON)

    assert not stopping.is_alive()
    counts = application.store.counts()
    assert (counts.finished, counts.waiting) == (1, 2)


def test_a_lease_is_renewed_while_an_attempt_lasts(application: Application) -> None:
    add(application)
    clock = HandClock(100.0)
    go_on = threading.Event()

    def held(envelope: Envelope, content: bytes) -> Sequence[Progress]:
        assert go_on.wait(SOON)
        return delivered(envelope, content)

    one = worker(application, held, clock, lease_seconds=0.2)
    one.start()
    try:
        wait_until(lambda: bool(one._in_flight))
        clock.moment = 150.0
        leased_until = "SELECT leased_until FROM waypost_outbox"
        wait_until(lambda: application.rows(leased_until)[0][0] > 150.0)
    finally:
        go_on.set()
        one.stop()
    assert application.store.counts().finished == 1


def test_a_clock_that_jumps_does_not_send_what_is_being_sent_again(
    application: Application,
) -> None:
    """A machine that slept finds its own leases run out; they are still its own."""
    add(application)
    clock = HandClock(100.0)
    go_on = threading.Event()
    attempts: list[float] = []

    def held(envelope: Envelope, content: bytes) -> Sequence[Progress]:
        attempts.append(clock.now())
        assert go_on.wait(SOON)
        return delivered(envelope, content)

    one = worker(application, held, clock, lease_seconds=3600.0)
    one.start()
    leased_until = "SELECT leased_until FROM waypost_outbox"
    try:
        for moment in (100.0, 100_000.0, 200_000.0):
            clock.moment = moment
            wait_until(lambda: (application.rows(leased_until)[0][0] or 0.0) > clock.moment)
    finally:
        go_on.set()
        one.stop()

    assert attempts == [100.0]
    assert application.store.counts().finished == 1


def test_a_database_that_is_gone_for_a_while_loses_nothing(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waypost.outbox.worker.FAILURE_SECONDS", 0.05)
    add(application)
    real = OutboxStore.settle
    failures = [OSError("gone"), OSError("still gone")]

    def settle(store: OutboxStore, *arguments: object) -> bool:
        if failures:
            raise failures.pop()
        return real(store, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(OutboxStore, "settle", settle)
    one = worker(application)
    one.start()
    try:
        wait_until(lambda: application.store.counts().finished == 1)
    finally:
        one.stop()
    assert failures == []


def _carry_and_die(application: Application) -> None:
    def die(_envelope: Envelope, _content: bytes) -> Sequence[Progress]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    worker(application, die).drain()


def test_a_worker_that_is_killed_leaves_an_uncertain_attempt(application: Application) -> None:
    add(application)
    process = multiprocessing.get_context("spawn").Process(
        target=_carry_and_die, args=(application,)
    )
    process.start()
    process.join(SOON)
    assert process.exitcode == -signal.SIGKILL
    clock = HandClock(100.0 + WorkerSettings().lease_seconds + 1)

    assert worker(application, delivered, clock).drain() == 1

    counts = application.store.counts()
    assert (counts.finished, counts.uncertain) == (1, 1)


def test_recipients_of_one_address_are_settled_one_by_one() -> None:
    twice = Envelope("a@example.com", (ENVELOPE.recipients[1],) * 2)
    entry = LeasedEntry(1, 1, twice, CONTENT, 0.0, 1000.0, 1, 0, ())
    progress = (
        Progress("bob@example.net", "delivered", "250", ""),
        Progress("bob@example.net", "temporary", "450", "greylisted"),
    )

    settlement = settlement_of(entry, progress, 100.0, SCHEDULE, random.Random(1))

    assert settlement.envelope is not None
    assert len(settlement.envelope.recipients) == 1
    assert settlement.due_at == 160.0


@pytest.mark.parametrize("setting", ["concurrency", "poll_seconds", "lease_seconds"])
def test_a_setting_that_cannot_work_is_told(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        WorkerSettings(**{setting: 0})
