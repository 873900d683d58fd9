"""The control socket of a running relay: lines of JSON over a unix socket, for its commands.

Only the relay's own user and root are served: the socket has mode 0600 before it listens, and who
connects is asked of the kernel as well. Lines, clients and waits are bounded. A connection is for
one request, a line; it is answered by zero or more lines {"reply": OBJECT}, then {"end": true} or
{"error": TEXT, "exit": CODE}. A client that closes is answered no further.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final

import structlog

from waypost.administration import Administration
from waypost.faces.control_path import socket_address
from waypost.faces.control_requests import TEMPORARY, WRONG_USAGE, RequestFault, answer
from waypost.faces.documents import Document

MAXIMUM_LINE: Final = 1024 * 1024
"""Bytes of a request."""

MAXIMUM_CLIENTS: Final = 32

REQUEST_SECONDS: Final = 60.0
"""How long a client may take for its request, and for taking a reply."""

REFUSED_SECONDS: Final = 2.0
"""The same for one that will be refused."""

_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


class ControlServer:
    """See the module."""

    def __init__(self, administration: Administration, path: Path) -> None:
        self._administration = administration
        self._path = path
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._inode = 0
        self._stopping = False
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.control")

    async def start(self) -> None:
        """Listen. Raises OSError, also where another relay answers on the socket."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with socket_address(self._path) as address:
                self._remove_stale(address)
                listening.bind(address)
            self._path.chmod(0o600)
            self._inode = self._path.stat().st_ino
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listening, limit=MAXIMUM_LINE
            )
        except BaseException:
            listening.close()
            raise

    def _remove_stale(self, address: str) -> None:
        """The socket of a relay that was killed is still there, and nobody answers on it."""
        if not self._path.exists() and not self._path.is_symlink():
            return
        if not self._path.is_socket():
            raise FileExistsError(errno.EEXIST, "is no socket; move it away", str(self._path))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.settimeout(1.0)
            try:
                trial.connect(address)
            except (ConnectionRefusedError, FileNotFoundError):
                self._path.unlink(missing_ok=True)
                return
        raise OSError(
            errno.EADDRINUSE,
            "another relay answers here; stop it, or give this one another --spool",
            str(self._path),
        )

    async def stop(self) -> None:
        """Close it, and what is open."""
        if self._server is None:
            return
        self._stopping = True
        self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._admit(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # the client has gone, or stands still
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._clients.discard(task)
            writer.close()

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusal = None
        if not _is_ours(writer):
            refusal = _error("only the relay's own user and root may ask", TEMPORARY)
        elif len(self._clients) > MAXIMUM_CLIENTS:
            text = f"{MAXIMUM_CLIENTS} commands are asking already; try again"
            refusal = _error(text, TEMPORARY)
        # A refused client's request is read as well: closed with it unread, the connection would
        # be reset, and the client would not hear why.
        seconds = REFUSED_SECONDS if refusal is not None else REQUEST_SECONDS
        try:
            async with asyncio.timeout(seconds):
                line = await reader.readline()
            if refusal is not None:
                await _write(writer, refusal)
                return
        except ValueError:
            await _write(writer, _error(f"a request exceeds {MAXIMUM_LINE} bytes", WRONG_USAGE))
            writer.write_eof()
            async with asyncio.timeout(REFUSED_SECONDS):
                while await reader.read(65536):
                    pass
            return
        if line.endswith(b"\n"):
            await self._answer(line, reader, writer)

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Reply to a request, for as long as the client is there."""
        replying = asyncio.ensure_future(self._reply(line, writer))
        # A client says nothing while it waits; what can be read is its end. A follower of a quiet
        # relay would else stay for ever.
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({replying, gone}, return_when=asyncio.FIRST_COMPLETED)
            if replying.done():
                replying.result()
        finally:
            for task in (replying, gone):
                task.cancel()
            await asyncio.gather(replying, gone, return_exceptions=True)

    async def _reply(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            await _write(writer, _error("a request is one line of JSON", WRONG_USAGE))
            return
        try:
            async with contextlib.aclosing(answer(self._administration, request)) as replies:
                async for reply in replies:
                    await _write(writer, {"reply": reply})
        except RequestFault as fault:
            await _write(writer, _error(str(fault), fault.code))
        except (ConnectionError, TimeoutError):
            raise
        except Exception as fault:  # noqa: BLE001
            # A fault of ours in one request must not end the relay, nor be lost.
            self._log.exception("a request failed", do=str(line[:80]))
            await _write(writer, _error(f"the relay failed: {fault!r}; see its log", TEMPORARY))
        else:
            await _write(writer, {"end": True})


def _error(text: str, code: int) -> Document:
    return {"error": text, "exit": code}


async def _write(writer: asyncio.StreamWriter, document: Document) -> None:
    writer.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
    async with asyncio.timeout(REQUEST_SECONDS):
        await writer.drain()


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether the kernel says that the client is of our user, or root."""
    if not sys.platform.startswith("linux"):
        return True  # the mode of the socket has decided
    number = writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(number)) as same:
        raw = same.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    return user in (0, os.getuid())
