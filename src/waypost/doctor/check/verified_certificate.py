"""A certificate that was verified, as Python's ssl reads it.

It is apart from certificate.py, which reads those that were refused. Python tells nothing of
these, and the library that does takes longer to load than a check of a healthy server may.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

_SHORT: Final = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU",
    "countryName": "C", "stateOrProvinceName": "ST", "localityName": "L",
    "domainComponent": "DC",
}  # fmt: skip

MAXIMUM_NAMES: Final = 10

Certificate = Mapping[str, Any]
"""As SSLObject.getpeercert gives it."""


def distinguished_name(parts: Any) -> str:
    """A subject or issuer in the form of RFC 4514: the last part first."""
    pairs = [(_SHORT.get(key, key), value) for part in parts or () for key, value in part]
    return ",".join(f"{key}={value}" for key, value in reversed(pairs))


def ends_at(certificate: Certificate) -> float:
    """Seconds since the epoch."""
    return float(ssl.cert_time_to_seconds(certificate["notAfter"]))


def lines_of(certificate: Certificate) -> Iterator[str]:
    """As evidence."""
    subject = distinguished_name(certificate.get("subject"))
    issuer = distinguished_name(certificate.get("issuer"))
    names = [_name(kind, value) for kind, value in certificate.get("subjectAltName", ())]
    shown = ", ".join(names[:MAXIMUM_NAMES]) + (" ..." if len(names) > MAXIMUM_NAMES else "")
    yield f"certificate of {subject or '(no name)'}" + (f", for {shown}" if shown else "")
    yield f"  issued by {'itself' if subject == issuer else issuer or '(no name)'}"
    begins = _moment(ssl.cert_time_to_seconds(certificate["notBefore"]))
    yield f"  valid from {begins} to {_moment(ends_at(certificate))} UTC"


def _name(kind: str, value: str) -> str:
    return str(ipaddress.ip_address(value.strip())) if kind == "IP Address" else value


def _moment(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M}"
