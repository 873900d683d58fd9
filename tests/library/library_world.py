"""The engine of the library in a world of its own: virtual time, a simulated network, peers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from waypost.faces.library.engine import Engine
from waypost.faces.library.prepared import Prepared, prepare, raw
from waypost.faces.library.result import Result
from waypost.faces.library.settings import read_settings
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.simulated_peer import Fault, SimulatedPeer
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.net.static_resolver import StaticResolver
from waypost.smtp.reply import reply
from waypost.smtp.server_settings import ServerSettings

FIRST, SECOND, THIRD = "192.0.2.1", "192.0.2.2", "192.0.2.3"
RESOLVER = StaticResolver(
    mail_exchangers={
        "one.example": ((10, "mx.one.example"),),
        "two.example": ((10, "mx.two.example"),),
        "three.example": ((10, "mx.three.example"),),
    },
    addresses={
        FIRST: (FIRST,), SECOND: (SECOND,), THIRD: (THIRD,), "mx.one.example": (FIRST,),
        "mx.two.example": (SECOND,), "mx.three.example": (THIRD,),
    },
)  # fmt: skip


def busy(code: int = 451) -> Any:
    return reply(code, f"{code // 100}.3.0", "Not now")


class World:
    """See the module."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.network = SimulatedNetwork()
        self.chance = random.Random(1)
        self._number = 0

    def peer(
        self, *faults: Fault | None, address: str = FIRST, settings: ServerSettings | None = None
    ) -> SimulatedPeer:
        """A server. The first session meets the first fault, and so on; later ones the last."""
        made = SimulatedPeer(faults, settings)
        self.network.listen(address, 25, made.accept)
        return made

    def engine(self, url: str | list[str] = f"smtp+plain://{FIRST}", **settings: Any) -> Engine:
        return Engine(
            read_settings(url, hostname="here.example", environment={}, **settings),
            self.clock, self.network, RESOLVER, self.chance, lambda: "nonce",
        )  # fmt: skip

    def message(self, *to: str, **parts: Any) -> Prepared:
        self._number += 1
        if parts:
            given = {"from_": "a@example.com", "to": list(to), **parts}
            return prepare(given, {}, self.clock, "here.example")
        content = f"Message-ID: <{self._number}@example.com>\r\n\r\nHi\r\n".encode()
        return Prepared(raw(content, from_="a@example.com", to=list(to or ("b@one.example",))))

    def start(self, engine: Engine, *to: str, **parts: Any) -> asyncio.Future[Result]:
        """Give a message to the engine; its result to come."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        engine.submit(self.message(*to, **parts), future.set_result)
        return future

    async def send(self, engine: Engine, *to: str, **parts: Any) -> Result:
        return await self.start(engine, *to, **parts)


def told(story: Callable[[World], Awaitable[None]]) -> None:
    async def main(clock: VirtualClock) -> None:
        await story(World(clock))

    run_virtual(main)


class PlainServer:
    """A server that offers only what it is told to, and answers recipients as it is told to."""

    def __init__(self, *offers: str, recipients: dict[str, str] | None = None) -> None:
        self.offers = offers
        self.recipients = recipients or {}
        self.received: list[tuple[list[str], bytes]] = []

    def accept(self) -> asyncio.Protocol:
        return _PlainSession(self)


class _PlainSession(asyncio.Protocol):
    def __init__(self, server: PlainServer) -> None:
        self._server = server
        self._buffer = b""
        self._to: list[str] = []
        self._content: list[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 plain.example\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = []
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            answer = self._answer(line)
            if answer:
                answers.append(answer.encode() + b"\r\n")
        self._transport.write(b"".join(answers))  # the simulated network may reorder several

    def _answer(self, line: bytes) -> str:
        if self._content is not None:
            if line != b".":
                self._content.append(line)
                return ""
            self._server.received.append((self._to, b"\r\n".join(self._content)))
            self._content, self._to = None, []
            return "250 taken"
        verb, _, rest = line.decode().partition(" ")
        if verb == "EHLO":
            if not self._server.offers:
                return "500 what?"
            lines = ("plain.example", *self._server.offers)
            return "\r\n".join(
                f"250{' ' if number == len(lines) - 1 else '-'}{one}"
                for number, one in enumerate(lines)
            )
        if verb == "RCPT":
            address = rest.partition("<")[2].partition(">")[0]
            answer = self._server.recipients.get(address, "250 ok")
            if answer.startswith("2"):
                self._to.append(address)
            return answer
        if verb == "DATA":
            if not self._to:
                return "503 nobody"
            self._content = []
            return "354 go"
        if verb == "RSET":
            self._to = []
        return "221 bye" if verb == "QUIT" else "250 ok"
