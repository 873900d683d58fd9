"""How safe the way to a destination must be, for routes that deliver directly.

The operator's own rule for a destination comes first, then what the domain itself asks for by
MTA-STS (RFC 8461). Either only ever changes the next hop that the route has: `demand.applied(hop)`
is the hop to use, and an exchanger that `demand.allows` does not name is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from waypost.delivery.outcome import Outcome, outcome_of_failure
from waypost.delivery.route import MxDelivery, TlsMode
from waypost.delivery.strict_transport import StrictTransport
from waypost.mail.strict_transport import names_host

_TLS_REASONS: Final = frozenset({"tls-not-offered", "tls-failed", "certificate-refused"})


class TlsLevel(StrEnum):
    """What a rule asks of the connection."""

    NONE = "none"
    """No TLS, for a server that offers it and cannot do it."""
    OPPORTUNISTIC = "opportunistic"
    """TLS where it is offered; MTA-STS is not asked."""
    ENCRYPTED = "encrypted"
    """TLS or nothing; whose certificate it is does not matter."""
    VERIFIED = "verified"
    """TLS with a certificate that is valid for the exchanger's name."""


@dataclass(frozen=True, slots=True)
class TlsRule:
    """What the operator asks for at some destinations."""

    destinations: tuple[str, ...]
    """`example.com`, `.example.com` (its subdomains), `*` (all); in lower case."""
    level: TlsLevel
    exchangers: tuple[str, ...] = ()
    """Names that exchangers must have, `*.example.com` for all directly below; empty: any."""
    ca_file: str | None = None

    def matches(self, domain: str) -> bool:
        """Whether it is about a domain, in lower case."""
        return any(
            one in ("*", domain) or (one.startswith(".") and domain.endswith(one))
            for one in self.destinations
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of the exchangers of one destination."""

    source: str
    """Who asks, in words: "the MTA-STS policy of example.com"."""
    level: TlsLevel
    exchangers: tuple[str, ...] = ()
    ca_file: str | None = None

    def allows(self, host: str) -> bool:
        """Whether an exchanger may be used."""
        return not self.exchangers or names_host(self.exchangers, host)

    def applied(self, hop: MxDelivery) -> MxDelivery:
        """The hop that does what is asked. It never asks for less than the route, but where the
        operator's rule says so."""
        match self.level:
            case TlsLevel.NONE:
                return replace(hop, tls=TlsMode.NONE, verify=False)
            case TlsLevel.OPPORTUNISTIC:
                return replace(hop, tls=TlsMode.OPPORTUNISTIC, verify=False)
        mode = hop.tls if hop.tls is TlsMode.IMPLICIT else TlsMode.REQUIRED
        verify = hop.verify or self.level is TlsLevel.VERIFIED
        return replace(hop, tls=mode, verify=verify, ca_file=self.ca_file or hop.ca_file)

    def refusal(self, host: str) -> Outcome:
        """What it means that an exchanger is not named."""
        named = ", ".join(self.exchangers[:8])
        return outcome_of_failure(
            "exchanger-not-in-policy",
            f"{host} is not used: {self.source} names only {named}; if the domain has moved its "
            "mail, its policy has to name the new server",
        )

    def explained(self, outcome: Outcome) -> Outcome:
        """A failure of TLS, with who asked for it."""
        if outcome.reason not in _TLS_REASONS:
            return outcome
        return replace(outcome, text=f"{outcome.text} ({self.source} asks for TLS)"[:1000])


class TlsPolicies:
    """Answers what is asked of the way to a destination."""

    def __init__(
        self, rules: Sequence[TlsRule] = (), strict_transport: StrictTransport | None = None
    ) -> None:
        self.rules = tuple(rules)
        self._strict_transport = strict_transport

    async def demand(self, domain: str, hop: MxDelivery) -> tuple[Demand | None, str]:
        """What is asked for a domain, as the DNS knows it, and a note for the transcript or "".

        A route that says `tls=none` is the operator's word as well: nothing is asked then.
        """
        for rule in self.rules:
            if rule.matches(domain):
                source = f"the TLS rule for {', '.join(rule.destinations[:4])}"
                return Demand(source, rule.level, rule.exchangers, rule.ca_file), ""
        if self._strict_transport is None or hop.tls is TlsMode.NONE:
            return None, ""
        policy = await self._strict_transport.policy(domain)
        if policy is None or policy.mode == "none":
            return None, ""
        source = f"the MTA-STS policy of {domain}"
        if policy.mode == "testing":
            return None, f"{source} is in testing: nothing is refused by it"
        return Demand(source, TlsLevel.VERIFIED, policy.exchangers), ""
