"""Serves the web application on the relay's own event loop, with uvicorn.

The loop is shared so that pages show the relay as it is, without another process to keep in step.
Signals stay the relay's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI

from waypost.faces.http.connections import BoundedConnection
from waypost.relay.listener_address import ListenerAddress

STOP_SECONDS: Final = 2
"""Requests under way have this long to end when the relay stops."""

BACKLOG: Final = 256

CONNECTIONS: Final = 500
"""Connections at the same time; others are answered 503."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: the relay has its own."""
        yield


class _OwnLog(logging.Handler):
    """Takes what uvicorn says into the relay's log. What it warns of is what clients do, which
    strangers can as often as they like: that is for debugging only."""

    def __init__(self) -> None:
        super().__init__()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.http")

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        write = self._log.error if record.levelno >= logging.ERROR else self._log.debug
        write("web server", says=record.getMessage(), exc_info=record.exc_info)


def _take_over_log() -> None:
    logger = logging.getLogger("uvicorn.error")
    if not any(isinstance(one, _OwnLog) for one in logger.handlers):
        logger.addHandler(_OwnLog())
        logger.propagate = False


class HttpServer:
    """One listening address of the application; over TLS where `tls` gives contexts for it."""

    def __init__(
        self,
        application: FastAPI,
        address: ListenerAddress,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._address = address
        _take_over_log()
        self._server = _Server(
            uvicorn.Config(
                application, http=BoundedConnection, lifespan="off", log_config=None,
                access_log=False, server_header=False, proxy_headers=False, ws="none",
                backlog=BACKLOG, limit_concurrency=CONNECTIONS, timeout_keep_alive=30,
                timeout_graceful_shutdown=STOP_SECONDS, h11_max_incomplete_event_size=32 * 1024,
                ssl_context_factory=None if tls is None else lambda *_: _renewing(tls),
            )
        )  # fmt: skip
        self._task: asyncio.Task[None] | None = None
        self.bound: list[str] = []
        """HOST:PORT of each socket, once started."""

    async def start(self) -> None:
        """Listen. Raises OSError."""
        sockets = [_listening(host, self._address.port) for host in self._address.hosts or ("",)]
        for one in sockets:
            host, port = one.getsockname()[:2]
            self.bound.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets))

    async def stop(self) -> None:
        """Let what is under way end within STOP_SECONDS, then close."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None


def _renewing(tls: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """A context that hands each handshake over to the one of the certificate of today."""
    first = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def hand_over(handshake: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        handshake.context = tls()

    # Called for each handshake, also where the client names no server (OpenSSL's servername
    # callback comes with the ClientHello).
    first.sni_callback = hand_over
    return first


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host or not host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if not host else 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
