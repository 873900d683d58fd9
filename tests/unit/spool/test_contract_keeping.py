"""The contract of every spool: what is kept, and when it is called kept."""

from __future__ import annotations

import asyncio

import pytest
from spool_world import (
    DAY,
    NOON,
    Commit,
    World,
    append,
    begin_append,
    content_of,
    envelope,
    finish,
    identifiers,
    mark_started,
    on_spool,
    record,
    result,
    states,
)

from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.bodies import LARGE
from waypost.spool.contract import (
    BodyDamaged,
    MessageFilter,
    NewMessage,
    NotQueued,
    RecipientState,
    SpoolFailure,
)

DELIVERED, QUEUED, HELD = RecipientState.DELIVERED, RecipientState.QUEUED, RecipientState.HELD
BOUNCED, DAMAGED, CANCELLED = (
    RecipientState.BOUNCED, RecipientState.DAMAGED, RecipientState.CANCELLED,
)  # fmt: skip
NONE: frozenset[int] = frozenset()


@on_spool
async def test_what_was_called_back_is_there_after_a_crash(world: World) -> None:
    message = await append(world, content=b"kept\r\n")
    recovery = await world.crash()
    assert (recovery.messages, recovery.recipients) == (1, 1)
    assert await states(world, message) == [QUEUED]
    assert await content_of(await world.spool.open_body(message)) == b"kept\r\n"


@on_spool
async def test_a_large_body_is_there_after_a_crash(world: World) -> None:
    content = bytes(range(256)) * (LARGE // 256 * 3) + b"\r\n"
    message = await append(world, content=content)
    await world.crash()
    body = await world.spool.open_body(message)
    assert body.size == len(content)
    assert body.whole is None, "a large body does not sit whole in memory"
    pieces = [piece async for piece in body.chunks()]
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 256 * 1024


@on_spool
async def test_nothing_is_called_back_within_the_call(world: World) -> None:
    commit = Commit()
    begin_append(world, commit.done("append"))
    assert not commit.outcomes
    await commit.all("append")


@on_spool
async def test_the_body_can_be_read_before_it_is_durable(world: World) -> None:
    commit = Commit()
    _, body = begin_append(world, commit.done("append"), content=b"at once\r\n")
    assert body.whole == b"at once\r\n"
    await commit.all("append")


@on_spool
async def test_callbacks_come_in_the_order_of_the_calls(world: World) -> None:
    commit = Commit()
    first, _ = begin_append(world, commit.done("one"))
    for number in range(300):  # more than one group
        begin_append(world, commit.done(f"append {number}"))
    world.spool.mark_started(first, [0], commit.done("mark"))
    await commit.all("one", "mark")
    world.spool.finish(record(first), commit.done("finish"))
    world.spool.warned(first, commit.done("warned"))
    begin_append(world, commit.done("last"))
    await commit.all("last")
    assert list(commit.outcomes) == [
        "one", *(f"append {number}" for number in range(300)), "mark", "finish", "warned", "last",
    ]  # fmt: skip


@on_spool
async def test_a_callback_that_raises_does_not_take_the_others_with_it(world: World) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reported.append(context["exception"])
    )
    fault = RuntimeError("a fault of the caller")

    def raising(_failure: Exception | None) -> None:
        raise fault

    commit = Commit()
    begin_append(world, raising)
    begin_append(world, commit.done("the other"))
    await commit.all("the other")
    await append(world)
    assert reported == [fault]


@on_spool
async def test_a_failed_operation_does_not_take_its_group_with_it(world: World) -> None:
    known = await append(world)
    commit = Commit()
    begin_append(world, commit.done("before"))
    writer = world.spool.body_writer(None)
    writer.write(b"x\r\n")
    world.spool.append(
        NewMessage(
            known, envelope("a@b.example"), NOON, NOON + DAY, NOON, None, "", 3, "", "", False
        ),
        writer,
        commit.done("twice"),
    )
    begin_append(world, commit.done("behind"))
    await commit.all("before", "behind")
    with pytest.raises(SpoolFailure):
        await commit.all("twice")
    assert (await world.spool.counts()).queued == 3


@on_spool
async def test_a_discarded_body_leaves_nothing(world: World) -> None:
    for size in (10, LARGE * 3):
        writer = world.spool.body_writer(size)
        writer.write(b"x" * size)
        writer.discard()
        writer.discard()
    assert await world.spool.messages(MessageFilter()) == []


@on_spool
async def test_discarding_after_the_append_changes_nothing(world: World) -> None:
    for size in (10, LARGE * 3):
        commit = Commit()
        writer = world.spool.body_writer(None)
        writer.write(b"x" * size)
        message = NewMessage(
            writer.identifier, envelope("a@b.example"), NOON, NOON + DAY, NOON, None, "", size, "",
            "", False,
        )  # fmt: skip
        world.spool.append(message, writer, commit.done("append"))
        writer.discard()
        await commit.all("append")
        body = await world.spool.open_body(message.identifier)
        assert await content_of(body) == b"x" * size


@on_spool
async def test_identifiers_rise_also_over_a_crash_and_with_a_clock_that_goes_back(
    world: World,
) -> None:
    first = await append(world)
    world.clock.time -= 3600
    second = world.spool.identifier()
    assert second > first
    await world.crash()
    assert world.spool.identifier() > first


@on_spool
async def test_the_envelope_comes_back_as_it_was_given(world: World) -> None:
    given = Envelope(
        "jö@sender.example",
        (
            Recipient("ann@there.example", frozenset({"SUCCESS", "FAILURE"}), "rfc822;a@b"),
            Recipient("bob@there.example", frozenset({"NEVER"})),
            Recipient("cyd@there.example"),
        ),
        "8BITMIME", True, True, "HDRS", "id-7",
    )  # fmt: skip
    await append(world, envelope_given=given)
    await world.crash()
    (loaded,) = await world.spool.load_due("there.example", NOON, 10, NONE)
    assert loaded.envelope == given
    assert [r.number for r in loaded.recipients] == [0, 1, 2]
    assert (loaded.user, loaded.message_id) == ("app", "<1@sender.example>")
    assert (loaded.received_at, loaded.expires_at) == (NOON, NOON + 5 * DAY)
    assert not loaded.warned


# --- attempts -----------------------------------------------------------------------------------


@on_spool
async def test_each_recipient_takes_its_own_way(world: World) -> None:
    message = await append(world, "a@one.example", "b@one.example", "c@two.example")
    await mark_started(world, message, 0, 1)
    await finish(
        world, message,
        result(0), result(1, QUEUED, 600, "450 4.2.1 busy", "mailbox-busy"),
    )  # fmt: skip
    (row,) = await world.spool.messages(MessageFilter())
    assert [r.state for r in row.recipients] == [DELIVERED, QUEUED, QUEUED]
    assert [r.attempts for r in row.recipients] == [1, 1, 0]
    assert [r.started for r in row.recipients] == [False, False, False]
    assert row.recipients[1].due_at == NOON + 600
    assert (row.recipients[1].last_reply, row.recipients[1].reason) == (
        "450 4.2.1 busy", "mailbox-busy",
    )  # fmt: skip
    (loaded,) = await world.spool.load_due("two.example", NOON, 10, NONE)
    assert [r.address for r in loaded.recipients] == ["c@two.example"]
    assert await world.spool.load_due("one.example", NOON + 599, 10, NONE) == []
    (loaded,) = await world.spool.load_due("one.example", NOON + 600, 10, NONE)
    assert [(r.number, r.attempts) for r in loaded.recipients] == [(1, 1)]
    assert [r.address for r in loaded.envelope.recipients] == ["b@one.example"]


@on_spool
async def test_the_body_goes_with_the_last_recipient_that_waits(world: World) -> None:
    for content in (b"small\r\n", b"large\r\n" * 50_000):
        message = await append(world, "a@one.example", "b@two.example", content=content)
        await finish(world, message, result(0))
        assert await content_of(await world.spool.open_body(message)) == content
        await finish(world, message, result(1, BOUNCED, 0, "550 5.1.1 unknown", "no-mailbox"))
        await append(world)  # a commit behind it, so that the file has had its time to go
        with pytest.raises(BodyDamaged):
            await content_of(await world.spool.open_body(message))


@on_spool
async def test_a_final_state_stays(world: World) -> None:
    message = await append(world)
    await finish(world, message, result(0))
    await finish(world, message, result(0, BOUNCED), at=1)
    await finish(world, message, result(0, QUEUED, 60), at=2)
    everything = MessageFilter(identifiers=(message,))
    assert await world.spool.hold(everything) == 0
    assert await world.spool.release(everything, NOON) == 0
    assert await world.spool.retry(everything, NOON) == 0
    assert await world.spool.cancel(everything, "no") == 0
    await world.spool.set_aside(message, "no")
    assert await states(world, message) == [DELIVERED]
    with pytest.raises(NotQueued):
        await mark_started(world, message)


@on_spool
async def test_a_message_for_later_knows_when_its_time_begins(world: World) -> None:
    later = Envelope("joe@sender.example", (Recipient("a@one.example"),), hold_until=NOON + DAY)
    message = await append(world, envelope_given=later, due=DAY)
    await world.crash()
    (queued,) = await world.spool.load_message(message)
    assert queued.envelope == later
    assert (queued.received_at, queued.begins_at) == (NOON, NOON + DAY)
    assert await world.spool.load_due("one.example", NOON + DAY - 1, 10, frozenset()) == []
    assert len(await world.spool.load_due("one.example", NOON + DAY, 10, frozenset())) == 1


@on_spool
async def test_an_attempt_that_a_crash_cut_off_is_counted_and_tried_again(world: World) -> None:
    marked = await append(world, "a@one.example", "b@one.example")
    await mark_started(world, marked, 0)
    begun = await append(world, "c@one.example", started=True)
    ended = await append(world, "d@one.example", started=True)
    await finish(world, ended, result(0))
    recovery = await world.crash()
    assert recovery.uncertain == 2
    assert (recovery.messages, recovery.recipients) == (2, 3)
    loaded = await world.spool.load_due("one.example", NOON, 10, NONE)
    assert identifiers(loaded) == [marked, begun]
    assert [r.attempts for r in loaded[0].recipients] == [1, 0]
    (row,) = await world.spool.messages(MessageFilter(identifiers=(begun,)))
    assert not row.recipients[0].started
    assert "may have been delivered" in row.recipients[0].last_reply
    assert (await world.crash()).uncertain == 0


@on_spool
async def test_no_attempt_begins_for_a_recipient_that_was_held_or_cancelled_meanwhile(
    world: World,
) -> None:
    message = await append(world, "a@one.example", "b@one.example")
    innocent = await append(world, "c@one.example")
    assert await world.spool.cancel(MessageFilter(recipient="a@one.example"), "changed mind") == 1
    commit = Commit()
    world.spool.mark_started(message, [0, 1], commit.done("mark"))
    world.spool.mark_started(innocent, [0], commit.done("innocent"))
    await commit.all("innocent")
    with pytest.raises(NotQueued):
        await commit.all("mark")
    (row,) = await world.spool.messages(MessageFilter(identifiers=(message,)))
    assert [r.started for r in row.recipients] == [False, False]
    with pytest.raises(NotQueued):
        await mark_started(world, 12345)


@on_spool
async def test_attempts_are_kept_with_their_transcripts_oldest_first(world: World) -> None:
    message = await append(world)
    first = record(message, result(0, QUEUED, 60, "451 later", "busy"), at=1)
    second = record(message, result(0), at=61)
    commit = Commit()
    world.spool.finish(first, commit.done("first"))
    world.spool.finish(second, commit.done("second"))
    await commit.all("first", "second")
    assert await world.spool.attempts(message) == [first, second]
    assert await world.spool.attempts(message + 1) == []


@on_spool
async def test_attempts_of_the_same_moment_stand_side_by_side_also_after_a_crash(
    world: World,
) -> None:
    message = await append(world)
    await finish(world, message, result(0, QUEUED, 0, "first"))
    await world.crash()
    await finish(world, message, result(0, QUEUED, 0, "second"))
    replies = [one.results[0].reply for one in await world.spool.attempts(message)]
    assert replies == ["first", "second"]


@on_spool
async def test_a_notification_is_committed_with_the_outcome(world: World) -> None:
    message = await append(world, "a@one.example", sender="joe@sender.example")
    commit = Commit()
    for size in (20, LARGE * 2):
        writer = world.spool.body_writer(None)
        writer.write(b"n" * size)
        notice = NewMessage(
            writer.identifier, envelope("joe@sender.example", sender=""), NOON, NOON + DAY, NOON,
            None, "notice", size, "", "", False,
        )  # fmt: skip
        world.spool.finish(
            record(message, result(0, BOUNCED), at=size),
            commit.done(f"bounce {size}"),
            (notice, writer),
        )
        await commit.all(f"bounce {size}")
    await world.crash()
    assert await states(world, message) == [BOUNCED]
    small, large = await world.spool.load_due("sender.example", NOON, 10, NONE)
    assert small.envelope.reverse_path == ""
    assert await content_of(await world.spool.open_body(small.identifier)) == b"n" * 20
    assert await content_of(await world.spool.open_body(large.identifier)) == b"n" * LARGE * 2


@on_spool
async def test_a_notification_that_cannot_be_kept_leaves_the_outcome_undone(world: World) -> None:
    message = await append(world)
    writer = world.spool.body_writer(None)
    writer.write(b"notice\r\n")
    taken = NewMessage(
        message, envelope("joe@sender.example", sender=""), NOON, NOON + DAY, NOON, None, "notice",
        8, "", "", False,
    )  # fmt: skip
    commit = Commit()
    world.spool.finish(record(message, result(0, BOUNCED)), commit.done("one"), (taken, writer))
    with pytest.raises(SpoolFailure):
        await commit.all("one")
    assert await states(world, message) == [QUEUED]
    assert await world.spool.attempts(message) == []
    good = NewMessage(
        writer.identifier, taken.envelope, NOON, NOON + DAY, NOON, None, "notice", 8, "", "", False
    )
    # The very same writer, again: nothing of the notice was lost by the failure.
    world.spool.finish(record(message, result(0, BOUNCED)), commit.done("two"), (good, writer))
    await commit.all("two")
    body = await world.spool.open_body(writer.identifier)
    assert await content_of(body) == b"notice\r\n"


@on_spool
async def test_a_delay_warning_is_remembered(world: World) -> None:
    message = await append(world)
    commit = Commit()
    world.spool.warned(message, commit.done("warned"))
    await commit.all("warned")
    await world.crash()
    (loaded,) = await world.spool.load_due("there.example", NOON, 1, NONE)
    assert loaded.warned


@on_spool
async def test_what_is_set_aside_is_reported_kept_and_no_longer_tried(world: World) -> None:
    told: list[tuple[int, str]] = []
    world.spool.on_set_aside = lambda message, reason: told.append((message, reason))
    message = await append(world, "a@one.example", "b@one.example", content=b"evidence\r\n")
    await finish(world, message, result(0))
    await world.spool.set_aside(message, "its content is damaged")
    assert told == [(message, "its content is damaged")]
    assert await states(world, message) == [DELIVERED, DAMAGED]
    assert await world.spool.load_due("one.example", NOON, 10, NONE) == []
    assert await world.spool.due_queues(NOON, "", 10) == []
    assert await content_of(await world.spool.open_body(message)) == b"evidence\r\n"
    assert await world.spool.prune(NOON + 1, 10) == 0, "somebody has to look at it first"
    (row,) = await world.spool.messages(MessageFilter(states=(DAMAGED,)))
    assert row.recipients[1].last_reply == "its content is damaged"
    await world.spool.set_aside(message, "again")
    assert len(told) == 1
    await finish(world, message, result(1), at=1)  # an attempt that was under way ends
    assert await states(world, message) == [DELIVERED, DAMAGED]
    assert await content_of(await world.spool.open_body(message)) == b"evidence\r\n"


# --- the sandbox --------------------------------------------------------------------------------


@on_spool
async def test_what_is_captured_outlives_the_delivery(world: World) -> None:
    for content in (b"small\r\n", b"large\r\n" * 50_000):
        message = await append(world, "a@one.example", "b@two.example", content=content)
        commit = Commit()
        world.spool.capture(message, ["a@one.example"], NOON + 1, commit.done("capture"))
        world.spool.finish(record(message, result(0)), commit.done("finish"))
        world.spool.capture(message, ["b@two.example"], NOON + 2, commit.done("capture 2"))
        world.spool.finish(record(message, result(1), at=1), commit.done("finish 2"))
        await commit.all("capture", "finish", "capture 2", "finish 2")
        await append(world)
        await world.crash()
        caught = (await world.spool.captured(10))[0]
        assert caught.identifier == message
        assert caught.recipients == ("a@one.example", "b@two.example")
        assert (caught.reverse_path, caught.size) == ("joe@sender.example", len(content))
        body = await world.spool.captured_content(message)
        assert await content_of(body) == content
    newest, oldest = await world.spool.captured(10)
    assert newest.identifier > oldest.identifier
    assert await world.spool.captured(1) == [newest]
    assert await world.spool.captured(10, newest.identifier) == [oldest]
    with pytest.raises(BodyDamaged):
        await world.spool.captured_content(1)
    with pytest.raises(BodyDamaged):
        await content_of(await world.spool.open_body(newest.identifier))


@on_spool
async def test_what_is_captured_can_be_forgotten_and_the_log_stays(world: World) -> None:
    caught = []
    for content in (b"small\r\n", b"large\r\n" * 50_000, b"stays\r\n"):
        message = await append(world, "a@one.example", content=content)
        commit = Commit()
        world.spool.capture(message, ["a@one.example"], NOON + 1, commit.done("capture"))
        world.spool.finish(record(message, result(0)), commit.done("finish"))
        await commit.all("capture", "finish")
        caught.append(message)
    small, large, stays = caught
    assert await world.spool.remove_captured([small, large, small, 1]) == 2
    assert await world.spool.remove_captured([small]) == 0
    assert await world.spool.remove_captured([]) == 0
    await world.crash()
    assert [one.identifier for one in await world.spool.captured(10)] == [stays]
    assert await content_of(await world.spool.captured_content(stays)) == b"stays\r\n"
    for message in (small, large):
        with pytest.raises(BodyDamaged):
            await world.spool.captured_content(message)
    assert len(await world.spool.messages(MessageFilter())) == 3
    assert (await world.spool.counts()).bytes_used < 300_000  # the file of the large one is gone


@on_spool
async def test_forgetting_a_capture_leaves_the_content_to_a_recipient_that_waits(
    world: World,
) -> None:
    content = b"large\r\n" * 50_000
    message = await append(world, "a@one.example", "b@two.example", content=content)
    commit = Commit()
    world.spool.capture(message, ["a@one.example"], NOON + 1, commit.done("capture"))
    await commit.all("capture")
    assert await world.spool.remove_captured([message]) == 1
    assert await content_of(await world.spool.open_body(message)) == content


@on_spool
async def test_room_that_was_left_at_the_beginning_is_filled(world: World) -> None:
    """For a signature, which is known when the body is."""
    contents = [bytes(range(256)) * (size // 256 + 1) for size in (100, LARGE, 3 * LARGE + 17)]
    messages = [await append(world, content=one, first=b"s" * 300) for one in contents]
    await world.crash()

    for message, content in zip(messages, contents, strict=True):
        stored = await content_of(await world.spool.open_body(message))
        assert stored == b"s" * 300 + content


@on_spool
async def test_room_is_filled_in_a_body_that_is_given_up_without_harm(world: World) -> None:
    writer = world.spool.body_writer(None)
    writer.reserve(300)
    writer.write(b"x" * LARGE)
    writer.discard()
    writer.fill(b"s" * 300)
