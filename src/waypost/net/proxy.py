"""Connections through a proxy: SOCKS5 (RFC 1928, 1929) and HTTP CONNECT (RFC 9110 9.3.6).

    socks5://host:1080          names are looked up here
    socks5h://user:pass@host    names are looked up by the proxy
    http://user:pass@host:8080  CONNECT; names are looked up by the proxy

`ProxiedNetwork` stands in for a Network and makes each connection through the proxy; the
handshakes themselves (proxy_handshake.py) know nothing of sockets. `RemoteNames` stands in for a
Resolver where it is the proxy that looks names up.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from urllib.parse import unquote

from waypost.net.network import Network, ProtocolType
from waypost.net.proxy_handshake import Handshake, HttpConnect, ProxyRefused, Socks5
from waypost.net.resolver import MailExchanger, Records, Resolver

_URL: Final = re.compile(
    r"(socks5h?|http)://(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\[[0-9A-Fa-f:.]+\]|[^:@/?#\[\]]+)"
    r"(?::([0-9]{1,5}))?/?"
)
_PORTS: Final = {"socks5": 1080, "socks5h": 1080, "http": 8080}


class InvalidProxyUrl(ValueError):
    """The URL of a proxy that cannot be used. Shows no password."""

    def __init__(self, problem: str, advice: str) -> None:
        self.problem = problem
        self.advice = advice
        super().__init__(f"{problem}; {advice}")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy to connect through."""

    kind: Literal["socks5", "socks5h", "http"]
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def looks_names_up(self) -> bool:
        """Names are sent to it, and not looked up here."""
        return self.kind != "socks5"

    def __str__(self) -> str:
        return f"{self.kind}://{self.host}:{self.port}"

    def handshake(self, host: str, port: int) -> Handshake:
        """What is to be said for a connection to `host`. Raises ProxyRefused for one that cannot
        be asked for."""
        if self.kind == "http":
            return HttpConnect(host, port, self.user, self.password)
        return Socks5(host, port, self.user, self.password)


def parse_proxy_url(url: str) -> Proxy:
    """Read the URL of a proxy. Raises InvalidProxyUrl."""
    found = _URL.fullmatch(url)
    if found is None:
        scheme = url.partition(":")[0][:20]
        raise InvalidProxyUrl(
            f"the URL (it begins with {scheme!r}) names no proxy that can be used",
            "write socks5://host:1080, socks5h://user:password@host:1080 or http://host:8080, "
            "with @ : / ? # in user name and password percent-encoded",
        )
    kind, user, password, host, port = found.groups()
    number = int(port) if port else _PORTS[kind]
    if not 1 <= number <= 65535:
        raise InvalidProxyUrl(f"{number} is no port", "give one from 1 to 65535")
    user, password = unquote(user or ""), unquote(password or "")
    if len(user.encode()) > 255 or len(password.encode()) > 255:
        raise InvalidProxyUrl("user name or password is longer than 255 octets", "RFC 1929 2")
    return Proxy(cast("Literal['socks5', 'socks5h', 'http']", kind), host.strip("[]"), number,
                 user, password)  # fmt: skip


class RemoteNames:
    """A resolver that leaves the names of hosts to a proxy; other questions go to the real one."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The name itself: the proxy knows its address."""
        return (host,)

    async def mail_exchangers(self, domain: str) -> tuple[MailExchanger, ...]:
        """See Resolver."""
        return await self._resolver.mail_exchangers(domain)

    async def host_name(self, address: str) -> str:
        """See Resolver."""
        return await self._resolver.host_name(address)

    async def text(self, name: str) -> tuple[str, ...]:
        """See Resolver."""
        return await self._resolver.text(name)

    async def records(self, name: str, record_type: str) -> Records:
        """See Resolver."""
        return await self._resolver.records(name, record_type)


class ProxiedNetwork:
    """A Network whose connections go through a proxy; those to unix sockets do not."""

    def __init__(self, network: Network, resolver: Resolver, proxy: Proxy) -> None:
        self._network = network
        self._resolver = resolver
        self._proxy = proxy

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
        """Connect through the proxy; see Network.connect. Raises ProxyRefused (an OSError) too."""
        if address.startswith("unix:"):
            return await self._network.connect(
                factory, address, port, tls=tls, server_name=server_name, source=source
            )
        handshake = self._proxy.handshake(address, port)
        transport, talk = await self._reach(handshake, source)
        try:
            await talk.done
            if tls is not None:
                talk.expect_silence()
                transport = await self._network.start_tls(
                    transport, talk, tls, server_name or address
                )
            protocol = factory()
            talk.hand_over(transport, protocol)
        except BaseException:
            transport.abort()
            raise
        return transport, protocol

    async def _reach(
        self, handshake: Handshake, source: str | None
    ) -> tuple[asyncio.Transport, _Talk]:
        proxy = self._proxy
        last: OSError | None = None
        for address in await self._resolver.addresses(proxy.host):
            fits = source is not None and (":" in source) == (":" in address)
            try:
                return await self._network.connect(
                    lambda: _Talk(handshake, str(proxy)), address, proxy.port,
                    source=source if fits else None,
                )  # fmt: skip
            except OSError as fault:
                last = fault
        raise ProxyRefused(f"the proxy {proxy} cannot be reached: {last}") from last

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        tls: ssl.SSLContext,
        server_name: str | None,
    ) -> asyncio.Transport:
        """Make TLS over a connection; see Network.start_tls."""
        return await self._network.start_tls(transport, protocol, tls, server_name)


class _Talk(asyncio.Protocol):
    """Speaks a handshake, then keeps what comes until the real protocol takes over."""

    def __init__(self, handshake: Handshake, name: str) -> None:
        self._handshake = handshake
        self._name = name
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._ended: Exception | None = None
        self._is_over = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected to the proxy, or TLS is in force behind it."""
        self._transport = cast("asyncio.Transport", transport)
        if not self.done.done():
            self._transport.write(self._handshake.begin())

    def data_received(self, data: bytes) -> None:
        """An answer of the proxy, or first bytes of the server behind it."""
        if self.done.done():
            self._early.append(data)
            return
        assert self._transport is not None
        try:
            answer = self._handshake.receive(data)
        except ProxyRefused as refused:
            refused.args = (f"the proxy {self._name}: {refused}",)
            self.done.set_exception(refused)
            self._transport.abort()
            return
        if answer:
            self._transport.write(answer)
        if self._handshake.rest is not None:
            if self._handshake.rest:
                self._early.append(self._handshake.rest)
            # What the server sends from here on is for the protocol that is to come.
            self._transport.pause_reading()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy has closed the connection."""
        self._is_over = True
        self._ended = exc
        if not self.done.done():
            self.done.set_exception(
                ProxyRefused(f"the proxy {self._name} closed the connection during its handshake")
            )

    def expect_silence(self) -> None:
        """TLS is due: nothing may have come in the clear, or it would be taken for the server's."""
        if self._early:
            raise ProxyRefused(f"the proxy {self._name} sent bytes of its own before TLS")

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Give the connection to the real protocol, with what came early."""
        if self._is_over:
            raise ConnectionResetError("the connection was closed behind the proxy's handshake")
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._early:
            protocol.data_received(data)
        transport.resume_reading()
