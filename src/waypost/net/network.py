"""Connections, as a seam. The shapes are those of asyncio's transports and protocols.

The simulator gives transports of its own to the same protocols; `AsyncioNetwork` gives real ones.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

ProtocolType = TypeVar("ProtocolType", bound=asyncio.Protocol)


class Network(Protocol):
    """How an outgoing connection is made."""

    async def connect(
        self,
        factory: Callable[[], ProtocolType],
        address: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        source: str | None = None,
    ) -> tuple[asyncio.Transport, ProtocolType]:
        """Connect to one IP address (or "unix:/path") and port.

        With `tls` the handshake comes first and `server_name` is sent as SNI and verified.
        Raises OSError (refused, unreachable, reset) and ssl.SSLError. Has no timeout of its own:
        the caller's stage has one.
        """

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        tls: ssl.SSLContext,
        server_name: str | None,
    ) -> asyncio.Transport:
        """Make TLS over a connection as the client; `protocol` goes on with the new transport."""


class AsyncioNetwork:
    """Real sockets of the running event loop."""

    async def connect(
        self,
        factory: Callable[[], ProtocolType],
        address: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        source: str | None = None,
    ) -> tuple[asyncio.Transport, ProtocolType]:
        """Connect to one IP address or unix socket; see Network.connect."""
        loop = asyncio.get_running_loop()
        name = (server_name or address) if tls else None
        if address.startswith("unix:"):
            made = await loop.create_unix_connection(
                factory, address.removeprefix("unix:"), ssl=tls, server_hostname=name
            )
        else:
            made = await loop.create_connection(
                factory,
                address,
                port,
                ssl=tls,
                server_hostname=name,
                local_addr=(source, 0) if source else None,
            )
        return made

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        tls: ssl.SSLContext,
        server_name: str | None,
    ) -> asyncio.Transport:
        """Make TLS over a connection as the client; see Network.start_tls."""
        loop = asyncio.get_running_loop()
        upgraded = await loop.start_tls(transport, protocol, tls, server_hostname=server_name)
        if upgraded is None:
            raise ConnectionResetError("the connection was closed during the TLS handshake")
        return upgraded
