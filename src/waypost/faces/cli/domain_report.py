"""Shows how a domain's mail is set up: `waypost check example.com`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, Final

from waypost.doctor.domain_health import (
    AREAS,
    Finding,
    HealthReport,
    Status,
)
from waypost.faces.cli.failure import WRONG_USAGE, fail
from waypost.faces.cli.output import print_line, shown
from waypost.knowledge.blocklists import Blocklist, blocklists

_TITLES: Final = {
    "mx": "Mail servers (MX)",
    "spf": "Who may send (SPF)",
    "dkim": "Signatures (DKIM)",
    "dmarc": "Policy (DMARC)",
    "mta_sts": "TLS required (MTA-STS)",
    "tls_reports": "Reports on TLS",
    "dnssec": "Signed zone (DNSSEC)",
    "dane": "Pinned certificates (DANE)",
    "ptr": "Names of addresses (PTR)",
    "blocklist": "Blocklists",
    "bimi": "Logo (BIMI)",
}
_MARKS: Final = {
    Status.OK: "ok",
    Status.NOTE: "note",
    Status.WARN: "WARN",
    Status.FAIL: "FAIL",
    Status.UNKNOWN: "?",
}
_VERDICTS: Final = {
    Status.OK: "Nothing is wrong with the mail of {}.",
    Status.WARN: "Some mail of {} is treated worse than it could be.",
    Status.FAIL: "Mail of {} is refused or lost, or protects nothing, as long as this stays.",
}


def document(report: HealthReport) -> dict[str, Any]:
    """The report as one JSON object."""
    return {
        "target": report.domain,
        "verdict": report.verdict.value,
        "findings": finding_documents(report.findings),
    }


def finding_documents(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """What was found, as JSON."""
    return [
        {
            "name": one.name,
            "area": one.area,
            "status": one.status.value,
            "text": one.text,
            "evidence": list(one.evidence),
            "fix": one.fix,
            "cause": one.cause,
            "record": None
            if one.suggestion is None
            else {
                "name": one.suggestion.name,
                "type": one.suggestion.record_type,
                "value": one.suggestion.value,
                "zone_line": one.suggestion.zone_line,
            },
        }
        for one in findings
    ]


def print_report(report: HealthReport) -> None:
    """For people: by area, what is wrong with its evidence, its remedy and the record to copy."""
    print_findings(report.findings)
    print_line(_VERDICTS[report.verdict].format(report.domain))


def print_findings(found: Sequence[Finding]) -> None:
    """By area."""
    for area in AREAS:
        findings = [one for one in found if one.area == area]
        if not findings:
            continue
        print_line(_TITLES[area])
        for one in findings:
            _print_finding(one)
        print_line()


def _print_finding(one: Finding) -> None:
    print_line(f"  {_MARKS[one.status]:<4}  {shown(one.text, 400)}")
    for line in one.evidence:
        print_line(f"          {shown(line, 400)}")
    if one.fix and one.status is not Status.OK:
        for number, line in enumerate(one.fix.splitlines()):
            print_line(f"        {'fix: ' if number == 0 else '     '}{shown(line, 400)}")
    if one.suggestion is not None:
        print_line(f"        publish: {shown(one.suggestion.zone_line)}")


def sender_addresses(texts: Iterable[str]) -> tuple[str, ...]:
    """What --sender gives. Raises Failure."""
    found = []
    for text in texts:
        try:
            found.append(str(ipaddress.ip_address(text.strip().strip("[]"))))
        except ValueError:
            fail(f"--sender {text!r} is no IP address; write it as 192.0.2.10", WRONG_USAGE)
    return tuple(found)


def chosen_lists(zones: Sequence[str] | None) -> tuple[Blocklist, ...] | None:
    """What --blocklist gives: zones, or "none"; None for all that are known."""
    if zones is None:
        return None
    known = {one.zone: one for one in blocklists()}
    names = [zone.rstrip(".").lower() for zone in zones]
    return tuple(known.get(one) or Blocklist(one, one) for one in names if one and one != "none")
