"""A server on loopback that answers from a script, well or badly, with TLS where wanted."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from waypost.relay.certificates import self_signed

WAIT: Final = 20.0

ORDINARY: Final[Mapping[str, bytes]] = {
    "": b"220 scripted.example\r\n",
    "EHLO": b"250-scripted.example\r\n250-SIZE 1000\r\n250 DSN\r\n",
    "HELO": b"250 scripted.example\r\n",
    "MAIL": b"250 2.1.0 sender\r\n",
    "RCPT": b"250 2.1.5 recipient\r\n",
    "DATA": b"354 go\r\n",
    ".": b"250 2.0.0 taken\r\n",
    "RSET": b"250 2.0.0 reset\r\n",
    "NOOP": b"250 2.0.0 noop\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}
"""By verb; "" is the greeting, "." the end of content. An answer that ends in DROP is the last."""

DROP: Final = b"<drop>"


def server_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context with a certificate for localhost, and the certificate to trust."""
    certificate, key = self_signed(folder, "localhost", dt.datetime.now(dt.UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


class ScriptedServer:
    """See the module. With `tls` STARTTLS is done; with `implicit` TLS comes first."""

    def __init__(
        self,
        answers: Mapping[str, bytes] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        idle: bytes = b"",
        host: str = "127.0.0.1",
    ) -> None:
        self.answers = {**ORDINARY, **(answers or {})}
        self.heard: list[str] = []
        self._tls = tls
        self._implicit = implicit
        self._idle = idle
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(WAIT)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def place(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            for task in self._tasks:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(WAIT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        context = self._tls if self._implicit else None
        return await asyncio.start_server(self._serve, self._host, 0, ssl=context, limit=1 << 20)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._session(reader, writer)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        content = False
        if not await self._answer(writer, self.answers[""]):
            return
        while line := await reader.readline():
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.heard.append(text)
            if content:
                content = text != "."
                if not content and not await self._answer(writer, self.answers["."]):
                    return
                continue
            verb = text.split(" ", 1)[0].upper()
            answer = self.answers.get(verb, b"500 5.5.1 what?\r\n")
            if not await self._answer(writer, answer):
                return
            if verb == "STARTTLS" and self._tls is not None and answer.startswith(b"220"):
                await writer.start_tls(self._tls)
            content = verb == "DATA" and answer.startswith(b"354")
            if verb == "QUIT":
                return
            if self._idle and verb == "EHLO":
                await asyncio.sleep(0.3)
                await self._answer(writer, self._idle)

    @staticmethod
    async def _answer(writer: asyncio.StreamWriter, answer: bytes) -> bool:
        writer.write(answer.removesuffix(DROP))
        await writer.drain()
        return not answer.endswith(DROP)
