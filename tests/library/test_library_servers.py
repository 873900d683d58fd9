"""Several servers: which is next, what is left alone, and how fast it may go."""

from __future__ import annotations

import asyncio

from library_world import FIRST, SECOND, THIRD, World, busy, told

from waypost import errors
from waypost.lab.simulated_peer import Fault

URLS = [f"smtp+plain://{FIRST}", f"smtp+plain://{SECOND}"]


def test_the_second_takes_over_while_the_first_cannot_be_reached() -> None:
    async def story(world: World) -> None:
        second = world.peer(address=SECOND)
        engine = world.engine(URLS, retry=1)
        assert await world.send(engine)
        assert await world.send(engine)
        assert len(second.received) == 2
        first = world.peer()
        await world.clock.sleep(10)
        assert await world.send(engine)
        assert len(first.received) == 1, "it is asked again after a while"

    told(story)


def test_a_server_that_failed_is_left_alone_for_a_while() -> None:
    async def story(world: World) -> None:
        tries = 0

        def refuse() -> None:
            nonlocal tries
            tries += 1

        world.network.listen(FIRST, 25, refuse)  # type: ignore[arg-type]
        world.peer(address=SECOND)
        engine = world.engine(URLS, avoid_after=30)
        for _ in range(10):
            assert await world.send(engine)
        assert tries == 1

    told(story)


def test_a_message_goes_on_to_the_next_server_when_one_is_closing() -> None:
    async def story(world: World) -> None:
        first = world.peer(Fault("mail", "reply", busy(421)))
        second = world.peer(address=SECOND)
        result = await world.send(world.engine(URLS))
        assert result
        assert world.clock.monotonic() < 1, "without a pause"
        assert (len(first.received), len(second.received)) == (0, 1)

    told(story)


def test_an_uncertain_message_does_not_go_on_to_the_next_server() -> None:
    async def story(world: World) -> None:
        world.peer(Fault("content", "accept_and_drop"))
        second = world.peer(address=SECOND)
        result = await world.send(world.engine(URLS))
        assert isinstance(result.error, errors.DeliveryUncertain)
        assert second.received == []

    told(story)


def test_when_none_works_the_error_tells_the_last_and_time_was_given() -> None:
    async def story(world: World) -> None:
        result = await world.send(world.engine(URLS, retry=3))
        assert isinstance(result.error, errors.ConnectionFailed)
        assert result.error.reason == "connection-refused"
        assert result.error.temporary
        assert result.attempts == 6
        assert world.clock.monotonic() >= 3

    told(story)


def test_turns_are_taken_by_weight() -> None:
    async def story(world: World) -> None:
        peers = [world.peer(address=address) for address in (FIRST, SECOND, THIRD)]
        weights = (3, 1, 0)
        urls = [
            f"smtp+plain://{address}?weight={weight}"
            for address, weight in zip((FIRST, SECOND, THIRD), weights, strict=True)
        ]
        engine = world.engine(urls, strategy="weighted")
        await asyncio.gather(*(world.start(engine) for _ in range(100)))
        assert [len(peer.received) for peer in peers] == [75, 25, 0]

    told(story)


def test_a_rate_is_kept_and_everything_arrives() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        engine = world.engine(rate=["10/second", "100/minute"], patience=300)
        results = await asyncio.gather(*(world.start(engine) for _ in range(150)))
        assert all(results)
        moments = sorted(one.moment for one in peer.received)
        for start in moments:
            assert sum(start <= moment < start + 1 for moment in moments) <= 11
            assert sum(start <= moment < start + 60 for moment in moments) <= 102

    told(story)


def test_what_only_a_person_can_mend_is_not_tried_again() -> None:
    async def story(world: World) -> None:
        peer = world.peer()  # no TLS, no AUTH
        result = await world.send(world.engine(f"smtp://user:secret@{FIRST}:25"))
        assert isinstance(result.error, errors.TlsFailed)
        assert result.error.cause == "tls.starttls_not_offered"
        assert result.attempts == 1
        assert peer.sessions == 1
        assert "secret" not in str(result.error) + result.transcript

    told(story)
