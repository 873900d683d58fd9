"""DMARC records as values (RFC 7489 6.3, with the tags of its successor, RFC 9989)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from waypost.mail.tag_list import TagList, parse_tags

POLICIES: Final = ("none", "quarantine", "reject")
"""Laxest first."""

_KNOWN: Final = frozenset(
    ("v", "p", "sp", "np", "adkim", "aspf", "pct", "rua", "ruf", "fo", "ri", "rf", "t", "psd")
)
_SIZE: Final = re.compile(r"![0-9]{1,9}[kmgt]?$", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[^@\s]+@([A-Za-z0-9.-]+)")


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """One record as read; reading never fails."""

    text: str
    policy: str
    """none, quarantine, reject; "none" also where p is missing or strange and reports are asked
    for (RFC 7489 6.6.3); "" where the record counts for nothing."""
    subdomain_policy: str
    """For subdomains: sp, else the policy."""
    percent: int
    testing: bool
    """t=y, of RFC 9989."""
    strict_dkim: bool
    strict_spf: bool
    reports: tuple[str, ...]
    """URIs that aggregated reports go to."""
    failure_reports: tuple[str, ...]
    public_suffix: bool
    """psd=y: the domain is a registry's, not an organisation's."""
    organisation: bool
    """psd=n: the domain is an organisation's, whatever stands above it (RFC 9989 4.7)."""
    faults: tuple[str, ...]
    """What receivers stumble over."""
    oddities: tuple[str, ...]
    """What they ignore."""


def read_dmarc(text: str) -> DmarcRecord:
    """Read any text as a DMARC record."""
    tags = parse_tags(text)
    faults = list(tags.faults)
    oddities = [f"{name}= means nothing" for name in tags.tags if name not in _KNOWN]
    if tags.first != "v" or tags.get("v") != "DMARC1":
        faults.append("it must begin with v=DMARC1, in capital letters")
    reports = _uris(tags, "rua", faults)
    policy = _policy(tags, "p", faults)
    if not policy:
        if tags.get("p") is None:
            faults.append("there is no p=")
        policy = "none" if reports else ""
    names = list(tags.tags)
    if "p" in names and names.index("p") != 1:
        oddities.append("p= should stand second")
    return DmarcRecord(
        text,
        policy,
        _policy(tags, "sp", faults) or policy,
        _percent(tags, faults),
        (tags.get("t") or "").lower() == "y",
        _strict(tags, "adkim", faults),
        _strict(tags, "aspf", faults),
        reports,
        _uris(tags, "ruf", faults),
        (tags.get("psd") or "").lower() == "y",
        (tags.get("psd") or "").lower() == "n",
        tuple(faults),
        tuple(oddities),
    )


def report_domain(uri: str) -> str | None:
    """The domain of a mailto: URI; None where it is none."""
    bare = _SIZE.sub("", uri.strip())
    parts = urlsplit(bare) if bare.isprintable() and "[" not in bare else None
    if parts is None or parts.scheme.lower() != "mailto":
        return None
    found = _ADDRESS.fullmatch(unquote(parts.path))
    return found[1].lower() if found is not None else None


def _policy(tags: TagList, name: str, faults: list[str]) -> str:
    value = tags.get(name)
    if value is None:
        return ""
    if value.lower() in POLICIES:
        return value.lower()
    faults.append(f"{name}={value} is none of {', '.join(POLICIES)}")
    return ""


def _percent(tags: TagList, faults: list[str]) -> int:
    value = tags.get("pct")
    if value is None:
        return 100
    if re.fullmatch(r"[0-9]{1,3}", value) and int(value) <= 100:
        return int(value)
    faults.append(f"pct={value} is no number from 0 to 100")
    return 100


def _strict(tags: TagList, name: str, faults: list[str]) -> bool:
    value = (tags.get(name) or "r").lower()
    if value not in ("r", "s"):
        faults.append(f"{name}={value} is neither r nor s")
    return value == "s"


def _uris(tags: TagList, name: str, faults: list[str]) -> tuple[str, ...]:
    found = []
    for uri in (tags.get(name) or "").split(","):
        if not uri.strip():
            continue
        if report_domain(uri) is None:
            faults.append(f"{name}= holds {uri.strip()!r}, which is no mailto:name@domain")
        else:
            found.append(uri.strip())
    if tags.get(name) == "":
        faults.append(f"{name}= is empty")
    return tuple(found)
