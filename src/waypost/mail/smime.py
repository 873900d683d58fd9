"""S/MIME signatures (RFC 8551 3.5.3): the message as it is, with a detached signature beside it.

`smime_sign` works on what a server is given, so the bytes that are signed are those that are sent:
the fields that describe the body (Content-...) and the body move into the first part of a
multipart/signed, all other fields stay outside and are not covered. So a DKIM signature comes
after it, over the whole.

The signature is made over the content in memory: the library beneath takes no stream.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from waypost.mail.compose_content import ContentSource
from waypost.mail.compose_encodings import base64_lines
from waypost.mail.dkim import CannotSign
from waypost.mail.dkim_keys import InvalidKey

_CONTENT_FIELD: Final = re.compile(
    rb"^content-[^\r\n:]*:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", re.IGNORECASE | re.MULTILINE
)
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class SmimeSigner:
    """Whose signature it is: a certificate, its key, and the certificates that lead to a root."""

    certificate: x509.Certificate = field(repr=False)
    key: Key = field(repr=False)
    chain: tuple[x509.Certificate, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise InvalidKey(
                f"an S/MIME key is RSA or on an elliptic curve, not {type(self.key).__name__}"
            )
        if _public(self.certificate.public_key()) != _public(self.key.public_key()):
            raise InvalidKey("the certificate belongs to another key")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The mail addresses in the certificate; a reader is warned unless From is one of them."""
        try:
            names = self.certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
        except x509.ExtensionNotFound:
            return ()
        return tuple(names.get_values_for_type(x509.RFC822Name))


def smime_signer(
    given: bytes | str | os.PathLike[str],
    *,
    key: bytes | str | os.PathLike[str] | None = None,
    passphrase: str | None = None,
) -> SmimeSigner:
    """A signer of a PKCS #12 file (.p12, .pfx) or of PEM: the certificate first, those that lead to
    a root after it, and the key among them or given by `key`.

    Raises InvalidKey, and OSError for a file that cannot be read.
    """
    content = _content(given)
    secret = passphrase.encode() if passphrase else None
    if b"-----BEGIN" not in content:
        return _of_pkcs12(content, secret)
    certificates = [
        x509.load_pem_x509_certificate(one) for one in _CERTIFICATE.findall(_checked(content))
    ]
    try:
        private = serialization.load_pem_private_key(
            _CERTIFICATE.sub(b"", content) if key is None else _content(key), secret
        )
    except TypeError as fault:
        raise InvalidKey("the S/MIME key is encrypted; give its passphrase") from fault
    except ValueError as fault:
        raise InvalidKey(f"no S/MIME key in PEM: {str(fault)[:100]}; give one by key=") from fault
    return SmimeSigner(certificates[0], private, tuple(certificates[1:]))  # type: ignore[arg-type]


def smime_sign(content: ContentSource, signer: SmimeSigner) -> ContentSource:
    """The content as multipart/signed. Raises CannotSign for a body in 8bit, which a server on the
    way might encode anew (RFC 8551 3.1.2): write it with `seven_bit`."""
    header = content.header
    if not header:
        raise CannotSign("the message has no header")
    inner_header = b"".join(_CONTENT_FIELD.findall(header))
    rest = content.with_fields(b"").pieces
    first = rest[0]
    assert isinstance(first, bytes), "the header is in memory"
    inner = (inner_header + first[len(header) :], *rest[1:])
    signed = b"".join(ContentSource(inner).chunks())
    if not signed.isascii():
        raise CannotSign("a body in 8bit may change on the way; write it with seven_bit=True")
    signature = (
        pkcs7.PKCS7SignatureBuilder(additional_certs=list(signer.chain))
        .set_data(signed)
        .add_signer(signer.certificate, signer.key, hashes.SHA256())
        .sign(
            serialization.Encoding.DER,
            [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary],
        )
    )
    boundary = b"=_waypost_smime_" + hashlib.sha256(signed).hexdigest()[:24].encode()
    outer = (
        _CONTENT_FIELD.sub(b"", header) + b"Content-Type: multipart/signed;"
        b' protocol="application/pkcs7-signature";\r\n micalg=sha-256;'
        b' boundary="%b"\r\n\r\n' % boundary
    )
    mark = b"--" + boundary
    end = (
        b"\r\n%b\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n"
        b"Content-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename=smime.p7s\r\n\r\n%b\r\n%b--\r\n"
        % (mark, base64_lines(signature), mark)
    )
    opened = outer + mark + b"\r\n"
    pieces = ContentSource((*inner, end)).with_fields(opened).pieces
    return ContentSource(pieces, needs_smtputf8=content.needs_smtputf8)


def _of_pkcs12(content: bytes, secret: bytes | None) -> SmimeSigner:
    try:
        private, certificate, chain = pkcs12.load_key_and_certificates(content, secret)
    except ValueError as fault:
        raise InvalidKey(
            f"no PKCS #12 file, or not with this passphrase ({str(fault)[:100]})"
        ) from fault
    if private is None or certificate is None:
        raise InvalidKey("the PKCS #12 file lacks the key or its certificate")
    return SmimeSigner(certificate, private, tuple(chain))  # type: ignore[arg-type]


def _checked(content: bytes) -> bytes:
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise InvalidKey("there is no certificate; S/MIME needs one beside its key")
    return content


def _content(given: bytes | str | os.PathLike[str]) -> bytes:
    if isinstance(given, bytes):
        return given
    if isinstance(given, str) and "-----BEGIN" in given:
        return given.encode()
    return Path(given).read_bytes()


def _public(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
