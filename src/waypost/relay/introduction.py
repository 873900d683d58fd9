"""Implicit TLS: what comes before the session, which is the PROXY header, the count, the handshake.

A server that makes TLS by itself shows a connection only when its handshake is done. Until then it
would count nowhere, and whoever says nothing could hold as many as the system has. A PROXY header
comes in the clear before the handshake, and a transport would read the start of the handshake with
it. So the connection is taken from its transport before that reads anything; the header is read
from the socket byte by byte, the connection is counted, and what remains becomes a TLS connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final, cast

from waypost.relay.proxy_protocol import MalformedProxyHeader, ProxyHeaderParser
from waypost.relay.session import Session
from waypost.relay.session_state import HANDSHAKE_SECONDS, plain_address

if TYPE_CHECKING:
    from waypost.relay.listener import Listener

MAXIMUM_REFUSALS: Final = 100
"""Handshakes under way above which a connection too many is cut off without a word."""


class Introduction(asyncio.Protocol):
    """One connection until its session begins. `listener.introductions` keeps its task."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket away from the transport; it stays open through a second descriptor."""
        peer = transport.get_extra_info("peername")
        address = plain_address(peer[0]) if isinstance(peer, tuple) else "unix"
        taken = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        taken.setblocking(False)
        cast("asyncio.Transport", transport).abort()  # uvloop's is none by class
        tasks = self._listener.introductions
        task = asyncio.get_running_loop().create_task(self._introduce(taken, address))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _introduce(self, taken: socket.socket, address: str) -> None:
        listener = self._listener
        session: Session | None = None
        begun = False
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                if listener.expects_proxy_header(address):
                    address = await _source(taken) or address
                session = self._session(address)
                if session.refusal is None or len(listener.introductions) <= MAXIMUM_REFUSALS:
                    await self._shake_hands(taken, session)
                    begun = True
        except MalformedProxyHeader as fault:
            listener.log.warning(
                "PROXY header refused", client=address, why=str(fault) or type(fault).__name__
            )
        except (OSError, EOFError) as fault:  # ssl.SSLError and timeouts are OSErrors
            listener.log.info(
                "TLS handshake failed", client=address, why=str(fault) or type(fault).__name__
            )
        finally:
            if not begun:
                taken.close()
                if session is not None:
                    session.connection_lost(None)  # it no longer counts

    def _session(self, address: str) -> Session:
        """A session whose connection is counted, or is to be refused."""
        listener = self._listener
        session = Session(listener, address)
        session.refusal = listener.limits.connection_opened(address, listener.clock.monotonic())
        session.registered = session.refusal is None
        return session

    async def _shake_hands(self, taken: socket.socket, session: Session) -> None:
        """Raises OSError, EOFError."""
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: session, taken, ssl=self._listener.tls_context(),
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
        )  # fmt: skip


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
