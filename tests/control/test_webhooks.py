"""Webhooks in virtual time: what is sent when, in which order, and what a crash or failure does."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
from collections.abc import Awaitable, Callable

import pytest
import standardwebhooks
from event_world import TAKEN, EventWorld, Sent, in_world, result

from waypost.control.webhooks_client import Answer
from waypost.control.webhooks_deliveries import DeliveryState
from waypost.control.webhooks_endpoint import (
    Endpoint,
    EndpointSettings,
    InvalidWebhook,
    NoSuchWebhook,
)
from waypost.control.webhooks_health import PAUSE_AFTER, PROBE_SECONDS
from waypost.control.webhooks_schedule import DELAYS
from waypost.control.webhooks_worker import CONCURRENCY
from waypost.spool.identifiers import identifier_text
from waypost.spool.memory import MemorySpool

URL = "https://shop.example/hooks"
HOUR, DAY = 3600.0, 86400.0


async def added(world: EventWorld, url: str = URL, **settings: object) -> Endpoint:
    return await world.webhooks.add(EndpointSettings(url, **settings))  # type: ignore[arg-type]


def answering(status: int, **more: float) -> Callable[[Sent], Awaitable[Answer]]:
    async def answer(_: Sent) -> Answer:
        return Answer(status, 0.01, "" if status < 300 else f"it answers {status}", "no", **more)

    return answer


def types(world: EventWorld) -> list[str]:
    return [json.loads(one.body)["type"] for one in world.endpoints.sent]


def identities(world: EventWorld) -> list[str]:
    return [one.identity for one in world.endpoints.sent]


def times(world: EventWorld) -> list[float]:
    return [one.at for one in world.endpoints.sent]


async def mail(world: EventWorld, count: int = 1) -> list[int]:
    """Messages that are accepted and delivered."""
    messages = []
    for _ in range(count):
        messages.append(await world.accept())
        await world.attempt(messages[-1])
    return messages


# --- what is sent -------------------------------------------------------------------------------


@in_world
async def test_an_endpoint_gets_what_happens_from_then_on(world: EventWorld) -> None:
    await mail(world)
    await added(world)
    await mail(world)
    await world.passes(1.0)
    assert types(world) == ["message.accepted", "message.delivered"]


@in_world
async def test_a_request_is_signed_as_the_standard_has_it(world: EventWorld) -> None:
    endpoint = await added(world)
    await mail(world)
    await world.passes(1.0)
    verifier = standardwebhooks.Webhook(endpoint.secret)
    for one in world.endpoints.sent:
        # Its `verify` compares with the time of this machine, where this world is in another year.
        at = dt.datetime.fromtimestamp(int(one.headers["webhook-timestamp"]), dt.UTC)
        assert abs(at.timestamp() - world.clock.now()) < 5.0
        signed = verifier.sign(one.identity, at, one.body.decode())
        assert one.headers["webhook-signature"] == signed
    assert len(set(identities(world))) == 2


@in_world
async def test_while_a_secret_is_replaced_both_sign(world: EventWorld) -> None:
    endpoint = await added(world)
    changed = await world.webhooks.rotate(endpoint.id)
    assert changed.secret != endpoint.secret
    await mail(world)
    await world.passes(1.0)
    assert len(world.endpoints.sent[-1].headers["webhook-signature"].split(" ")) == 2
    await world.passes(DAY + 1)
    await mail(world)
    await world.passes(1.0)
    assert len(world.endpoints.sent[-1].headers["webhook-signature"].split(" ")) == 1


@in_world
async def test_each_endpoint_gets_what_it_asked_for(world: EventWorld) -> None:
    await added(world, "https://one.example/", types=frozenset({"message.delivered"}))
    await added(world, "https://two.example/", user="other")
    await added(world, "https://three.example/", route="bulk")
    message = await world.accept(user="app")
    await world.attempt(message, route="bulk")
    await world.accept(user="other")
    await world.passes(1.0)
    assert sorted((one.url, json.loads(one.body)["type"]) for one in world.endpoints.sent) == [
        ("https://one.example/", "message.delivered"),
        ("https://three.example/", "message.delivered"),
        ("https://two.example/", "message.accepted"),
    ]


@in_world
async def test_the_events_of_a_message_come_in_order_and_one_after_the_other(
    world: EventWorld,
) -> None:
    under_way: set[str] = set()

    async def slow(one: Sent) -> Answer:
        message = json.loads(one.body)["data"]["message"]
        assert message not in under_way
        under_way.add(message)
        await asyncio.sleep(0.3 + len(world.endpoints.sent) % 3)
        under_way.discard(message)
        return TAKEN

    world.endpoints.answer = slow
    await added(world)
    messages = [await world.accept("ann@there.example", "bob@there.example") for _ in range(6)]
    for message in messages:
        await world.attempt(message, result(0), result(1))
    await world.passes(60.0)
    told: dict[str, list[str]] = {}
    for one in world.endpoints.sent:
        document = json.loads(one.body)
        told.setdefault(document["data"]["message"], []).append(document["type"])
    expected = ["message.accepted", "message.delivered", "message.delivered"]
    assert [*told.values()] == [expected] * 6
    assert world.endpoints.most_at_once == CONCURRENCY


# --- failures -----------------------------------------------------------------------------------


@in_world
async def test_what_is_not_taken_is_sent_again_by_the_schedule_under_the_same_name(
    world: EventWorld,
) -> None:
    world.endpoints.answer = answering(500)
    endpoint = await added(world)
    await world.accept()
    await world.passes(10 * DAY)
    assert len(world.endpoints.sent) == len(DELAYS) + 1
    assert len(set(identities(world))) == 1
    gaps = [later - sooner for sooner, later in zip(times(world), times(world)[1:], strict=False)]
    for gap, delay in zip(gaps, DELAYS, strict=True):
        assert delay <= gap <= delay * 1.1 + 1.0
    (delivery,) = await world.webhooks.deliveries(endpoint.id)
    assert delivery.state is DeliveryState.FAILED
    whole = await world.webhooks.delivery(endpoint.id, delivery.id)
    assert [attempt.status for attempt in whole.attempts] == [500] * len(world.endpoints.sent)
    assert {attempt.answer for attempt in whole.attempts} == {"no"}


@in_world
async def test_an_endpoint_that_has_taken_nothing_for_days_is_disabled(world: EventWorld) -> None:
    world.endpoints.answer = answering(500)
    endpoint = await added(world)
    await world.accept()
    await world.passes(4 * DAY)
    stored = await world.webhooks.endpoint(endpoint.id)
    assert not stored.settings.enabled
    assert "3." in stored.disabled_reason
    assert world.audited() == ["webhook disabled"]
    before = len(world.endpoints.sent)
    await mail(world, 3)
    await world.passes(DAY)
    assert len(world.endpoints.sent) == before


@in_world
async def test_an_endpoint_that_is_gone_is_disabled_at_once_and_goes_on_where_it_stopped(
    world: EventWorld,
) -> None:
    world.endpoints.answer = answering(410)
    endpoint = await added(world)
    await world.accept()
    await world.passes(1.0)
    stored = await world.webhooks.endpoint(endpoint.id)
    assert (stored.settings.enabled, "410" in stored.disabled_reason) == (False, True)
    await mail(world, 2)
    world.endpoints.answer = answering(200)
    await world.webhooks.change(endpoint.id, EndpointSettings(URL))
    await world.passes(1.0)
    assert len(set(identities(world))) == 5
    assert (await world.webhooks.endpoint(endpoint.id)).disabled_reason == ""


@in_world
async def test_one_who_comes_back_may_leave_out_what_has_happened(world: EventWorld) -> None:
    endpoint = await added(world, enabled=False)
    await mail(world, 3)
    await world.webhooks.change(endpoint.id, EndpointSettings(URL), skip=True)
    await mail(world, 1)
    await world.passes(1.0)
    assert len(world.endpoints.sent) == 2


@in_world
async def test_while_an_endpoint_fails_events_wait_in_the_log_and_come_at_once_afterwards(
    world: EventWorld,
) -> None:
    world.endpoints.answer = answering(503)
    endpoint = await added(world)
    await mail(world, 100)
    await world.passes(HOUR)
    tries = len(set(identities(world)))
    assert tries <= PAUSE_AFTER + CONCURRENCY + HOUR / PROBE_SECONDS
    world.endpoints.answer = answering(200)
    back = world.clock.monotonic()
    await world.passes(2 * PROBE_SECONDS)
    assert len(set(identities(world))) == 200
    taken = [one for one in world.endpoints.sent if one.at >= back]
    assert max(one.at for one in taken) - min(one.at for one in taken) < 30.0
    assert await world.webhooks.waiting(endpoint.id) == 0


@in_world
async def test_an_endpoint_that_hangs_or_fails_holds_up_no_other(world: EventWorld) -> None:
    async def answer(one: Sent) -> Answer:
        if "slow" in one.url:
            await world.clock.sleep(15.0)
            return Answer(None, 15.0, "no answer within 15 seconds")
        return TAKEN

    world.endpoints.answer = answer
    await added(world, "https://slow.example/")
    await added(world, "https://quick.example/")
    began = world.clock.monotonic()
    await mail(world, 50)
    await world.passes(5.0)
    quick = [one for one in world.endpoints.sent if "quick" in one.url]
    assert len(quick) == 100
    assert max(one.at for one in quick) - began < 2.0


@in_world
async def test_one_event_that_is_refused_does_not_hold_up_the_others(world: EventWorld) -> None:
    refused = await world.accept()

    async def answer(one: Sent) -> Answer:
        wrong = json.loads(one.body)["data"]["message"] == name
        return Answer(400, 0.01, "it answers 400") if wrong else TAKEN

    world.endpoints.answer = answer
    name = identifier_text(refused)
    endpoint = await added(world)
    await world.attempt(refused)
    await mail(world, 30)
    await world.passes(2.0)
    done = await world.webhooks.deliveries(endpoint.id, (DeliveryState.DELIVERED,))
    assert len(done) == 60
    assert await world.webhooks.waiting(endpoint.id) == 1


@in_world
async def test_an_endpoint_may_ask_for_more_time(world: EventWorld) -> None:
    world.endpoints.answer = answering(429, retry_after=120.0)
    await added(world)
    await world.accept()
    await world.passes(119.0)
    assert len(world.endpoints.sent) == 1
    await world.passes(3.0)
    assert len(world.endpoints.sent) == 2


@in_world
async def test_a_storage_that_fails_is_asked_again_and_nothing_is_sent_twice(
    world: EventWorld,
) -> None:
    endpoint = await added(world)
    await world.accept()
    world.database.failing = True
    await world.passes(30.0)
    world.database.failing = False
    await world.passes(30.0)
    assert len(world.endpoints.sent) == 1
    (delivery,) = await world.webhooks.deliveries(endpoint.id)
    assert delivery.state is DeliveryState.DELIVERED


# --- crashes ------------------------------------------------------------------------------------


@in_world
async def test_after_a_crash_nothing_is_missing_and_names_stay(world: EventWorld) -> None:
    async def slow(one: Sent) -> Answer:
        await asyncio.sleep(0.05 * (1 + len(world.endpoints.sent) % 5))
        return TAKEN

    world.endpoints.answer = slow
    await added(world)
    for _ in range(5):
        await mail(world, 10)
        await world.passes(0.4)
        await world.crash()
    await world.passes(30.0)
    expected = [one.identity for one in await world.events()]
    assert len(expected) == 100
    assert set(identities(world)) == set(expected)
    again = len(identities(world)) - len(expected)
    assert again <= 5 * 3 * CONCURRENCY, "only what was under way comes twice"


@in_world
async def test_what_waits_to_be_tried_again_outlives_a_crash(world: EventWorld) -> None:
    world.endpoints.answer = answering(500)
    endpoint = await added(world)
    await world.accept()
    await world.passes(1.0)
    await world.crash()
    world.endpoints.answer = answering(200)
    await world.passes(10.0)
    (delivery,) = await world.webhooks.deliveries(endpoint.id)
    assert (delivery.state, len(world.endpoints.sent)) == (DeliveryState.DELIVERED, 2)


@in_world
async def test_in_place_of_another_spool_the_log_is_read_from_its_beginning(
    world: EventWorld,
) -> None:
    await added(world)
    await mail(world, 5)
    await world.passes(1.0)
    await world.webhooks.close()
    world.log.close()
    world.spool = MemorySpool(world.clock)
    await world.passes(1.0)
    world.endpoints.sent.clear()
    await world.open()
    await mail(world, 1)
    await world.passes(1.0)
    assert types(world) == ["message.accepted", "message.delivered"]


# --- again --------------------------------------------------------------------------------------


@in_world
async def test_a_delivery_can_be_sent_again(world: EventWorld) -> None:
    endpoint = await added(world)
    await world.accept()
    await world.passes(1.0)
    (delivery,) = await world.webhooks.deliveries(endpoint.id)
    await world.webhooks.send_again(endpoint.id, delivery.id)
    await world.passes(1.0)
    first, second = world.endpoints.sent
    assert (first.identity, first.body) == (second.identity, second.body)
    whole = await world.webhooks.delivery(endpoint.id, delivery.id)
    assert (whole.state, len(whole.attempts)) == (DeliveryState.DELIVERED, 2)
    with pytest.raises(NoSuchWebhook):
        await world.webhooks.send_again(endpoint.id, 4711)


@in_world
async def test_what_happened_in_a_time_can_be_sent_again(world: EventWorld) -> None:
    endpoint = await added(world)
    began = world.clock.now()
    for _ in range(6):
        await mail(world)
        await world.passes(600.0)
    await world.passes(1.0)
    sent = identities(world)
    world.endpoints.sent.clear()
    await world.webhooks.replay(endpoint.id, began + 599.0, began + 1799.0)
    await mail(world)
    await world.passes(5.0)
    assert set(sent[2:6]) <= set(identities(world))
    assert len(set(identities(world)) - set(sent)) == 2, "and what is new"
    assert len(identities(world)) == 6
    await world.crash()
    await world.passes(5.0)
    assert len(identities(world)) == 6, "a replay is over when it is over"


@in_world
async def test_a_replay_repeats_also_what_was_taken_a_moment_ago(world: EventWorld) -> None:
    endpoint = await added(world)
    began = world.clock.now()
    await mail(world, 3)
    while len(world.endpoints.sent) < 6:  # outcomes are written later
        await world.clock.sleep(0.001)
    await world.webhooks.replay(endpoint.id, began, world.clock.now() + 1.0)
    await world.passes(5.0)
    assert sorted(identities(world)) == sorted(2 * identities(world)[:6])


@in_world
async def test_an_event_that_retention_has_removed_is_given_up(world: EventWorld) -> None:
    world.endpoints.answer = answering(500)
    endpoint = await added(world)
    message = await world.accept()
    await world.attempt(message)
    await world.passes(1.0)
    await world.spool.prune(world.clock.now(), 10)
    await world.crash()
    await world.passes(30.0)
    found = await world.webhooks.deliveries(endpoint.id)
    assert {one.state for one in found} == {DeliveryState.FAILED}
    assert all("retention" in one.attempts[-1].error for one in found)


@in_world
async def test_a_test_event_is_sent_once_and_says_what_came_of_it(world: EventWorld) -> None:
    endpoint = await added(world)
    assert (await world.webhooks.test(endpoint.id)).status == 200
    assert types(world) == ["webhook.test"]
    world.endpoints.answer = answering(404)
    assert (await world.webhooks.test(endpoint.id)).error == "it answers 404"
    await world.passes(DAY)
    assert len(world.endpoints.sent) == 2
    assert await world.webhooks.deliveries(endpoint.id) == []


@in_world
async def test_a_webhook_that_is_removed_is_sent_nothing(world: EventWorld) -> None:
    endpoint = await added(world)
    await mail(world)
    await world.passes(1.0)
    await world.webhooks.remove(endpoint.id)
    await mail(world)
    await world.passes(1.0)
    assert len(world.endpoints.sent) == 2
    for gone in (world.webhooks.endpoint, world.webhooks.test, world.webhooks.deliveries):
        with pytest.raises(NoSuchWebhook):
            await gone(endpoint.id)


# --- bounds -------------------------------------------------------------------------------------


@in_world
async def test_a_backlog_is_not_held_in_memory(world: EventWorld) -> None:
    endpoint = await added(world, enabled=False)
    await mail(world, 2000)
    largest = 0

    async def answer(_: Sent) -> Answer:
        nonlocal largest
        running = world.webhooks._running[endpoint.id]
        (stream,) = running.worker._streams
        largest = max(largest, len(stream._buffer))
        return TAKEN

    world.endpoints.answer = answer
    await world.webhooks.change(endpoint.id, EndpointSettings(URL))
    await world.passes(120.0)
    assert len(world.endpoints.sent) == 4000
    assert largest <= 500


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (EndpointSettings("ftp://shop.example/"), "url"),
        (EndpointSettings("https://"), "url"),
        (EndpointSettings("https://shop.example:port/"), "url"),
        (EndpointSettings("https://u:p@shop.example/"), "url"),
        (EndpointSettings("https://shop.example/#x"), "url"),
        (EndpointSettings("https://shop.example/\n"  "x"), "url"),
        (EndpointSettings("https://shop.example/" + "x" * 2000), "url"),
        (EndpointSettings(URL, types=frozenset({"message.eaten"})), "types"),
        (EndpointSettings(URL, description="a\nb"), "description"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_webhook_is_refused(settings: EndpointSettings, field: str) -> None:
    @in_world
    async def main(world: EventWorld) -> None:
        with pytest.raises(InvalidWebhook) as refused:
            await world.webhooks.add(settings)
        assert refused.value.field == field

    main()


@in_world
async def test_a_secret_may_be_brought_along_and_is_never_repeated(world: EventWorld) -> None:
    own = "whsec_" + "QUJD" * 10
    assert (await world.webhooks.add(EndpointSettings(URL), own)).secret == own
    for wrong in ("whsec_QUJD", "hunter2", "whsec_" + "!" * 40):
        with pytest.raises(InvalidWebhook) as refused:
            await world.webhooks.add(EndpointSettings(URL), wrong)
        assert wrong not in str(refused.value)
    assert own not in repr(await world.webhooks.endpoints())


@in_world
async def test_a_wall_clock_that_disagrees_with_the_timers_lets_nothing_lie(
    world: EventWorld,
) -> None:
    """A timer may end a moment before the time that it was set for, as the wall clock has it."""
    right, chance = world.clock.now, random.Random(4)
    world.clock.now = lambda: right() - 0.01 * chance.random()  # type: ignore[method-assign]
    tried: set[str] = set()

    async def second_time(one: Sent) -> Answer:
        taken = one.identity in tried
        tried.add(one.identity)
        return TAKEN if taken else Answer(500, 0.01, "it answers 500")

    world.endpoints.answer = second_time
    endpoint = await added(world)
    for _ in range(25):
        await world.accept()
        await world.passes(8.0)
        assert await world.webhooks.waiting(endpoint.id) == 0
