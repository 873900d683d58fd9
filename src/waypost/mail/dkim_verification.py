"""Verification of DKIM signatures (RFC 6376 6, RFC 8301, RFC 8463) of a message that streams past.

Theory of operation. The header block is known first: each DKIM-Signature field is read, and for
each form in which a body is to be hashed one hash begins. The body streams through them at once.
Then each signature wants the record of its key, which somebody else looks up (`key_name`), and
gives its verdict.

What is stricter than RFC 6376, on purpose: a signature with a length (l=) never passes, as anyone
can append to what it covers (8.2); SHA-1 and RSA keys below 1024 bits do not count (RFC 8301).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from waypost.mail.dkim_canonical import BodyHash, RelaxedBodyHash, SimpleBodyHash, canonical_field
from waypost.mail.dkim_field import Field, MalformedSignature, Signature, fields_of, read_signature
from waypost.mail.tag_list import parse_tags

MAXIMUM_SIGNATURES: Final = 8
"""Of a message that are looked at; a stranger must not make us look up hundreds of keys."""

LEAST_RSA: Final = 1024
"""Bits (RFC 8301 3.2)."""

LARGEST_RSA: Final = 4096
"""Bits; larger ones cost more time than a stranger's signature is worth (RFC 8301 3.2)."""

CLOCK_SKEW: Final = 3600.0
"""Seconds by which the signer's clock may be ahead of ours."""


class DkimResult(StrEnum):
    """The words of RFC 8601 2.7.1."""

    PASS = "pass"  # noqa: S105 - a result
    FAIL = "fail"
    NEUTRAL = "neutral"
    """It is there and cannot be read."""
    POLICY = "policy"
    """It holds, and does not count here."""
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class DkimVerdict:
    """What one signature came to."""

    result: DkimResult
    reason: str
    """"" for a pass."""
    domain: str = ""
    """d=: who answers for the message; only of a pass is it true."""
    selector: str = ""
    identity: str = ""
    """i=."""
    algorithm: str = ""
    signature: str = ""
    """The first characters of b=, which tell several signatures of a domain apart (RFC 6008)."""


class DkimVerification:
    """One message. Feed `body`, call `finish`, then ask each of `pending` for its verdict."""

    def __init__(self, header: bytes) -> None:
        """`header`: the block in CRLF lines, without the empty line."""
        self._fields = fields_of(header)
        self._hashes: dict[str, BodyHash] = {}
        self._digests: dict[str, bytes] = {}
        self.settled: list[DkimVerdict] = []
        """Verdicts on signatures that need no key to be told."""
        self.pending: list[Signature] = []
        """Those whose key is to be looked up."""
        found = [field for field in self._fields if field.name == b"dkim-signature"]
        for field in found[:MAXIMUM_SIGNATURES]:
            try:
                signature = read_signature(field)
            except MalformedSignature as fault:
                self.settled.append(DkimVerdict(DkimResult.NEUTRAL, str(fault)))
                continue
            self.pending.append(signature)
            form = signature.body_form
            if form not in self._hashes:
                self._hashes[form] = RelaxedBodyHash() if form == "relaxed" else SimpleBodyHash()

    @property
    def is_signed(self) -> bool:
        """Whether the body has to be fed at all."""
        return bool(self.pending)

    def body(self, piece: bytes) -> None:
        """More of what stands behind the header's empty line."""
        for one in self._hashes.values():
            one.update(piece)

    def finish(self) -> None:
        """The body has ended."""
        self._digests = {form: one.digest() for form, one in self._hashes.items()}

    def verdict(self, signature: Signature, records: Sequence[str], now: float) -> DkimVerdict:
        """Of one of `pending`, with the texts at its `key_name`; `now` is seconds since 1970."""
        try:
            self._check(signature, records, now)
        except Refused as refused:
            return _verdict(signature, refused.result, str(refused))
        return _verdict(signature, DkimResult.PASS, "")

    def _check(self, signature: Signature, records: Sequence[str], now: float) -> None:
        if signature.expires_at is not None and now > signature.expires_at:
            raise Refused(DkimResult.FAIL, "the signature has expired")
        if signature.signed_at is not None and signature.signed_at > now + CLOCK_SKEW:
            raise Refused(DkimResult.FAIL, "the signature is dated in the future")
        if signature.body_length is not None:
            raise Refused(DkimResult.POLICY, "it may cover a part of the body only (l=)")
        if self._digests[signature.body_form] != signature.body_hash:
            raise Refused(DkimResult.FAIL, "the body is not what was signed")
        check_value(signature, records, signed_fields(signature, self._fields))


def signed_fields(signature: Signature, fields: Sequence[Field]) -> bytes:
    """The fields as they were hashed (RFC 6376 3.7, 5.4.2)."""
    left: dict[bytes, list[bytes]] = {}
    for field in fields:
        left.setdefault(field.name, []).append(field.raw)
    pieces: list[bytes] = []
    for name in signature.names:
        raws = left.get(name)
        if raws:
            pieces.append(canonical_field(raws.pop(), signature.header_form) + b"\r\n")
    pieces.append(canonical_field(signature.without_value, signature.header_form))
    return b"".join(pieces)


def check_value(signature: Signature, records: Sequence[str], data: bytes) -> None:
    """Whether a signature is that of `data`, by the key that the records give. Raises Refused."""
    _check_signature(_key(signature, records), signature, data)


class Refused(Exception):
    """Why a signature does not pass."""

    def __init__(self, result: DkimResult, reason: str) -> None:
        self.result = result
        super().__init__(reason)


def unreachable(signature: Signature, reason: str) -> DkimVerdict:
    """The verdict where the key could not be asked for."""
    return _verdict(signature, DkimResult.TEMPERROR, reason)


def _verdict(signature: Signature, result: DkimResult, reason: str) -> DkimVerdict:
    return DkimVerdict(
        result, reason, signature.domain, signature.selector, signature.identity,
        signature.algorithm, base64.b64encode(signature.value).decode("ascii")[:8],
    )  # fmt: skip


def _key(
    signature: Signature, records: Sequence[str]
) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    """The key that the records give (RFC 6376 6.1.2)."""
    kind = signature.algorithm.partition("-")[0]
    why = f"there is no key at {signature.key_name}"
    for text in records:
        tags = parse_tags(text)
        version = tags.get("v")
        if version is not None and (version != "DKIM1" or tags.first != "v"):
            continue
        if (tags.get("k") or "rsa").lower() != kind:
            why = f"the key at {signature.key_name} is of another kind"
            continue
        accepted = [one.strip().lower() for one in (tags.get("h") or "sha256").split(":")]
        services = [one.strip().lower() for one in (tags.get("s") or "*").split(":")]
        if "sha256" not in accepted or not {"*", "email"} & set(services):
            why = f"the key at {signature.key_name} is for something else"
            continue
        flags = [one.strip().lower() for one in (tags.get("t") or "").split(":")]
        if "s" in flags and signature.identity.rpartition("@")[2].lower() != signature.domain:
            why = f"the key at {signature.key_name} is not for domains below"
            continue
        data = "".join((tags.get("p") or "").split())
        if not data:
            raise Refused(DkimResult.PERMERROR, f"the key at {signature.key_name} is revoked")
        return _loaded(kind, data, signature.key_name)
    raise Refused(DkimResult.PERMERROR, why)


def _loaded(kind: str, data: str, where: str) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    try:
        raw = base64.b64decode(data, validate=True)
        if kind == "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(raw)
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise Refused(DkimResult.PERMERROR, f"the key at {where} cannot be read") from fault
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused(DkimResult.PERMERROR, f"the key at {where} is of another kind")
    if not LEAST_RSA <= key.key_size <= LARGEST_RSA:
        raise Refused(
            DkimResult.POLICY, f"the key at {where} has {key.key_size} bits; 1024 to 4096 count"
        )
    return key


def _check_signature(
    key: rsa.RSAPublicKey | ed25519.Ed25519PublicKey, signature: Signature, data: bytes
) -> None:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.value, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature.value, hashlib.sha256(data).digest())
    except InvalidSignature as fault:
        raise Refused(DkimResult.FAIL, "the header is not what was signed") from fault
