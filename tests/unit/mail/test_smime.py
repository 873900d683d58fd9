"""S/MIME signatures, as openssl verifies them."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from composing import NOW, composed, read_back
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from waypost.mail.compose import ContentSource, outgoing
from waypost.mail.dkim import CannotSign
from waypost.mail.dkim_keys import InvalidKey
from waypost.mail.smime import Key, SmimeSigner, smime_sign, smime_signer


def certificate(key: Key) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A")])
    addresses = x509.SubjectAlternativeName([x509.RFC822Name("a@example.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(NOW - dt.timedelta(days=3650))
    builder = builder.not_valid_after(NOW + dt.timedelta(days=3650))
    return builder.add_extension(addresses, critical=False).sign(key, hashes.SHA256())


def _pem(key: Key | ed25519.Ed25519PrivateKey, secret: bytes = b"") -> bytes:
    locked = (
        serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


KEYS: dict[str, Key] = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "curve": ec.generate_private_key(ec.SECP256R1()),
}
CERTIFICATES = {name: certificate(key) for name, key in KEYS.items()}
PEM = CERTIFICATES["rsa"].public_bytes(serialization.Encoding.PEM)


def verified(content: bytes, signed_by: x509.Certificate, folder: Path) -> bool:
    (folder / "message").write_bytes(content)
    (folder / "certificate").write_bytes(signed_by.public_bytes(serialization.Encoding.PEM))
    done = subprocess.run(
        ["openssl", "cms", "-verify", "-in", folder / "message", "-CAfile", folder / "certificate",
         "-out", "/dev/null", "-purpose", "any"],
        capture_output=True, timeout=20,
    )  # fmt: skip
    return done.returncode == 0 and b"successful" in done.stderr


@pytest.mark.parametrize("kind", ["rsa", "curve"])
def test_a_signature_is_verified(kind: str, tmp_path: Path) -> None:
    signer = SmimeSigner(CERTIFICATES[kind], KEYS[kind])
    content = outgoing(
        composed(subject="Zoë", html="<p>Hello", attachments=[("a.bin", bytes(100_000))])
    ).content
    signed = smime_sign(content, signer)
    assert signed.size == len(signed.read())
    assert verified(signed.read(), CERTIFICATES[kind], tmp_path)
    assert not verified(signed.read().replace(b"Hello", b"Hullo"), CERTIFICATES[kind], tmp_path)


def test_the_message_is_inside_and_its_fields_outside() -> None:
    content = outgoing(composed(text="Hi", subject="Hello", headers={"X-A": "b"})).content
    message = read_back(smime_sign(content, SmimeSigner(CERTIFICATES["rsa"], KEYS["rsa"])).read())
    assert message.get_content_type() == "multipart/signed"
    assert message["Content-Type"].params["micalg"] == "sha-256"
    assert (message["Subject"], message["X-A"], message["MIME-Version"]) == ("Hello", "b", "1.0")
    assert message.get_all("Content-Transfer-Encoding") is None
    inner, signature = message.iter_parts()
    assert inner.keys() == ["Content-Type", "Content-Transfer-Encoding"]
    assert inner.get_content().strip() == "Hi"
    assert signature.get_content_type() == "application/pkcs7-signature"


def test_an_international_sender_signs_too(tmp_path: Path) -> None:
    content = outgoing(composed(from_="josé@example.com", text="Hi")).content
    signed = smime_sign(content, SmimeSigner(CERTIFICATES["rsa"], KEYS["rsa"]))
    assert signed.needs_smtputf8
    assert verified(signed.read(), CERTIFICATES["rsa"], tmp_path)


def test_what_may_change_on_the_way_is_not_signed() -> None:
    signer = SmimeSigner(CERTIFICATES["rsa"], KEYS["rsa"])
    with pytest.raises(CannotSign, match="seven_bit"):
        smime_sign(ContentSource.of_bytes("From: a@b\r\n\r\nZoë\r\n".encode()), signer)
    with pytest.raises(CannotSign, match="no header"):
        smime_sign(ContentSource.of_bytes(b"\r\nHi\r\n"), signer)


def test_a_signer_is_read_of_what_people_have(tmp_path: Path) -> None:
    key, own = KEYS["rsa"], CERTIFICATES["rsa"]
    both = tmp_path / "both.pem"
    both.write_bytes(_pem(key) + PEM)
    packed = tmp_path / "own.p12"
    locked = serialization.BestAvailableEncryption(b"word")
    others = [CERTIFICATES["curve"]]
    packed.write_bytes(pkcs12.serialize_key_and_certificates(b"own", key, own, others, locked))
    assert smime_signer(both).certificate == own
    assert smime_signer(PEM, key=_pem(key)).certificate == own
    assert smime_signer(PEM.decode(), key=_pem(key, b"word"), passphrase="word").certificate == own
    of_file = smime_signer(packed, passphrase="word")
    assert (of_file.certificate, of_file.chain) == (own, (CERTIFICATES["curve"],))
    assert of_file.addresses == ("a@example.com",)
    with pytest.raises(InvalidKey, match="not with this passphrase"):
        smime_signer(packed, passphrase="other")


@pytest.mark.parametrize(
    ("given", "key", "said"),
    [
        (_pem(KEYS["rsa"]), None, "there is no certificate"),
        (PEM, None, "no S/MIME key in PEM"),
        (PEM, _pem(KEYS["curve"]), "the certificate belongs to another key"),
        (PEM, _pem(KEYS["rsa"], b"word"), "is encrypted; give its passphrase"),
        (PEM, _pem(ed25519.Ed25519PrivateKey.generate()), "is RSA or on an elliptic curve"),
        (b"junk", None, "no PKCS #12 file"),
    ],
)
def test_what_cannot_sign_is_said(given: bytes, key: bytes | None, said: str) -> None:
    with pytest.raises(InvalidKey, match=said):
        smime_signer(given, key=key)
