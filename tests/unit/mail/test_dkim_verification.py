"""Signatures of others: what dkimpy signs holds, and no change that a reader would see does."""

from __future__ import annotations

import base64

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.mail.dkim import DkimSigner, RelaxedBodyHash, signature_field
from waypost.mail.dkim_keys import PrivateKey, generate_key, key_pem
from waypost.mail.dkim_verification import (
    MAXIMUM_SIGNATURES,
    DkimResult,
    DkimVerdict,
    DkimVerification,
    unreachable,
)

RSA = generate_key("rsa")
ED25519 = generate_key("ed25519")
NOW = 1_795_500_000.0
HEADER = (
    b"Received: by one\r\nFrom: Ann <ann@example.com>\r\nTo: you@there.example\r\n"
    b"Subject:  Two   spaces\r\n and a fold\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
)
BODY = b"Hello  there \r\n\r\n.\r\nend\t \r\n\r\n\r\n"


def record(key: PrivateKey, selector: str = "s") -> str:
    return DkimSigner("example.com", selector, key).record.value


def signed_by_dkimpy(form: str, key: PrivateKey = RSA, body: bytes = BODY) -> bytes:
    header_form, _, body_form = form.partition("/")
    if key is RSA:
        secret, algorithm = key_pem(RSA), b"rsa-sha256"
    else:
        seed = key.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
            serialization.NoEncryption(),
        )  # fmt: skip
        secret, algorithm = base64.b64encode(seed), b"ed25519-sha256"
    field = dkim.sign(
        HEADER + b"\r\n" + body, b"s", b"example.com", secret,
        canonicalize=(header_form.encode(), body_form.encode()), signature_algorithm=algorithm,
    )  # fmt: skip
    assert isinstance(field, bytes)
    return field.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def verdicts(
    header: bytes, body: bytes, *records: str, now: float = NOW, cuts: int = 7
) -> list[DkimVerdict]:
    verification = DkimVerification(header)
    for start in range(0, len(body), cuts):
        verification.body(body[start : start + cuts])
    verification.finish()
    judged = [verification.verdict(one, records, now) for one in verification.pending]
    return [*verification.settled, *judged]


def only(found: list[DkimVerdict]) -> DkimVerdict:
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    "form", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"]
)
@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
@pytest.mark.parametrize("body", [BODY, b"", b"\r\n\r\n", b"x\r\n", b" \r\n\r\ny"])
def test_what_dkimpy_signs_passes(form: str, key: PrivateKey, body: bytes) -> None:
    field = signed_by_dkimpy(form, key, body)
    found = only(verdicts(field + HEADER, body, record(key), now=4e9))
    assert (found.result, found.reason) == (DkimResult.PASS, "")
    assert (found.domain, found.selector) == ("example.com", "s")


@settings(max_examples=60, deadline=None)
@given(
    body=st.lists(st.sampled_from([b"a", b" ", b"\t", b"  ", b"\r\n", b"b c", b"\r\n\r\n"])).map(
        lambda pieces: b"".join(pieces) + b"\r\n"
    ),
    cuts=st.integers(1, 9),
    form=st.sampled_from(["simple/simple", "relaxed/relaxed"]),
)
def test_a_body_cut_anywhere_has_the_hash_that_dkimpy_gives(
    body: bytes, cuts: int, form: str
) -> None:
    field = signed_by_dkimpy(form, ED25519, body)
    found = only(verdicts(field + HEADER, body, record(ED25519), now=4e9, cuts=cuts))
    assert found.result is DkimResult.PASS, found


def ours(header: bytes = HEADER, body: bytes = BODY, **signer: object) -> bytes:
    digest = RelaxedBodyHash()
    digest.update(body)
    made = DkimSigner("example.com", "s", ED25519, **signer)  # type: ignore[arg-type]
    return signature_field(made, header, digest.digest(), timestamp=int(NOW))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Ann <ann@example.com>", b"Eve <eve@example.com>"),
        (b"Subject:  Two", b"Subject:  Three"),
        (b"From: Ann", b"From: Eve <eve@example.net>\r\nFrom: Ann"),
        (b"Date: Tue", b"Reply-To: eve@example.net\r\nDate: Tue"),
    ],
)
def test_a_changed_header_fails(old: bytes, new: bytes) -> None:
    header = ours() + HEADER
    assert old in header
    found = only(verdicts(header.replace(old, new), BODY, record(ED25519)))
    assert found.result is DkimResult.FAIL


@pytest.mark.parametrize("body", [BODY + b"more\r\n", BODY[:-10], b""])
def test_a_changed_body_fails(body: bytes) -> None:
    found = only(verdicts(ours() + HEADER, body, record(ED25519)))
    assert (found.result, found.reason) == (DkimResult.FAIL, "the body is not what was signed")


def test_what_changes_on_the_way_does_no_harm() -> None:
    header = b"Received: by two\r\n" + ours() + HEADER.replace(b"\r\n and", b"\r\n\t and")
    assert only(verdicts(header, BODY, record(ED25519))).result is DkimResult.PASS


@pytest.mark.parametrize(
    ("records", "result"),
    [
        ((), DkimResult.PERMERROR),
        ((record(RSA),), DkimResult.PERMERROR),
        ((record(generate_key("ed25519")),), DkimResult.FAIL),
        (("v=DKIM1; k=ed25519; p=",), DkimResult.PERMERROR),
        (("v=DKIM1; k=ed25519; p=!!",), DkimResult.PERMERROR),
        (("v=DKIM2; k=ed25519; p=AA==",), DkimResult.PERMERROR),
        ((record(ED25519) + "; h=sha1",), DkimResult.PERMERROR),
        ((record(ED25519) + "; s=tlsrpt",), DkimResult.PERMERROR),
        ((record(RSA), record(ED25519)), DkimResult.PASS),
        ((record(ED25519) + "; t=s:y",), DkimResult.PASS),
    ],
)
def test_the_key_decides(records: tuple[str, ...], result: DkimResult) -> None:
    assert only(verdicts(ours() + HEADER, BODY, *records)).result is result


def test_time_decides() -> None:
    header = ours(lifetime=600) + HEADER
    key = record(ED25519)
    assert only(verdicts(header, BODY, key, now=NOW + 599)).result is DkimResult.PASS
    assert only(verdicts(header, BODY, key, now=NOW + 601)).result is DkimResult.FAIL
    assert only(verdicts(header, BODY, key, now=NOW - 7200)).result is DkimResult.FAIL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v=1;", b"v=2;"),
        (b"v=1;", b""),
        (b"a=ed25519-sha256;", b"a=rsa-sha1;"),
        (b"d=example.com;", b"d=;"),
        (b"d=example.com;", b"d=example.com; d=example.net;"),
        (b"d=example.com;", b"d=example.com; i=@example.net;"),
        (b"s=s;", b"s=..;"),
        (b"h=from:from:", b"h="),
        (b"c=relaxed/relaxed;", b"c=loose;"),
        (b"t=", b"t=x"),
        (b"bh=", b"bh=*"),
        (b"DKIM-Signature: v=1;", b"DKIM-Signature: v=1; q=http;"),
    ],
)
def test_what_is_no_signature_is_neutral(old: bytes, new: bytes) -> None:
    field = ours()
    assert old in field
    found = only(verdicts(field.replace(old, new, 1) + HEADER, BODY, record(ED25519)))
    assert found.result is DkimResult.NEUTRAL
    assert found.reason


def test_a_length_never_passes() -> None:
    field = ours().replace(b"c=relaxed/relaxed;", b"c=relaxed/relaxed; l=3;")
    found = only(verdicts(field + HEADER, BODY, record(ED25519)))
    assert found.result is DkimResult.POLICY


def test_only_so_many_signatures_are_looked_at() -> None:
    header = ours() * (MAXIMUM_SIGNATURES + 5) + HEADER
    assert len(verdicts(header, BODY, record(ED25519))) == MAXIMUM_SIGNATURES


def test_a_key_that_cannot_be_asked_for_is_a_temporary_error() -> None:
    verification = DkimVerification(ours() + HEADER)
    found = unreachable(verification.pending[0], "no answer")
    assert (found.result, found.domain) == (DkimResult.TEMPERROR, "example.com")


@given(st.binary(max_size=300))
def test_no_field_breaks_it(value: bytes) -> None:
    header = b"DKIM-Signature: " + value.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n" + HEADER
    for one in verdicts(header, BODY, record(ED25519)):
        assert one.result is not DkimResult.PASS
