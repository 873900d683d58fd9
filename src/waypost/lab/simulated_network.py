"""A network in memory: connections between asyncio protocols, with latency and faults."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from waypost.net.network import ProtocolType

Acceptor = Callable[[], asyncio.Protocol | None]
"""Makes the peer of a new connection; None refuses it."""


class SimulatedTransport(asyncio.Transport):
    """One end of a simulated connection."""

    def __init__(self, network: SimulatedNetwork, address: str, port: int) -> None:
        super().__init__({"peername": (address, port)})
        self._network = network
        self._protocol: asyncio.Protocol | None = None
        self._other: SimulatedTransport | None = None
        self._closed = False
        self._paused = False
        self._inbox: list[bytes] = []
        self.stalled = False
        """Nothing that is written arrives any more, and no one is told."""
        self.written = 0
        """Bytes written so far."""

    def join(self, other: SimulatedTransport, protocol: asyncio.Protocol) -> None:
        """Connect to the other end and hand this end to a protocol."""
        self._other = other
        self._protocol = protocol

    def begin(self) -> None:
        """Tell the protocol that it is connected."""
        assert self._protocol is not None
        self._protocol.connection_made(self)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand this end to another protocol."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol of this end."""
        assert self._protocol is not None
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; they arrive after the latency."""
        self.written += len(data)
        if self._closed or self.stalled or self._other is None:
            return
        self._network.later(self._other.arrive, bytes(data))

    def arrive(self, data: bytes) -> None:
        """Bytes have come from the other end."""
        if self._closed:
            return
        if self._paused:
            self._inbox.append(data)
        elif self._protocol is not None:
            self._protocol.data_received(data)

    def close(self) -> None:
        """Close in order: what was written arrives first."""
        self._end(None)

    def abort(self) -> None:
        """Cut the connection."""
        self._end(None)

    def reset(self) -> None:
        """Both ends see a reset connection, at once on this side."""
        self._end(ConnectionResetError("connection reset by peer"))

    def _end(self, fault: Exception | None) -> None:
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        if self._protocol is not None:
            loop.call_soon(self._protocol.connection_lost, None)
        if self._other is not None and not self.stalled:
            self._network.later(self._other.ended, fault)

    def ended(self, fault: Exception | None) -> None:
        """The other end is closed or reset."""
        if self._closed:
            return
        self._closed = True
        if self._protocol is not None:
            if fault is None:
                self._protocol.eof_received()
            self._protocol.connection_lost(fault)

    def is_closing(self) -> bool:
        """Whether the connection is closed."""
        return self._closed

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._paused = True

    def resume_reading(self) -> None:
        """Deliver what was kept, and what comes."""
        self._paused = False
        inbox, self._inbox = self._inbox, []
        for data in inbox:
            self.arrive(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer: latency is all that delays."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """peername, as real transports give."""
        return super().get_extra_info(name, default)


class SimulatedNetwork:
    """The Network seam in memory. `listen` puts peers at addresses."""

    def __init__(self, latency: float = 0.01) -> None:
        self.latency = latency
        """Seconds that bytes need from one end to the other."""
        self._peers: dict[tuple[str, int], Acceptor] = {}
        self.connections = 0
        """Connections made so far."""
        self.silent: set[tuple[str, int]] = set()
        """Addresses that never answer a connection attempt."""

    def listen(self, address: str, port: int, acceptor: Acceptor) -> None:
        """Put a peer at an address."""
        self._peers[address, port] = acceptor

    def later(self, callback: Callable[..., object], *arguments: object) -> None:
        """Run after the latency."""
        asyncio.get_running_loop().call_later(self.latency, callback, *arguments)

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
        """Connect to a simulated peer; see Network.connect. TLS is not simulated."""
        del server_name
        if tls is not None:
            raise NotImplementedError("the simulated network has no TLS")
        if (address, port) in self.silent:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.latency)
        acceptor = self._peers.get((address, port))
        peer = acceptor() if acceptor is not None else None
        if peer is None:
            raise ConnectionRefusedError(111, f"connection to {address}:{port} refused")
        self.connections += 1
        protocol = factory()
        near = SimulatedTransport(self, address, port)
        far = SimulatedTransport(self, source or "192.0.2.1", 40000 + self.connections % 20000)
        near.join(far, protocol)
        far.join(near, peer)
        near.begin()
        far.begin()
        return near, protocol

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        tls: ssl.SSLContext,
        server_name: str | None,
    ) -> asyncio.Transport:
        """TLS is not simulated."""
        del transport, protocol, tls, server_name
        raise NotImplementedError("the simulated network has no TLS")
