"""From a target to a connection on which lines can be said, with the time that each stage took.

Unlike delivery it is opened stage by stage, so that each can be timed and shown: the name, the
connection to the first address that answers, TLS where it comes first. A failure is told with the
reason that delivery would give it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from waypost.delivery.next_hop import Smarthost, TlsMode
from waypost.doctor.line_connection import LineConnection, Unanswered
from waypost.knowledge.tls_faults import fault_of_handshake
from waypost.net.clock import Clock
from waypost.net.happy_eyeballs import ConnectFailure, connect_first
from waypost.net.happy_eyeballs import Target as Address
from waypost.net.network import Network
from waypost.net.resolver import ResolutionFailure, Resolver
from waypost.net.tls import TlsDescription, client_context, describe_tls, explain_tls_error

OpeningStage = Literal["dns", "connect", "tls"]

REASONS: Final = {
    "timeout": "timeout", "closed": "connection-lost", "reset": "connection-lost",
    "not-smtp": "not-smtp", "not-tls": "tls-failed", "injection": "not-smtp", "endless": "not-smtp",
}  # fmt: skip
"""What it means for delivery that no reply came (outcomes.toml), by LineConnection's why."""


class StageFailed(Exception):
    """A stage did not come to its end."""

    def __init__(self, stage: str, text: str, reason: str, fix: str = "") -> None:
        self.stage = stage
        self.text = text
        """What happened, with the evidence; on one line."""
        self.reason = reason
        """The name in outcomes.toml."""
        self.fix = fix
        """What to do, where the failure itself tells; else the reason's advice holds."""
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class World:
    """The seams that a probe needs."""

    clock: Clock
    network: Network
    resolver: Resolver


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection, before its greeting."""

    connection: LineConnection
    address: str
    """host[address]:port."""
    seconds: dict[OpeningStage, float]
    """By stage, as far as it was passed."""
    tls: TlsDescription | None


def tls_context(hop: Smarthost) -> ssl.SSLContext:
    """The context for a target. Raises StageFailed where its ca_file cannot be used."""
    try:
        return client_context(verify=hop.verify, ca_file=hop.ca_file)
    except (OSError, ssl.SSLError) as fault:
        text = f"the authorities in {hop.ca_file} cannot be read: {fault}"
        raise StageFailed("tls", text, "tls-failed", "give a file of PEM certificates") from fault


def server_name(hop: Smarthost) -> str:
    """The name to ask for and to verify."""
    return hop.server_name or hop.host


def reason_of_error(fault: Exception) -> str:
    """The name, in outcomes.toml, of what went wrong while connecting."""
    from waypost.delivery.outcome import reason_of_error as found  # its tables take time to load

    return found(fault)


async def resolve(hop: Smarthost, world: World) -> tuple[str, ...]:
    """The addresses of a target. Raises StageFailed."""
    if hop.is_unix:
        return (hop.host,)
    try:
        return await world.resolver.addresses(hop.host)
    except ResolutionFailure as fault:
        raise StageFailed("dns", str(fault), reason_of_error(fault)) from fault


async def open_lines(
    hop: Smarthost,
    world: World,
    make: Callable[[], LineConnection],
    seconds: float,
    addresses: tuple[str, ...] | None = None,
) -> Opened:
    """Connect to a target; with TLS where that is implicit. Raises StageFailed.

    `seconds` bounds each stage but the first, which has the resolver's own limit. With `addresses`
    the name is not looked up.
    """
    context = tls_context(hop) if hop.tls is TlsMode.IMPLICIT else None
    times: dict[OpeningStage, float] = {}
    clock = world.clock
    begun = clock.monotonic()
    if addresses is None:
        addresses = await resolve(hop, world)
        times["dns"] = clock.monotonic() - begun
        begun = clock.monotonic()
    try:
        connected = await connect_first(
            world.network,
            clock,
            make,
            tuple(Address(hop.host, address, hop.port) for address in addresses),
            source=hop.source,
            attempt_seconds=seconds,
        )
    except ConnectFailure as fault:
        text = f"cannot connect: {fault}"
        raise StageFailed("connect", text, reason_of_error(fault)) from fault
    times["connect"] = clock.monotonic() - begun
    connection = connected.protocol
    tls = None
    if context is not None:
        begun = clock.monotonic()
        tls = await secure(connection, hop, world.network, seconds)
        times["tls"] = clock.monotonic() - begun
    return Opened(connection, str(connected.target), times, tls)


async def secure(
    connection: LineConnection, hop: Smarthost, network: Network, seconds: float
) -> TlsDescription:
    """The TLS handshake. Raises StageFailed; then the connection is over."""
    name = server_name(hop)
    try:
        await connection.start_tls(network, tls_context(hop), name, seconds)
    except Unanswered as fault:
        known = fault_of_handshake("WRONG_VERSION_NUMBER") if fault.why == "not-tls" else None
        text = fault.text if known is None else known.text
        fix = "" if known is None else known.fix
        raise StageFailed("tls", text, REASONS[fault.why], fix) from fault
    except (OSError, EOFError) as fault:
        problem = explain_tls_error(fault, name)
        raise StageFailed("tls", problem.text, reason_of_error(fault), problem.fix) from fault
    encrypted = connection.encrypted
    assert encrypted is not None, "the handshake is done"
    return describe_tls(encrypted)
