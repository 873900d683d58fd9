"""Whatever servers do, in any order: every message has one result, and the result is true."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from library_world import FIRST, SECOND, World, busy, told

from waypost.lab.simulated_peer import Fault, Received
from waypost.smtp.reply import reply
from waypost.smtp.server_settings import ServerSettings

STEPS: tuple[Any, ...] = ("connect", "ehlo", "mail", "rcpt", "data", "content")
MESSAGES = 60


def _fault(chance: random.Random) -> Fault | None:
    if chance.random() < 0.4:
        return None
    step = chance.choice(STEPS)
    after = chance.randrange(4)
    kind = chance.randrange(6)
    if kind == 0:
        return Fault(step, "drop", after=after)
    if kind == 1:
        return Fault(step, "stall", after=after)
    if kind == 2:
        return Fault("content", "accept_and_drop", after=after)
    if kind == 3 and step not in ("connect", "ehlo"):
        return Fault(step, "reply", reply(554, "5.7.1", "Never"), after=after)
    return Fault(step, "reply", busy(chance.choice((421, 450, 451))), after=after)


@pytest.mark.parametrize("seed", range(60))
def test_the_results_say_what_the_servers_have(seed: int) -> None:
    async def story(world: World) -> None:
        chance = random.Random(seed)
        settings = ServerSettings("peer.example", chunking=bool(seed % 2))
        peers = [
            world.peer(*(_fault(chance) for _ in range(40)), None, address=address,
                       settings=settings)
            for address in (FIRST, SECOND)
        ]  # fmt: skip
        urls = [f"smtp+plain://{FIRST}", f"smtp+plain://{SECOND}"][: 1 + seed % 2]
        engine = world.engine(
            urls, pool_size=4, timeout=5, patience=600, retry=3, check_after=2, max_age=60,
            strategy=chance.choice(("failover", "weighted")),
        )  # fmt: skip
        results = []
        for number in range(MESSAGES):
            results.append(world.start(engine, f"r{number}@one.example"))
            if chance.random() < 0.2:
                await world.clock.sleep(chance.random() * 10)
        done = await asyncio.wait_for(asyncio.gather(*results), 3600)
        taken: Counter[str] = Counter()
        unsaid: Counter[str] = Counter()
        for received in [one for peer in peers for one in peer.received]:
            _count(received, taken if received.acknowledged else unsaid)
        for number, result in enumerate(done):
            address = f"r{number}@one.example"
            (one,) = result.recipients
            told_us, silent = taken[address], unsaid[address]
            if one.state == "accepted":
                assert (told_us, silent) == (1, 0), result.transcript
            elif one.state == "refused":
                assert (told_us, silent) == (0, 0), result.transcript
                assert str(one.error), "it says why"
            else:
                assert told_us + silent <= 1, result.transcript  # what it said may not have come
        await engine.close(5)
        await world.clock.sleep(1)
        assert not any(engine.connections.values()), "no slot without an owner"

    told(story)


def _count(received: Received, counter: Counter[str]) -> None:
    for recipient in received.envelope.recipients:
        counter[recipient.address] += 1
