"""What the DNS of a domain has to say for a relay that sends its mail, and whether it does.

`wanted_records` is what to publish; `look_at_setup` asks what is there. A key counts as published
when the DNS gives exactly the key that signs: anything else would make every signature fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from waypost.doctor.domain_health.dmarc_check import look_at_dmarc
from waypost.doctor.domain_health.finding import (
    Finding,
    Status,
    Suggestion,
    fail,
    ok,
    text_record,
    unknown,
    worst,
)
from waypost.doctor.domain_health.mail_exchangers import look_at_exchangers
from waypost.doctor.domain_health.reverse_names import look_at_names
from waypost.doctor.domain_health.sender_policy_check import look_at_sender_policy
from waypost.mail.dkim_keys import DkimRecord
from waypost.mail.tag_list import parse_tags
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionFailure, Resolver


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """A record to publish, and what it is for."""

    record: Suggestion
    purpose: str


@dataclass(frozen=True, slots=True)
class DomainSetup:
    """What was found."""

    domain: str
    findings: tuple[Finding, ...]
    published: tuple[str, ...]
    """The names of the key records that are there as they should be."""

    @property
    def verdict(self) -> Status:
        """ok, warn or fail."""
        return worst(self.findings)


def wanted_records(
    domain: str,
    keys: Sequence[DkimRecord],
    *,
    senders: Sequence[str] = (),
    relay: str = "",
    report_to: str = "",
) -> tuple[WantedRecord, ...]:
    """The records of a domain whose mail a relay sends.

    `senders` are IP addresses or networks that mail leaves from; where there are none, SPF names
    the addresses of the host `relay`. `report_to` is the address for reports of DMARC.
    """
    wanted = [
        WantedRecord(
            text_record(key.name, key.value), "DKIM: what receivers check the signatures with"
        )
        for key in keys
    ]
    allowed = [f"{'ip6' if ':' in one else 'ip4'}:{one}" for one in senders]
    if not allowed and "." in relay:
        allowed = [f"a:{relay}"]
    wanted.append(
        WantedRecord(
            text_record(domain, " ".join(["v=spf1", *allowed, "~all"])),
            "SPF: who may send. Where there is such a record already, put "
            f"{' '.join(allowed) or 'your addresses, or the include: of your provider,'} into it; "
            "there may be only one",
        )
    )
    reports = f"; rua=mailto:{report_to}" if report_to else ""
    wanted.append(
        WantedRecord(
            text_record(f"_dmarc.{domain}", f"v=DMARC1; p=none{reports}"),
            "DMARC: what to do with mail that passes neither. Begin with none; when all of your "
            "mail passes, turn it into quarantine, then reject",
        )
    )
    return tuple(wanted)


async def look_at_setup(
    resolver: Resolver, domain: str, keys: Sequence[DkimRecord], senders: Sequence[str] = ()
) -> DomainSetup:
    """Ask what is published. What cannot be found out is said to be unknown."""
    exchangers = await look_at_exchangers(resolver, domain)
    found = await asyncio.gather(*(_look_at_key(resolver, key) for key in keys))
    policy, dmarc, names = await asyncio.gather(
        look_at_sender_policy(resolver, domain, exchangers, senders),
        look_at_dmarc(resolver, domain),
        look_at_names(resolver, domain, senders, ()),
    )
    published = tuple(
        key.name for key, one in zip(keys, found, strict=True) if one.status is Status.OK
    )
    findings = (*exchangers.findings, *found, *policy, *dmarc.findings, *names)
    return DomainSetup(domain, findings, published)


async def _look_at_key(resolver: Resolver, key: DkimRecord) -> Finding:
    try:
        texts = await texts_of(resolver, key.name)
    except ResolutionFailure as fault:
        return unknown("dkim.unknown", f"{key.name} could not be asked for", str(fault),
                       fix="Ask again later; check the domain's name servers.")  # fmt: skip
    suggestion = text_record(key.name, key.value)
    if not texts:
        return fail("dkim.key_missing", f"{key.name} is not there", suggestion=suggestion,
                    fix="Publish it; name servers may take up to the zone's negative TTL to give "
                    "it, an hour as a rule.", cause="policy.dkim_fail")  # fmt: skip
    right = _public_part(key.value)
    if not any(_public_part(text) == right for text in texts):
        return fail("dkim.key_differs", f"{key.name} has another key", *texts,
                    suggestion=suggestion, cause="policy.dkim_fail",
                    fix="Replace it. Long values are often cut when they are pasted; the record "
                    "needs all of p=.")  # fmt: skip
    if len(texts) > 1:
        return fail("dkim.key_twice", f"{key.name} has {len(texts)} records, and verifiers may "
                    "take any of them", *texts, suggestion=suggestion, cause="policy.dkim_fail",
                    fix="Leave only this one.")  # fmt: skip
    return ok("dkim.key_found", f"{key.name} has the key")


def _public_part(text: str) -> str:
    """p= without the white space that may stand in it (RFC 6376 3.6.1)."""
    return re.sub(r"\s", "", parse_tags(text).get("p") or "")
