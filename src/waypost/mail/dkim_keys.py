"""Keys of DKIM: where they come from, what is wrong with them, and the DNS record that they need.

RSA (RFC 6376) is what every verifier knows; Ed25519 (RFC 8463) is shorter and not known to all, so
who uses it signs twice. A key is read from PEM (PKCS #8 or the older forms), or from the 32 octets
of an Ed25519 seed in base64, as other programs write them. It may stand in a file, in the
environment (`env:NAME`), or be given as it is.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

LEAST_RSA: Final = 1024
"""Bits. A verifier must not accept less (RFC 8301 3.2); 2048 are made here."""

_TXT_STRING: Final = 255
"""Octets of one string of a TXT record (RFC 1035 3.3)."""

_SEED: Final = re.compile(rb"[A-Za-z0-9+/]{43}=")


class InvalidKey(ValueError):
    """This is no key that can sign; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class DkimRecord:
    """What the domain has to publish."""

    name: str
    """Of the record, without a final dot: `selector._domainkey.example.com`."""
    value: str

    @property
    def strings(self) -> list[str]:
        """The value in pieces of at most 255 octets, as a TXT record holds it."""
        return [self.value[at : at + _TXT_STRING] for at in range(0, len(self.value), _TXT_STRING)]

    @property
    def zone_line(self) -> str:
        """The record as a zone file has it (RFC 1035 5.1)."""
        strings = " ".join(f'"{one}"' for one in self.strings)
        return f"{self.name}. IN TXT {f'( {strings} )' if len(self.strings) > 1 else strings}"


def load_key(
    given: str | bytes | os.PathLike[str],
    *,
    passphrase: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> PrivateKey:
    """Read a key: PEM as text or bytes, `env:NAME`, or the path of a file.

    `environment` stands for that of the process. Raises InvalidKey, and OSError for a file that
    cannot be read.
    """
    if isinstance(given, bytes):
        return _key(given, "the key", passphrase)
    if isinstance(given, str) and "-----BEGIN" in given:
        return _key(given.encode("utf-8", "replace"), "the key", passphrase)
    if isinstance(given, str) and given.startswith("env:"):
        name = given[4:]
        value = (os.environ if environment is None else environment).get(name)
        if not value:
            raise InvalidKey(f"the environment has no {name}; set it to the key in PEM")
        # Some systems keep no line ends in a variable; people write them as \n.
        return _key(value.replace("\\n", "\n").encode(), f"the variable {name}", passphrase)
    path = Path(given)
    return _key(path.read_bytes(), str(path), passphrase)


def generate_key(algorithm: str = "rsa") -> PrivateKey:
    """A new key: "rsa" (2048 bits) or "ed25519"."""
    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise InvalidKey(f"no algorithm {algorithm!r}; there are rsa and ed25519")


def key_pem(key: PrivateKey) -> bytes:
    """The key as PEM (PKCS #8), not encrypted: keep the file for its owner alone (mode 0600)."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def dkim_record(domain: str, selector: str, key: PrivateKey) -> DkimRecord:
    """The DNS record of a key (RFC 6376 3.6.1; RFC 8463 4 for Ed25519)."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        kind = "rsa"
        octets = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        kind = "ed25519"
        octets = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    encoded = base64.b64encode(octets).decode("ascii")
    return DkimRecord(f"{selector}._domainkey.{domain}", f"v=DKIM1; k={kind}; p={encoded}")


def _key(content: bytes, where: str, passphrase: str | None) -> PrivateKey:
    content = content.strip()
    if _SEED.fullmatch(content):
        return ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(content))
    for mark, said in _NOT_PRIVATE:
        if mark in content and b"PRIVATE KEY-----" not in content:
            raise InvalidKey(f"{where} holds {said}; DKIM signs with the private key")
    secret = passphrase.encode() if passphrase else None
    try:
        key = serialization.load_pem_private_key(content, secret)
    except TypeError as fault:
        if passphrase:
            return _key(content, where, None)  # a passphrase for a key that has none does no harm
        raise InvalidKey(f"{where} is encrypted; give its passphrase") from fault
    except (ValueError, UnsupportedAlgorithm, binascii.Error) as fault:
        if b"ENCRYPTED" in content and passphrase:
            raise InvalidKey(f"{where} is encrypted, and not with this passphrase") from fault
        if b"-----BEGIN" not in content:
            raise InvalidKey(
                f"{where} holds no key in PEM (-----BEGIN PRIVATE KEY-----); make one with "
                "`openssl genrsa -out dkim.pem 2048`"
            ) from fault
        raise InvalidKey(
            f"{where} holds a damaged key ({str(fault)[:100]}); copy it whole, line ends included"
        ) from fault
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < LEAST_RSA:
            raise InvalidKey(
                f"{where} is an RSA key of {key.key_size} bits, which no verifier accepts "
                "(RFC 8301); make one of 2048"
            )
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise InvalidKey(
        f"{where} is a key of another kind ({type(key).__name__}); DKIM knows RSA and Ed25519"
    )


_NOT_PRIVATE: Final = (
    (b"-----BEGIN PUBLIC KEY-----", "a public key"),
    (b"-----BEGIN RSA PUBLIC KEY-----", "a public key"),
    (b"-----BEGIN CERTIFICATE-----", "a certificate"),
    (b"v=DKIM1", "a DNS record"),
)
