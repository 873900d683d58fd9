"""Names of addresses: does each lead to a name, and does that lead back (FCrDNS)?

Many receivers refuse an address without that. Of the exchangers it matters only where they also
send; of addresses that are given as senders it matters.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from waypost.doctor.domain_health.finding import Finding, Suggestion, fail, note, ok, unknown, warn
from waypost.net.records import published_addresses, reverse_name
from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTemporaryFailure,
    Resolver,
)


async def look_at_names(
    resolver: Resolver, domain: str, senders: Iterable[str], exchangers: Iterable[str]
) -> tuple[Finding, ...]:
    """The names of addresses that send, and of those that receive."""
    senders = tuple(dict.fromkeys(senders))
    findings = [await _name(resolver, domain, one, sends=True) for one in senders]
    others = [one for one in dict.fromkeys(exchangers) if one not in senders]
    findings += [await _name(resolver, domain, one, sends=False) for one in others]
    return tuple(findings)


async def _name(resolver: Resolver, domain: str, address: str, *, sends: bool) -> Finding:
    bad = fail if sends else note
    where = "" if sends else " (it matters if that server also sends)"
    pointer = reverse_name(address)
    try:
        names = (await resolver.records(pointer, "PTR")).values
    except (NoSuchDomain, NoSuchRecord) as fault:
        return bad(
            "ptr.missing",
            f"the address {address} has no name{where}",
            str(fault),
            fix="Let the provider of the address set it to the server's own name.",
            suggestion=Suggestion(pointer, "PTR", f"mail.{domain}."),
            cause="policy.ptr_missing",
        )
    except ResolutionTemporaryFailure as fault:
        text = f"the name of the address {address} cannot be had now"
        return unknown("ptr.unknown", text, str(fault))
    evidence = [f"{address} PTR {', '.join(names)}"]
    for name in names:
        try:
            back = await published_addresses(resolver, name)
        except ResolutionFailure as fault:
            evidence.append(str(fault))
            continue
        evidence.append(f"{name} is at {', '.join(back)}")
        if any(ipaddress.ip_address(one) == ipaddress.ip_address(address) for one in back):
            if _is_generic(name, address):
                return (warn if sends else note)(
                    "ptr.generic",
                    f"the name of {address} looks like one that a provider gives to everybody"
                    + where,
                    *evidence,
                    fix="Let it be set to the server's own name.",
                )
            return ok("ptr.found", f"{address} is {name}, and that leads back", *evidence)
    return bad(
        "ptr.does_not_lead_back",
        f"the name of {address} does not lead back to it{where}",
        *evidence,
        fix=f"Give {names[0]} the address {address}, or let the PTR record hold the right name.",
        cause="policy.ptr_missing",
    )


def _is_generic(name: str, address: str) -> bool:
    """Whether the name only spells the address, as in 192-0-2-10.dynamic.example.net."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6:
        return parsed.exploded.replace(":", "")[-8:] in name.replace("-", "").replace(".", "")
    numbers = [int(one) for one in re.findall(r"[0-9]+", name)]
    octets = list(parsed.packed)
    joined = "".join(f"{one:03d}" for one in octets)
    return joined in name or any(
        numbers[at : at + 4] in (octets, octets[::-1]) for at in range(len(numbers) - 3)
    )
