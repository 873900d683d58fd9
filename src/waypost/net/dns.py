"""The resolver that asks real name servers (dns_servers.py).

Answers are kept as long as their TTL says, within bounds, and the same question is asked once
however many wait for it. Failures are typed (resolver.py): "there is none" is also kept for a
time (RFC 2308), "could not find out" for a few seconds only, so that a dead name server is not
asked a thousand times over.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from waypost.net.clock import Clock
from waypost.net.hosts_file import local_addresses, read_hosts
from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    Records,
    ResolutionFailure,
    ResolutionTemporaryFailure,
)

if TYPE_CHECKING:
    from waypost.net.dns_servers import Answer, NameServers

QUESTION_SECONDS: Final = 15.0
"""For one question, over all name servers and tries."""

SERVER_SECONDS: Final = 5.0
"""For one name server."""

MAXIMUM_ANSWERS: Final = 10_000
"""Kept at once."""

ROUTE_KEPT: Final = 60.0
"""Seconds between two looks whether this machine has IPv6."""


def has_ipv6_route() -> bool:
    """Whether this machine would know where to send IPv6 to. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2001:4860:4860::8888", 53))
    except OSError:
        return False
    return True


class DnsResolver:
    """Implements Resolver. `hosts` stands in for /etc/hosts, `nameservers` for the system's."""

    def __init__(
        self,
        clock: Clock,
        *,
        nameservers: Iterable[str] = (),
        port: int = 53,
        hosts: Mapping[str, tuple[str, ...]] | None = None,
        ipv6_route: Callable[[], bool] = has_ipv6_route,
        maximum_answers: int = MAXIMUM_ANSWERS,
        server_seconds: float = SERVER_SECONDS,
        question_seconds: float = QUESTION_SECONDS,
    ) -> None:
        """Raises OSError where /etc/hosts cannot be read."""
        self._clock = clock
        self._nameservers = tuple(nameservers)
        self._port = port
        self._hosts = read_hosts() if hosts is None else hosts
        self._ipv6_route = ipv6_route
        self._has_ipv6 = False
        self._ipv6_known_until = float("-inf")
        self._maximum_answers = maximum_answers
        self._server_seconds = server_seconds
        self._question_seconds = question_seconds
        self._servers: NameServers | None = None
        self._kept: dict[tuple[str, str], tuple[float, Answer]] = {}
        """With its end on the monotonic clock."""
        self._asking: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    # --- what delivery asks (Resolver) ------------------------------------------------------

    async def mail_exchangers(self, domain: str) -> tuple[MailExchanger, ...]:
        """See Resolver.mail_exchangers."""
        kept = await self._ask(_ascii(domain, "MX"), "MX")
        records = zip(kept.preferences, kept.values, strict=True)
        return tuple(sorted((MailExchanger(*one) for one in records), key=lambda r: r.preference))

    async def addresses(self, host: str) -> tuple[str, ...]:
        """See Resolver.addresses. An IP address is its own answer."""
        literal = _address(host)
        if literal is not None:
            return (literal,)
        name = _ascii(host, "A/AAAA")
        known = local_addresses(name, self._hosts)
        if known:
            return self._ordered(known)
        six, four = await asyncio.gather(
            self._ask(name, "AAAA"), self._ask(name, "A"), return_exceptions=True
        )
        found: list[str] = []
        failures: list[ResolutionFailure] = []
        for answer in (six, four):
            if isinstance(answer, ResolutionFailure):
                failures.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.extend(answer.values)
        if found:
            return self._ordered(found)
        # What is not known weighs more than what is absent: the other type may have an answer.
        for kind in (ResolutionTemporaryFailure, NoSuchDomain):
            for failure in failures:
                if isinstance(failure, kind):
                    raise type(failure)(host, "A/AAAA", failure.reason) from failure
        raise NoSuchRecord(host, "A/AAAA", "the name has no address") from failures[0]

    async def host_name(self, address: str) -> str:
        """See Resolver.host_name."""
        try:
            name = ipaddress.ip_address(address.partition("%")[0]).reverse_pointer
        except ValueError as fault:
            raise NoSuchDomain(address, "PTR", "it is no IP address") from fault
        return (await self._ask(name, "PTR")).values[0]

    async def text(self, name: str) -> tuple[str, ...]:
        """See Resolver.text."""
        return (await self._ask(_ascii(name, "TXT"), "TXT")).values

    async def records(self, name: str, record_type: str) -> Records:
        """See Resolver.records."""
        kept = await self._ask(_ascii(name, record_type), record_type)
        values = kept.values
        if kept.preferences:
            rows = zip(kept.preferences, values, strict=True)
            values = tuple(f"{preference} {host}".rstrip() for preference, host in rows)
        return Records(values, kept.authenticated)

    def forget(self) -> None:
        """Ask everything anew, as after the configuration was read again. Raises OSError."""
        self._kept.clear()
        self._servers = None
        self._ipv6_known_until = float("-inf")

    # --- order ------------------------------------------------------------------------------

    def _ordered(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """IPv6 first where there is a way to it (RFC 6724 in the case that matters), else last
        of all and only where there is nothing else, so that the failure to connect is honest.
        """
        unique = list(dict.fromkeys(addresses))
        six = [address for address in unique if ":" in address]
        four = [address for address in unique if ":" not in address]
        if not six or not four:
            return tuple(unique)
        if all(ipaddress.ip_address(address).is_loopback for address in unique):
            # "localhost": most programs that listen there listen on 127.0.0.1 first.
            return (*four, *six)
        now = self._clock.monotonic()
        if now >= self._ipv6_known_until:
            self._has_ipv6 = self._ipv6_route()
            self._ipv6_known_until = now + ROUTE_KEPT
        return (*six, *four) if self._has_ipv6 else tuple(four)

    # --- questions --------------------------------------------------------------------------

    async def _ask(self, name: str, record_type: str) -> Answer:
        """The answer, from memory where it is still good. Raises ResolutionFailure."""
        key = (name, record_type)
        until, answer = self._kept.get(key, (0.0, None))
        if answer is None or until <= self._clock.monotonic():
            task = self._asking.get(key)
            if task is None:
                task = asyncio.ensure_future(self._look_up(name, record_type))
                self._asking[key] = task
                task.add_done_callback(lambda _: self._asking.pop(key, None))
            # Whoever waits may give up; the others, and the memory, still want the answer.
            answer = await asyncio.shield(task)
        if answer.failure is not None:
            failure = answer.failure
            raise type(failure)(failure.name, failure.record_type, failure.reason)
        return answer

    async def _look_up(self, name: str, record_type: str) -> Answer:
        answer = await self._name_servers().ask(name, record_type)
        if len(self._kept) >= self._maximum_answers:
            self._make_room()
        self._kept[name, record_type] = self._clock.monotonic() + answer.seconds, answer
        return answer

    def _make_room(self) -> None:
        """Drop what is over; if that is nothing, the oldest tenth."""
        now = self._clock.monotonic()
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
        if len(self._kept) >= self._maximum_answers:
            for key in list(self._kept)[: max(1, self._maximum_answers // 10)]:
                del self._kept[key]

    def _name_servers(self) -> NameServers:
        if self._servers is None:
            from waypost.net.dns_servers import NameServers

            self._servers = NameServers(
                self._nameservers, self._port, self._server_seconds, self._question_seconds
            )
        return self._servers


def _address(host: str) -> str | None:
    """The host itself where it is an IP address, with or without brackets."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def _ascii(name: str, record_type: str) -> str:
    """The name as the DNS has it: lower case, A-labels (RFC 5891), no final dot."""
    bare = name.rstrip(".").lower()
    if not bare:
        raise NoSuchDomain(name, record_type, "the name is empty")
    if bare.isascii():
        return bare
    import idna

    try:
        return idna.encode(bare, uts46=True).decode("ascii")
    except idna.IDNAError as fault:
        raise NoSuchDomain(name, record_type, f"it is no domain name: {fault}") from fault
