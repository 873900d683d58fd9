"""Blocklists: whether an address or a domain stands on a list that receivers ask (RFC 5782).

Three things look like a listing and are none: a list that refuses who asks, a dead list whose zone
answers everything, and a resolver that answers for names that do not exist. So each list is first
asked for what no list holds (127.0.0.1, RFC 5782 5), and an answer that is no 127.0.0.0/8 counts
for nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.doctor.domain_health.finding import Finding, fail, note, ok, unknown, warn
from waypost.knowledge.blocklists import Blocklist, blocklists, refusal
from waypost.net.resolver import NoSuchDomain, NoSuchRecord, ResolutionFailure, Resolver

NEVER_LISTED: Final = "127.0.0.1"
NEVER_LISTED_DOMAIN: Final = "invalid"
_ANSWERS: Final = ipaddress.ip_network("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a list says of one name."""

    codes: tuple[str, ...] = ()
    """Listings; () where it is not listed."""
    trouble: str = ""
    """Why nothing is known."""


async def look_at_blocklists(
    resolver: Resolver,
    domain: str,
    senders: Iterable[str],
    exchangers: Iterable[str] = (),
    lists: Sequence[Blocklist] | None = None,
) -> tuple[Finding, ...]:
    """Ask the lists for the domain, for addresses that send and for those that receive.

    That one which only receives is listed does no harm, so it is told as a warning.
    """
    senders = tuple(dict.fromkeys(senders))
    asked = tuple(dict.fromkeys((*senders, *exchangers)))
    lists = blocklists() if lists is None else lists
    harmful = (domain, *senders)
    results = await asyncio.gather(
        *(_of_list(resolver, one, domain, asked, harmful) for one in lists)
    )
    findings = [finding for found in results for finding in found]
    clean = [one for one, found in zip(lists, results, strict=True) if not found]
    if clean:
        what = ", ".join((domain, *asked))
        titles = ", ".join(one.title for one in clean)
        findings.append(ok("blocklist.clean", f"not listed by {titles}", f"asked for {what}"))
    return tuple(findings)


async def _of_list(
    resolver: Resolver,
    one: Blocklist,
    domain: str,
    addresses: tuple[str, ...],
    harmful: tuple[str, ...],
) -> list[Finding]:
    probe = NEVER_LISTED_DOMAIN if one.kind == "domain" else _reversed(NEVER_LISTED)
    control = await _ask(resolver, f"{probe}.{one.zone}")
    if control.trouble:
        text = f"{one.title} could not be asked: {control.trouble}"
        return [unknown("blocklist.unknown", text, f"A of {probe}.{one.zone}")]
    if control.codes:
        text = f"{one.title} answers for everything, so it says nothing; it is left out"
        return [note("blocklist.broken", text, f"{probe}.{one.zone} A {control.codes[0]}")]
    if one.kind == "domain":
        names = [(domain, f"{domain}.{one.zone}")]
    else:
        fitting = [a for a in addresses if one.ipv6 or ":" not in a]
        names = [(address, f"{_reversed(address)}.{one.zone}") for address in fitting]
    answers = await asyncio.gather(*(_ask(resolver, name) for _, name in names))
    return [
        _judged(one, what, name, answer, sends=what in harmful)
        for (what, name), answer in zip(names, answers, strict=True)
        if answer.codes or answer.trouble
    ]


def _judged(one: Blocklist, what: str, name: str, answer: _Answer, *, sends: bool) -> Finding:
    if answer.trouble:
        text = f"whether {one.title} lists {what} is not known: {answer.trouble}"
        return unknown("blocklist.unknown", text, f"A of {name}")
    meanings = "; ".join(dict.fromkeys(one.meaning(code) for code in answer.codes))
    where = f" at {one.page}" if one.page else ""
    return (fail if sends else warn)(
        "blocklist.listed",
        f"{what} is on the list {one.title}: {meanings}"
        + ("" if sends else " (it matters if that server also sends)"),
        f"{name} A {', '.join(answer.codes)}",
        fix=f"Find and end what it is listed for; then ask to be taken off{where}.",
        cause="policy.client_blocklisted",
    )


async def _ask(resolver: Resolver, name: str) -> _Answer:
    try:
        values = (await resolver.records(name, "A")).values
    except (NoSuchDomain, NoSuchRecord):
        return _Answer()
    except ResolutionFailure as fault:
        return _Answer(trouble=fault.reason)
    for value in values:
        refused = refusal(value)
        if refused is not None:
            return _Answer(trouble=refused)
    codes = tuple(value for value in values if ipaddress.ip_address(value) in _ANSWERS)
    if values and not codes:
        return _Answer(trouble=f"it answers {values[0]}, which is no answer of a list")
    return _Answer(codes)


def _reversed(address: str) -> str:
    """As lists have it: 2.0.0.127, or the nibbles of an IPv6 address."""
    pointer = ipaddress.ip_address(address).reverse_pointer
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
