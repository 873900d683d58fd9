"""Counting on the way of every message, and the rings and tables it is laid into."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.control.statistics_counting import HEARD, PENDING, Counting
from waypost.control.statistics_rings import Ring
from waypost.control.statistics_rows import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    BOUNDS,
    BUCKETS,
    DEFERRED,
    DELIVERED,
    FIRST_REPLY,
    SENT_BYTES,
    DestinationRow,
    ReasonRow,
    bucket_of,
    durations_of,
    first_reply_of,
    percentile,
)
from waypost.control.statistics_tables import REST, SLACK, BoundedTable
from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import (
    AttemptRecord,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientResult,
    RecipientState,
)

TRANSCRIPT = "0.0 > MAIL FROM:<a@here.example>\n0.0 > DATA\n3.5 < 250 Ok\n4.0 < 354 go"


def new(*addresses: str, size: int = 100) -> NewMessage:
    """A message that has been accepted."""
    envelope = Envelope("app@here.example", tuple(map(Recipient, addresses)))
    return NewMessage(1, envelope, 0.0, 9.0, 0.0, None, "test", size, "", "", False)


def attempt(
    *outcomes: tuple[str, RecipientState],
    route: str = "default",
    next_hop: str = "mx[192.0.2.1]:25",
    seconds: float = 0.2,
    reply: str = "250 Ok",
    reason: str = "",
    message: int = 7,
) -> tuple[QueuedMessage, AttemptRecord]:
    """What a watcher is told of an attempt."""
    envelope = Envelope("app@here.example", tuple(Recipient(one) for one, _ in outcomes))
    waiting = [QueuedRecipient(n, one, 0, 0.0) for n, (one, _) in enumerate(outcomes)]
    queued = QueuedMessage(message, envelope, waiting, 0.0, 9.0, None, 100, False)
    results = tuple(
        RecipientResult(n, state, 0.0, reply, reason) for n, (_, state) in enumerate(outcomes)
    )
    record = AttemptRecord(
        message, 1000.0, seconds, route, next_hop, "", results, TRANSCRIPT if next_hop else ""
    )
    return queued, record


# --- counting --------------------------------------------------------------------------------


def test_a_message_is_counted_once_and_its_recipients_each() -> None:
    counting = Counting()
    counting.take(new("a@one.example", "b@two.example"), None)
    counting.take(new("a@one.example", size=50), None)
    gathered = counting.gathered()
    assert (gathered.messages, gathered.accepted, gathered.bytes) == (2, 3, 150)
    assert counting.gathered().is_empty, "what was taken is not counted again"


def test_an_attempt_counts_by_route_by_destination_and_by_reason() -> None:
    counting = Counting()
    states = (RecipientState.DELIVERED, RecipientState.QUEUED)
    outcomes = zip(("a@One.example", "b@two.example"), states, strict=True)
    counting.take(*attempt(*outcomes, reply="451 later", reason="greylisted"))
    gathered = counting.gathered()
    row = gathered.routes["default"]
    assert (row[ATTEMPTS], row[DELIVERED], row[DEFERRED], row[SENT_BYTES]) == (1, 1, 1, 100)
    assert row[ATTEMPT_SECONDS + bucket_of(0.2)] == 1
    assert row[FIRST_REPLY + bucket_of(0.0035)] == 1
    one, two = gathered.destinations["one.example"], gathered.destinations["two.example"]
    assert (one.use, one.numbers[DELIVERED], one.failed_at) == (1, 1, 0.0)
    assert (two.numbers[DEFERRED], two.reply, two.reason) == (1, "451 later", "greylisted")
    assert (two.message, two.failed_at, two.route) == (7, 1000.2, "default")
    assert gathered.reasons["greylisted"].use == 1


def test_what_the_sandbox_catches_has_no_response_time_and_was_not_sent() -> None:
    counting = Counting()
    caught = ("a@one.example", RecipientState.DELIVERED)
    counting.take(*attempt(caught, route="sandbox", next_hop="sandbox", seconds=0.0))
    gathered = counting.gathered()
    assert gathered.routes["sandbox"] == [0, 0, 1] + [0] * (FIRST_REPLY + BUCKETS - 3)
    assert gathered.destinations["one.example"].numbers[SENT_BYTES] == 0


def test_what_expires_without_an_attempt_counts_as_no_attempt() -> None:
    counting = Counting()
    expired = ("a@one.example", RecipientState.EXPIRED)
    counting.take(*attempt(expired, route="", next_hop="", seconds=0.0, reason="expired"))
    row = counting.gathered().routes[""]
    assert sum(row) == 1, "the outcome, and nothing else"


def test_destinations_within_a_second_are_bounded_and_none_is_lost() -> None:
    counting = Counting()
    for number in range(3 * PENDING):
        counting.take(*attempt((f"a@{number}.example", RecipientState.DELIVERED)))
    counting.take(*attempt(("a@0.EXAMPLE", RecipientState.DELIVERED)))
    rows = counting.gathered().destinations
    assert len(rows) <= PENDING + 1
    assert sum(row.use for row in rows.values()) == 3 * PENDING + 1
    assert rows["0.example"].use == 2, "a known name in other letters is still known"


def test_of_many_attempts_a_bounded_sample_is_read() -> None:
    counting = Counting()
    for _ in range(HEARD + 10):
        counting.take(*attempt(("a@one.example", RecipientState.DELIVERED)))
    row = counting.gathered().routes["default"]
    assert sum(row[FIRST_REPLY:]) == HEARD
    assert row[ATTEMPTS] == HEARD + 10


@pytest.mark.parametrize(
    ("transcript", "seconds"),
    [
        ("", None),
        ("0.0 > MAIL FROM:<a@b>", None),
        ("0.0 * connected\n12.0 < 220 hello", 0.012),
        ("5.0 < 220 hello", 0.005),
        ("0.0 > X < Y\n9.0 < 500 what", None),
    ],
)
def test_the_first_reply_of_a_transcript(transcript: str, seconds: float | None) -> None:
    assert first_reply_of(transcript) == seconds


# --- histograms ------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 900), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_exact_to_the_width_of_its_bucket(times: list[float], share: float) -> None:
    buckets = [0] * BUCKETS
    for one in times:
        buckets[bucket_of(one)] += 1
    rank = max(0, -(-len(times) * share // 1) - 1)
    exact = sorted(times)[min(int(rank), len(times) - 1)]
    place = bucket_of(exact)
    lower = BOUNDS[place - 1] if place else 0.0
    found = percentile(buckets, share)
    assert lower <= found <= BOUNDS[min(place, len(BOUNDS) - 1)]


def test_exactly_a_second_is_within_a_second() -> None:
    buckets = [0] * BUCKETS
    for one in (0.1, 1.0, 1.001, 700.0):
        buckets[bucket_of(one)] += 1
    found = durations_of(buckets)
    assert found is not None
    assert (found.number, found.within_a_second) == (4, 0.5)
    assert durations_of([0] * BUCKETS) is None


# --- tables ----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), max_size=400))
def test_a_table_is_bounded_and_loses_no_count(uses: list[tuple[int, int]]) -> None:
    keep = 5
    table: BoundedTable[ReasonRow] = BoundedTable(keep, ReasonRow)
    for name, times in uses:
        row = ReasonRow()
        row.numbers[DEFERRED] = times
        table.add(str(name), row)
        assert len(table.rows) <= keep * SLACK + 1
    table.cut()
    assert len(table.rows) <= keep + 1
    assert sum(row.use for row in table.rows.values()) == sum(times for _, times in uses)


def test_the_names_used_most_stay_however_many_others_come() -> None:
    table: BoundedTable[ReasonRow] = BoundedTable(3, ReasonRow)
    row = ReasonRow()
    row.numbers[DEFERRED] = 1
    for number in range(1000):
        table.add("often", row)
        table.add(f"once {number}", row)
    table.cut()
    assert table.rows["often"].use == 1000
    assert sum(one.use for one in table.rows.values()) == 2000
    assert REST in table.rows


def test_rows_come_back_as_they_were_kept() -> None:
    row = DestinationRow()
    row.numbers[DELIVERED], row.seconds, row.reply, row.failed_at = 3, 1.5, "550 no", 9.0
    assert DestinationRow.restored(row.kept()).kept() == row.kept()
    for damaged in ([], [[1], 0.0], [["x"] * 7, 0, 0, 0, "", "", 0, ""], [[-1] * 7] + [0] * 7):
        with pytest.raises((ValueError, TypeError)):
            DestinationRow.restored(damaged)


# --- rings -----------------------------------------------------------------------------------


def ring(capacity: int = 4) -> Ring[list[int]]:
    return Ring(60, capacity, lambda: [0])


def test_a_ring_keeps_the_last_slots() -> None:
    slots = ring()
    for minute in range(10):
        slots.at(minute * 60.0)[0] = minute
    assert [slot[0] for slot in slots.since(0, 600)] == [6, 7, 8, 9]
    assert slots.gone == set(range(6))


Moments = st.lists(st.integers(-10_000, 10_000), max_size=60)


@given(Moments)
def test_however_the_clock_jumps_each_count_is_where_the_clock_stood(moments: list[int]) -> None:
    slots = ring(capacity=1000)
    for moment in moments:
        slots.at(moment)[0] += 1
    for moment in moments:
        slot = slots.get(moment // 60)
        assert slot == [sum(one // 60 == moment // 60 for one in moments)]
    assert sum(slot[0] for slot in slots.since(-10_000, 10_000)) == len(moments)


@given(Moments)
def test_however_the_clock_jumps_a_ring_is_bounded(moments: list[int]) -> None:
    slots = ring(capacity=3)
    for moment in moments:
        slots.at(moment)[0] += 1
        assert len(slots) <= 3
        assert slots.get(slots.slot_of(moment)) is not None, "what is now is always there"
    assert not slots.changed & slots.gone


def test_a_clock_that_was_wrong_for_a_minute_throws_nothing_away() -> None:
    slots = ring(capacity=10)
    for minute in range(5):
        slots.at(minute * 60.0)[0] = 1
    slots.at(10.0**9)[0] = 1
    slots.at(5 * 60.0)[0] = 1
    assert sum(slot[0] for slot in slots.since(0, 5 * 60.0)) == 6
    assert sum(slot[0] for slot in slots.since(0, 2 * 10.0**9)) == 7


def test_a_slot_that_left_and_came_again_is_kept() -> None:
    slots: Ring[Any] = ring(capacity=1)
    slots.at(0.0)
    slots.at(60.0)
    slots.at(0.0)
    assert slots.gone == {1}
    assert slots.changed == {0}
