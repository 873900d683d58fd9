"""The connection: to the port that was given, and where that fails to the other usual ones at once.

That one port of a host is shut and another open tells more than the failure alone: a network that
blocks port 25 looks just like a server that is down, until port 587 of the same host answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from waypost.doctor.check.connection import ProbeConnection
from waypost.doctor.check.settings import ServerToCheck
from waypost.doctor.check.steps import Recorder, StepInProgress
from waypost.doctor.line_opening import World, reason_of_error
from waypost.knowledge.special_addresses import is_loopback, special_network
from waypost.net.happy_eyeballs import ConnectFailure, Target, connect_first, in_words

USUAL_PORTS: Final = (25, 465, 587, 2525)
"""Where mail servers listen (RFC 5321 4.5.4.2, RFC 8314, RFC 6409; 2525 by custom)."""

PATIENCE_SECONDS: Final = 1.5
"""After which the other ports are tried while the given one is still waited for."""

OTHER_SECONDS: Final = 5.0
"""The longest to wait for the other ports."""

Make = Callable[[], ProbeConnection]

State = Literal["open", "refused", "no answer", "unreachable", "reset"]

_STATES: Final[dict[str, State]] = {
    "connection-refused": "refused", "connect-timeout": "no answer", "connection-lost": "reset",
}  # fmt: skip
_SIGNS: Final[dict[State, str]] = {
    "refused": "tcp:refused", "no answer": "tcp:timeout", "reset": "tcp:reset",
    "unreachable": "tcp:unreachable",
}  # fmt: skip


def state_of(fault: Exception) -> State:
    """What a failed attempt says of a port."""
    return _STATES.get(reason_of_error(fault), "unreachable")


async def connect(
    server: ServerToCheck,
    addresses: tuple[str, ...],
    world: World,
    recorder: Recorder,
    make: Make,
) -> tuple[ProbeConnection, Target]:
    """The step `tcp`. Raises CheckEnded."""
    hop = server.hop
    with recorder.step("tcp") as step:
        attempt = asyncio.ensure_future(open_connection(server, addresses, world, make))
        others: asyncio.Task[dict[int, State]] | None = None
        try:
            await asyncio.wait((attempt,), timeout=PATIENCE_SECONDS)
            if not attempt.done() or attempt.exception() is not None:
                others = asyncio.ensure_future(_other_ports(server, addresses, world))
            connection, reached = await attempt
        except ConnectFailure as fault:
            for target, error in fault.attempts:
                step.note(f"{target}: {in_words(error)}")
            assert others is not None, "the attempt has failed"
            raise _failed(step, server, fault, await others) from fault
        finally:
            attempt.cancel()
            if others is not None:
                others.cancel()
        step.note(f"connected to {reached}" + (f" from {hop.source}" if hop.source else ""))
        return connection, reached


async def open_connection(
    server: ServerToCheck,
    addresses: tuple[str, ...],
    world: World,
    make: Make,
    seconds: float | None = None,
) -> tuple[ProbeConnection, Target]:
    """A connection to the first address that answers. Raises ConnectFailure."""
    hop = server.hop
    connected = await connect_first(
        world.network,
        world.clock,
        make,
        tuple(Target(hop.host, address, hop.port) for address in addresses),
        source=hop.source,
        attempt_seconds=server.seconds if seconds is None else seconds,
    )
    return connected.protocol, connected.target


def _failed(
    step: StepInProgress, server: ServerToCheck, fault: ConnectFailure, others: dict[int, State]
) -> Exception:
    hop = server.hop
    states = [state_of(error) for _, error in fault.attempts]
    # Of several addresses the one that was answered for tells most.
    order: tuple[State, ...] = ("refused", "reset", "no answer", "unreachable")
    state: State = next((one for one in order if one in states), "unreachable")
    facts = {
        "host": hop.host,
        "port": str(hop.port),
        "address": fault.attempts[0][0].address if fault.attempts else hop.host,
    }
    outside = server.is_exchanger and all(_is_private(one.address) for one, _ in fault.attempts)
    if outside and fault.attempts:
        step.note("an exchanger has to be reached from everywhere; this address is a private one")
        step.fail("dns:private-address", **facts)
    if others:
        step.note("other ports: " + ", ".join(f"{port} {one}" for port, one in others.items()))
    usable = [port for port in (587, 465, 2525) if others.get(port) == "open"]
    if usable:
        scheme = "smtps" if usable[0] == 465 else "smtp"
        facts |= {"open_port": str(usable[0]), "open_url": f"{scheme}://{hop.host}:{usable[0]}"}
    blocked = hop.port == 25 and usable and state in ("no answer", "refused")
    # What drops packets is a firewall; a refusal is one only where the host is there for sending,
    # and then seldom. An exchanger that refuses does not run.
    sure = state == "no answer" or (not server.is_exchanger and {465, 587} & set(usable))
    if blocked and sure:
        step.fail("tcp:port25-only", **facts)
        return step.fail(_SIGNS[state], **facts)
    ended = step.fail(_SIGNS[state], **facts)
    if blocked:
        step.fail("tcp:port25-only", **facts)
    return ended


def _is_private(address: str) -> bool:
    """Inside some network, and not this very machine."""
    network = None if address.startswith("unix:") else special_network(address)
    return network is not None and network.inside and not is_loopback(address)


async def _other_ports(
    server: ServerToCheck, addresses: tuple[str, ...], world: World
) -> dict[int, State]:
    """The state of the other usual ports, at the same addresses."""
    if server.hop.is_unix:
        return {}
    ports = [port for port in USUAL_PORTS if port != server.hop.port]
    seconds = min(OTHER_SECONDS, server.seconds)
    states = await asyncio.gather(
        *(_state(server, addresses, port, world, seconds) for port in ports)
    )
    return dict(zip(ports, states, strict=True))


async def _state(
    server: ServerToCheck, addresses: tuple[str, ...], port: int, world: World, seconds: float
) -> State:
    try:
        connected = await connect_first(
            world.network,
            world.clock,
            asyncio.Protocol,
            tuple(Target(server.hop.host, address, port) for address in addresses),
            source=server.hop.source,
            attempt_seconds=seconds,
        )
    except ConnectFailure as fault:
        return state_of(fault)
    connected.transport.abort()
    return "open"
