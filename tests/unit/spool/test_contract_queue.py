"""The contract of every spool: what is due, and what people may do with it."""

from __future__ import annotations

import pytest
from spool_world import (
    DAY,
    NOON,
    Commit,
    World,
    append,
    begin_append,
    finish,
    identifiers,
    mark_started,
    on_spool,
    record,
    result,
    states,
)

from waypost.spool.contract import (
    BodyDamaged,
    DueQueue,
    MessageFilter,
    RecipientState,
    SelectedRecipient,
    Suppression,
    WaitingDestination,
)

QUEUED, HELD, DELIVERED = RecipientState.QUEUED, RecipientState.HELD, RecipientState.DELIVERED
BOUNCED, CANCELLED = RecipientState.BOUNCED, RecipientState.CANCELLED
NONE: frozenset[int] = frozenset()
ALL = MessageFilter(limit=0)


@on_spool
async def test_the_oldest_due_comes_first_and_the_excluded_not_at_all(world: World) -> None:
    late = await append(world, "a@one.example", due=20)
    early = await append(world, "b@one.example", due=10)
    same = await append(world, "c@one.example", due=10)
    await append(world, "d@one.example", due=100)
    await append(world, "e@two.example", due=0)

    async def load(limit: int, *excluded: int) -> list[int]:
        found = await world.spool.load_due("one.example", NOON + 50, limit, frozenset(excluded))
        return identifiers(found)

    assert await load(10) == [early, same, late]
    assert await load(2) == [early, same]
    assert await load(1, early) == [same]
    assert await load(10, early, same, late) == []
    assert await load(1, *range(1, 3000), early, same) == [late]


@on_spool
async def test_a_message_is_loaded_with_all_its_due_recipients_of_the_destination(
    world: World,
) -> None:
    addresses = [f"user{number}@one.example" for number in range(30)]
    first = await append(world, *addresses, "x@two.example", due=0)
    second = await append(world, *addresses, due=1)
    loaded = await world.spool.load_due("one.example", NOON + 1, 10, NONE)
    assert identifiers(loaded) == [first], "the limit counts recipients"
    assert [r.address for r in loaded[0].recipients] == addresses
    loaded = await world.spool.load_due("one.example", NOON + 1, 31, NONE)
    assert [len(message.recipients) for message in loaded] == [30, 30]
    assert identifiers(loaded) == [first, second]


@on_spool
async def test_the_domain_of_a_recipient_is_matched_without_case(world: World) -> None:
    message = await append(world, "Ann@One.EXAMPLE")
    (loaded,) = await world.spool.load_due("one.example", NOON, 10, NONE)
    assert loaded.identifier == message
    assert loaded.recipients[0].address == "Ann@One.EXAMPLE"


@on_spool
async def test_a_message_loads_by_domain_due_or_not(world: World) -> None:
    message = await append(world, "a@one.example", "b@two.example", "c@one.example", due=500)
    loaded = await world.spool.load_message(message)
    assert [[r.address for r in part.recipients] for part in loaded] == [
        ["a@one.example", "c@one.example"], ["b@two.example"],
    ]  # fmt: skip
    await finish(world, message, result(0), result(2))
    (part,) = await world.spool.load_message(message)
    assert [r.number for r in part.recipients] == [1]
    assert await world.spool.load_message(12345) == []


@on_spool
async def test_destinations_come_by_name_with_their_earliest(world: World) -> None:
    for name, due in (("c", 30), ("a", 10), ("b", 20), ("a", 5), ("d", 1)):
        await append(world, f"x@{name}.example", due=due)
    held = await append(world, "x@e.example")
    await world.spool.hold(MessageFilter(identifiers=(held,)))
    gone = await append(world, "x@f.example")
    await finish(world, gone, result(0))
    queues = await world.spool.due_queues(NOON, "", 10)
    assert queues == [
        DueQueue("a.example", NOON + 5), DueQueue("b.example", NOON + 20),
        DueQueue("c.example", NOON + 30), DueQueue("d.example", NOON + 1),
    ]  # fmt: skip
    assert await world.spool.due_queues(NOON, "", 2) == queues[:2]
    assert await world.spool.due_queues(NOON, "b.example", 2) == queues[2:]
    assert await world.spool.due_queues(NOON, "d.example", 2) == []


@on_spool
async def test_the_next_due_of_a_destination(world: World) -> None:
    await append(world, "x@one.example", due=10)
    await append(world, "y@one.example", due=20)
    await append(world, "y@two.example", due=15)
    assert await world.spool.next_due("one.example", NOON) == NOON + 10
    assert await world.spool.next_due("one.example", NOON + 10) == NOON + 20
    assert await world.spool.next_due("one.example", NOON + 20) is None
    assert await world.spool.next_due("none.example", NOON) is None


@on_spool
async def test_messages_whose_time_is_over(world: World) -> None:
    assert await world.spool.expired(NOON, 10) == []
    late = await append(world, "a@one.example", "b@two.example", expires=200)
    early = await append(world, expires=100)
    done = await append(world, expires=50)
    await finish(world, done, result(0))
    held = await append(world, expires=50)
    await world.spool.hold(MessageFilter(identifiers=(held,)))
    assert await world.spool.expired(NOON + 99, 10) == []
    assert await world.spool.expired(NOON + 100, 10) == [early]
    assert await world.spool.expired(NOON + 200, 10) == [late, early]
    assert await world.spool.expired(NOON + 200, 1) == [late]
    sooner = await append(world, expires=10)
    assert await world.spool.expired(NOON + 20, 10) == [sooner]
    await finish(world, sooner, result(0))
    assert await world.spool.expired(NOON + 20, 10) == []
    assert await world.spool.release(MessageFilter(identifiers=(held,)), NOON) == 1
    assert await world.spool.expired(NOON + 60, 10) == [held]


# --- looking ------------------------------------------------------------------------------------


@on_spool
async def test_every_field_of_a_filter(world: World) -> None:
    one = await append(
        world, "ann@one.example", "bob@two.example", sender="joe@sender.example",
        subject="Invoice 100%", message_id="<abc@sender.example>", received=0,
    )  # fmt: skip
    two = await append(
        world, "joann@one.example.org", sender="Joe_X@Other.example", subject="Invoice 100_",
        message_id="<def@other.example>", received=10,
    )  # fmt: skip
    three = await append(world, "ann@sub.one.example", sender="", subject="", received=20)
    await finish(world, one, result(0))
    await world.spool.hold(MessageFilter(identifiers=(three,)))

    async def found(**wanted: object) -> list[int]:
        rows = await world.spool.messages(MessageFilter(**wanted))  # type: ignore[arg-type]
        return [row.identifier for row in rows]

    assert await found() == [three, two, one], "newest first"
    assert await found(identifiers=(one, three, 5)) == [three, one]
    assert await found(sender="joe@sender.example") == [one]
    assert await found(sender="JOE@SENDER.example") == [one]
    assert await found(sender="oe@sender.example") == [], "an address is matched as a whole"
    assert await found(sender="@sender.example") == [one]
    assert await found(sender="@other.example") == [two]
    assert await found(sender="joe") == [two, one]
    assert await found(sender="joe_") == [two], "_ and % mean themselves"
    assert await found(sender="%") == []
    assert await found(sender="<>") == [three]
    assert await found(recipient="ann@one.example") == [one]
    assert await found(recipient="@one.example") == [one]
    assert await found(recipient="ann") == [three, two, one]
    assert await found(states=(DELIVERED,)) == [one]
    assert await found(states=(QUEUED,)) == [two, one]
    assert await found(states=(QUEUED, HELD)) == [three, two, one]
    assert await found(states=(HELD, DELIVERED)) == [three, one]
    assert await found(states=(BOUNCED,)) == []
    assert await found(states=(QUEUED,), recipient="ann@one.example") == [], "the same recipient"
    assert await found(states=(QUEUED,), recipient="bob@two.example") == [one]
    assert await found(older_than=NOON + 10) == [one]
    assert await found(user="app") == [three, two, one]
    assert await found(user="App") == [], "a user is meant as it is written"
    assert await found(text="invoice") == [two, one]
    assert await found(text="100%") == [one]
    assert await found(text="def@other") == [two]
    assert await found(text="two.example") == [one]
    assert await found(text="joe_x") == [two]
    assert await found(text="\\") == []
    assert await found(limit=2) == [three, two]
    assert await found(limit=0) == [three, two, one]
    assert await found(limit=2, before=two) == [one]
    assert await found(
        text="invoice", recipient="@two.example", sender="joe", states=(QUEUED, HELD),
        older_than=NOON + 5, before=three, identifiers=(one, two),
    ) == [one]  # fmt: skip


@on_spool
async def test_a_message_is_shown_with_what_is_known_of_it(world: World) -> None:
    message = await append(world, "Ann@One.example", subject="Hello")
    await mark_started(world, message)
    (row,) = await world.spool.messages(MessageFilter())
    assert (row.identifier, row.reverse_path) == (message, "joe@sender.example")
    assert (row.received_at, row.expires_at) == (NOON, NOON + 5 * DAY)
    assert (row.user, row.client, row.subject) == ("app", "127.0.0.1", "Hello")
    assert (row.size, row.message_id) == (21, "<1@sender.example>")
    (recipient,) = row.recipients
    assert (recipient.number, recipient.address) == (0, "Ann@One.example")
    assert (recipient.domain, recipient.state) == ("one.example", QUEUED)
    assert recipient.started


@on_spool
async def test_counts(world: World) -> None:
    assert (await world.spool.counts()).oldest_queued is None
    for number in range(3):
        await append(world, "a@one.example", "b@one.example", received=number)
    (third, second, first) = await world.spool.messages(MessageFilter())
    await finish(world, first.identifier, result(0), result(1, BOUNCED))
    await finish(world, second.identifier, result(0, RecipientState.EXPIRED), result(1, QUEUED, 60))
    await world.spool.cancel(MessageFilter(identifiers=(second.identifier,)), "x")
    await world.spool.hold(MessageFilter(identifiers=(third.identifier,), recipient="a@"))
    await world.spool.hold(
        MessageFilter(identifiers=(third.identifier,), recipient="a@one.example")
    )
    damaged = await append(world, received=50)
    await world.spool.set_aside(damaged, "gone")
    counts = await world.spool.counts()
    assert (counts.queued, counts.held, counts.delivered, counts.bounced) == (1, 1, 1, 1)
    assert (counts.expired, counts.cancelled, counts.damaged) == (1, 1, 1)
    assert counts.oldest_queued == NOON + 2
    assert counts.bytes_used > 0


# --- changing -----------------------------------------------------------------------------------


@on_spool
async def test_holding_and_releasing(world: World) -> None:
    message = await append(world, "a@one.example", "b@two.example", due=900)
    assert await world.spool.hold(MessageFilter(recipient="a@one.example")) == 1
    assert await states(world, message) == [HELD, QUEUED]
    await world.crash()
    assert await states(world, message) == [HELD, QUEUED]
    assert await world.spool.load_due("one.example", NOON + 1000, 10, NONE) == []
    assert await world.spool.hold(ALL) == 1
    assert await world.spool.release(ALL, NOON + 5) == 2
    for domain in ("one.example", "two.example"):
        (loaded,) = await world.spool.load_due(domain, NOON + 5, 10, NONE)
        assert loaded.recipients[0].due_at == NOON + 5


@on_spool
async def test_retrying_makes_due(world: World) -> None:
    message = await append(world, "a@one.example", "b@one.example", due=900)
    assert await world.spool.retry(MessageFilter(recipient="b@one.example"), NOON + 1) == 1
    (loaded,) = await world.spool.load_due("one.example", NOON + 1, 10, NONE)
    assert loaded.identifier == message
    assert [r.number for r in loaded.recipients] == [1]


@on_spool
async def test_cancelling_removes_the_body_with_the_last_recipient(world: World) -> None:
    for content in (b"small\r\n", b"large\r\n" * 50_000):
        message = await append(world, "a@one.example", "b@two.example", content=content)
        await world.spool.hold(MessageFilter(recipient="b@two.example"))
        one = MessageFilter(identifiers=(message,), recipient="@one.example")
        assert await world.spool.cancel(one, "by hand") == 1
        assert (await world.spool.open_body(message)).size == len(content)
        assert await world.spool.cancel(MessageFilter(identifiers=(message,)), "by hand") == 1
        assert await states(world, message) == [CANCELLED, CANCELLED]
        (row,) = await world.spool.messages(MessageFilter(identifiers=(message,)))
        assert (row.recipients[0].last_reply, row.recipients[0].reason) == (
            "by hand", "cancelled",
        )  # fmt: skip
        await append(world)
        with pytest.raises(BodyDamaged):
            await world.spool.open_body(message)


@on_spool
async def test_what_is_under_way_is_left_alone(world: World) -> None:
    message = await append(world, "a@one.example", "b@one.example", due=-5)
    await mark_started(world, message, 0)
    assert await world.spool.retry(ALL, NOON) == 1
    assert await world.spool.hold(ALL) == 1
    assert await world.spool.cancel(ALL, "x") == 1
    assert await states(world, message) == [QUEUED, CANCELLED]
    await finish(world, message, result(0))
    assert await states(world, message) == [DELIVERED, CANCELLED]


@on_spool
async def test_an_operation_touches_only_the_recipients_in_the_wanted_states(
    world: World,
) -> None:
    message = await append(world, "a@one.example", "b@one.example")
    await world.spool.hold(MessageFilter(recipient="a@one.example"))
    assert await world.spool.cancel(MessageFilter(states=(HELD,)), "x") == 1
    assert await states(world, message) == [CANCELLED, QUEUED]
    assert await world.spool.hold(MessageFilter(states=(HELD, CANCELLED))) == 0
    assert await states(world, message) == [CANCELLED, QUEUED]


@on_spool
async def test_the_limit_counts_messages_that_can_be_changed(world: World) -> None:
    queued = [await append(world) for _ in range(3)]
    for _ in range(5):
        await finish(world, await append(world), result(0))
    assert await world.spool.hold(MessageFilter(limit=2)) == 2
    assert [await states(world, message) for message in queued] == [[QUEUED], [HELD], [HELD]]
    assert await world.spool.release(MessageFilter(limit=1, before=queued[2]), NOON) == 1
    assert [await states(world, message) for message in queued] == [[QUEUED], [QUEUED], [HELD]]


@on_spool
async def test_the_preview_names_those_whom_the_operation_is_for(world: World) -> None:
    first = await append(world, "a@one.example", "b@two.example", "c@one.example")
    second = await append(world, "d@one.example", "e@one.example")
    await finish(world, await append(world, "f@one.example"), result(0))
    await mark_started(world, second, 0)
    await world.spool.hold(MessageFilter(recipient="c@one.example"))
    wanted = MessageFilter(recipient="@one.example")
    assert await world.spool.select(wanted, (QUEUED, HELD)) == [
        SelectedRecipient(second, 0, "d@one.example", QUEUED, True),
        SelectedRecipient(second, 1, "e@one.example", QUEUED, False),
        SelectedRecipient(first, 0, "a@one.example", QUEUED, False),
        SelectedRecipient(first, 2, "c@one.example", HELD, False),
    ]
    one = MessageFilter(recipient="@one.example", limit=1)
    assert len(await world.spool.select(one, (QUEUED,))) == 2
    assert await world.spool.cancel(wanted, "x") == 3, "all that is not under way"
    assert await states(world, first) == [CANCELLED, QUEUED, CANCELLED]


@on_spool
async def test_many_messages_are_changed_at_once(world: World) -> None:
    commit = Commit()
    for number in range(2500):
        begin_append(world, commit.done(str(number)))
    await commit.all(*map(str, range(2500)))
    assert await world.spool.hold(ALL) == 2500
    assert await world.spool.hold(ALL) == 0
    assert await world.spool.cancel(ALL, "x") == 2500


@on_spool
async def test_pruning_removes_what_is_over_and_old(world: World) -> None:
    waiting = await append(world, received=-100)
    old = [await append(world, received=-50) for _ in range(3)]
    half = await append(world, "a@one.example", "b@one.example", received=-50)
    young = await append(world, received=0)
    for message in (*old, half, young):
        await finish(world, message, result(0))
    assert await world.spool.prune(NOON - 10, 2) == 2
    assert await world.spool.prune(NOON - 10, 2) == 1
    assert await world.spool.prune(NOON - 10, 2) == 0
    rows = await world.spool.messages(MessageFilter())
    assert [row.identifier for row in rows] == [young, half, waiting]
    assert await world.spool.attempts(old[0]) == []
    assert len(await world.spool.attempts(half)) == 1


# --- suppression --------------------------------------------------------------------------------


@on_spool
async def test_suppressed_addresses(world: World) -> None:
    assert world.spool.suppression_reason("Ann@One.example") is None
    await world.spool.suppress("Ann@One.example", "bounced")
    world.clock.time += 5
    await world.spool.suppress("bob@one.example", "complained")
    assert world.spool.suppression_reason("ANN@one.example") == "bounced"
    await world.spool.suppress("ann@one.example", "asked for it")
    await world.crash()
    assert world.spool.suppression_reason("ann@one.example") == "asked for it"
    both = await world.spool.suppressions(10)
    assert both == [
        Suppression("ann@one.example", "asked for it", NOON + 5),
        Suppression("bob@one.example", "complained", NOON + 5),
    ]
    assert await world.spool.suppressions(1) == both[:1]
    assert await world.spool.suppressions(10, "ann@one.example") == both[1:]
    assert await world.spool.unsuppress("ANN@one.example")
    assert not await world.spool.unsuppress("ann@one.example")
    assert world.spool.suppression_reason("ann@one.example") is None
    assert await world.spool.suppressions(10) == both[1:]


@on_spool
async def test_a_commit_of_many_kinds_keeps_them_apart(world: World) -> None:
    message = await append(world, "a@one.example", "b@one.example")
    commit = Commit()
    world.spool.mark_started(message, [0], commit.done("mark"))
    world.spool.warned(message, commit.done("warned"))
    await commit.all("mark", "warned")
    world.spool.finish(record(message, result(0, QUEUED, 60)), commit.done("finish"))
    world.spool.mark_started(message, [1], commit.done("mark 2"))
    await commit.all("finish", "mark 2")
    (row,) = await world.spool.messages(MessageFilter())
    assert [(r.state, r.started, r.attempts) for r in row.recipients] == [
        (QUEUED, False, 1), (QUEUED, True, 0),
    ]  # fmt: skip


@on_spool
async def test_what_waits_is_counted_by_destination_the_fullest_first(world: World) -> None:
    one = await append(world, "a@one.example", "b@two.example", due=30)
    two = await append(world, "c@two.example", due=20)
    three = await append(world, "d@two.example", due=10)
    held = await append(world, "e@two.example", "f@held.example", due=0)
    done = await append(world, "g@done.example", due=0)
    await finish(world, done, result(0))
    await world.spool.hold(MessageFilter(identifiers=(held,)))

    expected = [
        WaitingDestination("two.example", 3, 1, one, NOON + 10),
        WaitingDestination("held.example", 0, 1, held, None),
        WaitingDestination("one.example", 1, 0, one, NOON + 30),
    ]
    assert await world.spool.waiting("", 10) == expected
    assert await world.spool.waiting("", 1) == expected[:1]
    assert await world.spool.waiting("HELD.", 10) == [expected[1]]
    assert await world.spool.waiting("two", 1) == [expected[0]]
    assert await world.spool.waiting("_", 10) == [], "_ and % mean themselves"
    assert two < three, "the message that came first is the oldest, whatever is due first"
