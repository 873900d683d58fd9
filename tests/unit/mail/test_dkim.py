"""DKIM signatures, as another implementation verifies them; keys, and what is said of bad ones."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import dkim
import pytest
from composing import composed, written
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.compose import ContentSource, outgoing
from waypost.mail.dkim import CannotSign, DkimSigner, load_key, sign, signature_field, signer
from waypost.mail.dkim_canonical import RelaxedBodyHash, relaxed_body_hash, relaxed_field
from waypost.mail.dkim_keys import InvalidKey, PrivateKey, dkim_record, generate_key, key_pem

KEYS: dict[str, PrivateKey] = {name: generate_key(name) for name in ("rsa", "ed25519")}
SIGNERS = {name: DkimSigner("example.com", f"s-{name}", key) for name, key in KEYS.items()}


def verified(content: bytes, index: int = 0, signers: dict[str, DkimSigner] = SIGNERS) -> bool:
    """What dkimpy says, with our records in place of DNS."""
    records = {f"{one.record.name}.": one.record.value.encode() for one in signers.values()}
    checked = dkim.DKIM(content)
    try:
        return bool(checked.verify(idx=index, dnsfunc=lambda name, timeout: records[name.decode()]))
    except dkim.ValidationError as fault:
        if "hash" not in str(fault) and "signature" not in str(fault):
            raise
        return False


def fields_of(content: bytes) -> list[bytes]:
    """h= of the first signature."""
    found = re.search(rb"\th=([^;]*);", content)
    assert found is not None
    return re.sub(rb"\s", b"", found[1]).split(b":")


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_a_signature_is_verified(algorithm: str) -> None:
    content = outgoing(
        composed(
            subject="Zoë " * 30, html="<p>Hello  there\t!", attachments=[("a.bin", bytes(200_000))],
            list_unsubscribe="https://example.com/u", to=["Zoë <b@example.org>", "c@example.org"],
        )
    ).content  # fmt: skip
    signed = sign(content, [SIGNERS[algorithm]], timestamp=1_700_000_000)
    assert signed.size == len(signed.read())
    assert signed.read().endswith(content.read())
    assert verified(signed.read())
    assert b" t=1700000000;" in signed.header
    assert all(len(line) <= 78 for line in signed.header.split(b"\r\n") if line[:1] == b"\t")


def test_two_signatures_are_both_verified() -> None:
    signed = sign(outgoing(composed(text="Hi")).content, list(SIGNERS.values())).read()
    assert signed.count(b"DKIM-Signature:") == 2
    assert verified(signed, 0)
    assert verified(signed, 1)


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
@pytest.mark.parametrize(
    ("before", "after", "holds"),
    [
        (b"Hi all", b"Hi  all \t", True),
        (b"Subject: Hello", b"subject:  Hello ", True),
        (b"\r\nHi all\r\n", b"\r\nHi all\r\n\r\n \r\n", True),
        (b"Hi all", b"Hi mall", False),
        (b"Subject: Hello", b"Subject: Hallo", False),
        (b"Subject: Hello", b"Subject: Other\r\nSubject: Hello", False),
        (b"Subject: Hello", b"Subject: Hello\r\nFrom: <x@example.net>", False),
        (b"Subject: Hello", b"Subject: Hello\r\nReply-To: <x@example.net>", False),
        (b"Subject: Hello", b"Subject: Hello\r\nX-New: 1\r\nReceived: y", True),
        (b"\r\nHi all\r\n", b"\r\nHi all\r\nmore\r\n", False),
        (b"List-Unsubscribe: <https", b"List-Unsubscribe: <http", False),
    ],
)
def test_a_change_on_the_way_breaks_it_where_a_reader_would_see(
    algorithm: str, before: bytes, after: bytes, holds: bool
) -> None:
    message = composed(text="Hi all", subject="Hello", list_unsubscribe="https://example.com/u")
    signed = sign(outgoing(message).content, [SIGNERS[algorithm]]).read()
    assert before in signed
    assert verified(signed.replace(before, after, 1)) is holds


def test_what_is_shown_is_signed_once_more_than_it_is_there() -> None:
    signed = sign(outgoing(composed(cc=["c@example.org"])).content, [SIGNERS["ed25519"]]).read()
    names = fields_of(signed)
    assert [names.count(name) for name in (b"from", b"to", b"cc", b"subject")] == [2, 2, 2, 2]
    assert [names.count(name) for name in (b"reply-to", b"sender", b"list-id")] == [1, 0, 0]


_VALUES = st.text(alphabet="ab \tZë<>@,;:=", max_size=30).map(lambda text: text.encode())


@given(
    st.lists(
        st.tuples(st.sampled_from([b"To", b"Subject", b"X-A", b"List-Id", b"From"]), _VALUES),
        max_size=8,
    ),
    st.sampled_from([b"", b"x", b"\r\n", b" \tx \r\n\r\n", b"a  b\r\n.\r\n", b"\xff\r\n"]),
)
def test_any_header_is_signed_as_others_read_it(
    fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    header = b"".join(b"%b: %b\r\n" % field for field in [*fields, (b"From", b"a@example.com")])
    content = ContentSource.of_bytes(header + b"\r\n" + body)
    if not body.endswith(b"\r\n"):
        body += b"\r\n"  # as it is sent
    signed = sign(content, [SIGNERS["ed25519"]])
    assert verified(signed.header + b"\r\n" + body)


def test_several_fields_of_one_name_are_taken_from_the_last_up() -> None:
    content = b"From: a@example.com\r\nList-Id: 1\r\nX: y\r\nList-Id: 2\r\n\r\nHi\r\n"
    signed = sign(ContentSource.of_bytes(content), [SIGNERS["rsa"]]).read()
    assert verified(signed)
    assert not verified(signed.replace(b"List-Id: 1", b"List-Id: 3"))


def test_a_message_without_from_cannot_be_signed() -> None:
    with pytest.raises(CannotSign, match="without From"):
        sign(ContentSource.of_bytes(b"Subject: x\r\n\r\n"), [SIGNERS["rsa"]])


def test_a_signature_may_expire() -> None:
    short = DkimSigner("example.com", "s-rsa", KEYS["rsa"], lifetime=3600)
    field = signature_field(short, b"From: a@example.com\r\n", bytes(32), timestamp=1000)
    assert b" t=1000; x=4600;" in field


def test_an_international_domain_is_signed_for_by_its_ascii_form() -> None:
    one = DkimSigner("Bücher.example", "s", KEYS["ed25519"])
    content = outgoing(composed(from_="a@bücher.example", to="josé@example.org")).content
    signed = sign(content, [one]).read()
    assert b" d=xn--bcher-kva.example;" in signed.replace(b"\t", b" ")
    assert verified(signed, signers={"": one})


# --- canonical form -----------------------------------------------------------------------------

_BODIES = st.lists(
    st.sampled_from([b" ", b"\t", b"  ", b"\r\n", b"\r\n\r\n", b"a", b"bc", b".", b"\xff"]),
    max_size=30,
).map(b"".join)


@given(_BODIES, st.lists(st.integers(0, 40), max_size=5))
def test_a_body_in_pieces_has_the_hash_that_others_find(body: bytes, cuts: list[int]) -> None:
    pieces = RelaxedBodyHash()
    at = 0
    for cut in [*sorted(cuts), len(body)]:
        pieces.update(body[at:cut])
        at = max(at, cut)
    sent = body if not body or body.endswith(b"\r\n") else body + b"\r\n"
    theirs = Relaxed.canonicalize_body(sent)
    assert pieces.digest() == hashlib.sha256(theirs if theirs != b"\r\n" else b"").digest()


@pytest.mark.parametrize(
    "body",
    [
        b" " * 300_000 + b"\r\nx",
        b"x" + b" " * 300_000,
        b"x" * 300_000 + b" \t\r\n",
        (b"x " * 100_000 + b" ") * 2,
        b"\r\n" * 200_000 + b"x\r\n" + b" \r\n" * 100_000,
    ],
)
def test_a_long_line_is_hashed_before_its_end(body: bytes) -> None:
    pieces = RelaxedBodyHash()
    for at in range(0, len(body), 10_000):
        pieces.update(body[at : at + 10_000])
        assert len(pieces._held) <= 80_000
    sent = body if body.endswith(b"\r\n") else body + b"\r\n"
    assert pieces.digest() == hashlib.sha256(Relaxed.canonicalize_body(sent)).digest()


def test_an_empty_body_is_hashed_as_nothing() -> None:
    nothing = base64.b64encode(hashlib.sha256(b"").digest())
    assert [base64.b64encode(relaxed_body_hash(one)) for one in (b"", b"\r\n", b" \r\n\r\n")] == [
        nothing
    ] * 3


@given(
    st.text("ABab-", min_size=1, max_size=9),
    st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\t", b"a", b"B", b":"]), max_size=20),
)
def test_a_field_has_the_form_that_others_find(name: str, value: list[bytes]) -> None:
    theirs = Relaxed.canonicalize_headers([(name.encode(), b"".join(value) + b"\r\n")])[0]
    assert relaxed_field(name.encode(), b"".join(value)) + b"\r\n" == theirs[0] + b":" + theirs[1]


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_a_key_is_found_where_it_is_kept(algorithm: str, tmp_path: Path) -> None:
    pem = key_pem(KEYS[algorithm])
    file = tmp_path / "dkim.pem"
    file.write_bytes(pem)
    one_line = pem.decode().replace("\n", "\\n")
    for given_as in (pem, pem.decode(), file, str(file), "env:DKIM"):
        loaded = load_key(given_as, environment={"DKIM": one_line})
        assert key_pem(loaded) == pem
    assert signer("example.com", "s", file).record == dkim_record(
        "example.com", "s", KEYS[algorithm]
    )


def test_older_and_encrypted_forms_are_read() -> None:
    key = KEYS["rsa"]
    old = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert key_pem(load_key(old)) == key_pem(key)
    assert key_pem(load_key(old, passphrase="not needed")) == key_pem(key)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    assert key_pem(load_key(locked, passphrase="word")) == key_pem(key)
    with pytest.raises(InvalidKey, match="is encrypted; give its passphrase"):
        load_key(locked)
    with pytest.raises(InvalidKey, match="not with this passphrase"):
        load_key(locked, passphrase="other")


def test_a_seed_in_base64_is_a_key() -> None:
    seed = KEYS["ed25519"].private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    assert key_pem(load_key(base64.b64encode(seed) + b"\n")) == key_pem(KEYS["ed25519"])


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "holds no key in PEM"),
        (b"", "holds no key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "a public key; DKIM signs"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "holds a certificate"),
        (b"v=DKIM1; k=rsa; p=x", "holds a DNS record"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "a damaged key"),
        (_pem(ec.generate_private_key(ec.SECP256R1())), "a key of another kind"),
    ],
)
def test_what_is_no_key_is_said(content: bytes, said: str) -> None:
    with pytest.raises(InvalidKey, match=said):
        load_key(content)


def test_a_variable_that_is_not_set_is_said() -> None:
    with pytest.raises(InvalidKey, match="the environment has no DKIM"):
        load_key("env:DKIM", environment={})


@pytest.mark.parametrize(
    ("domain", "selector"),
    [("exa mple", "s"), ("example.com", "a b"), ("example.com", ""), ("", "s")],
)
def test_a_domain_and_a_selector_are_names(domain: str, selector: str) -> None:
    with pytest.raises(InvalidKey):
        DkimSigner(domain, selector, KEYS["ed25519"])


def test_the_record_fits_the_strings_of_dns() -> None:
    record = SIGNERS["rsa"].record
    assert record.name == "s-rsa._domainkey.example.com"
    assert "".join(record.strings) == record.value
    assert all(len(one) <= 255 for one in record.strings)
    assert record.zone_line.startswith('s-rsa._domainkey.example.com. IN TXT ( "v=DKIM1; k=rsa; p=')
    assert SIGNERS["ed25519"].record.zone_line.endswith('"')


def test_the_record_of_the_key_in_rfc_8463() -> None:
    key = load_key(b"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    assert dkim_record("football.example.com", "brisbane", key).value == (
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    )


def test_a_key_does_not_show_itself() -> None:
    assert "PrivateKey" not in repr(SIGNERS["rsa"])
    assert b"PRIVATE" not in written(text="x")
