"""A world of one relay's engine and its peers, on virtual time.

The engine is the real one; the clock, the network, the names and the disk are simulated. A test
puts peers at addresses, hands messages over as the relay's intake does, lets virtual time pass and
looks at what came to be.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from waypost.delivery.backoff import Circuits
from waypost.delivery.engine import Engine, EngineSettings
from waypost.delivery.exchangers import Exchangers, Ourselves
from waypost.delivery.notices import Notices
from waypost.delivery.opening import Opener
from waypost.delivery.route import Route, Smarthost, TlsMode
from waypost.delivery.routing import RoutingTable
from waypost.delivery.slots import Slots
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.simulated_peer import Fault, SimulatedPeer
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.net.deadlines import Deadlines
from waypost.net.static_resolver import StaticResolver
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.contract import (
    AttemptRecord,
    MessageFilter,
    MessageRow,
    NewMessage,
    RecipientState,
)
from waypost.spool.memory import MemorySpool

ADDRESS = "192.0.2.25"
CONTENT = b"Subject: a message\r\n\r\nbody\r\n"


def smarthost(host: str = ADDRESS, **changes: Any) -> Smarthost:
    """A next hop in the clear at a simulated address."""
    return Smarthost(host, 25, tls=TlsMode.NONE, **changes)


class World:
    """See the module. `start` must be called before messages are submitted."""

    def __init__(
        self,
        clock: VirtualClock,
        routes: Sequence[Route],
        *,
        resolver: StaticResolver | None = None,
        settings: EngineSettings | None = None,
        seed: int = 1,
        spool: MemorySpool | None = None,
    ) -> None:
        self.clock = clock
        self.network = SimulatedNetwork()
        self.resolver = resolver or StaticResolver(
            addresses={f"192.0.2.{n}": (f"192.0.2.{n}",) for n in range(1, 30)}
        )
        self.spool = spool or MemorySpool(clock, latency=0.002)
        self.chance = random.Random(seed)
        self.slots = Slots(self.chance)
        self.deadlines = Deadlines(clock)
        opener = Opener(
            "relay.example",
            self.network,
            self.resolver,
            Exchangers(
                self.resolver, self.chance, Ourselves(frozenset({"relay.example"}), frozenset())
            ),
            Circuits(self.chance),
            self.chance,
            lambda: "nonce",
            clock,
            self.deadlines,
        )
        self.engine = Engine(
            settings or EngineSettings("relay.example"),
            self.spool,
            RoutingTable(routes),
            self.slots,
            opener,
            Notices("relay.example", self.spool),
            self.chance,
            clock,
        )

    def peer(
        self,
        *faults: Fault | None,
        address: str = ADDRESS,
        settings: ServerSettings | None = None,
    ) -> SimulatedPeer:
        """A server at an address; see SimulatedPeer for the faults."""
        peer = SimulatedPeer(faults, settings)
        self.network.listen(address, 25, peer.accept)
        return peer

    async def start(self) -> None:
        """Open the spool and begin to deliver."""
        await self.spool.open()
        await self.engine.start()

    async def submit(
        self,
        *recipients: str,
        sender: str = "a@example.com",
        content: bytes = CONTENT,
        user: str | None = None,
    ) -> int:
        """Hand over a message; returns when it is durable."""
        envelope = Envelope(sender, tuple(Recipient(address) for address in recipients))
        writer = self.spool.body_writer(None)
        writer.write(content)
        now = self.clock.now()
        plan = self.engine.plan(envelope, user)
        message = NewMessage(
            writer.identifier, envelope, now, now + plan.expire_after, now, user, "192.0.2.99",
            len(content), "a message", "<1@example.com>", plan.starts,
        )  # fmt: skip
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(failure: Exception | None) -> None:
            assert failure is None
            self.engine.admit(message, body, plan)
            durable.set_result(None)

        body = self.spool.append(message, writer, done)
        await durable
        return message.identifier

    async def row(self, message: int) -> MessageRow:
        """A message as people see it."""
        (row,) = await self.spool.messages(MessageFilter(identifiers=(message,)))
        return row

    async def states(self, message: int) -> list[RecipientState]:
        """The states of its recipients."""
        return [recipient.state for recipient in (await self.row(message)).recipients]

    async def attempts(self, message: int) -> list[AttemptRecord]:
        """Its attempts."""
        return await self.spool.attempts(message)

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float) -> float:
        """Let time pass until a condition holds; the virtual seconds it took."""
        begun = self.clock.monotonic()
        step = max(0.01, seconds / 5000)
        while not await condition():
            waited = self.clock.monotonic() - begun
            assert waited < seconds, f"it did not come true within {seconds} virtual seconds"
            await self.clock.sleep(step)
        return self.clock.monotonic() - begun

    async def settled(self, message: int, seconds: float = 7 * 86400.0) -> float:
        """Let time pass until nothing of a message waits any more."""

        async def final() -> bool:
            return all(state.is_final for state in await self.states(message))

        return await self.until(final, seconds)


def in_virtual_time(story: Callable[[VirtualClock], Any]) -> None:
    """Run a story in a virtual world of its own."""
    run_virtual(story)
