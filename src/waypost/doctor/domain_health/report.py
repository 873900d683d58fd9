"""The whole look at a domain: everything that decides how its mail is treated.

Each part asks on its own, all at once, and none stops another: what cannot be found out is said to
be unknown. The DNS and a few web pages are asked; a mail server only where its certificate is
pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import idna

from waypost.doctor.domain_health.blocklist_check import look_at_blocklists
from waypost.doctor.domain_health.brand_indicators import look_at_brand_indicators
from waypost.doctor.domain_health.dane_check import Live, look_at_dane
from waypost.doctor.domain_health.dkim_keys import look_at_keys
from waypost.doctor.domain_health.dmarc_check import look_at_dmarc
from waypost.doctor.domain_health.finding import Finding, Status, fail, worst
from waypost.doctor.domain_health.mail_exchangers import look_at_exchangers
from waypost.doctor.domain_health.reverse_names import look_at_names
from waypost.doctor.domain_health.sender_policy_check import look_at_sender_policy
from waypost.doctor.domain_health.strict_transport import (
    look_at_strict_transport,
    look_at_tls_reporting,
)
from waypost.knowledge.blocklists import Blocklist
from waypost.net.resolver import Resolver
from waypost.net.web import Web
from waypost.sender_policy.evaluation import is_name

AREAS = (
    "mx", "spf", "dkim", "dmarc", "mta_sts", "tls_reports", "dnssec", "dane", "ptr", "blocklist",
    "bimi",
)  # fmt: skip
"""The parts, in the order in which they are told."""

MAXIMUM_ADDRESSES = 12
"""Of the exchangers, whose names and listings are looked at."""


class NotADomain(ValueError):
    """What was asked for is no domain name."""


@dataclass(frozen=True, slots=True)
class HealthRequest:
    """What to look at."""

    domain: str
    selectors: tuple[str, ...] = ()
    """Of DKIM, beside the usual ones."""
    senders: tuple[str, ...] = ()
    """IP addresses that send for the domain."""
    blocklists: Sequence[Blocklist] | None = None
    """The lists to ask; None: all that are known, () none."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What was found, in the order of AREAS."""

    domain: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Status:
        """ok, warn or fail."""
        return worst(self.findings)

    def of(self, area: str) -> tuple[Finding, ...]:
        """The findings of one part."""
        return tuple(one for one in self.findings if one.area == area)


def domain_name(text: str) -> str:
    """A domain as the DNS has it. Raises NotADomain."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as fault:
            raise NotADomain(f"{text!r} is no domain name: {fault}") from fault
    if not is_name(name) or any(letter.isspace() or letter in "/:@" for letter in name):
        raise NotADomain(f"{text!r} is no domain name; write it as example.com")
    return name


async def health_report(
    request: HealthRequest, resolver: Resolver, web: Web, live: Live | None = None
) -> HealthReport:
    """Look at everything. Raises NotADomain, and ValueError where a sender is no IP address.

    With `live` the mail servers are connected to where a zone pins their certificates.
    """
    domain = domain_name(request.domain)
    exchangers = await look_at_exchangers(resolver, domain)
    if not exchangers.exists:
        return HealthReport(domain, exchangers.findings)
    addresses = exchangers.addresses[:MAXIMUM_ADDRESSES]
    dmarc_asked = asyncio.ensure_future(look_at_dmarc(resolver, domain))
    spf, dkim, sts, dane, names, listed = await asyncio.gather(
        look_at_sender_policy(resolver, domain, exchangers, request.senders),
        look_at_keys(resolver, domain, request.selectors),
        look_at_strict_transport(resolver, web, domain, exchangers),
        look_at_dane(resolver, domain, exchangers, live),
        look_at_names(resolver, domain, request.senders, addresses),
        look_at_blocklists(resolver, domain, request.senders, addresses, request.blocklists),
    )
    dmarc = await dmarc_asked
    policy = dmarc.policy_for(domain)
    required = any(one.name in ("mta_sts.found", "dane.found") for one in (*sts, *dane))
    reports, bimi = await asyncio.gather(
        look_at_tls_reporting(resolver, domain, exchangers, wanted=required),
        look_at_brand_indicators(resolver, web, domain, policy),
    )
    found = [
        *exchangers.findings, *spf, *dkim, *dmarc.findings, *_together(spf, dkim, policy), *sts,
        *reports, *dane, *names, *listed, *bimi,
    ]  # fmt: skip
    return HealthReport(domain, tuple(sorted(found, key=lambda one: AREAS.index(one.area))))


def _together(
    spf: tuple[Finding, ...], dkim: tuple[Finding, ...], policy: str
) -> tuple[Finding, ...]:
    """What only the parts together tell."""
    unauthenticated = any(one.name == "spf.missing" for one in spf) and not any(
        one.name in ("dkim.found", "dkim.short", "dkim.testing") for one in dkim
    )
    if unauthenticated and policy in ("quarantine", "reject"):
        text = f"DMARC asks to {policy} what is not authenticated, and nothing here authenticates"
        fix = "Publish SPF and sign with DKIM before the policy is enforced."
        return (fail("dmarc.nothing_passes", text, fix=fix, cause="policy.dmarc_fail"),)
    return ()
