"""DKIM signatures (RFC 6376, RFC 8301, RFC 8463): relaxed/relaxed, over the whole body.

Theory of operation. A signature covers the hash of the body and a list of header fields. The body
is hashed while it streams, once for any number of signatures; the fields are then signed by each
key. `sign` does both for a content that can be read again; a relay that sees a message pass feeds a
`RelaxedBodyHash` and asks `signature_field` at its end.

Which fields: those that a reader sees or that decide how the message is shown (RFC 6376 5.4.1), and
those of List-Unsubscribe, as RFC 8058 4 wants. Those that a reader sees are *oversigned*: named
once more than they are there, so that another Subject or From, put in front of the signed one,
breaks the signature (RFC 6376 8.15). Received, Return-Path and the like change on the way and are
left out (RFC 6376 5.4).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from waypost.mail.address import InvalidAddress, domain_to_ascii
from waypost.mail.dkim_canonical import RelaxedBodyHash, relaxed_field
from waypost.mail.dkim_keys import DkimRecord, InvalidKey, PrivateKey, dkim_record, load_key

if TYPE_CHECKING:
    import os

    from waypost.mail.compose_content import ContentSource

OVERSIGNED: Final = (
    b"from", b"reply-to", b"subject", b"date", b"to", b"cc", b"message-id", b"mime-version",
    b"content-type", b"content-transfer-encoding",
)  # fmt: skip
"""Signed, there or not, and once more than they are there."""

SIGNED: Final = (
    b"sender", b"in-reply-to", b"references", b"content-id", b"content-description",
    b"content-disposition", b"auto-submitted", b"list-id", b"list-help", b"list-unsubscribe",
    b"list-unsubscribe-post", b"list-subscribe", b"list-post", b"list-owner", b"list-archive",
)  # fmt: skip
"""Signed where they are there, and then once more as well."""

_FIELD: Final = re.compile(rb"([^\r\n:]+):([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")
_SELECTOR: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LINE: Final = 76

__all__ = [
    "OVERSIGNED",
    "SIGNED",
    "CannotSign",
    "DkimRecord",
    "DkimSigner",
    "InvalidKey",
    "PreparedSignature",
    "RelaxedBodyHash",
    "dkim_record",
    "load_key",
    "sign",
    "signature_field",
]


class CannotSign(ValueError):
    """The message has nothing that a signature could stand on."""


@dataclass(frozen=True, slots=True)
class DkimSigner:
    """One key of a domain: `domain` is d=, `selector` says where in its DNS the public part is.

    `lifetime` is in seconds, from the signature to x=; None: it does not expire. `signer` makes one
    of a key that is not loaded yet.
    """

    domain: str
    selector: str
    key: PrivateKey = field(repr=False)
    lifetime: int | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "domain", domain_to_ascii(self.domain.rstrip(".")))
        except InvalidAddress as fault:
            raise InvalidKey(f"DKIM domain {fault}") from fault
        if not _SELECTOR.fullmatch(self.selector):
            raise InvalidKey(
                f"{self.selector!r:.80} is no selector: letters, digits, dots and hyphens, as in "
                "SELECTOR._domainkey.example.com"
            )

    @property
    def algorithm(self) -> str:
        """a= of the signature."""
        return "rsa-sha256" if isinstance(self.key, rsa.RSAPrivateKey) else "ed25519-sha256"

    @property
    def octets(self) -> int:
        """Of a signature."""
        return self.key.key_size // 8 if isinstance(self.key, rsa.RSAPrivateKey) else 64

    @property
    def record(self) -> DkimRecord:
        """The DNS record that the domain has to publish."""
        return dkim_record(self.domain, self.selector, self.key)


def signer(
    domain: str,
    selector: str,
    key: PrivateKey | str | bytes | os.PathLike[str],
    *,
    passphrase: str | None = None,
    lifetime: int | None = None,
) -> DkimSigner:
    """A signer, with its key loaded: PEM, a path or `env:NAME`. Raises InvalidKey, OSError."""
    if isinstance(key, str | bytes) or hasattr(key, "__fspath__"):
        key = load_key(key, passphrase=passphrase)
    return DkimSigner(domain, selector, key, lifetime)


def sign(
    content: ContentSource, signers: Sequence[DkimSigner], *, timestamp: int | None = None
) -> ContentSource:
    """The content with a signature of each signer before it. It is read once, and not held.

    `timestamp` (seconds since the epoch) becomes t=, and x= with a lifetime. Raises CannotSign,
    and what reading the content raises.
    """
    body = RelaxedBodyHash()
    for chunk in content.body_chunks():
        body.update(chunk)
    digest = body.digest()
    header = content.header
    return content.with_fields(
        b"".join(signature_field(one, header, digest, timestamp=timestamp) for one in signers)
    )


def signature_field(
    signer: DkimSigner, header: bytes, body_hash: bytes, *, timestamp: int | None = None
) -> bytes:
    """The DKIM-Signature field, folded, with its CRLF.

    `header` is the header block in CRLF lines, without the empty line; `body_hash` the digest of
    `RelaxedBodyHash`. Raises CannotSign for a header without From (RFC 6376 5.4).
    """
    return PreparedSignature(signer, header, timestamp=timestamp).field(body_hash)


class PreparedSignature:
    """A signature of which all is known but the body: a relay has the header first.

    So it can leave room for the field before the body comes: `length` is exact. Raises CannotSign
    for a header without From.
    """

    __slots__ = ("_beginning", "_hashed", "_signer")

    def __init__(self, signer: DkimSigner, header: bytes, *, timestamp: int | None = None) -> None:
        self._signer = signer
        names, self._hashed = chosen_fields(header)
        self._beginning = _beginning(signer, names, timestamp)

    @property
    def length(self) -> int:
        """Octets of the field."""
        return len(self._written(bytes(hashlib.sha256().digest_size), bytes(self._signer.octets)))

    def field(self, body_hash: bytes) -> bytes:
        """The field, with its CRLF. It computes for a while: an RSA key a quarter of a
        millisecond."""
        own = relaxed_field(b"dkim-signature", self._unsigned(body_hash).partition(b":")[2])
        return self._written(body_hash, signed_value(self._signer.key, self._hashed + own))

    def _unsigned(self, body_hash: bytes) -> bytes:
        """The field up to the value of b=, which is empty while the field itself is hashed."""
        return self._beginning + base64.b64encode(body_hash) + b";\r\n\tb="

    def _written(self, body_hash: bytes, signature: bytes) -> bytes:
        value = in_lines(base64.b64encode(signature), first=len("\tb="))
        return self._unsigned(body_hash) + value + b"\r\n"


def chosen_fields(header: bytes, also: Sequence[bytes] = ()) -> tuple[list[bytes], bytes]:
    """The names to sign, and their fields as they are hashed. Raises CannotSign."""
    present: dict[bytes, list[bytes]] = {}
    for found in _FIELD.finditer(header):
        name = found[1].lower().rstrip(b" \t")
        present.setdefault(name, []).append(relaxed_field(name, found[2]))
    if b"from" not in present:
        raise CannotSign("a message without From cannot be signed (RFC 6376 5.4)")
    names: list[bytes] = []
    hashed: list[bytes] = []
    for name in (*OVERSIGNED, *SIGNED, *also):
        fields = present.get(name, [])
        if not fields and name not in OVERSIGNED:
            continue
        # Several of one name are taken from the last one up (RFC 6376 5.4.2); one that is not
        # there is hashed as nothing.
        hashed += reversed(fields)
        names += [name] * (len(fields) + 1)
    return names, b"".join(one + b"\r\n" for one in hashed)


def _beginning(signer: DkimSigner, names: Sequence[bytes], timestamp: int | None) -> bytes:
    """The field up to the value of bh=."""
    first = f"v=1; a={signer.algorithm}; c=relaxed/relaxed;"
    second = f"d={signer.domain}; s={signer.selector};"
    if timestamp is not None:
        second += f" t={int(timestamp)};"
        if signer.lifetime is not None:
            second += f" x={int(timestamp) + signer.lifetime};"
    lines = [b"DKIM-Signature: " + first.encode(), b"\t" + second.encode(), *named_lines(names)]
    return b"\r\n".join([*lines, b"\tbh="])


def named_lines(names: Sequence[bytes]) -> list[bytes]:
    """h=, in lines."""
    lines: list[bytes] = []
    line = b"\th="
    for at, name in enumerate(names):
        word = name + (b":" if at < len(names) - 1 else b";")
        if len(line) + len(word) > _LINE:
            lines.append(line)
            line = b"\t "
        line += word
    return [*lines, line]


def signed_value(key: PrivateKey, data: bytes) -> bytes:
    """The signature itself."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(hashlib.sha256(data).digest())  # RFC 8463 3: PureEdDSA over the hash


def in_lines(encoded: bytes, first: int) -> bytes:
    """Base64 with folds, of which the first line is shorter by `first`."""
    lines = [encoded[: _LINE - first]]
    rest = encoded[_LINE - first :]
    width = _LINE - 2
    lines += [rest[at : at + width] for at in range(0, len(rest), width)]
    return b"\r\n\t ".join(lines)
