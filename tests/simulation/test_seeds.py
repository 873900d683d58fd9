"""Whole stories by seed: random peers, faults, load, disk failures, crashes and restarts.

Each seed is one story and tells it the same way every time. At its end everything heals, and what
must hold of every message is looked at: it is delivered, given back or expired, and nothing else;
a copy too many exists only where the relay could not know; nothing came before its time.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
from world import World, smarthost

from waypost.delivery.engine import EngineSettings
from waypost.delivery.route import MxDelivery, Quotas, Rate, Route, RouteLimits, RouteMatch
from waypost.delivery.routing import RoutingTable
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.simulated_peer import Action, Fault, SimulatedPeer, Step
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.net.static_resolver import StaticResolver
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.contract import MessageFilter, RecipientState, SpoolFull
from waypost.spool.memory import MemorySpool

DAY = 86400.0
DOMAINS = [f"d{number}.example" for number in range(6)]
STEPS: list[Step] = ["connect", "ehlo", "mail", "rcpt", "data", "content"]
ACTIONS: list[Action] = ["reply", "reply", "reply", "drop", "stall", "accept_and_drop"]
REPLIES = [
    reply(421, "4.3.2", "Closing"),
    reply(450, "4.2.0", "Mailbox busy"),
    reply(451, "4.7.1", "Greylisted"),
    reply(452, "4.5.3", "Too many recipients"),
    reply(550, "5.1.1", "No such user"),
    reply(554, "5.7.1", "Refused"),
]
WINDOW = 40


@dataclass
class Story:
    """What outlives a crash: the peers, the disk, and what was promised."""

    seed: int
    chance: random.Random
    peers: dict[str, SimulatedPeer] = field(default_factory=dict)
    spool: MemorySpool | None = None
    promised: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Message: sender and recipients that were answered 250."""
    tags: dict[int, int] = field(default_factory=dict)
    """The number in the content, by message."""
    crashes: int = 0
    ended_at: float = 0.0

    def fault(self) -> Fault | None:
        if self.chance.random() < 0.45:
            return None
        step = self.chance.choice(STEPS)
        action = self.chance.choice(ACTIONS)
        if action == "accept_and_drop" and step != "content":
            action = "drop"
        answer: Reply | None = None
        if action == "reply":
            answer = self.chance.choice(REPLIES)
            if step in ("connect", "ehlo"):
                answer = self.chance.choice(REPLIES[:2])
        after = 0 if step in ("connect", "ehlo") else self.chance.choice([0, 0, 1, 2])
        return Fault(step, action, answer, after)

    def routes(self) -> list[Route]:
        chance = self.chance
        limits = RouteLimits(
            connections=chance.choice([1, 3, 50]),
            connections_per_destination=chance.choice([1, 2, 10]),
            messages_per_connection=chance.choice([0, 1, 3]),
            recipients_per_transaction=chance.choice([1, 2, 100]),
            rate=chance.choice([None, None, Rate(30, 60.0)]),
        )
        quotas = Quotas(per_minute=chance.choice([None, 20]))
        routes = [
            Route("bulk", (smarthost("192.0.2.1"), smarthost("192.0.2.2")), limits=limits,
                  match=RouteMatch(senders=("bulk@example.com",)), quotas=quotas,
                  overflow=chance.choice([None, "rest"]), tee_sandbox=chance.random() < 0.3),
        ]  # fmt: skip
        if chance.random() < 0.5:
            routes.append(Route("rest", (MxDelivery(),), limits=limits, expire_after=DAY))
        else:
            routes.append(Route("rest", (smarthost("192.0.2.3"),), limits=limits))
        return routes


async def _live(clock: VirtualClock, story: Story, *, last: bool) -> None:
    """One life of the relay: it ends with a crash, or, the last one, when nothing waits."""
    chance = story.chance
    spool = story.spool or MemorySpool(clock, latency=0.002)
    spool._clock = clock
    resolver = StaticResolver(
        mail_exchangers={
            domain: ((10, f"192.0.2.{1 + n % 4}"), (20, "192.0.2.4"))
            for n, domain in enumerate(DOMAINS)
        },
        addresses={f"192.0.2.{n}": (f"192.0.2.{n}",) for n in range(1, 5)},
    )
    settings = EngineSettings(
        "relay.example", window=WINDOW, lane_window=20, load_at_once=10, armed=chance.choice([2, 8])
    )
    world = World(clock, story.routes(), resolver=resolver, settings=settings, spool=spool,
                  seed=story.seed)  # fmt: skip
    world.network = _network(world, story)
    await world.start()
    for _ in range(chance.randrange(5, 40)):
        await _happen(clock, story, world)
        assert len(world.engine.in_flight()) <= WINDOW
    if not last:
        story.spool = spool.crash()
        story.crashes += 1
        story.ended_at = clock.monotonic()
        return
    spool.refusal = None
    for peer in story.peers.values():
        peer.faults = [None]
    for _ in range(9 * 24):
        await clock.sleep(3600.0)
        if not (await spool.counts()).queued:
            break
    await clock.sleep(60.0)
    await _judge(story, world)
    await world.engine.stop(8.0)


def _network(world: World, story: Story) -> SimulatedNetwork:
    for number in range(1, 5):
        address = f"192.0.2.{number}"
        peer = story.peers.get(address)
        if peer is None:
            peer = story.peers[address] = SimulatedPeer(
                [story.fault() for _ in range(60)] + [None],
                ServerSettings("peer.example", chunking=story.chance.random() < 0.5,
                               maximum_recipients=story.chance.choice([2, 1000])),
            )  # fmt: skip
        world.network.listen(address, 25, peer.accept)
    return world.network


async def _happen(clock: VirtualClock, story: Story, world: World) -> None:
    """Something happens, as chance will have it."""
    chance = story.chance
    draw = chance.random()
    if draw < 0.6:
        for _ in range(chance.choice([1, 1, 1, 5, 30])):
            if world.spool.refusal is not None:
                break
            recipients = tuple(
                dict.fromkeys(
                    f"u{chance.randrange(4)}@{chance.choice(DOMAINS)}"
                    for _ in range(chance.choice([1, 1, 1, 2, 5]))
                )
            )
            sender = chance.choice(["a@example.com", "a@example.com", "bulk@example.com", ""])
            tag = len(story.tags) + 1
            message = await world.submit(
                *recipients, sender=sender, content=b"X-Tag: %d\r\n\r\nbody\r\n" % tag
            )
            story.promised[message] = (sender, recipients)
            story.tags[message] = tag
    elif draw < 0.9:
        await clock.sleep(chance.choice([0.001, 0.02, 0.5, 10.0, 100.0, 4000.0]))
    elif draw < 0.94:
        world.spool.refusal = SpoolFull("the disk is full")
        await clock.sleep(chance.choice([0.01, 5.0]))
        world.spool.refusal = None
    elif draw < 0.97:
        world.engine.reroute(RoutingTable(story.routes()))
    else:
        world.network.silent.add(("192.0.2.1", 25))
        await clock.sleep(chance.choice([1.0, 400.0]))
        world.network.silent.clear()


async def _judge(story: Story, world: World) -> None:
    """What must hold at the end."""
    copies: Counter[tuple[int, str]] = Counter()
    for peer in story.peers.values():
        for received in peer.received:
            if received.content.startswith(b"X-Tag: "):
                tag = int(received.content.split(b"\r\n")[0][7:])
                for recipient in received.envelope.recipients:
                    copies[tag, recipient.address] += 1
    rows = {row.identifier: row for row in await world.spool.messages(MessageFilter(limit=0))}
    failed: set[int] = set()
    for message, (sender, recipients) in story.promised.items():
        row = rows[message]
        attempts = await world.attempts(message)
        doubts = story.crashes + sum(attempt.uncertain for attempt in attempts)
        assert [one.address for one in row.recipients] == list(recipients)
        for recipient in row.recipients:
            got = copies[story.tags[message], recipient.address]
            if recipient.state is RecipientState.DELIVERED:
                assert 1 <= got <= 1 + doubts, (message, recipient, got, doubts)
            else:
                assert recipient.state in (RecipientState.BOUNCED, RecipientState.EXPIRED), (
                    recipient
                )
                assert got <= doubts, (message, recipient, got, doubts)
                if sender:
                    failed.add(message)
        _judge_attempts(attempts)
    notices = Counter(
        row.recipients[0].address
        for row in rows.values()
        if row.client == "notice" and row.identifier not in story.promised
    )
    assert sum(notices.values()) >= len(failed)
    assert world.engine.in_flight() == frozenset()
    assert world.slots.connections == 0
    assert not world.engine.lanes


def _judge_attempts(attempts: list) -> None:  # type: ignore[type-arg]
    """No attempt before its time, none after the end."""
    due: dict[int, float] = defaultdict(float)
    ended: set[int] = set()
    for attempt in attempts:
        for result in attempt.results:
            assert result.number not in ended, "an attempt after the end"
            assert attempt.started_at + 1e-3 >= due[result.number], "a retry before its time"
            if result.state is RecipientState.BOUNCED:
                assert not result.reply.startswith("4"), "given back for a temporary refusal"
            if result.state is RecipientState.QUEUED:
                due[result.number] = result.due_at
            else:
                ended.add(result.number)


def tell(seed: int) -> Story:
    """Run the story of a seed."""
    chance = random.Random(seed)
    story = Story(seed, chance)
    lives = chance.choice([1, 1, 2, 3])
    for life in range(lives):
        run_virtual(
            lambda clock, life=life: _live(clock, story, last=life == lives - 1), story.ended_at
        )
    return story


# A crash leaves tasks that nobody will ever go on with; the collector finds them some time.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(40))
def test_a_story_ends_well(seed: int) -> None:
    tell(seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thousands_of_stories_end_well() -> None:
    for seed in range(1000, 6000):
        tell(seed)
