"""Mail goes first: who tells of events waits while mail needs the loop, and only then."""

from __future__ import annotations

import asyncio

import pytest

from waypost.control.event_log_courtesy import LONG_TURN, Courtesy
from waypost.net.clock import Timer

SPACING = 0.04


class LoopClock:
    """A clock on which a turn of the loop takes as long as a test says."""

    def __init__(self, turn: float) -> None:
        self.turn = turn
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, delay: float) -> None:
        self.time += delay or self.turn

    def call_later(self, delay: float, callback: object) -> Timer:
        raise AssertionError("no timers")


async def requests(clock: LoopClock, courtesy: Courtesy, count: int) -> float:
    """Seconds that so many take, one after the other."""
    begun = clock.time
    for _ in range(count):
        await courtesy.turn(SPACING)
    return clock.time - begun


@pytest.mark.parametrize(
    ("turn", "events_each_second", "waits"),
    [
        (3 * LONG_TURN, 100.0, True),
        (LONG_TURN / 5, 1000.0, True),
        (LONG_TURN / 5, 100.0, False),
        (3 * LONG_TURN, 1.0, False),
    ],
    ids=["busy with mail", "mail flows fast", "there is room for both", "busy with something else"],
)
def test_requests_wait_while_mail_needs_the_loop(
    turn: float, events_each_second: float, waits: bool
) -> None:
    clock = LoopClock(turn)
    courtesy = Courtesy(clock, lambda: int(clock.time * events_each_second))

    async def story() -> None:
        await requests(clock, courtesy, 10_000)
        took = await requests(clock, courtesy, 100)
        assert courtesy.is_busy == waits
        assert took == pytest.approx(100 * (SPACING if waits else turn), rel=0.1)

    asyncio.run(story())


def test_all_endpoints_share_the_same_turns() -> None:
    clock = LoopClock(3 * LONG_TURN)
    courtesy = Courtesy(clock, lambda: int(clock.time * 1000))

    async def story() -> None:
        await requests(clock, courtesy, 10_000)
        begun = clock.time
        for _ in range(25):
            await requests(clock, courtesy, 2)
            await requests(clock, courtesy, 2)
        assert clock.time - begun == pytest.approx(100 * SPACING, rel=0.1)

    asyncio.run(story())


def test_when_mail_has_passed_nothing_waits_any_more() -> None:
    clock = LoopClock(3 * LONG_TURN)
    happened = 0

    def count() -> int:
        return happened

    courtesy = Courtesy(clock, count)

    async def story() -> None:
        nonlocal happened
        for _ in range(2000):
            happened += 10
            await courtesy.turn(SPACING)
        assert courtesy.is_busy
        await requests(clock, courtesy, 50)
        assert not courtesy.is_busy

    asyncio.run(story())
