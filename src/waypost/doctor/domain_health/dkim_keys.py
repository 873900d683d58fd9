"""DKIM keys (RFC 6376 3.6.1, RFC 8463): what is published under which selector, and is it strong.

Selectors cannot be listed, so a domain's keys are found by the names that are common and by those
that are given; a message's DKIM-Signature names its selector (s=).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from waypost.doctor.domain_health.finding import (
    Finding,
    fail,
    note,
    ok,
    text_record,
    unknown,
    warn,
)
from waypost.knowledge.dkim_selectors import common_selectors
from waypost.mail.tag_list import parse_tags
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionFailure, Resolver

SHORTEST_KEY: Final = 1024
"""Bits; receivers must not believe a shorter RSA key (RFC 8301 3.2)."""

GOOD_KEY: Final = 2048
"""Bits that signers should use (RFC 8301 3.2)."""

NO_SUCH_SELECTOR: Final = "waypost-no-such-selector"
"""Published by nobody: an answer for it is a wildcard's."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One key record as read; reading never fails."""

    kind: str
    """rsa, ed25519, or what else stands there."""
    bits: int
    """0 where there is no key that can be read."""
    revoked: bool
    testing: bool
    faults: tuple[str, ...]


def read_key(text: str) -> PublishedKey:
    """Read any text as a key record."""
    tags = parse_tags(text)
    faults = list(tags.faults)
    version = tags.get("v")
    if version is not None and (version != "DKIM1" or tags.first != "v"):
        faults.append("v= must be DKIM1 and stand first, or be absent")
    kind = (tags.get("k") or "rsa").lower()
    flags = [flag.strip().lower() for flag in (tags.get("t") or "").split(":")]
    data = tags.get("p")
    bits = 0
    if data is None:
        faults.append("there is no p= with the key")
    elif data:
        bits, fault = _strength(kind, re.sub(r"\s", "", data))
        if fault:
            faults.append(fault)
    hashes = [one.strip().lower() for one in (tags.get("h") or "sha256").split(":")]
    if "sha256" not in hashes:
        faults.append("h= does not allow sha256, which signers use")
    services = [one.strip().lower() for one in (tags.get("s") or "*").split(":")]
    if not {"*", "email"} & set(services):
        faults.append("s= does not allow email")
    return PublishedKey(kind, bits, data == "", "y" in flags, tuple(faults))


def _strength(kind: str, data: str) -> tuple[int, str]:
    """Bits of the key, and what is wrong with it."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return 0, "p= is no base64"
    if kind == "ed25519":
        return (256, "") if len(raw) == 32 else (0, "p= is no key of Ed25519, which has 32 bytes")
    if kind != "rsa":
        return 0, f"k={kind} is no kind of key that receivers know"
    try:
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        return 0, "p= is no public key"
    if not isinstance(key, RSAPublicKey):
        return 0, "p= is no RSA key"
    return key.key_size, ""


async def look_at_keys(
    resolver: Resolver, domain: str, selectors: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """The keys under the given selectors and the common ones."""
    given = tuple(dict.fromkeys(one.lower() for one in selectors))
    names = (NO_SUCH_SELECTOR, *dict.fromkeys((*given, *common_selectors())))
    answers = dict(
        zip(
            names,
            await asyncio.gather(*(_key_texts(resolver, one, domain) for one in names)),
            strict=True,
        )
    )
    findings: list[Finding] = []
    wildcard = answers.pop(NO_SUCH_SELECTOR)
    if isinstance(wildcard, tuple) and wildcard:
        text = "a wildcard answers for every selector, so common names prove nothing"
        findings.append(note("dkim.wildcard", text, *wildcard))
    for selector, answer in answers.items():
        if isinstance(answer, ResolutionFailure):
            if selector in given:
                text = f"the name servers do not tell the key of {selector}"
                findings.append(unknown("dkim.unknown", text, str(answer)))
        elif answer and (selector in given or answer != wildcard):
            findings.append(_judged(selector, domain, answer))
        elif selector in given:
            findings.append(_missing(selector, domain))
    if not any(one.name != "dkim.wildcard" for one in findings):
        findings.append(
            note(
                "dkim.not_found",
                "no key lies under the usual selectors; which ones the domain uses is not public",
                f"asked for {', '.join(list(answers))}",
                fix="Name the selector, which stands as s= in the DKIM-Signature of a message "
                "of the domain: --selector NAME. If your mail is not signed, let it be.",
            )
        )
    return tuple(findings)


async def _key_texts(
    resolver: Resolver, selector: str, domain: str
) -> tuple[str, ...] | ResolutionFailure:
    try:
        texts = await texts_of(resolver, f"{selector}._domainkey.{domain}")
    except ResolutionFailure as fault:
        return fault
    # What lies there without p= is some other record, as of a wildcard.
    keys = tuple(text for text in texts if parse_tags(text).get("p") is not None)
    return keys or tuple(text for text in texts if text.lower().startswith("v=dkim1"))


def _missing(selector: str, domain: str) -> Finding:
    return fail(
        "dkim.missing",
        f"there is no key under the selector {selector}: what is signed with it fails",
        fix="Publish the public half of the key that signs.",
        suggestion=text_record(f"{selector}._domainkey.{domain}", "v=DKIM1; k=rsa; p=PUBLIC KEY"),
        cause="policy.dkim_fail",
    )


def _judged(selector: str, domain: str, texts: tuple[str, ...]) -> Finding:
    evidence = tuple(f"{selector}._domainkey.{domain} TXT {text}" for text in texts)
    if len(texts) > 1:
        return fail(
            "dkim.several",
            f"{len(texts)} keys lie under the selector {selector}; receivers take any (RFC 6376 "
            "3.6.2.2)",
            *evidence,
            fix="Keep the one that signs.",
            cause="policy.dkim_fail",
        )
    key = read_key(texts[0])
    if key.revoked:
        text = f"the key {selector} is revoked (p= is empty): what is signed with it fails"
        return note("dkim.revoked", text, *evidence)
    if key.faults:
        return fail(
            "dkim.malformed",
            f"the key {selector} cannot be used: {'; '.join(key.faults)}",
            *evidence,
            fix="Publish it as its maker gave it, in one record.",
            cause="policy.dkim_fail",
        )
    size = f"{key.kind} with {key.bits} bits"
    if key.kind == "rsa" and key.bits < SHORTEST_KEY:
        return fail(
            "dkim.too_short",
            f"the key {selector} ({size}) is too short: receivers do not believe it (RFC 8301 3.2)",
            *evidence,
            fix=f"Make one of {GOOD_KEY} bits under a new selector.",
            cause="policy.dkim_fail",
        )
    if key.testing:
        return warn(
            "dkim.testing",
            f"the key {selector} ({size}) says that it is only a test (t=y)",
            *evidence,
            fix="Take t=y away.",
        )
    if key.kind == "rsa" and key.bits < GOOD_KEY:
        return warn(
            "dkim.short",
            f"the key {selector} ({size}) is shorter than it should be (RFC 8301 3.2)",
            *evidence,
            fix=f"Make one of {GOOD_KEY} bits under a new selector.",
        )
    return ok("dkim.found", f"a key under the selector {selector}: {size}", *evidence)
