"""TLS as a client: contexts, what a connection has, and what went wrong in plain words."""

from __future__ import annotations

import ssl
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from waypost.knowledge.tls_faults import fault_of_certificate, fault_of_handshake

if TYPE_CHECKING:
    from cryptography import x509

MAXIMUM_NAMES: Final = 100
"""Names of a certificate that are kept."""


@dataclass(frozen=True, slots=True)
class TlsDescription:
    """What the connection of a transport's "ssl_object" has."""

    version: str
    """TLSv1.3"""
    cipher: str
    bits: int
    verified: bool
    """The certificate is valid and carries the name that was asked for."""
    subject: str
    """The certificate's, as RFC 4514 writes it; "" without a certificate."""
    issuer: str
    names: tuple[str, ...]
    """DNS names and IP addresses of the certificate."""
    not_before: float
    """Seconds since the epoch; 0 without a certificate."""
    not_after: float

    def __str__(self) -> str:
        verified = "verified" if self.verified else "not verified"
        return f"{self.version} {self.cipher} ({self.bits} bits), certificate {verified}"


@dataclass(frozen=True, slots=True)
class TlsProblem:
    """Why TLS failed."""

    reason: str
    """From knowledge/tls_faults.toml, or tls-failed."""
    text: str
    """What it means, with the evidence."""
    fix: str
    """What to do."""
    concerns_certificate: bool
    """The peer speaks TLS; only who it is could not be made sure."""

    def __str__(self) -> str:
        return f"{self.text}; {self.fix}"


@lru_cache(maxsize=64)
def client_context(
    verify: bool = True,
    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ca_file: str | None = None,
    client_certificate: tuple[str, str] | None = None,
) -> ssl.SSLContext:
    """A context for outgoing connections, the same one for the same settings.

    `client_certificate` is the file of the chain and the file of the key. Raises OSError or
    ssl.SSLError where a file cannot be used. After a file has changed call
    `client_context.cache_clear()`.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    context.minimum_version = minimum_version
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_certificate is not None:
        context.load_cert_chain(*client_certificate)
    return context


@lru_cache(maxsize=1)
def any_server_context() -> ssl.SSLContext:
    """A context that takes every certificate, old version and weak cipher that OpenSSL still has.

    It is for finding out what a server can do. Nothing that matters may be said over it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(ssl.SSLError):  # a library without security levels keeps its own ciphers
        context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # Old versions are what it is for; Python says that they are old.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context


@lru_cache(maxsize=1)
def old_versions_context() -> ssl.SSLContext:
    """The same with nothing but the versions that are no longer allowed (RFC 8996)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(ssl.SSLError):
        context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def sent_chain(connection: ssl.SSLObject | ssl.SSLSocket) -> tuple[bytes, ...]:
    """The certificates that the server sent, its own first, as DER; only that where the Python
    in use tells no more.
    """
    own = connection.getpeercert(binary_form=True)
    chain: tuple[bytes, ...] = (own,) if own else ()
    # Public since Python 3.13 (as bytes); before, a method of the object beneath.
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return tuple(public()) or chain
    beneath = getattr(getattr(connection, "_sslobj", None), "get_unverified_chain", None)
    if beneath is None:
        return chain
    found = beneath() or ()
    return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found) or chain


def describe_tls(connection: ssl.SSLObject | ssl.SSLSocket) -> TlsDescription:
    """What the connection of a transport's "ssl_object" has."""
    from cryptography import x509  # slow to load, and not needed before there is a certificate

    cipher = connection.cipher()
    name, _, bits = cipher if cipher is not None else ("", "", 0)
    context = connection.context
    verified = context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    subject = issuer = ""
    names: tuple[str, ...] = ()
    not_before = not_after = 0.0
    encoded = connection.getpeercert(binary_form=True)
    if encoded:
        try:
            certificate = x509.load_der_x509_certificate(encoded)
            subject = certificate.subject.rfc4514_string()
            issuer = certificate.issuer.rfc4514_string()
            not_before = certificate.not_valid_before_utc.timestamp()
            not_after = certificate.not_valid_after_utc.timestamp()
            names = _names(certificate)
        except ValueError as fault:
            # OpenSSL takes certificates that the stricter reader does not; the session stands.
            subject = f"(cannot be read: {fault})"
    return TlsDescription(
        connection.version() or "", name, bits, verified, subject, issuer, names, not_before,
        not_after,
    )  # fmt: skip


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    hosts = extension.value.get_values_for_type(x509.DNSName)
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return (*hosts, *(str(address) for address in addresses))[:MAXIMUM_NAMES]


def explain_tls_error(error: Exception, server_name: str | None = None) -> TlsProblem:
    """A failed handshake in plain words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        # OpenSSL's own errors have a code and a message; those of a simulated network may not.
        fault = fault_of_certificate(getattr(error, "verify_code", 0))
        message = str(getattr(error, "verify_message", "")) or str(error)
        where = f" ({server_name}: {message})" if server_name else ""
        if fault is not None:
            return TlsProblem(fault.id, f"{fault.text}{where}", fault.fix, True)
        return TlsProblem(
            "certificate-refused",
            f"the certificate was refused: {message}",
            "look at it with openssl s_client -starttls smtp -connect HOST:PORT",
            True,
        )
    if isinstance(error, ssl.SSLError):
        reason = str(getattr(error, "reason", None) or "")
        fault = fault_of_handshake(reason)
        if fault is not None:
            evidence = f" ({reason.lower().replace('_', ' ')})"
            return TlsProblem(fault.id, f"{fault.text}{evidence}", fault.fix, False)
        return TlsProblem(
            "tls-failed",
            f"the TLS handshake failed: {reason.lower().replace('_', ' ') or error}",
            "look at it with openssl s_client -starttls smtp -connect HOST:PORT",
            False,
        )
    if isinstance(error, ConnectionError | EOFError):
        closed = fault_of_handshake("UNEXPECTED_EOF_WHILE_READING")
        assert closed is not None, "a row of tls_faults.toml is missing"
        return TlsProblem(closed.id, f"{closed.text} ({error})", closed.fix, False)
    return TlsProblem(
        "tls-failed", f"the TLS handshake failed: {error}", "look at the server's log", False
    )
