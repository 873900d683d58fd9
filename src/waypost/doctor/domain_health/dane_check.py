"""DANE (RFC 7672): certificates of the mail servers, pinned in a signed zone.

Whether a zone is signed is what the resolver says (AD). That is worth as much as the resolver and
the way to it; a resolver that does not validate makes every zone look unsigned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from waypost.doctor.domain_health.finding import (
    Finding,
    Suggestion,
    fail,
    note,
    ok,
    unknown,
    warn,
)
from waypost.doctor.domain_health.live_certificate import (
    DANE_EE,
    NotSeen,
    certificate_of,
    is_pinned,
    record_for,
)
from waypost.doctor.domain_health.mail_exchangers import Exchangers
from waypost.doctor.line_opening import World
from waypost.net.records import TlsAssociation, tls_associations
from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    ResolutionTemporaryFailure,
    Resolver,
)

PORT: Final = 25
DANE_TA: Final = 2
_LENGTHS: Final = {1: 32, 2: 64}
"""Bytes by matching type: SHA-256, SHA-512 (RFC 6698 2.1.3)."""


def faults_of(one: TlsAssociation) -> str:
    """Why senders do not use a record; "" where they do (RFC 7672 3.1)."""
    if one.usage not in (DANE_TA, DANE_EE):
        return f"usage {one.usage} is not for mail; 3 (DANE-EE) or 2 (DANE-TA) is"
    if one.selector not in (0, 1):
        return f"there is no selector {one.selector}"
    if one.matching not in (0, 1, 2):
        return f"there is no matching type {one.matching}"
    length = _LENGTHS.get(one.matching)
    if length is not None and len(one.data) != length:
        return f"its digest has {len(one.data)} bytes instead of {length}"
    return "" if one.data else "it holds nothing"


@dataclass(frozen=True, slots=True)
class Live:
    """How to look at the servers themselves."""

    world: World
    inside: bool = False
    """Connect to addresses that are not public, too."""
    ehlo: str = "localhost"
    port: int = PORT


async def look_at_dane(
    resolver: Resolver, domain: str, exchangers: Exchangers, live: Live | None = None
) -> tuple[Finding, ...]:
    """The TLSA records of a domain's mail servers, and whether anybody may believe them.

    With `live` the certificates that the servers show are compared with them.
    """
    if exchangers.null or not exchangers.records:
        return ()
    findings = [_signed(domain, exchangers)]
    with_records: list[str] = []
    without: list[str] = []
    for host in exchangers.hosts:
        try:
            records, authenticated = await tls_associations(resolver, host, PORT)
        except (NoSuchDomain, NoSuchRecord):
            without.append(host)
            continue
        except ResolutionTemporaryFailure as fault:
            # RFC 7672 2.1: a sender must then not deliver at all.
            fix = "See that the zone's servers answer for TLSA; senders with DANE wait till then."
            text = f"the TLSA record of {host} cannot be had"
            findings.append(unknown("dane.unknown", text, str(fault), fix=fix))
            continue
        with_records.append(host)
        findings.append(_judged(host, records, authenticated, exchangers))
        good = tuple(one for one in records if not faults_of(one))
        if live is not None and any(one.usage == DANE_EE for one in good):
            compared = await _compared(live, host, good, exchangers)
            if compared is not None:
                findings.append(compared)
    if not with_records:
        text = "no mail server has a TLSA record (DANE, RFC 7672)"
        findings.append(note("dane.missing", text))
    elif without:
        text = f"some mail servers have no TLSA record: {', '.join(without)}"
        findings.append(warn("dane.partly", text, fix="Publish one for each mail server."))
    return tuple(findings)


def _signed(domain: str, exchangers: Exchangers) -> Finding:
    if exchangers.authenticated:
        return ok("dnssec.signed", f"the zone of {domain} is signed, as the resolver says")
    text = f"the zone of {domain} is not signed, or the resolver does not validate"
    return note("dnssec.unsigned", text)


async def _compared(
    live: Live, host: str, records: tuple[TlsAssociation, ...], exchangers: Exchangers
) -> Finding | None:
    """What the server shows, against its records; None where they agree."""
    addresses = next((one.addresses for one in exchangers.records if one.host == host), ())
    try:
        certificate = await certificate_of(
            live.world, host, live.port, addresses, inside=live.inside, ehlo=live.ehlo
        )
        if is_pinned(certificate, records) or any(one.usage == DANE_TA for one in records):
            return None
        right = record_for(certificate)
    except (NotSeen, ValueError) as fault:
        text = f"the certificate of {host} could not be compared with its TLSA record"
        return unknown("dane.not_compared", text, str(fault))
    return fail(
        "dane.mismatch",
        f"{host} shows another certificate than its TLSA record pins: senders with DANE do not "
        "deliver",
        *(_line(host, one) for one in records),
        fix="Publish the record of the certificate that is in use; at a renewal publish the new "
        "one first.",
        suggestion=Suggestion(f"_{PORT}._tcp.{host}", "TLSA", right),
    )


def _line(host: str, one: TlsAssociation) -> str:
    return f"_{PORT}._tcp.{host} TLSA {one.usage} {one.selector} {one.matching} {one.data.hex()}"


def _judged(
    host: str, records: tuple[TlsAssociation, ...], authenticated: bool, exchangers: Exchangers
) -> Finding:
    evidence = [_line(host, one) for one in records]
    good = [one for one in records if not faults_of(one)]
    if not good:
        why = "; ".join(dict.fromkeys(faults_of(one) for one in records)) or "they are malformed"
        return warn(
            "dane.unusable",
            f"no TLSA record of {host} can be used: {why}",
            *evidence,
            fix="Publish 3 1 1 with the SHA-256 of the public key of its certificate.",
        )
    if not authenticated:
        return warn(
            "dane.not_signed",
            f"the TLSA record of {host} has no effect: its zone is not signed, or the resolver "
            "does not validate",
            *evidence,
            fix="Sign the zone with DNSSEC; ask a resolver that validates to see it here.",
        )
    if not exchangers.authenticated:
        return warn(
            "dane.exchanger_not_signed",
            f"the TLSA record of {host} is signed, the MX record that leads there is not, so "
            "senders do not look at it (RFC 7672 2.2.1)",
            *evidence,
            fix="Sign the zone of the domain too.",
        )
    return ok("dane.found", f"the certificate of {host} is pinned in signed records", *evidence)
