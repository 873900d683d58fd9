"""Servers found by their usual names: does smtp.example.com take submissions?

A server counts when it speaks SMTP and offers AUTH over TLS. Addresses inside a network are not
asked, unless that was wanted: the names come from a stranger's DNS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from waypost.delivery.next_hop import Smarthost, TlsMode
from waypost.doctor.discovery.setting import Security, Setting, Source, Statement
from waypost.doctor.line_connection import LineConnection, Unanswered
from waypost.doctor.line_dialogue import Dialogue
from waypost.doctor.line_opening import StageFailed, World, open_lines
from waypost.knowledge.special_addresses import special_network
from waypost.net.resolver import NoSuchDomain, NoSuchRecord, ResolutionFailure
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply

PROBE_SECONDS: Final = 6.0
"""For each stage of one server."""

SERVER_SECONDS: Final = 20.0
"""For all stages of one server together, however slowly it goes on."""

WITH_AUTH: Final = 0.7
UNSAFE: Final = 0.4
"""The certificate does not hold."""
IN_THE_CLEAR: Final = 0.3
"""No TLS at all."""
WITHOUT_AUTH: Final = 0.25
"""It may take mail of its network without a login."""

PORTS: Final[dict[int, Security]] = {587: "starttls", 465: "tls", 25: "starttls"}


@dataclass(frozen=True, slots=True)
class Probed:
    """One server that was asked."""

    host: str
    port: int
    """0 where no port was asked: the host has no address for us."""
    setting: Setting | None
    """None where it does not take submissions."""
    text: str
    """What came of it."""
    answered: bool = True
    """A server was there."""


async def probe(
    world: World, hosts: Iterable[str], ports: Iterable[int], *, inside: bool, ehlo: str
) -> tuple[Probed, ...]:
    """Ask every host on every port, all at once."""
    wanted = {port: PORTS.get(port, "starttls") for port in ports}
    found = await asyncio.gather(
        *(_host(world, host, wanted, inside, ehlo) for host in dict.fromkeys(hosts))
    )
    return tuple(one for group in found for one in group)


async def probe_as_told(
    world: World, told: Setting, *, inside: bool, ehlo: str
) -> Probed:  # fmt: skip
    """Ask a server that somebody has named, in the way that it was named for."""
    (found,) = await _host(world, told.host, {told.port: told.security}, inside, ehlo)
    return found


async def _host(
    world: World, host: str, ports: Mapping[int, Security], inside: bool, ehlo: str
) -> tuple[Probed, ...]:
    try:
        addresses = await world.resolver.addresses(host)
    except ResolutionFailure as fault:
        known = isinstance(fault, NoSuchDomain | NoSuchRecord)
        return (Probed(host, 0, None, fault.reason, known),)
    public = tuple(one for one in addresses if inside or special_network(one) is None)
    if not public:
        text = f"{host} is at {addresses[0]}, which is no public address"
        return (Probed(host, 0, None, text),)
    return tuple(
        await asyncio.gather(*(_server(world, host, *port, public, ehlo) for port in ports.items()))
    )


async def _server(
    world: World, host: str, port: int, security: Security, addresses: tuple[str, ...], ehlo: str
) -> Probed:
    try:
        async with asyncio.timeout(SERVER_SECONDS):
            return await _with_or_without_trust(world, host, port, security, addresses, ehlo)
    except TimeoutError:
        return Probed(host, port, None, f"it came to no end within {SERVER_SECONDS:g} seconds")


async def _with_or_without_trust(
    world: World, host: str, port: int, security: Security, addresses: tuple[str, ...], ehlo: str
) -> Probed:
    """As delivery would, and where the certificate does not hold, once more without it."""
    safe = await _ask(world, host, port, security, addresses, ehlo, verify=True)
    if safe.setting is not None or not safe.text.startswith("tls: "):
        return safe
    unsafe = await _ask(world, host, port, security, addresses, ehlo, verify=False)
    if unsafe.setting is None:
        return safe
    problem = safe.text.removeprefix("tls: ")
    statement = Statement(Source.PROBE, unsafe.text, UNSAFE)
    doubtful = replace(unsafe.setting, statements=(statement,), problem=problem)
    return Probed(host, port, doubtful, problem)


async def _ask(
    world: World,
    host: str,
    port: int,
    security: Security,
    addresses: tuple[str, ...],
    ehlo: str,
    *,
    verify: bool,
) -> Probed:
    tls = TlsMode.IMPLICIT if security == "tls" else TlsMode.REQUIRED
    hop = Smarthost(host, port, tls, verify=verify)
    made: list[LineConnection] = []

    def make() -> LineConnection:
        made.append(LineConnection(world.clock))
        return made[-1]

    try:
        opened = await open_lines(hop, world, make, PROBE_SECONDS, addresses)
        dialogue = Dialogue(opened.connection, PROBE_SECONDS)
        greeting = await dialogue.greeting()
        capabilities = await _hello(dialogue, ehlo)
        if security == "starttls":
            if not capabilities.starttls:
                return _without_tls(host, port, greeting, capabilities)
            answer, described = await dialogue.start_tls(hop, world.network)
            if described is None:
                return Probed(host, port, None, f"it refuses STARTTLS: {answer}")
            capabilities = await _hello(dialogue, ehlo)
        with suppress(Unanswered):
            await dialogue.ask("QUIT")
        return _judged(host, port, security, greeting, capabilities)
    except _Refused as fault:
        return Probed(host, port, None, f"it said {fault}")
    except StageFailed as fault:
        return Probed(
            host, port, None, f"{fault.stage}: {fault.text}", fault.stage not in ("dns", "connect")
        )
    except Unanswered as fault:
        return Probed(host, port, None, fault.text)
    finally:
        for connection in made:
            connection.abort()


class _Refused(Exception):
    pass


async def _hello(dialogue: Dialogue, ehlo: str) -> Capabilities:
    answer: Reply = await dialogue.ask(f"EHLO {ehlo}")
    if not answer.is_positive:
        raise _Refused(str(answer))
    return Capabilities.parse(answer)


def _without_tls(host: str, port: int, greeting: Reply, capabilities: Capabilities) -> Probed:
    """A server in the clear: one that takes logins all the same is told, with its danger."""
    text = f"{greeting}; it does not offer STARTTLS"
    mechanisms = tuple(capabilities.auth)
    if not mechanisms:
        return Probed(host, port, None, text)
    statement = Statement(Source.PROBE, f"{text}; AUTH {' '.join(mechanisms)}"[:300], IN_THE_CLEAR)
    problem = "it takes logins without TLS: whoever is in between can read the password"
    setting = Setting(host, port, "none", (statement,), authentication=mechanisms, problem=problem)
    return Probed(host, port, setting, text)


def _judged(
    host: str, port: int, security: Security, greeting: Reply, capabilities: Capabilities
) -> Probed:
    mechanisms = tuple(capabilities.auth)
    text = f"{greeting}"
    if mechanisms:
        text += f"; AUTH {' '.join(mechanisms)}"
    elif port == 25:
        return Probed(host, port, None, f"{text}; no AUTH: a server for incoming mail")
    confidence = WITH_AUTH if mechanisms else WITHOUT_AUTH
    statement = Statement(Source.PROBE, text[:300], confidence)
    setting = Setting(host, port, security, (statement,), authentication=mechanisms)
    return Probed(host, port, setting, text)
