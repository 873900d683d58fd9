"""Chains that dkimpy has sealed hold, and it accepts what is sealed here."""

from __future__ import annotations

from collections.abc import Mapping

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.arc import MAXIMUM_SETS, ArcChain, ArcVerdict, ChainStatus
from waypost.mail.dkim import DkimSigner, RelaxedBodyHash
from waypost.mail.dkim_keys import generate_key, key_pem

ONE = DkimSigner("one.example", "s", generate_key("rsa"))
TWO = DkimSigner("two.example", "s", generate_key("rsa"))
KEYS = {one.record.name: [one.record.value] for one in (ONE, TWO)}
NOW = 1_700_000_000
HEADER = (
    b"Received: by here\r\nFrom: Ann <ann@example.com>\r\nTo: you@there.example\r\n"
    b"Subject:  Two   spaces\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
)
BODY = b"Hello  there \r\n\r\nend\r\n\r\n"


def read(header: bytes, body: bytes = BODY) -> ArcChain:
    chain = ArcChain(header)
    for start in range(0, len(body), 5):
        chain.body(body[start : start + 5])
    chain.finish()
    return chain


def judged(
    header: bytes, body: bytes = BODY, records: Mapping[str, list[str]] = KEYS
) -> ArcVerdict:
    return read(header, body).verdict(records)


def sealed(signer: DkimSigner, header: bytes, body: bytes = BODY) -> bytes:
    """The header with one more set of ours."""
    chain = read(header, body)
    status = chain.verdict(KEYS).status
    digest = RelaxedBodyHash()
    digest.update(body)
    results = f"{signer.domain};\r\n\tspf=pass smtp.mailfrom=a@example.com;\r\n\tarc={status}"
    return chain.next_set(signer, header, digest.digest(), results, status, NOW) + header


def sealed_by_dkimpy(signer: DkimSigner, header: bytes, body: bytes = BODY) -> bytes:
    results = f"Authentication-Results: {signer.domain}; arc=none\r\n".encode()
    if b"ARC-Seal" in header:
        results = results.replace(b"arc=none", b"arc=pass")
    content = results + header + b"\r\n" + body
    fields = dkim.arc_sign(
        content, b"s", signer.domain.encode(), key_pem(signer.key), signer.domain.encode()
    )
    return b"".join(one.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for one in fields) + header


def dkimpy_says(header: bytes, body: bytes = BODY) -> bytes:
    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        texts = KEYS.get(name.decode().rstrip("."))
        return texts[0].encode() if texts else None

    status, _, _ = dkim.arc_verify(header + b"\r\n" + body, dnsfunc=look_up)
    assert isinstance(status, bytes)
    return status


def test_a_message_without_a_chain_has_none() -> None:
    assert judged(HEADER) == ArcVerdict(ChainStatus.NONE)
    assert not read(HEADER).pending


def test_what_is_sealed_here_passes_here_and_for_dkimpy() -> None:
    first = sealed(ONE, HEADER)
    second = sealed(TWO, first)
    for header in (first, second):
        assert judged(header) == ArcVerdict(ChainStatus.PASS, oldest_pass="one.example")
        assert dkimpy_says(header) == b"pass"
    assert second.startswith(b"ARC-Seal: i=2;")


def test_what_dkimpy_seals_passes() -> None:
    first = sealed_by_dkimpy(ONE, HEADER)
    assert judged(first).status is ChainStatus.PASS, judged(first)
    assert judged(sealed(TWO, first)).status is ChainStatus.PASS
    assert dkimpy_says(sealed(TWO, first)) == b"pass"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject:  Two", b"Subject:  Six"),
        (b"spf=pass", b"spf=fail"),
        (b"cv=none", b"cv=pass"),
        (b"ARC-Authentication-Results: i=1", b"ARC-Authentication-Results: i=3"),
        (b"ARC-Message-Signature: i=1", b"ARC-Message-Signature: i=2"),
        (b"ARC-Seal: i=1; a=", b"ARC-Seal: i=1; h=from; a="),
        (b"ARC-Seal: i=1;", b"ARC-Seal: i=0;"),
        (b"ARC-Seal: i=1;", b"ARC-Seal: i=99;"),
        (b"ARC-Seal: i=1;", b"ARC-Seal: "),
        (b"d=one.example", b"d=two.example"),
    ],
)
def test_a_chain_that_was_touched_fails(old: bytes, new: bytes) -> None:
    header = sealed(TWO, sealed(ONE, HEADER))
    assert old in header
    assert judged(header.replace(old, new)).status is ChainStatus.FAIL
    assert judged(header, BODY + b"more\r\n").status is ChainStatus.FAIL


def test_a_set_that_was_taken_out_is_missed() -> None:
    header = sealed(TWO, sealed(ONE, HEADER))
    first = header.index(b"ARC-Seal: i=1")
    rest = header.index(b"Received:")
    assert judged(header[:first] + header[rest:]).status is ChainStatus.FAIL
    assert judged(header[:first] + header).status is ChainStatus.FAIL


def test_without_the_key_it_fails() -> None:
    header = sealed(TWO, sealed(ONE, HEADER))
    only_two = {TWO.record.name: [TWO.record.value]}
    assert judged(header, records=only_two).status is ChainStatus.FAIL


def test_a_failed_chain_is_sealed_once_and_never_again() -> None:
    broken = sealed(ONE, HEADER).replace(b"spf=pass", b"spf=fail")
    told = sealed(TWO, broken)
    assert b"cv=fail" in told
    assert judged(told).status is ChainStatus.FAIL
    assert sealed(ONE, told) == told


def test_a_chain_has_an_end() -> None:
    fields = b"".join(
        b"ARC-Seal: i=%d; a=rsa-sha256; cv=pass; d=a.example; s=s; b=AA==\r\n" % number
        for number in range(1, MAXIMUM_SETS + 20)
    )
    assert judged(fields + HEADER).status is ChainStatus.FAIL


@given(
    st.sampled_from(["Seal", "Message-Signature", "Authentication-Results"]),
    st.binary(max_size=200),
)
def test_no_field_breaks_it(kind: str, value: bytes) -> None:
    value = value.replace(b"\n", b"").replace(b"\r", b"")
    header = f"ARC-{kind}: i=1; ".encode() + value + b"\r\n" + HEADER
    assert judged(header).status is ChainStatus.FAIL
