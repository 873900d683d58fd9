"""The relay's own certificate: from files with reload, or self-signed for a start.

A new file that is broken never replaces one that works: the old stays in use and the reason is
reported. A self-signed certificate is its own trust anchor, so that a client can be pointed at it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SELF_SIGNED_DAYS: Final = 825
RENEW_BEFORE_DAYS: Final = 30


class CertificateFault(Exception):
    """Certificate and key cannot be used; the text says why and what to do."""


class ServerCertificates:
    """Gives the TLS context of the relay; see the module."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Raises CertificateFault where the files cannot be used."""
        self.certificate = certificate
        self.key = key
        self._minimum_version = minimum_version
        self._report = report
        self._stamp = self._stamps()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """The context to use for the next handshake; looks whether the files have changed."""
        if self._stamps() != self._stamp:
            self.reload()
        return self._context

    def reload(self) -> bool:
        """Read the files again; False (and a report) where they cannot be used."""
        stamp = self._stamps()
        if stamp == (0, 0):
            self._report(f"{self.certificate} or {self.key} is gone; the certificate in use stays")
            self._stamp = stamp
            return False
        try:
            self._context = self._load()
        except CertificateFault as fault:
            self._report(f"{fault}; the certificate in use stays")
            self._stamp = stamp
            return False
        self._stamp = stamp
        return True

    def _stamps(self) -> tuple[int, int]:
        try:
            return self.certificate.stat().st_mtime_ns, self.key.stat().st_mtime_ns
        except OSError:
            return 0, 0

    def _no_passphrase(self) -> str:
        """Asked for where the key is encrypted; OpenSSL would ask the terminal, and wait."""
        raise CertificateFault(
            f"{self.key} is encrypted with a passphrase, which a server cannot be asked for; write "
            f"it without one: openssl pkey -in {self.key} -out FILE"
        )

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._minimum_version
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        try:
            context.load_cert_chain(self.certificate, self.key, self._no_passphrase)
        except FileNotFoundError as fault:
            raise CertificateFault(
                f"{self.certificate} or {self.key} does not exist; check tls.certificate and "
                "tls.key in the configuration"
            ) from fault
        except PermissionError as fault:
            raise CertificateFault(
                f"{fault.filename or self.key} may not be read by this user; give it read access"
            ) from fault
        except ssl.SSLError as fault:
            raise CertificateFault(
                f"{self.certificate} and {self.key} cannot be used: {fault.reason or fault}; the "
                "first must hold the certificate and its chain, the second its key, both as PEM"
            ) from fault
        except OSError as fault:
            raise CertificateFault(
                f"{self.certificate} or {self.key} cannot be used: {fault.strerror or fault}; both "
                "must be files"
            ) from fault
        if os.name == "posix" and self.key.stat().st_mode & 0o077:
            self._report(f"{self.key} can be read by others; set its mode to 600")
        return context


def self_signed(directory: Path, hostname: str, now: dt.datetime) -> tuple[Path, Path]:
    """A self-signed certificate and its key in `directory`, made where there is none that lasts.

    Good for `hostname`, localhost and the loopback addresses.
    """
    certificate, key = directory / "self-signed.pem", directory / "self-signed.key"
    if certificate.exists() and key.exists() and _lasts(certificate, hostname, now):
        return certificate, key
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    names: list[x509.GeneralName] = [
        x509.DNSName(text) for text in dict.fromkeys((hostname, "localhost"))
    ]
    names += [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(
        key,
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        0o600,
    )
    _write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate, key


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    temporary.replace(path)


def _lasts(certificate: Path, hostname: str, now: dt.datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    lasts = found.not_valid_after_utc - now > dt.timedelta(days=RENEW_BEFORE_DAYS)
    return lasts and hostname in names.get_values_for_type(x509.DNSName)
