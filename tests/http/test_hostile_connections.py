"""Connections that say too little hold nothing up; a request of two lengths is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from web_room import web_room

from waypost.faces.http import connections, server
from waypost.faces.http.application import create_application
from waypost.faces.http.server import HttpServer
from waypost.relay.listener_address import ListenerAddress

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[int]:
    async with web_room(folder) as web:
        served = HttpServer(create_application(web.room), ListenerAddress.parse("127.0.0.1:0"))
        await served.start()
        try:
            yield int(served.bound[0].rpartition(":")[2])
        finally:
            await served.stop()


async def answer_to(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: loc"])
def test_who_sends_no_whole_head_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)

    async def story() -> None:
        async with listening(tmp_path) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            assert await ended(reader) == b""
            writer.close()

    asyncio.run(story())


def test_a_slow_second_request_is_cut_off_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)

    async def story() -> None:
        async with listening(tmp_path) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEALTH.replace(b"Connection: close\r\n", b""))
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            writer.write(b"GET /hea")
            await ended(reader)
            writer.close()

    asyncio.run(story())


def test_the_panel_answers_beside_more_quiet_connections_than_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 20)
    monkeypatch.setattr(connections, "MARGIN", 5)

    async def story() -> None:
        async with listening(tmp_path) as port:
            quiet = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
            assert (await answer_to(port, HEALTH)).startswith(b"HTTP/1.1 200")
            for reader, _ in quiet[:40]:
                assert await ended(reader) == b""
            for _, writer in quiet:
                writer.close()

    asyncio.run(story())


def test_a_request_of_two_lengths_is_refused_and_ends_the_connection(tmp_path: Path) -> None:
    """RFC 9112, 6.1: a proxy may have gone by the other one (request smuggling)."""
    smuggled = (
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )

    async def story() -> None:
        async with listening(tmp_path) as port:
            said = await answer_to(port, smuggled + HEALTH)
            assert said.startswith(b"HTTP/1.1 400")
            assert said.count(b"HTTP/1.1 ") == 1

    asyncio.run(story())
