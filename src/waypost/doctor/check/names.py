"""From a name to addresses: A, AAAA, CNAME, and the reverse name of what was found.

The addresses are the ones that delivery would use, with /etc/hosts; the aliases on the way are
asked for beside them and cost no time of their own.
"""

from __future__ import annotations

import asyncio
import ipaddress

from waypost.doctor.check.steps import CheckEnded, Recorder, StepInProgress
from waypost.doctor.line_opening import World
from waypost.knowledge.special_addresses import special_network
from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTimeout,
)

ALIAS_SECONDS = 1.0
"""For the alias of a name that has no address: whose fault it is, it tells."""

REVERSE_SECONDS = 2.0
"""For the reverse name: a bystander, nobody waits long for it."""


def failed_lookup(step: StepInProgress, fault: ResolutionFailure, host: str) -> CheckEnded:
    """Record why a name has no address. To be raised where the walk ends here."""
    step.note(f"{fault.record_type} of {fault.name}: {fault.reason}")
    return step.fail(sign_of_failure(fault), host=host)


def sign_of_failure(fault: ResolutionFailure) -> str:
    """The sign of a question that has no usable answer."""
    if isinstance(fault, NoSuchDomain):
        return "dns:no-such-name"
    if isinstance(fault, NoSuchRecord):
        return "dns:no-address"
    if isinstance(fault, ResolutionTimeout):
        return "dns:timeout"
    return "dns:servfail"


def is_address(host: str) -> bool:
    """Whether a host is given by its IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def find_addresses(
    host: str, world: World, recorder: Recorder, seconds: float
) -> tuple[str, ...]:
    """The step `dns` for a host. Raises CheckEnded."""
    with recorder.step("dns") as step:
        if host.startswith("unix:") or is_address(host):
            step.note(f"{host} is an address; nothing is asked")
            return (host,)
        other = asyncio.ensure_future(_alias(host, world))
        try:
            async with asyncio.timeout(seconds):
                addresses = await world.resolver.addresses(host)
        except ResolutionFailure as fault:
            leads_to = await _in_a_moment(other)
            if leads_to:
                step.note(f"{host} CNAME {leads_to}")
            raise failed_lookup(step, fault, leads_to or host) from fault
        except TimeoutError:
            step.note(f"no answer within {seconds:g} seconds")
            raise step.fail("dns:timeout", host=host) from None
        finally:
            leads_to = other.result() if other.done() and not other.cancelled() else ""
            other.cancel()
        if leads_to:
            step.note(f"{host} CNAME {leads_to}")
        for address in addresses[:20]:
            step.note(f"{leads_to or host} {'AAAA' if ':' in address else 'A'} {address}")
        return addresses


async def _in_a_moment(alias: asyncio.Future[str]) -> str:
    """The alias, where it is known by now or soon."""
    done, _ = await asyncio.wait((alias,), timeout=ALIAS_SECONDS)
    return alias.result() if done else ""


async def _alias(host: str, world: World) -> str:
    from waypost.net.records import alias

    try:
        return await alias(world.resolver, host)
    except ResolutionFailure:
        return ""  # most names are no aliases; the look-up of the addresses tells what is wrong


class ReverseName:
    """The step `ptr`: asked while other steps run, recorded when they are done."""

    def __init__(self, world: World, address: str) -> None:
        self._address = address
        self._task: asyncio.Task[str] | None = None
        if is_address(address) and special_network(address) is None:
            self._task = asyncio.ensure_future(world.resolver.host_name(address))

    async def record(self, recorder: Recorder) -> None:
        """Wait for it a moment, and record it."""
        if self._task is None:
            return
        with recorder.step("ptr") as step:
            try:
                async with asyncio.timeout(REVERSE_SECONDS):
                    name = await self._task
            except (NoSuchDomain, NoSuchRecord) as fault:
                step.note(f"{self._address} has no reverse name: {fault.reason}")
                step.warn("ptr:missing", address=self._address)
            except (ResolutionFailure, TimeoutError):
                step.note(f"the reverse name of {self._address} could not be found out")
            else:
                step.note(f"{self._address} PTR {name}")

    def cancel(self) -> None:
        """Ask no longer."""
        if self._task is not None:
            self._task.cancel()
