"""The exchangers of a domain: which they are, and the walk to each of them on port 25."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from waypost.doctor.check.names import is_address, sign_of_failure
from waypost.doctor.check.steps import Recorder, StepInProgress
from waypost.doctor.line_opening import World
from waypost.net.records import alias
from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
)

MAXIMUM_EXCHANGERS: Final = 5
"""Of the lowest preferences; a domain with more has them for load, not for variety."""


@dataclass(frozen=True, slots=True)
class Exchangers:
    """What the DNS says of a domain's mail."""

    hosts: tuple[str, ...]
    """To be tried, in this order; the domain itself where there is no MX record."""
    implicit: bool = False
    """There is no MX record."""


async def find_exchangers(
    domain: str, world: World, recorder: Recorder, seconds: float
) -> Exchangers:
    """The step `mx`. Raises CheckEnded where the domain takes no mail."""
    with recorder.step("mx") as step:
        try:
            async with asyncio.timeout(seconds):
                records = await world.resolver.mail_exchangers(domain)
        except NoSuchRecord:
            return await _without_mx(domain, world, step, seconds)
        except ResolutionFailure as fault:
            step.note(f"MX of {domain}: {fault.reason}")
            raise step.fail(sign_of_failure(fault), host=domain, domain=domain) from fault
        except TimeoutError:
            step.note(f"no answer within {seconds:g} seconds")
            raise step.fail("dns:timeout", host=domain, domain=domain) from None
        for one in records[:20]:
            step.note(f"{domain} MX {one.preference} {one.host or '.'}")
        usable = [one for one in records if one.host]
        if not usable:
            raise step.fail("dns:null-mx", domain=domain)
        for one in usable:
            if is_address(one.host):
                step.note(f"{one.host} is no name: others will look it up and find nothing")
                step.warn("dns:mx-is-address", domain=domain, mx=one.host)
        await _look_for_aliases(domain, usable, world, step)
        return Exchangers(tuple(dict.fromkeys(one.host for one in usable))[:MAXIMUM_EXCHANGERS])


async def _without_mx(
    domain: str, world: World, step: StepInProgress, seconds: float
) -> Exchangers:
    """Without an MX record the domain's own address takes its mail (RFC 5321 5.1)."""
    step.note(f"{domain} has no MX record")
    try:
        async with asyncio.timeout(seconds):
            addresses = await world.resolver.addresses(domain)
    except (NoSuchDomain, NoSuchRecord):
        step.note(f"{domain} has no address either")
        raise step.fail("dns:no-mx", domain=domain) from None
    except (ResolutionFailure, TimeoutError) as fault:
        step.note(f"the address of {domain} could not be found out: {fault}")
        raise step.fail("dns:no-mx", domain=domain) from fault
    step.note(f"mail goes to its own address: {', '.join(addresses[:5])}")
    step.warn("dns:no-mx", domain=domain)
    return Exchangers((domain,), implicit=True)


async def _look_for_aliases(
    domain: str, records: list[MailExchanger], world: World, step: StepInProgress
) -> None:
    """An MX must not name an alias (RFC 2181 10.3)."""

    async def leads_to(host: str) -> str:
        try:
            return await alias(world.resolver, host)
        except ResolutionFailure:
            return ""

    hosts = [one.host for one in records[:MAXIMUM_EXCHANGERS]]
    for host, other in zip(hosts, await asyncio.gather(*map(leads_to, hosts)), strict=True):
        if other:
            step.note(f"{host} CNAME {other}")
            step.warn("dns:mx-is-cname", domain=domain, mx=host, alias_of=other)
