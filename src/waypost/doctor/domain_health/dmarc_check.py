"""DMARC: what receivers shall do with mail that claims the domain and is not authenticated.

The record is looked for at the domain and then at the domains above it, which is the tree walk of
RFC 9989 4.10: it finds the organisation's record without a list of public suffixes. A single label
is never asked for.
"""

from __future__ import annotations

from waypost.doctor.domain_health.finding import (
    Finding,
    Suggestion,
    fail,
    note,
    ok,
    text_record,
    unknown,
    warn,
)
from waypost.mail.tag_list import versioned
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionTemporaryFailure, Resolver
from waypost.sender_policy.dmarc import names_above
from waypost.sender_policy.dmarc_record import (
    POLICIES,
    DmarcRecord,
    read_dmarc,
    report_domain,
)


class Dmarc:
    """What was found: the record that applies, if any, and the findings."""

    def __init__(
        self, findings: tuple[Finding, ...], record: DmarcRecord | None = None, place: str = ""
    ) -> None:
        self.findings = findings
        self.record = record
        self.place = place
        """The domain whose record it is."""

    def policy_for(self, domain: str) -> str:
        """The policy that applies to a domain: none, quarantine, reject, or "" for no record."""
        if self.record is None:
            return ""
        if self.record.testing:
            return "none"
        return self.record.policy if domain == self.place else self.record.subdomain_policy


async def look_at_dmarc(resolver: Resolver, domain: str) -> Dmarc:
    """The record that applies to a domain."""
    try:
        place, texts = await _nearest(resolver, domain)
    except ResolutionTemporaryFailure as fault:
        fix = "Ask again later; check the domain's name servers."
        text = "the name servers do not tell the DMARC record"
        return Dmarc((unknown("dmarc.unknown", text, str(fault), fix=fix),))
    if not texts:
        return Dmarc((_missing(domain),))
    evidence = tuple(f"_dmarc.{place} TXT {text}" for text in texts)
    if len(texts) > 1:
        several = fail(
            "dmarc.several",
            f"there are {len(texts)} DMARC records, so none counts (RFC 7489 6.6.3)",
            *evidence,
            fix="Keep one of them.",
            cause="policy.dmarc_fail",
        )
        return Dmarc((several,))
    record = read_dmarc(texts[0])
    findings = [*_faults(record, place, evidence)]
    if record.policy:
        findings += _policy(record, domain, place)
        findings += await _reports(resolver, record, place)
    where = "" if place == domain else f", at {place}"
    said = f"a DMARC record with the policy {record.policy or 'of nothing'}{where}"
    make = note if any(one.status in ("fail", "warn") for one in findings) else ok
    findings.insert(0, make("dmarc.found", said, *evidence))
    return Dmarc(tuple(findings), record if record.policy else None, place)


async def _nearest(resolver: Resolver, domain: str) -> tuple[str, tuple[str, ...]]:
    """The nearest domain with a record, and its records."""
    for name in names_above(domain):
        found = versioned(await texts_of(resolver, f"_dmarc.{name}"), "DMARC1")
        if name != domain:
            # A registry's own record does not speak for who registered below it.
            found = tuple(text for text in found if not read_dmarc(text).public_suffix)
        if found:
            return name, found
    return domain, ()


def _missing(domain: str) -> Finding:
    return warn(
        "dmarc.missing",
        "there is no DMARC record: large receivers ask for one, and anyone may use the domain",
        fix="Publish one that only asks for reports, see who sends for you, then raise p= to "
        "quarantine and reject.",
        suggestion=_start(domain),
        cause="policy.dmarc_fail",
    )


def _start(domain: str) -> Suggestion:
    value = f"v=DMARC1; p=none; rua=mailto:dmarc-reports@{domain}"
    return text_record(f"_dmarc.{domain}", value)


def _faults(record: DmarcRecord, place: str, evidence: tuple[str, ...]) -> list[Finding]:
    findings: list[Finding] = []
    if record.faults:
        make = warn if record.policy else fail
        findings.append(
            make(
                "dmarc.malformed",
                f"the record has faults: {'; '.join(record.faults)}",
                *evidence,
                fix="Correct them.",
                suggestion=_mended(record, place),
                cause="" if record.policy else "policy.dmarc_fail",
            )
        )
    if record.oddities:
        text = f"the record holds what receivers ignore: {'; '.join(record.oddities)}"
        findings.append(note("dmarc.odd", text))
    return findings


def _mended(record: DmarcRecord, place: str) -> Suggestion:
    """The record with what could be read of it."""
    tags = ["v=DMARC1", f"p={record.policy or 'none'}"]
    if record.subdomain_policy and record.subdomain_policy != record.policy:
        tags.append(f"sp={record.subdomain_policy}")
    reports = record.reports or (f"mailto:dmarc-reports@{place}",)
    tags.append(f"rua={','.join(reports)}")
    if record.failure_reports:
        tags.append(f"ruf={','.join(record.failure_reports)}")
    if record.strict_dkim:
        tags.append("adkim=s")
    if record.strict_spf:
        tags.append("aspf=s")
    return text_record(f"_dmarc.{place}", "; ".join(tags))


def _policy(record: DmarcRecord, domain: str, place: str) -> list[Finding]:
    findings: list[Finding] = []
    applied = record.policy if domain == place else record.subdomain_policy
    if applied == "none":
        findings.append(
            warn(
                "dmarc.only_watches",
                "the policy is none: mail that only pretends to come from the domain is delivered",
                fix="When the reports show your own mail passing, publish p=quarantine, later "
                "p=reject.",
            )
        )
    elif record.testing:
        text = "t=y asks receivers not to apply the policy"
        findings.append(warn("dmarc.testing", text, fix="Take t=y away when you are ready."))
    if record.percent < 100 and applied != "none":
        findings.append(
            warn(
                "dmarc.partly",
                f"the policy is asked for only {record.percent} of 100 messages (pct)",
                fix="Raise pct to 100, or take it away; RFC 9989 no longer knows it.",
            )
        )
    weaker = POLICIES.index(record.subdomain_policy) < POLICIES.index(record.policy)
    if weaker and domain == place:
        findings.append(
            warn(
                "dmarc.lax_subdomains",
                f"subdomains have the laxer policy {record.subdomain_policy} (sp): whoever "
                "pretends takes one of those",
                fix=f"Take sp= away, or set it to {record.policy}.",
            )
        )
    return findings


async def _reports(resolver: Resolver, record: DmarcRecord, place: str) -> list[Finding]:
    findings: list[Finding] = []
    if not record.reports:
        findings.append(
            warn(
                "dmarc.no_reports",
                "nobody gets the reports (rua), so nobody sees who sends for the domain",
                fix="Name a mailbox for them.",
                suggestion=_mended(record, place),
            )
        )
    targets = dict.fromkeys(
        report_domain(one) for one in (*record.reports, *record.failure_reports)
    )
    for target in targets:
        if target is None or _related(target, place):
            continue
        name = f"{place}._report._dmarc.{target}"
        try:
            agreed = versioned(await texts_of(resolver, name), "DMARC1")
        except ResolutionTemporaryFailure as fault:
            text = f"whether {target} takes the reports is not known now"
            findings.append(unknown("dmarc.reports_refused", text, str(fault)))
            continue
        if not agreed:
            findings.append(
                warn(
                    "dmarc.reports_refused",
                    f"reports to {target} are not sent: it has not agreed (RFC 7489 7.1)",
                    fix=f"Let {target} publish that it does, or name a mailbox of {place}.",
                    suggestion=text_record(name, "v=DMARC1"),
                )
            )
    return findings


def _related(one: str, other: str) -> bool:
    """Whether two domains belong together as far as names tell."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
