"""A route: which mail takes it, where it leads, and within which limits.

These are settings, made from the configuration and never changed. What happens on a route (slots,
quotas, back-off) is kept elsewhere under the route's name, and nothing of a route is stored with a
message: each attempt takes the route that today's configuration says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from waypost.delivery.next_hop import (
    Credentials,
    MxDelivery,
    NextHop,
    Sandbox,
    Smarthost,
    TlsMode,
)
from waypost.delivery.retry import DEFAULT_EXPIRY, RetrySchedule

__all__ = [
    "Credentials", "MxDelivery", "NextHop", "Quotas", "Rate", "Route", "RouteLimits", "RouteMatch",
    "Sandbox", "Smarthost", "Strategy", "TlsMode",
]  # fmt: skip

_RATE: Final = re.compile(r"\s*(\d{1,9})\s*(?:/|per)\s*(?:(\d{1,6})\s*)?([a-z]+)\s*")
_PERIODS: Final = {
    "s": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip


class Strategy(StrEnum):
    """In which order the next hops of a route are tried."""

    FAILOVER = "failover"
    """By priority, then as listed: the second only when the first cannot be used."""
    WEIGHTED = "weighted"
    """By priority; among equals drawn by weight, so that the load is shared."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in each `period` seconds."""

    count: int
    period: float

    def __post_init__(self) -> None:
        if self.count < 1 or self.period <= 0:
            raise ValueError(f"a rate must let something through: {self}")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read "100/minute", "5 per 10 s". Raises ValueError."""
        found = _RATE.fullmatch(text.lower())
        unit = _PERIODS.get(found[3]) if found else None
        if found is None or unit is None:
            raise ValueError(f"{text!r} is no rate; write it as 100/minute, 5/second or 20/10s")
        return cls(int(found[1]), int(found[2] or 1) * unit)

    def __str__(self) -> str:
        for name, unit in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
            if self.period == unit:
                return f"{self.count}/{name}"
        return f"{self.count}/{self.period:.15g}s"


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """What a route may do at a time."""

    connections: int = 50
    """Open at once over all destinations."""
    connections_per_destination: int = 10
    """Open at once to one destination: a recipient domain (direct), or the route's next hops."""
    messages_per_connection: int = 0
    """Then the connection is closed and a new one made; 0: as many as come."""
    recipients_per_transaction: int = 100
    """More recipients of one message go in several transactions; every server takes 100
    (RFC 5321 4.5.3.1.8), some providers take fewer."""
    rate: Rate | None = None
    """Messages, over all destinations."""
    rate_per_destination: Rate | None = None

    def __post_init__(self) -> None:
        if min(self.connections, self.connections_per_destination) < 1:
            raise ValueError(f"a route needs at least one connection: {self}")
        if self.recipients_per_transaction < 1:
            raise ValueError(f"a transaction needs at least one recipient: {self}")
        if self.messages_per_connection < 0:
            raise ValueError(f"messages_per_connection must be 0 or more: {self}")


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many messages a provider lets through in a minute, an hour and a day (UTC)."""

    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    spread: bool = False
    """Use them up evenly over their time instead of as fast as mail comes."""

    def __post_init__(self) -> None:
        for limit in (self.per_minute, self.per_hour, self.per_day):
            if limit is not None and limit < 1:
                raise ValueError(f"a quota must let something through: {self}")

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return any(n is not None for n in (self.per_minute, self.per_hour, self.per_day))


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Which mail takes a route. Empty: not asked about; all that are given must match.

    Patterns of addresses, without regard to case: `example.com` (the domain), `.example.com` (its
    subdomains), `user@example.com`, `*` and `?` as wildcards in any of them, `<>` for the null
    sender. Users are patterns as well.
    """

    recipients: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether it asks for nothing."""
        return not (self.recipients or self.senders or self.users)


@dataclass(frozen=True, slots=True)
class Route:
    """See the module."""

    name: str
    via: tuple[NextHop, ...]
    match: RouteMatch = RouteMatch()
    strategy: Strategy = Strategy.FAILOVER
    tee_sandbox: bool = False
    """Each delivered message is also captured and shown by the sandbox."""
    limits: RouteLimits = RouteLimits()
    quotas: Quotas = Quotas()
    overflow: str | None = None
    """The route that takes mail while the quotas of this one are used up."""
    allow_private_addresses: bool = False
    """Direct delivery may go to private and loopback addresses that the DNS names."""
    retry: RetrySchedule = field(default_factory=RetrySchedule)
    expire_after: float = DEFAULT_EXPIRY
    """Seconds after which a message that could not be delivered is given back."""
    chunking: bool = True
    """Use BDAT where it is offered (RFC 3030)."""
    pipelining: bool = True
    """Use PIPELINING where it is offered (RFC 2920)."""

    def __post_init__(self) -> None:
        if not self.via:
            raise ValueError(f"route {self.name!r} leads nowhere; give it at least one next hop")
        kinds = {type(hop) for hop in self.via}
        if len(kinds) > 1:
            raise ValueError(
                f"route {self.name!r} mixes smarthosts, mx: and sandbox:; make a route of each, "
                "and use overflow or tee_sandbox to combine them"
            )
        if len(self.via) > 1 and kinds != {Smarthost}:
            raise ValueError(f"route {self.name!r} names {self.via[0].identity} more than once")

    @property
    def is_direct(self) -> bool:
        """Whether it leads to the exchangers of each domain."""
        return isinstance(self.via[0], MxDelivery)

    @property
    def is_sandbox(self) -> bool:
        """Whether nothing leaves the machine."""
        return isinstance(self.via[0], Sandbox)
