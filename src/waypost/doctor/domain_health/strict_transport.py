"""MTA-STS (RFC 8461) and TLS reporting (RFC 8460): mail to the domain only over TLS."""

from __future__ import annotations

import re
from typing import Final

from waypost.doctor.domain_health.finding import (
    Finding,
    fail,
    note,
    ok,
    text_record,
    unknown,
    warn,
)
from waypost.doctor.domain_health.mail_exchangers import Exchangers
from waypost.mail.strict_transport import POLICY_ID, read_policy
from waypost.mail.tag_list import parse_tags, versioned
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionTemporaryFailure, Resolver
from waypost.net.web import Web, WebFailure, WebRequest, WebTlsFailure

SHORT_AGE: Final = 86_400
"""Seconds; a policy that is forgotten sooner hardly protects (RFC 8461 3.2 advises weeks)."""


async def look_at_strict_transport(
    resolver: Resolver, web: Web, domain: str, exchangers: Exchangers
) -> tuple[Finding, ...]:
    """The record and the policy of a domain."""
    if exchangers.null:
        return ()
    try:
        texts = versioned(await texts_of(resolver, f"_mta-sts.{domain}"), "STSv1")
    except ResolutionTemporaryFailure as fault:
        return (unknown("mta_sts.unknown", "the name servers do not tell", str(fault)),)
    if not texts:
        return (_missing(domain, exchangers),)
    evidence = tuple(f"_mta-sts.{domain} TXT {text}" for text in texts)
    if len(texts) > 1:
        text = f"there are {len(texts)} MTA-STS records, so none counts (RFC 8461 3.1)"
        return (fail("mta_sts.several", text, *evidence, fix="Keep one of them."),)
    tags = parse_tags(texts[0])
    findings: list[Finding] = []
    if tags.get("v") != "STSv1" or not POLICY_ID.fullmatch(tags.get("id") or ""):
        findings.append(
            fail(
                "mta_sts.malformed",
                "the MTA-STS record needs v=STSv1 and an id of letters and digits",
                *evidence,
                fix="Correct it; change the id whenever the policy changes.",
                suggestion=text_record(f"_mta-sts.{domain}", "v=STSv1; id=1"),
            )
        )
    findings += await _policy(web, domain, exchangers, evidence)
    return tuple(findings)


def _missing(domain: str, exchangers: Exchangers) -> Finding:
    names = "".join(f"mx: {host}\n" for host in exchangers.hosts) or f"mx: mail.{domain}\n"
    policy = f"version: STSv1\nmode: testing\n{names}max_age: 604800\n"
    return note(
        "mta_sts.missing",
        "there is no MTA-STS: whoever is in between can talk senders out of TLS",
        fix=f"To set it up, serve this file as https://mta-sts.{domain}/.well-known/mta-sts.txt "
        "and publish the record; after some weeks of good reports write mode: enforce.\n" + policy,
        suggestion=text_record(f"_mta-sts.{domain}", "v=STSv1; id=1"),
    )


async def _policy(
    web: Web, domain: str, exchangers: Exchangers, evidence: tuple[str, ...]
) -> list[Finding]:
    url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
    try:
        # Redirects must not be followed (RFC 8461 3.3).
        page = await web.page(WebRequest(url, redirects=0))
    except WebTlsFailure as fault:
        return [_unusable(f"the policy is not safe to read: {fault.reason}", url, evidence)]
    except WebFailure as fault:
        return [_unusable(f"the policy cannot be read: {fault.reason}", url, evidence)]
    if page.status != 200:
        return [_unusable(f"the policy's server answers {page.status}", url, evidence)]
    policy = read_policy(page.body)
    lines = (*evidence, f"{url}:", *page.body.decode("utf-8", "replace").splitlines()[:40])
    findings: list[Finding] = []
    if policy.faults:
        findings.append(_unusable(f"the policy has faults: {'; '.join(policy.faults)}", url, lines))
        return findings
    if not page.content_type.lower().startswith("text/plain"):
        text = f"the policy comes as {page.content_type or 'nothing'}, not as text/plain"
        findings.append(warn("mta_sts.content_type", text, url, fix="Serve it as text/plain."))
    outside = [host for host in exchangers.hosts if not policy.allows(host)]
    if outside and policy.mode != "none":
        make = fail if policy.mode == "enforce" else warn
        findings.append(
            make(
                "mta_sts.other_servers",
                f"the policy does not name the mail server {', '.join(outside)}, so senders that "
                "keep to it do not deliver there",
                *lines,
                fix="Add a line mx: for each, and change the id in the record.",
            )
        )
    if policy.mode != "enforce":
        text = f"the policy is in mode {policy.mode}, which protects nothing"
        findings.append(
            note("mta_sts.mode", text, fix="Write mode: enforce when reports are good.")
        )
    if policy.max_age < SHORT_AGE and policy.mode != "none":
        text = f"senders forget the policy after {policy.max_age} seconds"
        findings.append(warn("mta_sts.max_age", text, fix="Raise max_age to 604800 or more."))
    if not findings:
        findings.append(ok("mta_sts.found", "mail to the domain goes only over TLS", *lines))
    return findings


def _unusable(text: str, url: str, evidence: tuple[str, ...]) -> Finding:
    return fail(
        "mta_sts.policy",
        f"{text}; so senders take the domain for one without MTA-STS",
        *evidence,
        fix=f"Serve the policy as {url}, with a certificate for that name and without a redirect.",
    )


async def look_at_tls_reporting(
    resolver: Resolver, domain: str, exchangers: Exchangers, *, wanted: bool
) -> tuple[Finding, ...]:
    """The record that asks for reports on TLS; `wanted` where MTA-STS or DANE is on."""
    if exchangers.null:
        return ()
    name = f"_smtp._tls.{domain}"
    suggestion = text_record(name, f"v=TLSRPTv1; rua=mailto:tls-reports@{domain}")
    try:
        texts = versioned(await texts_of(resolver, name), "TLSRPTv1")
    except ResolutionTemporaryFailure as fault:
        return (unknown("tls_reports.unknown", "the name servers do not tell", str(fault)),)
    evidence = tuple(f"{name} TXT {text}" for text in texts)
    if not texts:
        make = warn if wanted else note
        text = "nobody gets reports on TLS (RFC 8460)"
        text += ", though TLS is required: mail may be lost unseen" if wanted else ""
        fix = "Name a mailbox or a web address for them."
        return (make("tls_reports.missing", text, fix=fix, suggestion=suggestion),)
    if len(texts) > 1:
        text = f"there are {len(texts)} records for TLS reports, so none counts (RFC 8460 3)"
        return (fail("tls_reports.several", text, *evidence, fix="Keep one of them."),)
    tags = parse_tags(texts[0])
    targets = [one.strip() for one in (tags.get("rua") or "").split(",") if one.strip()]
    wrong = [one for one in targets if not re.match(r"mailto:[^@\s]+@[^@\s]+$|https://\S+$", one)]
    if tags.get("v") != "TLSRPTv1" or not targets or wrong:
        text = "the record for TLS reports needs v=TLSRPTv1 and rua= with mailto: or https:"
        fix = "Correct it."
        return (fail("tls_reports.malformed", text, *evidence, fix=fix, suggestion=suggestion),)
    return (ok("tls_reports.found", f"TLS reports go to {', '.join(targets)}", *evidence),)
