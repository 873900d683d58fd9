"""Where checks that are asked for over HTTP may connect to.

Who may run the doctor is trusted with it, and yet a key that leaks must not open the inside of the
network (server-side request forgery): so connections go to mail ports of public addresses, and
further only to what the configuration sends mail to anyway. What a name stands for is looked at
when the connection is made, not before, so that an answer of the DNS cannot change in between.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.delivery.route import Route, Smarthost
from waypost.knowledge.special_addresses import special_network
from waypost.net.network import Network, ProtocolType

PORTS: Final = frozenset({25, 465, 587, 2465, 2525, 2587})
"""Where mail is submitted or delivered (RFC 5321, 6409, 8314, and what providers add)."""


@dataclass(frozen=True, slots=True)
class ReachPolicy:
    """What may be reached."""

    inside: bool
    """Also addresses that are not public."""
    ports: frozenset[int]

    @classmethod
    def of(cls, routes: Sequence[Route], target: Smarthost | None) -> ReachPolicy:
        """For a target, by the configured routes: a next hop of theirs may be anywhere."""
        hops = [hop for route in routes for hop in route.via if isinstance(hop, Smarthost)]
        known = target is not None and any(
            (hop.host.lower(), hop.port) == (target.host.lower(), target.port) for hop in hops
        )
        inside = known or any(route.allow_private_addresses for route in routes)
        return cls(inside, PORTS | {hop.port for hop in hops if hop.port})

    def refusal(self, address: str, port: int) -> str | None:
        """Why an address is not connected to."""
        if address.startswith("unix:"):
            return "a socket of this machine is not checked over HTTP; use the command"
        if port not in self.ports:
            return f"port {port} is none of mail; over HTTP only those are checked"
        special = None if self.inside else special_network(address)
        if special is None:
            return None
        return (
            f"{address} is not public ({special.name}); over HTTP only next hops of the "
            "configured routes are checked there, or all with allow_private_addresses on a route"
        )


class ReachRefused(OSError):
    """The policy does not let a connection be made."""


class GuardedNetwork:
    """A network (net.network.Network) under a policy."""

    def __init__(self, inner: Network, policy: ReachPolicy) -> None:
        self._inner = inner
        self._policy = policy
        self.refusal = ""
        """Why the first connection that was not made was not."""
        self.connected = False
        """One was made to the port that was asked for first; a check looks at others beside it."""
        self._port: int | None = None

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
        """See Network.connect. Raises ReachRefused too."""
        self._port = self._port or port
        refusal = self._policy.refusal(address, port)
        if refusal is not None:
            self.refusal = self.refusal or refusal
            raise ReachRefused(refusal)
        made = await self._inner.connect(
            factory, address, port, tls=tls, server_name=server_name, source=source
        )
        self.connected = self.connected or port == self._port
        return made

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        tls: ssl.SSLContext,
        server_name: str | None,
    ) -> asyncio.Transport:
        """See Network.start_tls."""
        return await self._inner.start_tls(transport, protocol, tls, server_name)
