"""The event log for its readers: nothing left out, nothing told twice."""

from __future__ import annotations

import asyncio

import pytest
from event_world import BOUNCED, QUEUED, EventWorld, in_world, names, result

from waypost.administration import Action
from waypost.control.event_log import TAIL
from waypost.control.event_log_documents import EventFilter, Labels, event_payload, payload_bytes
from waypost.control.event_log_places import BEGINNING, OtherLog, Place
from waypost.faces.control_requests import answer
from waypost.spool.contract import MessageFilter


@in_world
async def test_an_attempt_is_an_event_for_each_recipient(world: EventWorld) -> None:
    message = await world.accept("ann@there.example", "bob@there.example", "cid@there.example")
    await world.attempt(
        message, result(0), result(1, QUEUED, "451 later", "greylisted", world.clock.now() + 60),
        result(2, BOUNCED, "550 no", "no_such_user"),
    )  # fmt: skip
    events = await world.events()
    assert names(events) == ["accepted", "delivered", "deferred", "bounced"]
    assert [one.event.recipients for one in events[1:]] == [
        ("ann@there.example",), ("bob@there.example",), ("cid@there.example",),
    ]  # fmt: skip
    assert len({one.identity for one in events}) == 4


@in_world
async def test_reading_goes_on_behind_any_event_also_within_an_entry(world: EventWorld) -> None:
    for _ in range(3):
        message = await world.accept("ann@there.example", "bob@there.example")
        await world.attempt(message, result(0), result(1))
    events = await world.events()
    assert len(events) == 9
    for index, one in enumerate(events):
        assert await world.events(one.place) == events[index + 1 :]
        assert await world.events(one.place.before) == events[index:]
        assert await world.log.event(one.place) == one


@in_world
async def test_a_place_survives_as_text(world: EventWorld) -> None:
    await world.accept()
    (one,) = await world.events()
    text = one.place.text(world.log.identity)
    assert world.log.parse(text) == one.place
    assert world.log.parse(Place(7).text(world.log.identity)) == Place(7)
    with pytest.raises(OtherLog):
        world.log.parse("another.1.0")
    for wrong in ("", "1", "x.y.z", f"{world.log.identity}.1.2.3", f"{world.log.identity}.²"):
        with pytest.raises((ValueError, OtherLog)):
            world.log.parse(wrong)


@in_world
async def test_who_waits_is_woken_once_for_what_comes_together(world: EventWorld) -> None:
    batch = await world.log.read(BEGINNING)
    assert batch.is_end
    began = world.clock.monotonic()
    waiting = asyncio.ensure_future(world.log.wait(batch))
    await world.passes(5.0)
    assert not waiting.done()
    for _ in range(10):
        await world.accept()
    await waiting
    assert 5.0 < world.clock.monotonic() - began < 6.0
    assert len(await world.events()) == 10


@in_world
async def test_what_happens_between_reading_and_waiting_is_not_slept_through(
    world: EventWorld,
) -> None:
    batch = await world.log.read(BEGINNING)
    await world.accept()
    began = world.clock.monotonic()
    await world.log.wait(batch)
    assert world.clock.monotonic() == began


@in_world
async def test_what_operators_change_wakes_readers_too(world: EventWorld) -> None:
    await world.accept()
    batch = await world.log.read(Place(1))
    began = world.clock.monotonic()
    waiting = asyncio.ensure_future(world.log.wait(batch))
    await world.passes(1.0)
    await world.administration.change(Action.HOLD, MessageFilter())
    await waiting
    assert world.clock.monotonic() - began < 2.0
    assert names(await world.events()) == ["accepted", "held"]


@in_world
async def test_readers_end_with_the_log(world: EventWorld) -> None:
    waiting = asyncio.ensure_future(world.log.wait(await world.log.read(BEGINNING)))
    await world.passes(1.0)
    world.log.close()
    await waiting
    assert world.log.is_closed


@in_world
async def test_the_end_of_the_log_is_in_memory_within_bounds(world: EventWorld) -> None:
    many = [f"r{number}@there.example" for number in range(TAIL // 4)]
    place = await world.log.end()
    for _ in range(8):
        await world.accept(*many)
        batch = await world.log.read(place)
        assert len(batch.events) == 1
        place = batch.upto
    held = sum(len(one.event.recipients) for _, several in world.log._tail for one in several)
    assert held <= TAIL
    assert len(await world.events()) == 8, "what is no longer in memory is in the log"


@in_world
async def test_a_reader_learns_that_retention_was_faster(world: EventWorld) -> None:
    for _ in range(5):
        await world.accept()
        await world.passes(10.0)
    await world.spool.prune_events(world.clock.now() - 25.0, 100)
    await world.crash()  # the end in memory would still have them
    batch = await world.log.read(Place(1))
    assert batch.missed
    assert [one.place.number for one in batch.events] == [4, 5]
    assert not (await world.log.read(Place(3))).missed
    assert not (await world.log.read(BEGINNING)).missed, "who begins has missed nothing"


@in_world
async def test_what_came_from_elsewhere_is_an_event(world: EventWorld) -> None:
    message = await world.accept("ann@there.example", "bob@there.example")
    await world.log.append("complained", message, '{"feedback": "abuse"}', 1)
    told = (await world.events())[-1]
    payload = event_payload(told)
    assert payload["type"] == "message.complained"
    assert payload["data"]["recipients"] == ["bob@there.example"]
    assert payload["data"]["detail"] == {"feedback": "abuse"}


@in_world
async def test_a_document_says_everything_about_an_event_and_is_the_same_each_time(
    world: EventWorld,
) -> None:
    message = await world.accept("ann@there.example")
    due = world.clock.now() + 60
    await world.attempt(message, result(0, QUEUED, "451 4.7.1 later", "greylisted", due))
    accepted, deferred = await world.events()
    labels = Labels(("receipt",), {"order": "7"})
    first = event_payload(deferred, labels)
    data = first["data"]
    assert first["type"] == "message.deferred"
    assert (data["reply"], data["reason"]) == ("451 4.7.1 later", "greylisted")
    assert (data["tags"], data["metadata"]) == (["receipt"], {"order": "7"})
    assert (data["from"], data["recipients"]) == ("joe@here.example", ["ann@there.example"])
    assert data["next_attempt"] == "2027-01-15T08:01:00.000Z"
    again = await world.log.event(deferred.place)
    assert again is not None
    assert payload_bytes(event_payload(again, labels)) == payload_bytes(first)
    assert "reply" not in event_payload(accepted)["data"]


@in_world
async def test_a_filter_takes_what_all_its_fields_say(world: EventWorld) -> None:
    message = await world.accept(user="app")
    await world.attempt(message, result(), route="bulk")
    await world.accept(user="other")
    events = await world.events()

    def chosen(wanted: EventFilter) -> list[int]:
        labels = Labels(("receipt",))
        return [i for i, one in enumerate(events) if wanted.matches(one, labels)]

    assert chosen(EventFilter()) == [0, 1, 2]
    assert chosen(EventFilter(types=frozenset({"message.accepted"}))) == [0, 2]
    assert chosen(EventFilter(user="app")) == [0, 1]
    assert chosen(EventFilter(route="bulk")) == [1]
    assert chosen(EventFilter(tag="receipt", user="other")) == [2]
    assert chosen(EventFilter(tag="else")) == []
    assert chosen(EventFilter(message=message)) == [0, 1]


@in_world
async def test_waypost_log_finds_an_old_message_that_was_delivered_just_now(
    world: EventWorld,
) -> None:
    """Although newer messages fill its limit; see faces.control_requests."""
    old = await world.accept("ann@there.example")
    await world.passes(3600.0)
    since = world.clock.now()
    for _ in range(3):
        await world.accept("bob@there.example")
        await world.passes(1.0)
    await world.attempt(old)

    async def asked(**filter_: object) -> list[tuple[str, str]]:
        request = {"do": "events", "filter": {"limit": 2, **filter_}, "since": since}
        replies = [one async for one in answer(world.administration, request)]
        return [(one["event"], one["to"][0]) for one in replies]

    assert ("delivered", "ann@there.example") in await asked()
    assert await asked(to="ann@there.example") == [("delivered", "ann@there.example")]
    assert ("accepted", "ann@there.example") not in await asked()
