"""Addresses that records of the DNS must not lead us to (special_addresses.toml)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from waypost.knowledge import tables

TABLE: Final = "special_addresses.toml"

_COLUMNS: Final = ("prefix", "name", "inside", "embeds", "source")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class SpecialNetwork:
    """A range of addresses that is not on the public Internet."""

    prefix: _Network
    name: str
    inside: bool
    """A mail server of our own may be there; the operator can allow it."""
    embeds: int | None
    """The bit at which the IPv4 address begins that counts in its place."""
    source: str


@cache
def special_networks() -> tuple[SpecialNetwork, ...]:
    """All rows. Raises FaultyTable."""
    found = []
    for row in tables.rows(TABLE, "network"):
        tables.only(TABLE, row, _COLUMNS)
        found.append(
            SpecialNetwork(
                ipaddress.ip_network(tables.text(TABLE, row, "prefix")),
                tables.text(TABLE, row, "name"),
                tables.truth(TABLE, row, "inside"),
                tables.whole(TABLE, row, "embeds") if "embeds" in row else None,
                tables.text(TABLE, row, "source"),
            )
        )
    return tuple(found)


@lru_cache(maxsize=4096)
def special_network(address: str) -> SpecialNetwork | None:
    """The special range an address is in, looking through embedded ones; None for a public one.

    Raises ValueError where it is no IP address.
    """
    parsed: _Address = ipaddress.ip_address(address.partition("%")[0])
    for network in special_networks():
        if network.prefix.version != parsed.version or parsed not in network.prefix:
            continue
        if network.embeds is None:
            return network
        embedded = ipaddress.IPv4Address((int(parsed) >> (96 - network.embeds)) & 0xFFFF_FFFF)
        return special_network(str(embedded))
    return None


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine (RFC 6761 6.3, RFC 1122 3.2.1.3)."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
