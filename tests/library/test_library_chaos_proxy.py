"""A proxy on real sockets that drops, resets, stalls or answers 4xx, at each step of each
transaction of a connection: every message arrives once, or its result says why and is true."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

import waypost
from waypost.lab.simulated_peer import SimulatedPeer
from waypost.smtp.server_settings import ServerSettings

STEPS = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "content", "content_reply", "BDAT")
ACTIONS = ("drop", "reset", "stall", "busy")
TRANSACTIONS = (1, 2, 3)
MESSAGES = 4


@dataclass
class Chaos:
    """Passes SMTP on, command by command; once, at a step of a transaction, it does its worst.

    At "content" the end of it is not passed on; at "content_reply" it is, and the answer is not.
    """

    step: str
    action: str
    transaction: int
    port: int
    happened: int = 0
    transactions: int = 0
    handlers: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        try:
            behind, onward = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await self._pass(reader, writer, behind, onward)
            finally:
                onward.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side has gone, or the test is over
        finally:
            self.handlers.discard(task)
            writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        behind: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
    ) -> None:
        greeting = await _reply(behind)
        if await self._worst("greeting", writer, b"421 4.3.2 not now\r\n"):
            return
        writer.write(greeting)
        while line := await reader.readline():
            verb = line[:4].decode().upper()
            if verb == "MAIL":
                self.transactions += 1
            last = verb == "BDAT" and line.upper().rstrip().endswith(b"LAST")
            content = b""
            if verb == "BDAT":
                content = await reader.readexactly(int(line.split()[1]))
            if await self._worst(verb, writer):
                return
            if last and await self._worst("content", writer):
                return
            onward.write(line + content)
            answer = await _reply(behind)
            if last and await self._worst("content_reply", writer):
                return
            writer.write(answer)
            if verb == "DATA" and answer.startswith(b"354"):
                while (line := await reader.readline()) not in (b".\r\n", b""):
                    onward.write(line)
                if await self._worst("content", writer):
                    return
                onward.write(line)
                answer = await _reply(behind)
                if await self._worst("content_reply", writer):
                    return
                writer.write(answer)

    async def _worst(
        self, step: str, writer: asyncio.StreamWriter, answer: bytes = b"451 4.3.0 not now\r\n"
    ) -> bool:
        due = self.transaction == max(self.transactions, 1)
        if step != self.step or self.happened or not due:
            return False
        self.happened += 1
        if self.action == "busy":
            # The server behind does not hear of it; as after 421, the connection ends.
            writer.write(answer.replace(b"451", b"421"))
            await writer.drain()
        elif self.action == "stall":
            await asyncio.sleep(30)
        elif self.action == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        return True


async def _reply(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while True:
        line = await reader.readline()
        answer += line
        if line[3:4] != b"-":
            return answer


async def _case(
    step: str, action: str, transaction: int, peer: SimulatedPeer, port: int, chunking: bool
) -> None:
    chaos = Chaos(step, action, transaction, port)
    server = await asyncio.start_server(chaos.serve, "127.0.0.1", 0)
    url = f"smtp+plain://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    name = f"{step}-{action}-{transaction}-{chunking}".lower()
    retry = waypost.Retry(attempts=3, first=0.05)
    results = []
    async with waypost.AsyncMailer(
        url, pool_size=1, timeout=4, retry=retry, chunking=chunking, avoid_after=0.01
    ) as mailer:
        async for result in mailer.send_many(
            {"from_": "a@example.com", "to": f"{name}-{n}@example.org", "text": "x"}
            for n in range(MESSAGES)
        ):
            results.append(result)  # noqa: PERF401 - it is the stream that is tested
    server.close()
    for handler in chaos.handlers:
        handler.cancel()
    taken = Counter(one.envelope.recipients[0].address for one in peer.received)
    assert len(results) == MESSAGES
    unsure = 0
    for result in results:
        (recipient,) = result.recipients
        context = f"{name}: {recipient.state}\n{result.error}\n{result.transcript}"
        if recipient.state == "accepted":
            assert taken[recipient.address] == 1, context
        elif recipient.state == "uncertain":
            unsure += 1
            assert taken[recipient.address] == (1 if step == "content_reply" else 0), context
            assert isinstance(result.error, waypost.errors.DeliveryUncertain), context
        else:
            raise AssertionError(f"one fault is no reason to give up: {context}")
    cut = step in ("content", "content_reply") or (step == "BDAT" and chunking)
    lost_in_content = chaos.happened and cut and action != "busy"
    assert unsure == (1 if lost_in_content else 0), name


def test_one_fault_at_any_step_of_any_transaction_loses_and_doubles_nothing() -> None:
    async def main() -> None:
        peer = SimulatedPeer((), ServerSettings("peer.example"))
        loop = asyncio.get_running_loop()
        sink = await loop.create_server(peer.accept, "127.0.0.1", 0)
        port = sink.sockets[0].getsockname()[1]
        await asyncio.gather(
            *(
                _case(step, action, transaction, peer, port, chunking)
                for step in STEPS
                for action in ACTIONS
                for transaction in TRANSACTIONS
                for chunking in (True, False)
                if not (step in ("greeting", "EHLO") and transaction > 1)
                and not (step == "DATA" and chunking)
                and not (step == "BDAT" and not chunking)
                # To be told "no" about what was taken: nobody could know.
                and not (step == "content_reply" and action == "busy")
            )
        )
        sink.close()

    asyncio.run(asyncio.wait_for(main(), 100))
