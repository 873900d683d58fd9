"""Records of the DNS as values: what the doctor reads from Resolver.records.

A record that does not have the form of its type is left out: it is another's mistake, and the
records beside it count all the same.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    Records,
    ResolutionFailure,
    ResolutionTemporaryFailure,
    Resolver,
)

_SERVICE: Final = re.compile(r"([0-9]{1,5}) ([0-9]{1,5}) ([0-9]{1,5}) (\S+)")
_ASSOCIATION: Final = re.compile(r"([0-9]{1,3}) ([0-9]{1,3}) ([0-9]{1,3}) ([0-9A-Fa-f ]+)")


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record (RFC 2782): lower priority first; `host` is "" where there is no service."""

    priority: int
    weight: int
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class TlsAssociation:
    """One TLSA record (RFC 6698 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


async def services(resolver: Resolver, name: str) -> tuple[Service, ...]:
    """The SRV records of a name such as _submission._tcp.example.com, in the order to try them
    (of one priority the heavier first, so that the answer is the same each time).

    Raises ResolutionFailure.
    """
    found = []
    for value in (await resolver.records(name, "SRV")).values:
        row = _SERVICE.fullmatch(value)
        if row is not None:
            host = row[4].rstrip(".").lower()
            found.append(Service(int(row[1]), int(row[2]), int(row[3]), host))
    return tuple(sorted(found, key=lambda one: (one.priority, -one.weight, one.host)))


async def alias(resolver: Resolver, name: str) -> str:
    """The name that a name is an alias of (CNAME). Raises ResolutionFailure."""
    return (await resolver.records(name, "CNAME")).values[0].rstrip(".").lower()


async def tls_associations(resolver: Resolver, host: str, port: int) -> tuple[
    tuple[TlsAssociation, ...], bool
]:  # fmt: skip
    """The TLSA records of a server, and whether they are authenticated.

    Raises ResolutionFailure.
    """
    answer: Records = await resolver.records(f"_{port}._tcp.{host}", "TLSA")
    found = []
    for value in answer.values:
        row = _ASSOCIATION.fullmatch(value)
        if row is not None and len(row[4].replace(" ", "")) % 2 == 0:
            data = bytes.fromhex(row[4].replace(" ", ""))
            found.append(TlsAssociation(int(row[1]), int(row[2]), int(row[3]), data))
    return tuple(found), answer.authenticated


async def published_addresses(resolver: Resolver, host: str) -> tuple[str, ...]:
    """The addresses of a host as everybody sees them: from the DNS alone, where Resolver.addresses
    takes what this machine's hosts file says (on a mail server often 127.0.1.1 for its own name).

    Raises ResolutionFailure where there is none; temporary, where one type could not be had.
    """
    found: list[str] = []
    failures: list[ResolutionFailure] = []
    for record_type in ("AAAA", "A"):
        try:
            found.extend((await resolver.records(host, record_type)).values)
        except ResolutionFailure as fault:
            failures.append(fault)
    if found:
        return tuple(dict.fromkeys(found))
    # What is not known weighs more than what is absent.
    for kind in (ResolutionTemporaryFailure, NoSuchDomain):
        for failure in failures:
            if isinstance(failure, kind):
                raise kind(host, "A/AAAA", failure.reason) from failure
    raise NoSuchRecord(host, "A/AAAA", "the name has no address")


def reverse_name(address: str) -> str:
    """The name under which the PTR record of an IP address lies. Raises ValueError."""
    return ipaddress.ip_address(address).reverse_pointer


async def texts_of(resolver: Resolver, name: str) -> tuple[str, ...]:
    """The TXT records of a name; () where there are none.

    Raises ResolutionTemporaryFailure.
    """
    try:
        return (await resolver.records(name, "TXT")).values
    except (NoSuchDomain, NoSuchRecord):
        return ()
