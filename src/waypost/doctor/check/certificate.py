"""What is wrong with a certificate: from OpenSSL's verdict and the chain that the server sent.

OpenSSL stops at the first thing it does not like, and that is not always the one to mend: a
certificate of an unknown authority that has expired as well must be renewed first. And one code
stands for two faults, an authority that is not known here and a server that does not send its
intermediate certificate; which of them it is, only the chain tells.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

_SIGNS: Final = {
    "certificate-expired": "tls:certificate-expired",
    "certificate-not-yet-valid": "tls:certificate-not-yet-valid",
    "certificate-name-mismatch": "tls:certificate-name-mismatch",
    "certificate-self-signed": "tls:certificate-self-signed",
    "certificate-unknown-issuer": "tls:certificate-unknown-issuer",
    "certificate-weak": "tls:certificate-weak",
}  # fmt: skip
_SELF_SIGNED_IN_CHAIN: Final = 19
"""X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: a whole chain, up to a root that is not trusted."""

_INTERMEDIATE_WORDS: Final = ("intermediate", "issuing", "sub ca", "subca", "subordinate")


@dataclass(frozen=True, slots=True)
class SentCertificate:
    """One certificate as the server sent it."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    self_issued: bool
    issuer_url: str
    """Where its issuer's certificate can be fetched (RFC 5280 4.2.2.1); "" where it does not
    say."""

    def lines(self) -> tuple[str, ...]:
        """As evidence."""
        names = ", ".join(self.names[:10]) + (" ..." if len(self.names) > 10 else "")
        return (
            f"certificate of {self.subject or '(no name)'}" + (f", for {names}" if names else ""),
            f"  issued by {'itself' if self.self_issued else self.issuer or '(no name)'}",
            f"  valid from {self.not_before:%Y-%m-%d %H:%M} to {self.not_after:%Y-%m-%d %H:%M} UTC",
        )


def read_chain(chain: Sequence[bytes]) -> tuple[SentCertificate, ...]:
    """The certificates, the server's own first. One that cannot be read ends the chain."""
    found: list[SentCertificate] = []
    for encoded in chain[:10]:
        try:
            found.append(_read(x509.load_der_x509_certificate(encoded)))
        except ValueError:
            break
    return tuple(found)


def _read(certificate: x509.Certificate) -> SentCertificate:
    names: tuple[str, ...] = ()
    issuer_url = ""
    try:
        other = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = (
            *other.get_values_for_type(x509.DNSName),
            *(str(one) for one in other.get_values_for_type(x509.IPAddress)),
        )
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = tuple(str(one.value) for one in common)
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
        for one in access.value:
            if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS:
                issuer_url = str(getattr(one.access_location, "value", ""))
    except x509.ExtensionNotFound:
        pass
    return SentCertificate(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        names[:100],
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.subject == certificate.issuer,
        issuer_url,
    )


def signs_of_refusal(
    fault: ssl.SSLCertVerificationError, reason: str, chain: Sequence[SentCertificate], now: float,
    name: str, authorities: Sequence[str],
) -> tuple[str, ...]:  # fmt: skip
    """The signs of a refused certificate; the one to mend first comes first.

    `reason` is the id in tls_faults.toml, `authorities` the subjects of those trusted here.
    """
    signs: list[str] = []
    if chain:
        own = chain[0]
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        if any(one.not_after < moment for one in chain):
            signs.append("tls:certificate-expired")
        elif own.not_before > moment:
            signs.append("tls:certificate-not-yet-valid")
    code = getattr(fault, "verify_code", 0)
    sign = _SIGNS.get(reason, "tls:certificate-refused")
    if code == _SELF_SIGNED_IN_CHAIN:
        sign = "tls:certificate-unknown-issuer"
    elif sign == "tls:certificate-unknown-issuer" and chain:
        if len(chain) == 1 and chain[0].self_issued:
            sign = "tls:certificate-self-signed"
        elif is_incomplete(chain, authorities):
            sign = "tls:certificate-incomplete-chain"
    signs.append(sign)
    if chain and not fits(chain[0], name):
        signs.append("tls:certificate-name-mismatch")
    return tuple(dict.fromkeys(signs))


def is_incomplete(chain: Sequence[SentCertificate], authorities: Sequence[str]) -> bool:
    """Whether a link is missing, rather than the authority unknown.

    It cannot be proved without fetching what is missing. A public authority says in its
    certificates where the issuer's own lies; a private one seldom does. Without that the names
    decide: an issuer that calls itself an intermediate, or has the organisation of an authority
    that is trusted here.
    """
    last = chain[-1]
    if last.self_issued:
        return False
    if last.issuer_url:
        return True
    issuer = last.issuer.lower()
    if any(word in issuer for word in _INTERMEDIATE_WORDS):
        return True
    organisation = _part(last.issuer, "O")
    return bool(organisation) and any(_part(one, "O") == organisation for one in authorities)


def _part(name: str, key: str) -> str:
    for piece in name.split(","):
        kind, _, value = piece.strip().partition("=")
        if kind == key:
            return value.lower()
    return ""


def fits(certificate: SentCertificate, name: str) -> bool:
    """Whether a certificate holds a name or address (RFC 9525 6)."""
    wanted = name.rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(wanted)) in certificate.names
    except ValueError:
        pass
    for one in certificate.names:
        pattern = one.lower()
        if pattern == wanted:
            return True
        if pattern.startswith("*.") and "." in wanted and pattern[2:] == wanted.partition(".")[2]:
            return True
    return False
