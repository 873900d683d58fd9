"""Proxies of the tests: SOCKS5 and HTTP CONNECT in front of loopback, in a thread of their own."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


class ProxyServer:
    """`kind` is socks5 or http; with `login` it asks for "user:password"."""

    def __init__(self, kind: str, login: str = "", refuse: bool = False) -> None:
        self._login = login
        self._refuse = refuse
        self.asked: list[tuple[str, int]] = []
        """What connections were asked for."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        serve: Callable[..., Coroutine[Any, Any, None]] = (
            self._socks if kind == "socks5" else self._http
        )
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if self._login else 0
        if method not in methods:
            writer.write(b"\x05\xff")
            writer.close()
            return
        writer.write(bytes((5, method)))
        if self._login:
            _, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            (length,) = await reader.readexactly(1)
            password = await reader.readexactly(length)
            good = (user + b":" + password).decode() == self._login
            writer.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                writer.close()
                return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            (length,) = await reader.readexactly(1)
            host = (await reader.readexactly(length)).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append((host, port))
        if self._refuse:
            writer.write(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")
            writer.close()
            return
        await self._join(reader, writer, port, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        authority = request.split(" ")[1]
        host, _, port = authority.rpartition(":")
        self.asked.append((host, int(port)))
        wanted = "Basic " + base64.b64encode(self._login.encode()).decode()
        if self._login and wanted not in request:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
        elif self._refuse:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
        else:
            await self._join(reader, writer, int(port), b"HTTP/1.1 200 Connected\r\nVia: x\r\n\r\n")

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, answer: bytes
    ) -> None:
        behind, onward = await asyncio.open_connection("127.0.0.1", port)
        first = b""
        with suppress(TimeoutError):  # of a server that speaks TLS, and so not first
            # The greeting then comes in the same segment as the proxy's own answer.
            first = await asyncio.wait_for(behind.read(1000), 0.3)
        writer.write(answer + first)
        await asyncio.gather(_copy(reader, onward), _copy(behind, writer))

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
