"""TLS as a client, against servers on loopback with certificates made on the spot."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from waypost.net.tls import TlsDescription, client_context, describe_tls, explain_tls_error

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)


@dataclass
class Authority:
    """Makes certificates; an authority of its own, or (itself) a self-signed server."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
        self.certificate = self._sign(self.name, self.key, NOW - DAY, NOW + 9 * DAY, authority=True)
        self.file = str(self.folder / "authority.pem")
        Path(self.file).write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        begins: dt.datetime,
        ends: dt.datetime,
        *,
        authority: bool = False,
        signer: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.Certificate:
        names = [
            x509.DNSName("mail.example.com"),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        ]
        issuer = subject if signer is not None else self.name
        signing = signer or self.key
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, content_commitment=False, key_encipherment=False,
                    data_encipherment=False, key_agreement=False, key_cert_sign=authority,
                    crl_sign=authority, encipher_only=False, decipher_only=False,
                ), critical=True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
                critical=False,
            )
            .sign(signing, hashes.SHA256())
        )  # fmt: skip

    def server(
        self,
        begins: dt.datetime = NOW - DAY,
        ends: dt.datetime = NOW + DAY,
        *,
        self_signed: bool = False,
    ) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
        certificate = self._sign(subject, key, begins, ends, signer=key if self_signed else None)
        path = self.folder / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    yield Authority(tmp_path)
    client_context.cache_clear()


def handshake(
    server: ssl.SSLContext | None, client: ssl.SSLContext, name: str = "mail.example.com"
) -> TlsDescription:
    """Connect over loopback; without a server context the peer speaks plain SMTP."""

    async def story() -> TlsDescription:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 plain text here\r\n")
            await asyncio.sleep(0)
            writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
        port = listening.sockets[0].getsockname()[1]
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client, server_hostname=name
            )
            described = describe_tls(writer.get_extra_info("ssl_object"))
            writer.transport.abort()
            return described
        finally:
            listening.close()

    return asyncio.run(story())


def handshake_in_memory(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLError:
    """The client's error, with every byte of the server heard, as no socket promises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="mail.example.com")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        try:
            ours.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return error
        with contextlib.suppress(ssl.SSLError):
            theirs.do_handshake()
    raise AssertionError("the handshake did not fail")


def problem_of(
    server: ssl.SSLContext | None, client: ssl.SSLContext, name: str = "mail.example.com"
) -> str:
    with pytest.raises((ssl.SSLError, OSError)) as caught:
        handshake(server, client, name)
    problem = explain_tls_error(caught.value, name)
    assert problem.text
    assert problem.fix
    assert problem.concerns_certificate == isinstance(caught.value, ssl.SSLCertVerificationError)
    return problem.reason


def test_a_connection_is_described(authority: Authority) -> None:
    described = handshake(authority.server(), client_context(ca_file=authority.file))
    assert described.version == "TLSv1.3"
    assert described.bits >= 128
    assert described.verified
    assert described.subject == "CN=mail.example.com"
    assert described.issuer == "CN=Test Authority"
    assert described.names == ("mail.example.com", "192.0.2.1")
    assert described.not_after == (NOW + DAY).timestamp()
    assert "certificate verified" in str(described)


def test_without_verification_the_certificate_is_described_all_the_same(
    authority: Authority,
) -> None:
    described = handshake(authority.server(self_signed=True), client_context(verify=False))
    assert not described.verified
    assert described.subject == "CN=mail.example.com"
    assert "not verified" in str(described)


def test_a_certificate_for_another_name_is_told(authority: Authority) -> None:
    trusting = client_context(ca_file=authority.file)
    assert problem_of(authority.server(), trusting, "other.example") == "certificate-name-mismatch"
    assert problem_of(authority.server(), trusting, "192.0.2.2") == "certificate-name-mismatch"


def test_an_expired_certificate_is_told(authority: Authority) -> None:
    server = authority.server(NOW - 3 * DAY, NOW - DAY)
    assert problem_of(server, client_context(ca_file=authority.file)) == "certificate-expired"


def test_a_certificate_of_tomorrow_is_told(authority: Authority) -> None:
    server = authority.server(NOW + DAY, NOW + 2 * DAY)
    assert problem_of(server, client_context(ca_file=authority.file)) == "certificate-not-yet-valid"


def test_a_self_signed_certificate_is_told(authority: Authority) -> None:
    assert problem_of(authority.server(self_signed=True), client_context()) == (
        "certificate-self-signed"
    )


def test_an_unknown_authority_is_told(authority: Authority) -> None:
    assert problem_of(authority.server(), client_context()) == "certificate-unknown-issuer"


def test_a_port_without_tls_is_told(authority: Authority) -> None:
    assert problem_of(None, client_context()) == "tls-not-spoken"


def test_a_server_that_is_too_old_is_told(authority: Authority) -> None:
    server = authority.server()
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    client = client_context(minimum_version=ssl.TLSVersion.TLSv1_3, ca_file=authority.file)
    assert explain_tls_error(handshake_in_memory(server, client)).reason == "tls-protocol-version"


def test_a_server_that_hangs_up_is_told() -> None:
    assert explain_tls_error(ConnectionResetError("reset")).reason == "tls-closed-during-handshake"
    assert explain_tls_error(RuntimeError("odd")).reason == "tls-failed"


def test_contexts_are_made_once_and_are_safe_by_default(authority: Authority) -> None:
    context = client_context()
    assert context is client_context()
    assert context is not client_context(verify=False)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        client_context(ca_file=str(tmp_path / "missing.pem"))
