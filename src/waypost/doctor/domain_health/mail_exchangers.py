"""Where mail for the domain goes: its MX records, and whether they lead anywhere."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from waypost.doctor.domain_health.finding import (
    Finding,
    Status,
    Suggestion,
    fail,
    note,
    ok,
    unknown,
    warn,
    worst,
)
from waypost.knowledge.providers import provider_of_exchanger
from waypost.knowledge.special_addresses import special_network
from waypost.net.records import alias, published_addresses
from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTemporaryFailure,
    Resolver,
)


@dataclass(frozen=True, slots=True)
class Exchanger:
    """One MX record and where it leads."""

    preference: int
    host: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exchangers:
    """All of a domain."""

    records: tuple[Exchanger, ...] = ()
    exists: bool = True
    """The domain is there at all."""
    null: bool = False
    """It says that it takes no mail (RFC 7505)."""
    authenticated: bool = False
    """The resolver vouches for the MX records by DNSSEC."""
    findings: tuple[Finding, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names, most wanted first."""
        return tuple(one.host for one in self.records)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses, each once."""
        return tuple(dict.fromkeys(a for one in self.records for a in one.addresses))


async def look_at_exchangers(resolver: Resolver, domain: str) -> Exchangers:
    """The MX records of a domain with what is to say about them."""
    try:
        records = await resolver.mail_exchangers(domain)
        authenticated = (await resolver.records(domain, "MX")).authenticated
    except NoSuchDomain as fault:
        said = fail(
            "mx.no_such_domain",
            f"the domain {domain} does not exist",
            str(fault),
            fix="Register it, or correct the spelling.",
            cause="dns.no_such_host",
        )
        return Exchangers(exists=False, findings=(said,))
    except NoSuchRecord:
        return await _without(resolver, domain)
    except ResolutionTemporaryFailure as fault:
        return Exchangers(findings=(_unknown(fault),))
    return await _with(resolver, records, authenticated)


def _unknown(fault: ResolutionFailure) -> Finding:
    return unknown(
        "mx.unknown",
        "the name servers do not say where mail goes",
        str(fault),
        fix="Ask again later; check the domain's name servers.",
        cause="dns.servfail",
    )


async def _without(resolver: Resolver, domain: str) -> Exchangers:
    """No MX: the address of the domain itself counts (RFC 5321 5.1)."""
    addresses, fault = await _addresses(resolver, domain)
    wanted = Suggestion(domain, "MX", f"10 mail.{domain}.")
    if addresses:
        said = warn(
            "mx.missing",
            "there is no MX record, so mail goes to the address of the domain itself",
            f"{domain} is at {', '.join(addresses)}",
            fix="Publish an MX record that names the mail server; some senders look no further.",
            suggestion=wanted,
            cause="dns.no_mx",
        )
        return Exchangers((Exchanger(0, domain, addresses),), findings=(said,))
    if isinstance(fault, ResolutionTemporaryFailure):
        return Exchangers(findings=(_unknown(fault),))
    said = fail(
        "mx.missing",
        "there is no MX record and no address: the domain takes no mail",
        str(fault),
        fix="Publish an MX record; or, if no mail is wanted, a null MX (RFC 7505): 0 .",
        suggestion=wanted,
        cause="dns.no_mx",
    )
    return Exchangers(findings=(said,))


async def _with(
    resolver: Resolver, records: tuple[MailExchanger, ...], authenticated: bool
) -> Exchangers:
    lines = tuple(f"MX {one.preference} {one.host or '.'}" for one in records)
    if all(not one.host for one in records):
        text = "the domain says that it takes no mail (null MX, RFC 7505)"
        said = note("mx.null", text, *lines, cause="dns.null_mx")
        return Exchangers(null=True, authenticated=authenticated, findings=(said,))
    found: list[Exchanger] = []
    findings: list[Finding] = []
    if any(not one.host for one in records):
        findings.append(
            fail(
                "mx.null_among_others",
                "a null MX stands among other MX records, which contradict it",
                *lines,
                fix="Take the null MX away (RFC 7505 3), or all the others.",
                cause="dns.null_mx",
            )
        )
    for record in records:
        if record.host:
            one, said_of_it = await _host(resolver, record)
            found.append(one)
            findings.extend(said_of_it)
    if not any(one.addresses for one in found):
        findings.append(
            fail(
                "mx.unreachable",
                "no mail server of the domain has an address",
                *lines,
                fix="Give the names in the MX records addresses.",
                cause="dns.no_address",
            )
        )
    provider = next((p for p in (provider_of_exchanger(one.host) for one in found) if p), None)
    text = f"mail goes to {len(found)} server{'s' if len(found) != 1 else ''}"
    text += f", those of {provider.title}" if provider is not None else ""
    good = worst(findings) is Status.OK
    findings.insert(
        0,
        (ok if good else note)(
            "mx.found",
            text,
            *(
                f"MX {one.preference} {one.host} ({', '.join(one.addresses) or 'no address'})"
                for one in found
            ),
        ),
    )
    return Exchangers(tuple(found), authenticated=authenticated, findings=tuple(findings))


async def _host(resolver: Resolver, record: MailExchanger) -> tuple[Exchanger, list[Finding]]:
    """One MX record."""
    preference, host = record.preference, record.host
    line = f"MX {preference} {host}"
    if _is_address(host):
        said = fail(
            "mx.is_address",
            f"an MX record holds an address, {host}, not a name",
            line,
            fix="Give the server a name and let the MX record hold that (RFC 5321 5.1).",
        )
        return Exchanger(preference, host, ()), [said]
    findings: list[Finding] = []
    try:
        target = await alias(resolver, host)
    except ResolutionFailure:
        pass  # most are none, and the question for its address tells the rest
    else:
        findings.append(
            warn(
                "mx.is_alias",
                f"the MX record names an alias: {host} is a CNAME",
                line,
                f"{host} CNAME {target}",
                fix=f"Let the MX record name {target} itself (RFC 2181 10.3, RFC 5321 5.1).",
                cause="dns.mx_is_cname",
            )
        )
    addresses, fault = await _addresses(resolver, host)
    if not addresses:
        temporary = isinstance(fault, ResolutionTemporaryFailure)
        findings.append(
            (unknown if temporary else warn)(
                "mx.no_address",
                f"the mail server {host} has no address",
                line,
                str(fault),
                fix=f"Give {host} an address, or take its MX record away.",
                cause="dns.no_address",
            )
        )
    inside = [address for address in addresses if special_network(address) is not None]
    if inside:
        findings.append(
            (fail if len(inside) == len(addresses) else warn)(
                "mx.private_address",
                f"the mail server {host} has an address that the Internet does not reach",
                line,
                *(f"{address} ({_kind(address)})" for address in inside),
                fix=f"Let {host} have public addresses only.",
            )
        )
    return Exchanger(preference, host, addresses), findings


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _kind(address: str) -> str:
    special = special_network(address)
    return special.name if special is not None else "public"


async def _addresses(
    resolver: Resolver, host: str
) -> tuple[tuple[str, ...], ResolutionFailure | None]:
    try:
        return await published_addresses(resolver, host), None
    except ResolutionFailure as fault:
        return (), fault
