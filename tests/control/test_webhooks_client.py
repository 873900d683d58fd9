"""One request of a webhook over real sockets: only where it may, no more read than kept."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

import pytest

from waypost.control.webhooks_client import KEPT_ANSWER, Answer, HttpxPoster
from waypost.net.clock import SystemClock
from waypost.net.static_resolver import StaticResolver
from waypost.relay.certificates import self_signed

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(status: str = "200 OK", body: bytes = b"thanks", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


def answers(*replies: bytes) -> Handler:
    """Answers each request of a connection by the next of these."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await request_of(reader)
            writer.write(reply)
        await reader.read()
        writer.close()

    return handler


class Server:
    """A server on loopback, under the name hooks.example."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self.connections = 0
        self._open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        try:
            await self._handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://hooks.example:{self.port}/hook?x=1"


def poster(
    allowed: tuple[ipaddress.IPv4Network, ...] = LOOPBACK,
    seconds: float = 20.0,
    tls: ssl.SSLContext | None = None,
) -> HttpxPoster:
    resolver = StaticResolver(addresses={"hooks.example": ["127.0.0.1"]})
    return HttpxPoster(resolver, SystemClock(), allowed, seconds=seconds, tls=tls)


def told(handler: Handler, times: int = 1, seconds: float = 20.0) -> list[Answer]:
    """What comes of so many requests, one after the other, to such a server."""

    async def story() -> list[Answer]:
        async with Server(handler) as server:
            sending = poster(seconds=seconds)
            try:
                return [
                    await sending.post(server.url(), b'{"n":1}', {"webhook-id": "msg_1"})
                    for _ in range(times)
                ]
            finally:
                await sending.close()

    return asyncio.run(story())


def test_a_request_has_its_name_headers_and_body() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request_of(reader))
        writer.write(http())

    (answer,) = told(handler)
    assert (answer.status, answer.error, answer.text) == (200, "", "thanks")
    head, body = seen[0]
    assert head.startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
    assert b"Host: hooks.example:" in head
    assert b"webhook-id: msg_1\r\n" in head
    assert b"Content-Type: application/json\r\n" in head
    assert body == b'{"n":1}'


def test_a_connection_is_kept_for_the_next_event() -> None:
    async def story() -> None:
        async with Server(answers(*[http()] * 3)) as server:
            sending = poster()
            for _ in range(3):
                assert (await sending.post(server.url(), b"{}", {})).is_taken
            await sending.close()
            assert server.connections == 1

    asyncio.run(story())


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "500 Oh", "503 Busy"])
def test_anything_but_2xx_is_not_taken(status: str) -> None:
    (answer,) = told(answers(http(status, b"sorry")))
    assert not answer.is_taken
    assert (answer.status, answer.text) == (int(status[:3]), "sorry")
    assert answer.error == f"it answers {status[:3]}"


def test_a_redirect_is_not_followed() -> None:
    (answer,) = told(answers(http("302 Found", b"", "Location: http://169.254.169.254/")))
    assert not answer.is_taken
    assert "302" in answer.error
    assert "not followed" in answer.error


def test_the_wish_for_a_pause_is_heard() -> None:
    (answer,) = told(answers(http("429 Slow", b"", "Retry-After: 120")))
    assert answer.retry_after == 120.0
    for odd in ("Wed, 21 Oct 2026 07:28:00 GMT", "-5", "1e9", "9" * 30, "²"):
        (answer,) = told(answers(http("503 Busy", b"", f"Retry-After: {odd}")))
        assert answer.retry_after is None


def test_an_endpoint_that_hangs_is_left_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    (answer,) = told(silent, seconds=0.2)
    assert (answer.status, answer.error) == (None, "no answer within 0.2 seconds")


def test_an_endpoint_that_drips_is_left_in_time() -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    (answer,) = told(dripping, seconds=0.3)
    assert answer.status is None


def test_of_a_huge_answer_only_the_beginning_is_read() -> None:
    written = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            written += 65536
            await writer.drain()

    answer, again = told(endless, times=2)
    assert (answer.status, answer.text, answer.is_taken) == (200, "x" * KEPT_ANSWER, True)
    assert again.is_taken
    assert written < 64 * 1024 * 1024


def test_an_answer_that_is_packed_is_not_unpacked() -> None:
    bomb = http("200 OK", b"\x1f\x8b\x08\x00" + b"\x00" * 100, "Content-Encoding: gzip")
    (answer,) = told(answers(bomb))
    assert answer.is_taken


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 2", b"hello\r\n\r\n", b"\x00" * 100])
def test_what_is_no_answer_is_a_failure_with_words(reply: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(reply)
        writer.close()

    (answer,) = told(handler)
    assert answer.status is None
    assert answer.error


# --- where it may go ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[fd00::1]",
        "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "0.0.0.0", "inside.example", "2130706433",
    ],
)  # fmt: skip
def test_addresses_inside_are_not_asked(host: str) -> None:
    async def story() -> Answer:
        resolver = StaticResolver(addresses={"inside.example": ["10.1.2.3"]})
        return await HttpxPoster(resolver, SystemClock()).post(f"https://{host}/", b"{}", {})

    answer = asyncio.run(story())
    assert answer.status is None
    assert "no public address" in answer.error or "is not known" in answer.error


def test_nothing_is_sent_to_an_address_that_is_not_allowed() -> None:
    async def story() -> None:
        async with Server(answers(http())) as server:
            answer = await poster(allowed=()).post(server.url("https"), b"{}", {})
            assert "webhooks.allow" in answer.error
            assert server.connections == 0

    asyncio.run(story())


def test_public_addresses_are_asked_over_https_only() -> None:
    async def story() -> Answer:
        resolver = StaticResolver(addresses={"public.example": ["8.8.8.8"]})
        return await HttpxPoster(resolver, SystemClock()).post("http://public.example/", b"{}", {})

    assert "use https://" in asyncio.run(story()).error


def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    """A name that changes between the look and the connection (DNS rebinding) gains nothing."""

    class Rebinding(StaticResolver):
        asked = 0

        async def addresses(self, host: str) -> tuple[str, ...]:
            self.asked += 1
            return ("127.0.0.1",) if self.asked == 1 else ("127.0.0.2",)

    async def story() -> None:
        async with Server(answers(http())) as server:
            resolver = Rebinding()
            sending = HttpxPoster(resolver, SystemClock(), (ipaddress.ip_network("127.0.0.1"),))
            assert (await sending.post(server.url(), b"{}", {})).is_taken
            assert resolver.asked == 1
            assert not (await sending.post(server.url(), b"{}", {})).is_taken
            await sending.close()

    asyncio.run(story())


# --- TLS ----------------------------------------------------------------------------------------


def contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server with a certificate of this name, and of a client that trusts it."""
    certificate, key = self_signed(folder, name, dt.datetime.now(dt.UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


def test_a_certificate_is_verified_for_the_name_of_the_endpoint(tmp_path: Path) -> None:
    right, trusted = contexts(tmp_path / "right", "hooks.example")
    wrong, trusted_too = contexts(tmp_path / "wrong", "other.example")

    async def story(tls: ssl.SSLContext, client: ssl.SSLContext | None) -> Answer:
        async with Server(answers(http()), tls) as server:
            sending = poster(tls=client)
            try:
                return await sending.post(server.url("https"), b"{}", {})
            finally:
                await sending.close()

    assert asyncio.run(story(right, trusted)).is_taken
    for refused in (asyncio.run(story(wrong, trusted_too)), asyncio.run(story(right, None))):
        assert refused.status is None
        assert "certificate does not hold" in refused.error
