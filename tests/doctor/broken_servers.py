"""Servers on loopback that do what they are told, right or wrong, and a name server beside them.

Everything runs in the event loop of the test. A server is a script: what it says by itself, how it
answers each verb, and what it does with TLS; or a function that has the connection for itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

HANG: Final = b"<hang>"
"""An answer that ends in this is followed by nothing."""
DROP: Final = b"<drop>"
"""The connection is closed behind it."""
RESET: Final = b"<reset>"
"""The connection is cut behind it (RST)."""

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ORDINARY: Final[Mapping[str, bytes]] = {
    "EHLO": b"250-mail.test\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    "HELO": b"250 mail.test\r\n",
    "MAIL": b"250 2.1.0 sender\r\n",
    "RCPT": b"250 2.1.5 recipient\r\n",
    "DATA": b"354 go on\r\n",
    ".": b"250 2.0.0 taken\r\n",
    "RSET": b"250 2.0.0 reset\r\n",
    "QUIT": b"221 2.0.0 bye\r\n" + DROP,
}


@dataclass(frozen=True)
class Script:
    """What a server does."""

    greeting: bytes = b"220 mail.test ESMTP\r\n"
    answers: Mapping[str, bytes] = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)
    """Seconds before the answer to a verb; "" for the greeting."""
    tls: ssl.SSLContext | None = None
    """Made behind a 220 to STARTTLS, or at once."""
    implicit: bool = False
    under_tls: Mapping[str, bytes] = field(default_factory=dict)
    """Answers that differ under TLS."""
    talk: Talk | None = None
    """Has the connection for itself, in place of all this."""

    def with_(self, **answers: bytes) -> Script:
        """The same with other answers, by verb."""
        return replace(self, answers={**self.answers, **answers})


class BrokenServer:
    """One server that runs a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[str] = []
        self.contents: list[bytes] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; the port."""
        context = self.script.tls if self.script.implicit else None
        self._server = await asyncio.start_server(
            self._serve, host, port, ssl=context, limit=1 << 20, ssl_handshake_timeout=5.0
            if context else None,
        )  # fmt: skip
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        # A cancelled handler would be logged as a fault of its own by CPython 3.11.
        with suppress(OSError, asyncio.IncompleteReadError, EOFError, asyncio.CancelledError):
            if self.script.talk is not None:
                await self.script.talk(reader, writer)
            else:
                await self._follow(reader, writer)
        writer.close()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.script
        encrypted = script.implicit
        if not await self._say(writer, "", script.greeting):
            return
        while line := await reader.readline():
            text = line.decode("latin-1").rstrip("\r\n")
            self.heard.append(text)
            verb = text.partition(" ")[0].upper()
            offered = {"STARTTLS": b"220 2.0.0 go ahead\r\n"} if script.tls is not None else {}
            answers = {
                **ORDINARY,
                **offered,
                **script.answers,
                **(script.under_tls if encrypted else {}),
            }
            answer = answers.get(text) or answers.get(verb, b"502 5.5.1 not here\r\n")
            if not await self._say(writer, verb, answer):
                return
            if verb == "STARTTLS" and answer.startswith(b"220") and script.tls is not None:
                await start_tls(writer, script.tls)
                encrypted = True
            if verb == "DATA" and answer.startswith(b"354"):
                self.contents.append(await reader.readuntil(b"\r\n.\r\n"))
                if not await self._say(writer, ".", answers["."]):
                    return

    async def _say(self, writer: asyncio.StreamWriter, verb: str, answer: bytes) -> bool:
        delay = self.script.delays.get(verb, 0.0)
        if delay:
            await asyncio.sleep(delay)
        for ending in (HANG, DROP, RESET):
            if answer.endswith(ending):
                writer.write(answer.removesuffix(ending))
                await writer.drain()
                if ending == HANG:
                    await asyncio.sleep(3600)
                if ending == RESET:
                    cut(writer)
                return False
        writer.write(answer)
        await writer.drain()
        return True


async def start_tls(writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
    """Make TLS; ends in an OSError where the client goes away, which CPython 3.11 does not say."""
    before = writer.transport
    try:
        await writer.start_tls(context)
    except AttributeError as fault:
        private: Any = writer
        private._transport = before  # it is asked whether it is closed when it is collected
        raise ConnectionResetError("the client went away during the handshake") from fault


def cut(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    raw: Any = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Zone = Mapping[tuple[str, str], Sequence[str] | str]
"""Records by name and type; in their place NXDOMAIN, SERVFAIL or SILENCE."""


class NameServer(asyncio.DatagramProtocol):
    """Answers from a zone. A name that is nowhere in it does not exist."""

    def __init__(self, zone: Zone) -> None:
        self._zone = {(name.lower(), kind): value for (name, kind), value in zone.items()}
        self.asked: list[tuple[str, str]] = []
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> int:
        """Listen on 127.0.0.1; the port."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        return int(transport.get_extra_info("sockname")[1])

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.set_rcode(dns.rcode.NOERROR)
        self._fill(answer, name, kind)
        if answer.rcode() != dns.rcode.BADVERS and self._transport is not None:
            self._transport.sendto(answer.to_wire(), addr)

    def _fill(self, answer: dns.message.Message, name: str, kind: str) -> None:
        """BADVERS stands for no answer at all."""
        for _ in range(8):
            alias = self._zone.get((name, "CNAME"))
            if alias is None or kind == "CNAME":
                break
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", alias[0]))
            name = alias[0].rstrip(".")
        found = self._zone.get((name, kind), self._zone.get((name, "*")))
        if found is None:
            known = any(one == name for one, _ in self._zone)
            answer.set_rcode(dns.rcode.NOERROR if known else dns.rcode.NXDOMAIN)
        elif found == "SILENCE":
            answer.set_rcode(dns.rcode.BADVERS)
        elif isinstance(found, str):
            answer.set_rcode(dns.rcode.from_text(found))
        else:
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, *found))
