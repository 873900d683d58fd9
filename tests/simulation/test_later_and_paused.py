"""Mail for later, and queues that people have paused: virtual days in real milliseconds."""

from __future__ import annotations

from collections.abc import AsyncIterator

from world import World, in_virtual_time, smarthost

from waypost.delivery.pauses import Pause, Pausing
from waypost.delivery.retry import RetrySchedule
from waypost.delivery.route import Route
from waypost.lab.simulated_peer import Fault
from waypost.lab.virtual_time import VirtualClock
from waypost.relay.intake import IntakeSettings
from waypost.relay.recipient_policy import RecipientPolicy, RecipientSettings
from waypost.relay.submission import Submissions
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import reply
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.identifiers import parse_identifier

DELIVERED, QUEUED = RecipientState.DELIVERED, RecipientState.QUEUED
EXPIRED, CANCELLED = RecipientState.EXPIRED, RecipientState.CANCELLED
HOUR, DAY = 3600.0, 86400.0
CLOSED = Fault("connect", "reply", reply(421, "4.3.2", "Closed for ever"))


def route(**changes: object) -> Route:
    steady = RetrySchedule(jitter=0.0)
    return Route("out", (smarthost(),), retry=steady, **changes)  # type: ignore[arg-type]


async def submit(world: World, hold_until: float | None, *recipients: str) -> int:
    """Through the way of the API."""
    policy = RecipientPolicy(RecipientSettings(), world.resolver, world.spool.suppression_reason)
    submissions = Submissions(
        IntakeSettings("relay.example"), world.spool, world.engine, policy, world.clock, 10**6
    )
    envelope = Envelope(
        "a@example.com", tuple(map(Recipient, recipients or ("b@example.org",))),
        hold_until=hold_until,
    )  # fmt: skip

    async def pieces() -> AsyncIterator[bytes]:
        yield b"Subject: later\n"
        yield b"\nbody\n"

    done = await submissions.submit(envelope, pieces(), source="api", user=None)
    return parse_identifier(done.identifier)


async def notices(world: World) -> list[float]:
    """When notices were made."""
    rows = await world.spool.messages(MessageFilter())
    return [row.received_at for row in rows if row.client == "notice"]


def test_a_message_for_later_goes_at_its_time_though_its_life_is_shorter() -> None:
    async def story(clock: VirtualClock) -> None:
        world = World(clock, [route(expire_after=DAY)])
        peer = world.peer()
        await world.start()
        due = clock.now() + 10 * DAY
        message = await submit(world, due, "b@example.org", "c@other.example")
        assert world.engine.lanes == {}, "nothing is kept in memory for it"
        now = await submit(world, None, "d@example.org")
        await world.settled(now, 60.0)
        assert await world.attempts(message) == []
        await world.settled(message, 11 * DAY)
        assert await world.states(message) == [DELIVERED] * 2
        assert len(peer.received) == 3
        for attempt in await world.attempts(message):
            assert due <= attempt.started_at < due + 60
        assert await notices(world) == []

    in_virtual_time(story)


def test_its_retries_warnings_and_end_count_from_then() -> None:
    async def story(clock: VirtualClock) -> None:
        world = World(clock, [route(expire_after=DAY)])
        world.peer(CLOSED)
        await world.start()
        due = clock.now() + 10 * DAY
        message = await submit(world, due)
        await world.settled(message, 12 * DAY)
        assert await world.states(message) == [EXPIRED]
        assert clock.now() <= due + DAY + 300
        warned, returned = sorted(await notices(world))
        assert due + 4 * HOUR <= warned <= due + 9 * HOUR
        assert returned >= due + DAY - 4 * HOUR

    in_virtual_time(story)


def test_it_survives_a_crash_and_can_be_cancelled() -> None:
    async def story(clock: VirtualClock) -> None:
        world = World(clock, [route(expire_after=DAY)])
        peer = world.peer()
        await world.start()
        due = clock.now() + 2 * DAY
        kept, cancelled = await submit(world, due), await submit(world, due)
        await world.spool.cancel(MessageFilter(identifiers=(cancelled,)), "no")
        again = World(clock, [route(expire_after=DAY)], spool=world.spool.crash())  # type: ignore[attr-defined]
        again_peer = again.peer()
        await again.start()
        await again.settled(kept, 3 * DAY)
        assert (await again.row(kept)).received_at < due - DAY
        assert await again.states(cancelled) == [CANCELLED]
        assert len(peer.received) + len(again_peer.received) == 1

    in_virtual_time(story)


def pausing(world: World) -> Pausing:
    return Pausing(world.engine, world.slots.pauses, world.spool, world.clock.now)


def test_nothing_goes_while_a_queue_is_paused_and_everything_when_it_is_resumed() -> None:
    async def story(clock: VirtualClock) -> None:
        world = World(clock, [route()])
        peer = world.peer()
        await world.start()
        before = await world.submit("a@example.org")
        await world.settled(before, 60)
        assert await pausing(world).pause("out", "", "ann", "they move")
        waiting = [await world.submit(f"u{n}@example.org") for n in range(50)]
        waiting.append(await submit(world, clock.now() + HOUR))
        await clock.sleep(6 * HOUR)
        world.engine.retry_now("example.org")
        await clock.sleep(HOUR)
        assert len(peer.received) == 1
        for message in waiting:
            assert all(not one.started for one in (await world.row(message)).recipients)
        assert await pausing(world).resume("out", "")
        for message in waiting:
            await world.settled(message, 60)
        assert len(peer.received) == 52

    in_virtual_time(story)


def test_a_pause_in_the_middle_ends_what_is_under_way_and_begins_nothing() -> None:
    async def story(clock: VirtualClock) -> None:
        world = World(clock, [route()])
        peer = world.peer()
        await world.start()
        sent = [await world.submit(f"u{n}@example.org") for n in range(300)]
        await pausing(world).pause("out", "", "ann")
        await clock.sleep(60)
        arrived = len(peer.received)
        assert arrived < 300
        await clock.sleep(DAY)
        assert len(peer.received) == arrived
        states = [(await world.states(message))[0] for message in sent]
        assert states.count(DELIVERED) == arrived
        assert states.count(QUEUED) == 300 - arrived
        rows = [await world.row(message) for message in sent]
        assert not any(row.recipients[0].started for row in rows)
        await pausing(world).resume("out", "")
        for message in sent:
            await world.settled(message, 600)
        assert len(peer.received) == 300, "each of them once"

    in_virtual_time(story)


def test_a_failure_behind_a_pause_does_not_end_it_and_mail_expires_meanwhile() -> None:
    async def story(clock: VirtualClock) -> None:
        world = World(clock, [route(expire_after=DAY)])
        peer = world.peer(Fault("mail", "stall"), Fault("connect", "drop"), None)
        await world.start()
        message = await world.submit("b@example.org")
        await clock.sleep(1)
        await pausing(world).pause("out", "", "ann")
        await world.settled(message, 3 * DAY)
        assert await world.states(message) == [EXPIRED]
        assert len(await world.attempts(message)) <= 2  # the one that stalled, and the end
        await pausing(world).resume("out", "")
        after = await world.submit("c@example.org")
        await world.settled(after, DAY)
        taken = {one.envelope.recipients[0].address for one in peer.received}
        assert taken == {"a@example.com", "c@example.org"}, "the notice, and what came after"

    in_virtual_time(story)


def test_pauses_are_kept_by_the_spool() -> None:
    async def story(clock: VirtualClock) -> None:
        world = World(clock, [route()])
        await world.start()
        now = clock.now()
        await pausing(world).pause("out", "", "ann", 'because of "that"')
        stored = await world.spool.recall("pauses")
        world.slots.pauses.restore(stored)
        assert list(world.slots.pauses) == [Pause("out", "", now, "ann", 'because of "that"')]

    in_virtual_time(story)
