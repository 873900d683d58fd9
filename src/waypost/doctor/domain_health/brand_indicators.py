"""BIMI: the logo that some mailbox providers show beside authenticated mail.

Optional, and only with a DMARC policy that is enforced; so its absence is no finding.
"""

from __future__ import annotations

from waypost.doctor.domain_health.finding import Finding, fail, note, ok, unknown, warn
from waypost.mail.tag_list import parse_tags, versioned
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionTemporaryFailure, Resolver
from waypost.net.web import Web, WebFailure, WebRequest


async def look_at_brand_indicators(
    resolver: Resolver, web: Web, domain: str, policy: str
) -> tuple[Finding, ...]:
    """The logo of a domain; `policy` is what DMARC asks for."""
    name = f"default._bimi.{domain}"
    try:
        texts = versioned(await texts_of(resolver, name), "BIMI1")
    except ResolutionTemporaryFailure as fault:
        return (unknown("bimi.unknown", "the name servers do not tell", str(fault)),)
    if not texts:
        return ()
    evidence = tuple(f"{name} TXT {text}" for text in texts)
    if len(texts) > 1:
        text = f"there are {len(texts)} BIMI records, so none counts"
        return (fail("bimi.several", text, *evidence, fix="Keep one of them."),)
    tags = parse_tags(texts[0])
    location, authority = tags.get("l"), tags.get("a")
    if location == "" and not authority:
        return (note("bimi.declined", "the domain says that it shows no logo", *evidence),)
    for tag, value in (("l", location), ("a", authority)):
        if value and not value.startswith("https://"):
            text = f"{tag}= must be an address with https:"
            return (fail("bimi.malformed", text, *evidence, fix="Correct it."),)
    if location is None:
        text = "the BIMI record names no logo (l=)"
        return (fail("bimi.malformed", text, *evidence, fix="Add l= with its address."),)
    findings: list[Finding] = []
    if policy not in ("quarantine", "reject"):
        text = "a logo is shown only with a DMARC policy of quarantine or reject"
        findings.append(warn("bimi.no_policy", text, *evidence, fix="Raise the DMARC policy."))
    findings += await _logo(web, location)
    if not authority:
        text = "without a certificate for the logo (a=) most mailbox providers do not show it"
        findings.append(note("bimi.no_certificate", text, *evidence))
    if not any(one.status in ("fail", "warn") for one in findings):
        findings.insert(0, ok("bimi.found", f"the domain shows the logo {location}", *evidence))
    return tuple(findings)


async def _logo(web: Web, location: str) -> list[Finding]:
    try:
        page = await web.page(WebRequest(location))
    except WebFailure as fault:
        fix = "Serve the logo there, over HTTPS, in at most 32 kilobytes."
        return [warn("bimi.logo", f"the logo cannot be had: {fault.reason}", location, fix=fix)]
    if page.status != 200 or b"<svg" not in page.body:
        text = f"there is no SVG logo at {location} (status {page.status})"
        return [warn("bimi.logo", text, fix="Serve the logo there as SVG Tiny PS.")]
    return []
