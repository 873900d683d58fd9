"""Implicit TLS behind a balancer: the PROXY header comes in the clear, before the handshake.

A transport reads whatever has come, so the start of the handshake would be read with the header,
and nothing gives it back. So the connection is taken from its transport before it reads, the
header is read from the socket byte by byte, and what remains becomes a TLS connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, cast

from waypost.relay.proxy_protocol import MalformedProxyHeader, ProxyHeaderParser
from waypost.relay.session import HANDSHAKE_SECONDS, Session, plain_address

if TYPE_CHECKING:
    from waypost.relay.listener import Listener


class Introduction(asyncio.Protocol):
    """One connection until its session begins. `listener.introductions` keeps its task."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket away from the transport; it stays open through a second descriptor."""
        given = transport.get_extra_info("socket")
        taken = socket.socket(fileno=os.dup(given.fileno()))
        taken.setblocking(False)
        peer = transport.get_extra_info("peername")
        cast("asyncio.Transport", transport).abort()  # uvloop's is none by class
        address = plain_address(peer[0]) if isinstance(peer, tuple) else "unix"
        tasks = self._listener.introductions
        task = asyncio.get_running_loop().create_task(self._introduce(taken, address))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _introduce(self, taken: socket.socket, address: str) -> None:
        listener = self._listener
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                if listener.expects_proxy_header(address):
                    address = await self._source(taken) or address
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: Session(listener, address), taken, ssl=listener.tls_context(),
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )  # fmt: skip
        except MalformedProxyHeader as fault:
            listener.log.warning("PROXY header refused", client=address, why=str(fault))
        except (OSError, EOFError) as fault:  # ssl.SSLError and timeouts are OSErrors
            listener.log.info("TLS handshake failed", client=address, why=str(fault))
        else:
            return
        taken.close()

    @staticmethod
    async def _source(taken: socket.socket) -> str | None:
        """The address in the header, if it has one. Raises MalformedProxyHeader, OSError."""
        loop = asyncio.get_running_loop()
        parser = ProxyHeaderParser()
        header = None
        while header is None:
            data = await loop.sock_recv(taken, 1)
            if not data:
                raise MalformedProxyHeader("the connection ended within it")
            header = parser.feed(data)
        return header.source.address if header.source is not None else None
