"""Connections: kept, checked, replaced, bounded, shared and closed."""

from __future__ import annotations

import asyncio

import pytest
from library_world import FIRST, SECOND, World, busy, told

from waypost import errors
from waypost.faces.library.engine import Engine
from waypost.lab.simulated_peer import Fault
from waypost.smtp.server_settings import ServerSettings


async def settled(world: World) -> None:
    """What was sent has arrived everywhere."""
    await world.clock.sleep(0.2)


def kept(engine: Engine) -> dict[str, int]:
    return {name: count for name, count in engine.connections.items() if count}


def test_one_message_after_the_other_uses_one_connection() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine()
        for _ in range(5):
            assert await world.send(engine)
        assert peer.sessions == 1
        assert kept(engine) == {"idle": 1}

    told(story)


def test_no_more_connections_than_the_pool_may_have() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(pool_size=3)
        results = await asyncio.gather(*(world.start(engine) for _ in range(50)))
        assert all(results)
        assert peer.most_sessions == 3

    told(story)


def test_a_connection_that_ended_while_idle_costs_nothing() -> None:
    async def story(world: World) -> None:
        # The session ends as soon as it is asked for a second message, without a word.
        peer = world.peer(Fault("mail", "drop", after=1), None)
        engine = world.engine(retry=1)
        assert await world.send(engine)
        result = await world.send(engine)
        assert result, result.error
        assert len(peer.received) == 2
        assert peer.sessions == 2

    told(story)


def test_a_421_between_two_messages_costs_nothing() -> None:
    async def story(world: World) -> None:
        peer = world.peer(Fault("mail", "reply", busy(421), after=1), None)
        engine = world.engine(retry=1)
        assert await world.send(engine)
        result = await world.send(engine)
        assert result, result.error
        assert len(peer.received) == 2

    told(story)


def test_a_connection_is_asked_before_use_once_it_was_idle_for_long() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(check_after=5, idle_seconds=100)
        await world.send(engine)
        await world.clock.sleep(6)
        result = await world.send(engine)
        assert result
        assert peer.sessions == 1
        assert result.seconds >= 0.04, "a round trip more, for NOOP"

    told(story)


def test_a_connection_that_a_firewall_forgot_is_replaced_before_the_message_is_sent() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(check_after=5, idle_seconds=1000, timeouts={"noop": 3}, retry=1)
        await world.send(engine)
        (pool,) = engine._pools.values()
        ((courier, _),) = pool._idle
        await world.clock.sleep(60)
        courier.transport.stalled = True  # type: ignore[union-attr]
        result = await world.send(engine)
        assert result, result.error
        assert result.seconds < 10
        assert len(peer.received) == 2

    told(story)


def test_an_idle_connection_is_closed_with_quit() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(idle_seconds=20)
        await world.send(engine)
        await world.clock.sleep(15)
        assert peer.open_sessions == 1
        await world.clock.sleep(10)
        assert peer.open_sessions == 0
        assert kept(engine) == {}

    told(story)


def test_a_connection_grows_no_older_than_it_may() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(max_age=30, idle_seconds=1000, check_after=1000)
        await world.send(engine)
        await world.clock.sleep(20)
        await world.send(engine)
        assert peer.sessions == 1
        await world.clock.sleep(20)
        assert await world.send(engine)
        assert peer.sessions == 2
        await settled(world)
        assert peer.open_sessions == 1

    told(story)


def test_a_connection_carries_no_more_messages_than_either_side_wants() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(messages_per_connection=4, pool_size=1)
        assert all(await asyncio.gather(*(world.start(engine) for _ in range(10))))
        assert peer.sessions == 3
        other = world.peer(
            address=SECOND, settings=ServerSettings("peer.example", maximum_messages=5)
        )
        engine = world.engine(f"smtp+plain://{SECOND}", pool_size=1)
        assert all(await asyncio.gather(*(world.start(engine) for _ in range(10))))
        assert other.sessions == 2

    told(story)


def test_a_server_that_allows_few_connections_is_worked_with_over_those() -> None:
    async def story(world: World) -> None:
        peer = world.peer(None, None, Fault("connect", "reply", busy(421)))
        engine = world.engine(pool_size=10, retry=1)
        results = await asyncio.gather(*(world.start(engine) for _ in range(100)))
        assert all(results)
        assert len(peer.received) == 100

    told(story)


def test_who_waits_too_long_for_a_connection_is_told_so() -> None:
    async def story(world: World) -> None:
        world.peer(Fault("mail", "stall"))
        engine = world.engine(pool_size=1, patience=5, retry=1, timeouts={"mail": 60})
        first = world.start(engine)
        second = await world.send(engine)
        assert isinstance(second.error, errors.NoCapacity)
        assert second.error.temporary
        assert "1 busy" in str(second.error)
        assert 5 <= world.clock.monotonic() < 8
        assert isinstance((await first).error, errors.ConnectionLost)

    told(story)


def test_a_message_that_is_cancelled_before_it_began_is_not_sent() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(pool_size=1)
        first = world.start(engine)
        told_results: list[object] = []
        shipment = engine.submit(world.message(), told_results.append)
        engine.cancel(shipment)
        assert await first
        assert await world.send(engine)
        assert len(peer.received) == 2
        assert told_results == []

    told(story)


@pytest.mark.parametrize("after", [0.005, 0.015, 0.025, 0.035, 0.045, 0.055])
def test_a_message_that_is_cancelled_before_its_end_is_not_delivered(after: float) -> None:
    async def story(world: World) -> None:
        peer = world.peer(settings=ServerSettings("peer.example", chunking=False))
        engine = world.engine(pool_size=1)
        shipment = engine.submit(world.message("cancelled@one.example"), lambda result: None)
        await world.clock.sleep(after)
        engine.cancel(shipment)
        for _ in range(3):
            assert await world.send(engine)
        assert len(peer.received) == 3
        assert kept(engine) == {"idle": 1}

    told(story)


def test_a_message_that_is_cancelled_after_its_end_keeps_the_connection() -> None:
    async def story(world: World) -> None:
        peer = world.peer(settings=ServerSettings("peer.example", chunking=False))
        engine = world.engine(pool_size=1)
        shipment = engine.submit(world.message("late@one.example"), lambda result: None)
        while not shipment.errands[0].carried or (
            shipment.errands[0].carried[0].client.stage != "content_reply"
        ):
            await world.clock.sleep(0.001)
        engine.cancel(shipment)
        assert await world.send(engine)
        assert len(peer.received) == 2
        assert peer.sessions == 1

    told(story)


def test_a_message_that_rests_until_its_next_attempt_can_be_cancelled() -> None:
    async def story(world: World) -> None:
        peer = world.peer(Fault("mail", "reply", busy()))
        engine = world.engine(retry=10)
        shipment = engine.submit(world.message(), lambda result: None)
        await world.clock.sleep(0.5)
        assert engine.connections["waiting"] == 1
        engine.cancel(shipment)
        peer.faults = [None]
        await world.clock.sleep(100)
        assert peer.received == []
        await engine.close(0)

    told(story)


def test_closing_waits_for_what_is_under_way_and_says_quit() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(pool_size=2)
        results = [world.start(engine) for _ in range(20)]
        await engine.close(10)
        assert all(await asyncio.gather(*results))
        await settled(world)
        assert peer.open_sessions == 0
        with pytest.raises(errors.MailerClosed):
            engine.submit(world.message(), print)

    told(story)


def test_closing_tells_those_that_it_cannot_wait_for() -> None:
    async def story(world: World) -> None:
        world.peer(Fault("mail", "stall"))
        engine = world.engine(pool_size=1)
        results = [world.start(engine) for _ in range(3)]
        await world.clock.sleep(1)
        await engine.close(2)
        assert world.clock.monotonic() < 12
        for result in await asyncio.gather(*results):
            assert isinstance(result.error, errors.DeliveryError)
        assert kept(engine) == {}

    told(story)


def test_destinations_share_the_connections_and_none_is_kept_out() -> None:
    async def story(world: World) -> None:
        first, second = world.peer(), world.peer(address=SECOND)
        engine = world.engine("mx:", pool_size=2)
        await asyncio.gather(*(world.start(engine, "a@one.example") for _ in range(10)))
        assert kept(engine) == {"idle": 2}
        assert await world.send(engine, "a@two.example"), "an idle connection made room"
        results = await asyncio.gather(
            *(world.start(engine, f"a@{name}.example") for name in ("one", "two") * 20)
        )
        assert all(results)
        assert first.open_sessions + second.open_sessions <= 2
        assert len(first.received) + len(second.received) == 51

    told(story)


def test_an_answer_followed_by_the_end_of_the_connection_is_noticed() -> None:
    """The peer greets us and hangs up in the same breath: the opening must not count as done."""

    class HangsUp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = transport
            transport.write(b"220 x\r\n")  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            self._transport.write(b"250 x\r\n")  # type: ignore[attr-defined]
            self._transport.close()

    async def story(world: World) -> None:
        world.network.latency = 0
        world.network.listen(FIRST, 25, HangsUp)
        result = await world.send(world.engine(retry=2))
        assert isinstance(result.error, errors.ConnectionFailed | errors.ConnectionLost)

    told(story)
