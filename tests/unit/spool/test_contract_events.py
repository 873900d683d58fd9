"""The contract of the event log: what is in it, in which order, and what a crash leaves."""

from __future__ import annotations

import json

from spool_world import (
    NOON,
    Commit,
    World,
    append,
    begin_append,
    envelope,
    finish,
    mark_started,
    on_spool,
    record,
    result,
)

from waypost.spool.contract import MessageFilter, NewMessage, RecipientState
from waypost.spool.events import EntryKind, LogEntry

QUEUED, BOUNCED = RecipientState.QUEUED, RecipientState.BOUNCED


async def everything(world: World, after: int = 0) -> list[LogEntry]:
    """The log, read by small pieces."""
    found: list[LogEntry] = []
    while True:
        piece = await world.spool.entries(found[-1].number if found else after, 3)
        assert len(piece) <= 3
        if not piece:
            return found
        found += piece


def kinds(entries: list[LogEntry]) -> list[EntryKind]:
    return [entry.kind for entry in entries]


def addresses(entry: LogEntry) -> list[str]:
    assert entry.message is not None
    return [recipient.address for recipient in entry.message.recipients]


@on_spool
async def test_nothing_is_recorded_until_somebody_wants_it(world: World) -> None:
    await append(world)
    state = await world.spool.event_log()
    assert (state.identity, state.is_recording, state.first, state.last) == ("", False, 0, 0)
    assert await world.spool.entries(0, 10) == []


@on_spool
async def test_a_message_and_its_attempts_are_entries_in_the_order_of_commits(
    world: World,
) -> None:
    await world.spool.record_events(wanted=True)
    first = await append(world, "ann@there.example", "bob@there.example", subject="One")
    second = await append(world, "cid@there.example", received=1.0)
    await finish(
        world, first, result(0), result(1, QUEUED, due=60.0, reply="451", reason="greylisted"),
        at=2.0,
    )  # fmt: skip
    log = await everything(world)
    assert kinds(log) == [EntryKind.ACCEPTED, EntryKind.ACCEPTED, EntryKind.ATTEMPTED]
    assert [entry.identifier for entry in log] == [first, second, first]
    assert [entry.at for entry in log] == [NOON, NOON + 1.0, NOON + 2.25]
    assert log[0].message is not None
    assert (log[0].message.subject, log[0].message.user) == ("One", "app")
    assert addresses(log[0]) == addresses(log[2]) == ["ann@there.example", "bob@there.example"]
    attempt = log[2].attempt
    assert attempt is not None
    assert (attempt.route, attempt.transcript) == ("smarthost", "")
    assert [one.reason for one in attempt.results] == ["", "greylisted"]


@on_spool
async def test_an_entry_names_only_the_recipients_that_it_is_about(world: World) -> None:
    await world.spool.record_events(wanted=True)
    message = await append(world, "ann@one.example", "bob@two.example", "cid@one.example")
    await finish(world, message, result(1))
    await finish(world, message, result(0), result(2), at=1.0)
    log = await everything(world)
    assert [addresses(entry) for entry in log[1:]] == [
        ["bob@two.example"], ["ann@one.example", "cid@one.example"],
    ]  # fmt: skip


@on_spool
async def test_what_operators_do_is_an_entry_for_each_recipient(world: World) -> None:
    await world.spool.record_events(wanted=True)
    message = await append(world, "ann@there.example", "bob@there.example", "cid@there.example")
    await mark_started(world, message, 2)
    one = MessageFilter(recipient="ann@there.example")
    world.clock.time = NOON + 5.0
    assert await world.spool.hold(one) == 1
    world.clock.time = NOON + 6.0
    assert await world.spool.release(one, NOON + 6.0) == 1
    assert await world.spool.retry(one, NOON + 7.0) == 1
    world.clock.time = NOON + 8.0
    assert await world.spool.cancel(MessageFilter(), "no") == 2
    await world.spool.set_aside(message, "it cannot be read")
    log = await everything(world)
    assert [(entry.kind, *addresses(entry), entry.at - NOON) for entry in log[1:]] == [
        (EntryKind.HELD, "ann@there.example", 5.0),
        (EntryKind.RELEASED, "ann@there.example", 6.0),
        (EntryKind.CANCELLED, "ann@there.example", 8.0),
        (EntryKind.CANCELLED, "bob@there.example", 8.0),
        (EntryKind.DAMAGED, "cid@there.example", 8.0),
    ]


@on_spool
async def test_what_came_from_elsewhere_can_be_added(world: World) -> None:
    message = await append(world, "ann@there.example", "bob@there.example")
    detail = json.dumps({"feedback": "abuse"})
    number = await world.spool.append_event("complained", message, NOON + 9.0, detail, 1)
    other = await world.spool.append_event("unsubscribed", 0, NOON + 9.5, "{}")
    told, of_none = await everything(world)
    assert (told.number, told.kind, told.name, told.detail) == (
        number, EntryKind.TOLD, "complained", detail,
    )  # fmt: skip
    assert addresses(told) == ["bob@there.example"]
    assert (of_none.number, of_none.identifier, of_none.message) == (other, 0, None)


@on_spool
async def test_a_notice_of_the_relay_is_accepted_with_the_outcome_it_tells_of(
    world: World,
) -> None:
    await world.spool.record_events(wanted=True)
    message = await append(world)
    writer = world.spool.body_writer(None)
    writer.write(b"Subject: bounce\r\n\r\n")
    commit = Commit()
    first = (await world.spool.messages(MessageFilter()))[0]
    notice = NewMessage(
        writer.identifier, envelope("joe@sender.example", sender=""), first.received_at,
        first.expires_at, NOON, None, "the relay", writer.size, "bounce", "<2@here.example>", False,
    )  # fmt: skip
    world.spool.finish(
        record(message, result(0, BOUNCED, reason="no_such_user")), commit.done("f"),
        (notice, writer),
    )  # fmt: skip
    await commit.all("f")
    log = await everything(world)
    assert sorted((entry.kind, entry.identifier) for entry in log[1:]) == [
        (EntryKind.ACCEPTED, notice.identifier), (EntryKind.ATTEMPTED, message),
    ]  # fmt: skip


@on_spool
async def test_an_entry_is_there_after_a_crash_exactly_when_its_fact_is(world: World) -> None:
    await world.spool.record_events(wanted=True)
    kept = await append(world)
    await finish(world, kept)
    numbers = [entry.number for entry in await everything(world)]
    commit = Commit()
    begin_append(world, commit.done("perhaps"))
    await world.crash()
    log = await everything(world)
    there = {row.identifier for row in await world.spool.messages(MessageFilter())}
    assert {entry.identifier for entry in log} == there
    assert [entry.number for entry in log][:2] == numbers
    await append(world)
    assert len(await everything(world)) == len(log) + 1, "it still records"


@on_spool
async def test_a_log_that_was_ended_keeps_what_is_in_it_and_its_name(world: World) -> None:
    state = await world.spool.record_events(wanted=True)
    await append(world)
    await world.spool.record_events(wanted=False)
    await append(world)
    assert len(await everything(world)) == 1
    again = await world.spool.record_events(wanted=True)
    assert again.identity == state.identity != ""
    await append(world)
    assert [entry.number for entry in await everything(world)] == [1, 2]


@on_spool
async def test_retention_takes_the_oldest_and_never_lets_a_number_come_again(
    world: World,
) -> None:
    await world.spool.record_events(wanted=True)
    for second in range(5):
        await append(world, received=float(second))
    assert await world.spool.prune_events(NOON + 2.0, 100) == 2
    assert await world.spool.prune_events(NOON + 100.0, 1) == 1
    assert await world.spool.prune_events(NOON + 100.0, 100) == 1
    state = await world.spool.event_log()
    assert (state.first, state.last) == (5, 5)
    await append(world)
    assert [entry.number for entry in await everything(world)] == [5, 6]


@on_spool
async def test_of_a_removed_message_the_entry_is_left_alone(world: World) -> None:
    await world.spool.record_events(wanted=True)
    message = await append(world)
    await finish(world, message)
    assert await world.spool.prune(NOON + 1.0, 10) == 1
    log = await everything(world)
    assert [(entry.identifier, entry.message, entry.attempt) for entry in log] == [
        (message, None, None), (message, None, None),
    ]  # fmt: skip


@on_spool
async def test_a_place_in_the_log_is_found_by_time(world: World) -> None:
    assert await world.spool.entry_before(NOON) == 0
    await world.spool.record_events(wanted=True)
    for hour in range(10):
        await append(world, received=hour * 3600.0)
    await world.spool.prune_events(NOON + 2.5 * 3600.0, 100)
    for wanted in (0.0, 2.5, 4.0, 4.5, 8.9, 9.5):
        place = await world.spool.entry_before(NOON + wanted * 3600.0)
        found = [entry.at for entry in await world.spool.entries(place, 100)]
        assert found == [NOON + hour * 3600.0 for hour in range(3, 10) if hour >= wanted]


@on_spool
async def test_the_messages_to_which_something_has_happened_lately_are_found(
    world: World,
) -> None:
    await world.spool.record_events(wanted=True)
    first, second, third = [await append(world, received=float(n)) for n in range(3)]
    await finish(world, first)
    await world.spool.append_event("unsubscribed", 0, NOON, "{}")
    assert await world.spool.latest_messages(0, 10) == [first, third, second]
    assert await world.spool.latest_messages(0, 2) == [first, third]
    assert await world.spool.latest_messages(3, 10) == [first]
    assert await world.spool.latest_messages(5, 10) == []


@on_spool
async def test_messages_of_many_recipients_come_in_smaller_pieces(world: World) -> None:
    await world.spool.record_events(wanted=True)
    many = [f"r{number}@there.example" for number in range(3000)]
    for _ in range(3):
        await append(world, *many)
    seen: list[int] = []
    while piece := await world.spool.entries(seen[-1] if seen else 0, 100):
        assert all(addresses(entry) == many for entry in piece)
        seen += [entry.number for entry in piece]
    assert seen == [1, 2, 3]
