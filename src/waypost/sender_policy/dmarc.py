"""DMARC (RFC 7489, RFC 9989): does what SPF and DKIM have proved speak for the author's domain, and
what does that domain want done where it does not?

The records are found by walking up the names (RFC 9989 4.10), so no list of public suffixes is
needed. A single label is never asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from waypost.mail.tag_list import versioned
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionFailure, Resolver
from waypost.sender_policy.dmarc_record import DmarcRecord, read_dmarc

LONGEST_WALK: Final = 8
"""Names that are asked for (RFC 9989 4.10)."""


class DmarcResult(StrEnum):
    """The words of RFC 7489 11.2."""

    PASS = "pass"  # noqa: S105 - a result
    FAIL = "fail"
    NONE = "none"
    """The domain has no policy."""
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class DmarcVerdict:
    """What the author's domain says of a message."""

    result: DmarcResult
    policy: str = "none"
    """What it wants done with mail that fails: none, quarantine, reject."""
    place: str = ""
    """The domain whose record applied."""
    reason: str = ""


def names_above(domain: str) -> list[str]:
    """The names to ask for, from the domain itself up, at most LONGEST_WALK."""
    labels = domain.split(".")
    names = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    if len(names) > LONGEST_WALK:
        names = [names[0], *names[1 - LONGEST_WALK :]]
    return names


async def evaluate_dmarc(
    resolver: Resolver, author: str, spf_domain: str | None, dkim_domains: Iterable[str]
) -> DmarcVerdict:
    """The verdict on mail of `author`, the domain of From (A-labels, lower case).

    `spf_domain` is the domain for which SPF passed, `dkim_domains` are those whose signatures did.
    """
    found: list[tuple[str, DmarcRecord]] = []
    try:
        for name in names_above(author):
            texts = versioned(await texts_of(resolver, f"_dmarc.{name}"), "DMARC1")
            if len(texts) == 1:
                found.append((name, read_dmarc(texts[0])))
            elif texts and name == author:
                several = f"{name} has {len(texts)} records, so none counts"
                return DmarcVerdict(DmarcResult.PERMERROR, place=name, reason=several)
    except ResolutionFailure as fault:
        return DmarcVerdict(DmarcResult.TEMPERROR, reason=str(fault))
    organisation = _organisation(author, found)
    records = dict(found)
    place = author if author in records else organisation
    record = records.get(place)
    if record is None or not record.policy or (record.public_suffix and place != author):
        return DmarcVerdict(DmarcResult.NONE)
    passed = [one.lower() for one in dkim_domains if _aligned(
        one.lower(), author, organisation, strict=record.strict_dkim)]  # fmt: skip
    by_spf = spf_domain is not None and _aligned(
        spf_domain.lower(), author, organisation, strict=record.strict_spf
    )
    if passed or by_spf:
        return DmarcVerdict(DmarcResult.PASS, "none", place)
    policy = record.policy if place == author else record.subdomain_policy
    if record.testing:
        policy = {"reject": "quarantine"}.get(policy, "none")  # one step less (RFC 9989 4.7)
    return DmarcVerdict(DmarcResult.FAIL, policy, place, "neither SPF nor DKIM speaks for From")


def _organisation(author: str, found: list[tuple[str, DmarcRecord]]) -> str:
    """The domain under which names belong together (RFC 9989 4.10.2)."""
    for name, record in found:
        if record.organisation:
            return name
        if record.public_suffix and name != author:
            below = author.removesuffix(f".{name}").rpartition(".")[2]
            return f"{below}.{name}"
    return found[-1][0] if found else author


def _aligned(proved: str, author: str, organisation: str, *, strict: bool) -> bool:
    if strict or not organisation:
        return proved == author
    return proved == organisation or proved.endswith(f".{organisation}")
