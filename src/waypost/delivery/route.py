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

from waypost.delivery.retry import DEFAULT_EXPIRY, RetrySchedule

_RATE: Final = re.compile(r"\s*(\d{1,9})\s*(?:/|per)\s*(?:(\d{1,6})\s*)?([a-z]+)\s*")
_PERIODS: Final = {
    "s": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip


class TlsMode(StrEnum):
    """How a connection to a next hop becomes TLS."""

    REQUIRED = "required"
    """STARTTLS; without it there is no delivery."""
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered; in the clear where it is not."""
    NONE = "none"
    """Never."""
    IMPLICIT = "implicit"
    """TLS from the first byte (RFC 8314 3.3)."""


class Strategy(StrEnum):
    """In which order the next hops of a route are tried."""

    FAILOVER = "failover"
    """By priority, then as listed: the second only when the first cannot be used."""
    WEIGHTED = "weighted"
    """By priority; among equals drawn by weight, so that the load is shared."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a smarthost. The password is in no repr."""

    user: str
    password: str = field(repr=False)
    """A password, an API key, or the access token of an OAuth 2.0 mechanism."""
    mechanism: str | None = None
    """The SASL mechanism to use; None: the best that both sides have."""


@dataclass(frozen=True, slots=True)
class Smarthost:
    """A server that takes our mail for everywhere."""

    host: str
    """A name, an IP address, or "unix:/path"."""
    port: int
    """0 for a unix socket."""
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    verify: bool = True
    """The certificate must be valid and carry the host's name."""
    server_name: str | None = None
    """The name to ask for (SNI) and to verify, where it is not `host`."""
    ca_file: str | None = None
    """Certificates to trust in place of the system's."""
    credentials: Credentials | None = None
    clear_text_auth: bool = False
    """Credentials may go over a connection without TLS."""
    weight: int = 1
    """Its share under `Strategy.WEIGHTED`; 0: only when no other can be used."""
    priority: int = 0
    """Lower ones first."""
    timeout: float | None = None
    """Seconds, in place of each stage's default."""
    source: str | None = None
    """The local address to connect from."""
    ehlo: str | None = None
    """The name to greet with, in place of the relay's."""
    provider: str | None = None
    """The provider's name, where the settings come from its preset."""

    @property
    def is_unix(self) -> bool:
        """Whether it is reached over a unix socket."""
        return self.host.startswith("unix:")

    @property
    def identity(self) -> str:
        """What its back-off is kept under, and what people are shown. Of two accounts at one
        host one may be refused and the other not, so the user is part of it.
        """
        place = self.host
        if not self.is_unix:
            place = f"[{place}]:{self.port}" if ":" in place else f"{place}:{self.port}"
        return f"{self.credentials.user} at {place}" if self.credentials else place


@dataclass(frozen=True, slots=True)
class MxDelivery:
    """Direct delivery to the mail exchangers of each recipient's domain."""

    port: int = 25
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    verify: bool = False
    """Off by default: an exchanger's name comes from the DNS unproven, so a certificate for it
    proves little (RFC 7435). With it on, an unverified exchanger is not delivered to."""
    ca_file: str | None = None
    timeout: float | None = None
    """Seconds, in place of each stage's default."""
    source: str | None = None
    ehlo: str | None = None
    weight: int = 1
    priority: int = 0

    @property
    def identity(self) -> str:
        """What people are shown."""
        return "mx:"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Captures every message and lets nothing leave the machine."""

    weight: int = 1
    priority: int = 0

    @property
    def identity(self) -> str:
        """What people are shown."""
        return "sandbox:"


NextHop = Smarthost | MxDelivery | Sandbox


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
