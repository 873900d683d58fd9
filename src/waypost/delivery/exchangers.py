"""Where mail for a domain goes: its mail exchangers, in the order to try them (RFC 5321 5.1).

Three answers of the DNS lead to three different next steps and are never mixed up: the domain
does not exist or takes no mail (the recipient fails), it exists (try), nothing could be found out
(try later). A name that leads back to this relay would be a loop and is dropped together with
everything that is no better (RFC 5321 5.1); if nothing is left the mail waits for the operator
instead of being returned. And whoever controls a domain controls where its records point: to
addresses inside our network nothing is delivered unless the route allows it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import idna

from waypost.delivery.chance import Chance, shuffled
from waypost.knowledge.special_addresses import SpecialNetwork, special_network
from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    Resolver,
)
from waypost.smtp.reply import EnhancedStatus

MAXIMUM_HOSTS: Final = 12
"""Exchangers of a domain that are considered; the least preferred beyond that are not."""

MAXIMUM_ADDRESSES: Final = 8
"""Addresses of one exchanger."""

_LITERAL: Final = re.compile(r"\[(?:(ipv6):)?([0-9a-f:.]+)\]")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class DestinationFailure(Exception):
    """There is no exchanger to try. `text` is fit to be shown and holds the evidence."""

    def __init__(self, reason: str, permanent: bool, status: EnhancedStatus, text: str) -> None:
        self.reason = reason
        """From the taxonomy of waypost.knowledge (outcomes.toml)."""
        self.permanent = permanent
        self.status = status
        self.text = text
        super().__init__(f"{status} {text}")


@dataclass(frozen=True, slots=True)
class Exchanger:
    """One host to try, with its addresses in the order to try them."""

    host: str
    preference: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The hosts to try, best first, and what was left out and why."""

    hosts: tuple[Exchanger, ...]
    notes: tuple[str, ...] = ()
    """For the transcript."""


@dataclass(frozen=True, slots=True)
class Ourselves:
    """What leads back to this relay."""

    names: frozenset[str] = frozenset()
    """Host names in lower case. Leave them out where another program on this host has port 25."""
    listeners: frozenset[tuple[str, int]] = frozenset()
    """Addresses and ports that lead to a listener of ours, forwarded ones included."""

    def is_us(self, host: str, addresses: Iterable[str], port: int) -> bool:
        """Whether a connection to this host and port would come back to us."""
        return host in self.names or any((a, port) in self.listeners for a in addresses)


@dataclass(frozen=True, slots=True)
class _Looked:
    """One exchanger after its addresses were asked for."""

    record: MailExchanger
    addresses: tuple[str, ...]
    refused: tuple[tuple[str, SpecialNetwork], ...]
    failure: ResolutionFailure | None
    is_us: bool


class Exchangers:
    """Finds the exchangers of domains."""

    def __init__(
        self, resolver: Resolver, chance: Chance, ourselves: Ourselves | None = None
    ) -> None:
        self._resolver = resolver
        self._chance = chance
        self._ourselves = ourselves or Ourselves()

    async def find(
        self,
        domain: str,
        *,
        port: int = 25,
        allow_private_addresses: bool = False,
    ) -> Candidates:
        """The hosts to try for a domain or an address literal. Raises DestinationFailure."""
        notes: list[str] = []
        if domain.startswith("["):
            records = [MailExchanger(0, _literal(domain))]
        else:
            records = await self._records(ascii_domain(domain), notes)
        looked = await asyncio.gather(
            *(self._look(record, port, allow_private_addresses) for record in records)
        )
        own = min((one.record.preference for one in looked if one.is_us), default=None)
        hosts = _sorted_out(looked, own, notes)
        if not hosts:
            raise _nothing_left(domain, looked, own, notes)
        return Candidates(hosts, tuple(notes))

    async def _records(self, domain: str, notes: list[str]) -> list[MailExchanger]:
        """The MX records in the order to try them, or the domain itself where there are none."""
        try:
            found = await self._resolver.mail_exchangers(domain)
        except NoSuchDomain as failure:
            raise DestinationFailure(
                "no-such-domain", True, EnhancedStatus(5, 1, 2), f"{domain} does not exist in "
                f"the DNS ({failure.reason})",
            ) from failure  # fmt: skip
        except NoSuchRecord:
            found = ()
        except ResolutionFailure as failure:
            raise DestinationFailure(
                "dns-temporary", False, EnhancedStatus(4, 4, 3), f"the exchangers of {domain} "
                f"could not be found out: {failure}",
            ) from failure  # fmt: skip
        if not found:
            notes.append(f"{domain} has no MX record: its own address counts")
            return [MailExchanger(0, domain)]
        named = [record for record in found if record.host.rstrip(".")]
        if not named:
            raise DestinationFailure(
                "null-mx", True, EnhancedStatus(5, 1, 10),
                f"{domain} says in the DNS that it takes no mail (null MX, RFC 7505)",
            )  # fmt: skip
        by_preference: dict[int, dict[str, None]] = {}
        for record in named:
            host = record.host.rstrip(".").lower()
            by_preference.setdefault(record.preference, {})[host] = None
        ordered = [
            MailExchanger(preference, host)
            for preference in sorted(by_preference)
            for host in shuffled(by_preference[preference], self._chance)
        ]
        if len(ordered) > MAXIMUM_HOSTS:
            notes.append(
                f"{domain} has {len(ordered)} exchangers: only the first {MAXIMUM_HOSTS} count"
            )
        return ordered[:MAXIMUM_HOSTS]

    async def _look(self, record: MailExchanger, port: int, allow_private: bool) -> _Looked:
        """Ask for the addresses of one exchanger and take out what must not be used."""
        try:
            found: tuple[str, ...] = (str(ipaddress.ip_address(record.host)),)
        except ValueError:
            try:
                found = await self._resolver.addresses(record.host)
            except ResolutionFailure as failure:
                is_us = self._ourselves.is_us(record.host, (), port)
                return _Looked(record, (), (), failure, is_us)
        is_us = self._ourselves.is_us(record.host, found, port)
        usable: list[str] = []
        refused: list[tuple[str, SpecialNetwork]] = []
        for address in found[:MAXIMUM_ADDRESSES]:
            network = None if allow_private else special_network(address)
            if network is None:
                usable.append(address)
            else:
                refused.append((address, network))
        return _Looked(record, tuple(usable), tuple(refused), None, is_us)


def _sorted_out(
    looked: Sequence[_Looked], own: int | None, notes: list[str]
) -> tuple[Exchanger, ...]:
    """The hosts that may be tried; what is left out is noted."""
    hosts: list[Exchanger] = []
    for one in looked:
        record = one.record
        name = f"{record.host} (preference {record.preference})"
        if own is not None and record.preference >= own:
            why = "is this relay" if one.is_us else "is no better than this relay"
            notes.append(f"{name} {why}: left out, it would be a loop")
            continue
        if one.failure is not None:
            notes.append(f"{name} has no usable address: {one.failure}")
        notes.extend(
            f"{name} at {address} is left out: {network.name} ({network.prefix})"
            for address, network in one.refused
        )
        if one.addresses:
            hosts.append(Exchanger(record.host, record.preference, one.addresses))
    return tuple(hosts)


def _nothing_left(
    domain: str, looked: Sequence[_Looked], own: int | None, notes: Sequence[str]
) -> DestinationFailure:
    """Why there is nothing to try; in doubt the mail waits."""
    evidence = "; ".join(notes)[:600]
    if own is not None:
        return DestinationFailure(
            "mail-loop", False, EnhancedStatus(4, 4, 6),
            f"the DNS leads mail for {domain} back to this relay, and no route says where it "
            f"goes from here: {evidence}",
        )  # fmt: skip
    if any(
        one.failure is not None and not isinstance(one.failure, NoSuchDomain | NoSuchRecord)
        for one in looked
    ):
        return DestinationFailure(
            "dns-temporary", False, EnhancedStatus(4, 4, 3),
            f"the address of no exchanger of {domain} could be found out: {evidence}",
        )  # fmt: skip
    refused = [network for one in looked for _, network in one.refused]
    if refused:
        inside = any(network.inside for network in refused)
        hint = "; set allow_private_addresses on the route if that is meant" if inside else ""
        return DestinationFailure(
            "private-address" if inside else "nowhere-address",
            not inside,
            EnhancedStatus(4 if inside else 5, 4, 4),
            f"the exchangers of {domain} are at no public address: {evidence}{hint}",
        )
    return DestinationFailure(
        "no-exchanger-address", True, EnhancedStatus(5, 4, 4),
        f"no exchanger of {domain} has an address: {evidence}",
    )  # fmt: skip


def _literal(domain: str) -> str:
    """The address in an address literal (RFC 5321 4.1.3). Raises DestinationFailure."""
    found = _LITERAL.fullmatch(domain.lower())
    try:
        if found is None:
            raise ValueError("neither [192.0.2.1] nor [IPv6:2001:db8::1]")
        if found[1]:
            return str(ipaddress.IPv6Address(found[2]))
        return str(ipaddress.IPv4Address(found[2]))
    except ValueError as fault:
        raise DestinationFailure(
            "bad-domain", True, EnhancedStatus(5, 1, 3), f"{domain} is no address literal: {fault}"
        ) from fault


def ascii_domain(domain: str) -> str:
    """The domain as the DNS knows it. Raises DestinationFailure."""
    name = domain.rstrip(".").lower()
    try:
        if not name.isascii():
            name = idna.encode(name, uts46=True).decode("ascii")
        if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
            raise ValueError("letters, digits and hyphens between single dots make a domain")
    except ValueError as fault:
        raise DestinationFailure(
            "bad-domain", True, EnhancedStatus(5, 1, 2), f"{domain!r} is no domain: {fault}"
        ) from fault
    return name
