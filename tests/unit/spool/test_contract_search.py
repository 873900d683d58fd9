"""The contract of every spool: searching and counting, each question within bounds."""

from __future__ import annotations

from dataclasses import replace

from spool_world import (
    NOON,
    World,
    append,
    finish,
    on_spool,
    result,
)

from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.search import WaitingCount, WaitingPlace

QUEUED, HELD, DELIVERED = RecipientState.QUEUED, RecipientState.HELD, RecipientState.DELIVERED
BOUNCED, EXPIRED = RecipientState.BOUNCED, RecipientState.EXPIRED
LAST = 1 << 62


async def ended(world: World, address: str, state: RecipientState) -> int:
    """A message whose only recipient has come to an end."""
    message = await append(world, address)
    await finish(world, message, result(0, state))
    return message


@on_spool
async def test_a_look_goes_through_everything_a_part_at_a_time(world: World) -> None:
    messages = [
        await append(world, f"{'even' if n % 2 == 0 else 'odd'}{n}@one.example") for n in range(10)
    ]
    wanted, parts = MessageFilter(recipient="even", limit=2), []
    while True:
        looked = await world.spool.look(wanted, 4)
        parts.append([row.identifier for row in looked.rows])
        if looked.before is None:
            break
        wanted = replace(wanted, before=looked.before)
    assert [one for part in parts for one in part] == messages[::2][::-1]
    assert all(len(part) <= 2 for part in parts)


@on_spool
async def test_a_look_is_no_deeper_than_asked_and_says_where_to_go_on(world: World) -> None:
    first, *_, last = [await append(world, "a@one.example") for _ in range(5)]
    looked = await world.spool.look(MessageFilter(recipient="nobody"), 4)
    assert (looked.rows, looked.before) == ((), first + (looked.before or 0) - first)
    assert first < (looked.before or 0) < last
    looked = await world.spool.look(MessageFilter(recipient="nobody", before=looked.before), 4)
    assert looked.before is None, "everything was looked at"
    looked = await world.spool.look(MessageFilter(after=last - 1), 4)
    assert [row.identifier for row in looked.rows] == [last]
    assert looked.before is None


@on_spool
async def test_messages_are_found_by_when_they_were_received(world: World) -> None:
    early = await append(world, "a@one.example", received=10)
    late = await append(world, "a@one.example", received=20)

    async def found(**wanted: float) -> list[int]:
        return [one.identifier for one in await world.spool.messages(MessageFilter(**wanted))]  # type: ignore[arg-type]

    assert await found(since=NOON + 20) == [late]
    assert await found(older_than=NOON + 20) == [early]
    assert await found(since=NOON + 10, older_than=NOON + 21) == [late, early]
    assert await found(after=early) == [late]


@on_spool
async def test_the_newest_in_a_state_come_first_and_each_once(world: World) -> None:
    bounced = await ended(world, "a@one.example", BOUNCED)
    await ended(world, "b@one.example", DELIVERED)
    expired = await ended(world, "c@one.example", EXPIRED)
    both = await append(world, "d@one.example", "e@one.example", "f@one.example")
    await finish(world, both, result(0, BOUNCED), result(1, EXPIRED))
    waiting = await append(world, "g@one.example")
    held = await append(world, "h@one.example")
    assert await world.spool.hold(MessageFilter(identifiers=(held,))) == 1

    async def newest(*states: RecipientState, before: int = LAST) -> list[int]:
        found = await world.spool.newest_in(states, before, 9)
        assert found.before is None, "these are all"
        return list(found.messages)

    assert await newest(BOUNCED, EXPIRED) == [both, expired, bounced]
    assert await newest(BOUNCED, before=both) == [bounced]
    assert await newest(QUEUED) == [waiting, both]
    assert await newest(HELD) == [held]
    assert await newest(RecipientState.DAMAGED) == []


@on_spool
async def test_the_newest_in_a_state_come_a_part_at_a_time(world: World) -> None:
    states = (BOUNCED, EXPIRED, BOUNCED, BOUNCED, EXPIRED, DELIVERED, BOUNCED)
    failed = [await ended(world, "a@one.example", state) for state in states]
    del failed[5]
    for limit in (1, 2, 3, 10):
        found: list[int] = []
        before: int | None = LAST
        while before is not None:
            part = await world.spool.newest_in((BOUNCED, EXPIRED), before, limit)
            assert part.before is None or part.before < before, "it comes to an end"
            found += part.messages
            before = part.before
        assert found == failed[::-1]


@on_spool
async def test_texts_for_a_search_come_in_the_order_of_messages(world: World) -> None:
    first = await append(world, "a@one.example", "b@two.example", subject="Grüße", sender="")
    second = await append(world, "c@one.example", message_id="<2@x>")
    (text, other) = await world.spool.search_texts(0, 5)
    assert (text.message, text.subject) == (first, "Grüße")
    assert text.others.split("\n") == ["", "<1@sender.example>", "a@one.example", "b@two.example"]
    assert (other.message, other.others.split("\n")[1:]) == (second, ["<2@x>", "c@one.example"])
    assert [one.message for one in await world.spool.search_texts(first, 5)] == [second]
    assert [one.message for one in await world.spool.search_texts(0, 1)] == [first]
    assert await world.spool.search_texts(second, 5) == []


@on_spool
async def test_the_oldest_message(world: World) -> None:
    assert await world.spool.oldest() is None
    first = await append(world, "a@one.example")
    await append(world, "a@one.example")
    assert await world.spool.oldest() == first


@on_spool
async def test_a_census_in_parts_counts_what_waits_by_destination(world: World) -> None:
    for number in range(7):
        await append(world, f"{number}@one.example", received=number, due=10 + number)
    await append(world, "a@two.example", received=30, due=5)
    held = await append(world, "b@two.example", received=40)
    await world.spool.hold(MessageFilter(identifiers=(held,)))
    await ended(world, "c@three.example", DELIVERED)
    for limit in (2, 3, 7, 100):
        counts: list[WaitingCount] = []
        place: WaitingPlace | None = None
        for _ in range(20):
            part = await world.spool.census_of_waiting(place, limit)
            counts += part.counts
            place = part.place
            if place is None:
                break
        assert place is None, "it comes to an end"
        one = [count for count in counts if count.domain == "one.example"]
        two = [count for count in counts if count.domain == "two.example"]
        assert len(one) + len(two) == len(counts)
        assert sum(count.queued for count in one) == 7
        assert min(count.oldest or 0.0 for count in one) == NOON
        assert min(count.next_due or 0.0 for count in one) == NOON + 10
        assert sum(count.queued for count in two) == 1
        assert sum(count.held for count in two) == 1
        assert min(count.oldest or 0.0 for count in two) == NOON + 30


@on_spool
async def test_a_census_in_parts_counts_every_recipient(world: World) -> None:
    await append(world, "a@one.example", "b@one.example", "c@one.example")
    for state in (DELIVERED, DELIVERED, BOUNCED):
        await ended(world, "d@one.example", state)
    whole = await world.spool.counts()
    for limit in (1, 2, 100):
        by_state = dict.fromkeys(RecipientState, 0)
        after: int | None = 0
        for _ in range(20):
            assert after is not None
            part = await world.spool.census(after, limit)
            for state, number in part.by_state.items():
                by_state[state] += number
            after = part.message
            if after is None:
                break
        assert after is None, "it comes to an end"
        assert {state: by_state[state] for state in (QUEUED, DELIVERED, BOUNCED)} == {
            QUEUED: whole.queued, DELIVERED: whole.delivered, BOUNCED: whole.bounced
        }  # fmt: skip
        assert sum(by_state.values()) == 6
        assert part.bytes_used == whole.bytes_used
