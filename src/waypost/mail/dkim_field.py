"""DKIM-Signature fields as strangers write them (RFC 6376 3.5), and the header block around them.

Reading is strict where a doubt would help a forger, and says in a word what is wrong.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from waypost.mail.tag_list import TagList, parse_tags

ALGORITHMS: Final = frozenset({"rsa-sha256", "ed25519-sha256"})
"""RFC 8301 3.1 has taken rsa-sha1 away."""

MAXIMUM_NAMES: Final = 200
"""Field names in h=."""

# A field: its name, and all of it with its folds and its line end.
_FIELD: Final = re.compile(
    rb"^([!-9;-~]+)[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*(?:\r\n)?", re.MULTILINE
)
_VALUE_OF_B: Final = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
_NUMBER: Final = re.compile(r"[0-9]{1,12}")


class MalformedSignature(ValueError):
    """The field is no signature that could be checked."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header block."""

    name: bytes
    """In lower case."""
    raw: bytes
    """All of it, without its last CRLF."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature as it was read. Times in seconds since the epoch."""

    domain: str
    selector: str
    identity: str
    algorithm: str
    header_form: str
    body_form: str
    names: tuple[bytes, ...]
    """h=, in lower case."""
    body_hash: bytes
    body_length: int | None
    value: bytes
    signed_at: int | None
    expires_at: int | None
    without_value: bytes
    """The field with an empty b=, as it was itself hashed."""

    @property
    def key_name(self) -> str:
        """Where its key is."""
        return f"{self.selector}._domainkey.{self.domain}"


def fields_of(header: bytes) -> list[Field]:
    """The fields of a block in CRLF lines. What is no field is left out."""
    return [
        Field(found[1].lower(), found[0].removesuffix(b"\r\n")) for found in _FIELD.finditer(header)
    ]


def tags_of(field: Field) -> TagList:
    """Its tags. Raises MalformedSignature."""
    value = field.raw.partition(b":")[2]
    tags = parse_tags(value.decode("utf-8", "replace").replace("\r\n", ""), exact=True)
    if tags.faults:
        raise MalformedSignature(tags.faults[0])
    return tags


def needed(tags: TagList, name: str) -> str:
    """A tag that must be there. Raises MalformedSignature."""
    text = tags.get(name)
    if text is None:
        raise MalformedSignature(f"it has no {name}=")
    return text


def read_signature(field: Field) -> Signature:
    """Read a DKIM-Signature. Raises MalformedSignature."""
    tags = tags_of(field)
    if needed(tags, "v") != "1":
        raise MalformedSignature("its version is not 1")
    signer = _signer(tags)
    identity = tags.get("i") or f"@{signer.domain}"
    of_identity = identity.rpartition("@")[2].lower()
    if of_identity != signer.domain and not of_identity.endswith(f".{signer.domain}"):
        raise MalformedSignature("its i= is not of its d=")
    return _over_message(field, tags, signer, identity, "simple/simple")


def read_message_signature(field: Field) -> Signature:
    """Read an ARC-Message-Signature (RFC 8617 4.1.2). Raises MalformedSignature."""
    tags = tags_of(field)
    return _over_message(field, tags, _signer(tags), "", "relaxed/relaxed")


def read_seal(field: Field) -> Signature:
    """Read an ARC-Seal (RFC 8617 4.1.3). Raises MalformedSignature."""
    tags = tags_of(field)
    if tags.get("h") is not None or tags.get("bh") is not None:
        raise MalformedSignature("a seal names no fields and no body")
    signer = _signer(tags)
    return Signature(
        signer.domain, signer.selector, "", signer.algorithm, "relaxed", "relaxed", (), b"", None,
        _base64(needed(tags, "b"), "b"), _number(tags.get("t"), "t"), None,
        _without_value(field),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Signer:
    algorithm: str
    domain: str
    selector: str


def _signer(tags: TagList) -> _Signer:
    algorithm = needed(tags, "a").lower()
    if algorithm not in ALGORITHMS:
        raise MalformedSignature(f"its algorithm {algorithm[:40]} is not known, or no longer good")
    domain = needed(tags, "d").lower().rstrip(".")
    selector = needed(tags, "s")
    for name, text in (("d", domain), ("s", selector)):
        if not _DOMAIN.fullmatch(text):
            raise MalformedSignature(f"its {name}= is no name")
    return _Signer(algorithm, domain, selector)


def _over_message(
    field: Field, tags: TagList, signer: _Signer, identity: str, default_form: str
) -> Signature:
    """What a signature over header and body has beside its signer. Without c= a chain is taken to
    be relaxed, as those who make one have always meant it."""
    form = tags.get("c")
    header_form, _, body_form = (default_form if form is None else form).lower().partition("/")
    body_form = body_form or "simple"
    if not {header_form, body_form} <= {"simple", "relaxed"}:
        raise MalformedSignature("its c= is not known")
    names = tuple(one.strip().lower().encode() for one in needed(tags, "h").split(":"))
    if b"from" not in names:
        raise MalformedSignature("it does not cover From")
    if len(names) > MAXIMUM_NAMES:
        raise MalformedSignature("it names more fields than are looked at")
    methods = [one.strip().lower() for one in (tags.get("q") or "dns/txt").split(":")]
    if "dns/txt" not in methods:
        raise MalformedSignature("its key is not in the DNS")
    signed_at, expires_at = _number(tags.get("t"), "t"), _number(tags.get("x"), "x")
    if signed_at is not None and expires_at is not None and expires_at < signed_at:
        raise MalformedSignature("it expires before it was made")
    return Signature(
        signer.domain, signer.selector, identity, signer.algorithm, header_form, body_form, names,
        _base64(needed(tags, "bh"), "bh"), _number(tags.get("l"), "l"),
        _base64(needed(tags, "b"), "b"), signed_at, expires_at, _without_value(field),
    )  # fmt: skip


def _without_value(field: Field) -> bytes:
    name, colon, value = field.raw.partition(b":")
    return name + colon + _VALUE_OF_B.sub(rb"\1", value, count=1)


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise MalformedSignature(f"its {name}= is no number")
    return int(text)


def _base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise MalformedSignature(f"its {name}= is no base64") from fault
