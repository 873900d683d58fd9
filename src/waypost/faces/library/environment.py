"""Where the library touches the machine: the engine with real time, sockets, names and chance."""

from __future__ import annotations

import random
import secrets

from waypost.delivery.opening import Logins
from waypost.faces.library.engine import Engine
from waypost.faces.library.settings import Settings
from waypost.net.clock import SystemClock
from waypost.net.dns import DnsResolver
from waypost.net.network import AsyncioNetwork, Network
from waypost.net.proxy import ProxiedNetwork, RemoteNames
from waypost.net.resolver import Resolver


def make_engine(settings: Settings, logins: Logins | None = None) -> Engine:
    """An engine for the running event loop."""
    clock = SystemClock()
    network: Network = AsyncioNetwork()
    resolver: Resolver = DnsResolver(clock)
    if settings.proxy is not None:
        network = ProxiedNetwork(network, resolver, settings.proxy)
        if settings.proxy.looks_names_up:
            resolver = RemoteNames(resolver)
    return Engine(
        settings, clock, network, resolver, random.SystemRandom(),
        lambda: secrets.token_urlsafe(18), logins,
    )  # fmt: skip
