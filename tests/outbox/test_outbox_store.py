"""The rows of the outbox: who has them, until when, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outbox_database import CONTENT, ENVELOPE, Application, add

from waypost.outbox import statements
from waypost.outbox.connections import UnknownConnection, database_of, run
from waypost.outbox.entry import (
    LeasedEntry,
    Progress,
    Settlement,
    UnreadableEntry,
    envelope_from_json,
    envelope_to_json,
    results_from_json,
    results_to_json,
)
from waypost.outbox.store import OutboxStore, UnknownDatabase, connect_to

DELIVERED = Progress("ann@example.org", "delivered", "250 2.0.0 Ok", "")


def lease(store: OutboxStore, now: float = 100.0, limit: int = 10) -> list[LeasedEntry]:
    leased, unreadable = store.lease(now, limit, 60.0)
    assert unreadable == []
    return leased


def test_an_entry_comes_back_as_it_was_added(application: Application) -> None:
    identifier = add(application)

    [entry] = lease(application.store)

    assert entry.identifier == identifier
    assert entry.envelope == ENVELOPE
    assert entry.content == CONTENT
    assert (entry.created_at, entry.expires_at) == (100.0, 1000.0)
    assert (entry.attempts, entry.uncertain, entry.results) == (1, 0, ())


def test_a_key_is_added_once(application: Application) -> None:
    assert add(application, "order-17") is not None
    assert add(application, "order-17") is None
    assert add(application, "order-18") is not None
    assert application.store.counts().waiting == 2


def test_a_leased_entry_is_nobody_elses(application: Application) -> None:
    add(application)
    add(application)
    one, other = application.store, application.store

    first = lease(one, limit=1)
    second = lease(other)

    assert len(first) == len(second) == 1
    assert first[0].identifier != second[0].identifier
    assert lease(other) == []


def test_two_workers_lease_at_the_same_moment(application: Application) -> None:
    """One has not committed yet: PostgreSQL skips its rows, SQLite has one writer."""
    if "postgresql" not in application.url:
        pytest.skip("SQLite has one writer at a time")
    for _ in range(4):
        add(application)
    slow = application.connect()
    database = database_of(slow)
    values = {"now": 100.0, "limit": 2, "leased_until": 160.0}
    rows = run(database, *statements.rendered(database.dialect.lease, database.style, values))

    others = lease(application.store)
    slow.commit()
    slow.close()

    assert len(rows) == len(others) == 2
    assert {row[0] for row in rows}.isdisjoint(one.identifier for one in others)


def test_what_is_due_the_longest_comes_first(application: Application) -> None:
    later, sooner = add(application, due_at=90.0), add(application, due_at=80.0)
    not_yet = add(application, due_at=100.5)

    assert [one.identifier for one in lease(application.store, limit=1)] == [sooner]
    assert [one.identifier for one in lease(application.store)] == [later]
    assert [one.identifier for one in lease(application.store, now=101.0)] == [not_yet]


def test_a_lease_that_ran_out_counts_an_attempt_as_uncertain(application: Application) -> None:
    add(application)
    dead, heir = application.store, application.store
    [lost] = lease(dead)

    assert lease(heir, now=159.0) == []
    [found] = lease(heir, now=161.0)

    assert (found.attempts, found.uncertain) == (2, 1)
    assert found.fence > lost.fence
    assert heir.counts().uncertain == 1


def test_a_worker_that_was_slow_settles_nothing(application: Application) -> None:
    add(application)
    slow, quick = application.store, application.store
    [lost] = lease(slow)
    [found] = lease(quick, now=200.0)
    settlement = Settlement(lost.identifier, lost.fence, None, 0.0, (DELIVERED,), "250")

    assert not slow.settle(settlement, 201.0)
    assert not slow.renew(lost.identifier, lost.fence, 500.0)
    assert not slow.give_back(lost.identifier, lost.fence)
    assert quick.settle(replace(settlement, fence=found.fence), 202.0)
    assert quick.counts().finished == 1


def test_a_renewed_lease_lasts_longer(application: Application) -> None:
    add(application)
    store = application.store
    [entry] = lease(store)

    assert store.renew(entry.identifier, entry.fence, 300.0)

    assert lease(store, now=299.0) == []
    assert len(lease(store, now=301.0)) == 1


def test_what_was_given_back_was_no_attempt(application: Application) -> None:
    add(application)
    store = application.store
    [entry] = lease(store)

    assert store.give_back(entry.identifier, entry.fence)

    [again] = lease(store)
    assert (again.attempts, again.uncertain) == (1, 0)


def test_an_entry_put_off_keeps_what_has_ended(application: Application) -> None:
    add(application)
    store = application.store
    [entry] = lease(store)
    left = replace(ENVELOPE, recipients=ENVELOPE.recipients[1:])

    store.settle(
        Settlement(entry.identifier, entry.fence, left, 300.0, (DELIVERED,), "450 later\0\udcff"),
        110.0,
    )

    assert lease(store, now=299.0) == []
    [again] = lease(store, now=300.0)
    assert again.envelope == left
    assert again.results == (DELIVERED,)
    assert again.content == CONTENT
    assert (again.attempts, again.uncertain) == (2, 0)


def test_a_finished_entry_keeps_its_key_but_not_its_content(application: Application) -> None:
    add(application, "order-17")
    store = application.store
    [entry] = lease(store)
    failed = Progress("bob@example.net", "permanent", "550 no such user", "no-such-mailbox")

    store.settle(
        Settlement(entry.identifier, entry.fence, None, 0.0, (DELIVERED, failed), "550"), 110.0
    )

    assert add(application, "order-17") is None
    assert application.rows("SELECT content FROM waypost_outbox") == [(None,)]
    counts = store.counts()
    assert (counts.waiting, counts.finished, counts.failed, counts.oldest) == (0, 1, 1, None)


def test_old_finished_entries_are_pruned(application: Application) -> None:
    add(application, "order-17")
    store = application.store
    [entry] = lease(store)
    store.settle(Settlement(entry.identifier, entry.fence, None, 0.0, (DELIVERED,), "250"), 110.0)

    assert store.prune(110.0, 10) == 0
    assert store.prune(111.0, 10) == 1
    assert add(application, "order-17") is not None


def test_everything_is_retried_now(application: Application) -> None:
    add(application, due_at=900.0)
    store = application.store

    assert store.retry_now(100.0) == 1

    assert len(lease(store)) == 1


def test_an_unreadable_entry_is_told_and_brought_to_its_end(application: Application) -> None:
    identifier = add(application)
    readable = add(application)
    application.rows(f"UPDATE waypost_outbox SET envelope = '{{' WHERE id = {identifier}")
    store = application.store

    leased, [(number, fence, why)] = store.lease(100.0, 10, 60.0)
    assert store.give_up(number, fence, why, 110.0)

    assert [one.identifier for one in leased] == [readable]
    assert number == identifier
    assert "cannot be read" in why
    assert store.counts().failed == 1


def test_a_connection_that_broke_is_opened_anew(application: Application) -> None:
    add(application)
    store = application.store
    store.counts()
    assert store._database is not None
    store._database.driver.close()

    with pytest.raises(Exception, match=r"(?i)closed"):
        store.counts()

    assert store.counts().waiting == 1


def test_json_keeps_what_it_is_given() -> None:
    assert envelope_from_json(envelope_to_json(ENVELOPE)) == ENVELOPE
    results = (DELIVERED, Progress("b@example.org", "temporary", "\udcff \0", "timeout", True))
    assert results_from_json(results_to_json(results)) == results


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"reverse_path": 1}', '{"body": "9BIT"}'])
def test_json_that_is_no_envelope_is_told(text: str) -> None:
    with pytest.raises(UnreadableEntry):
        envelope_from_json(text)


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '[["a", "perhaps", "", "", false]]'])
def test_json_that_is_no_results_is_told(text: str) -> None:
    with pytest.raises(UnreadableEntry):
        results_from_json(text)


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite::memory:", "mysql://host/db", "app.db"])
def test_a_database_that_cannot_be_an_outbox_is_told(url: str) -> None:
    with pytest.raises(UnknownDatabase, match="sqlite:PATH"):
        connect_to(url)


def test_an_unknown_connection_is_told() -> None:
    with pytest.raises(UnknownConnection, match=r"builtins\.dict.*insertion"):
        database_of({})
