"""TLSA records against the certificate that a server on loopback really shows."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from waypost.doctor.domain_health import Finding, Live
from waypost.doctor.domain_health.dane_check import look_at_dane
from waypost.doctor.domain_health.live_certificate import is_pinned, record_for
from waypost.doctor.domain_health.mail_exchangers import Exchanger, Exchangers
from waypost.doctor.line_opening import World
from waypost.net.clock import SystemClock
from waypost.net.network import AsyncioNetwork
from waypost.net.records import TlsAssociation
from waypost.net.static_resolver import StaticResolver
from waypost.relay.certificates import self_signed

HOST = "mx.example.com"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path, HOST, dt.datetime.now(dt.UTC))


def der(certificate: Path) -> bytes:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)


def digests(certificate: bytes) -> dict[tuple[int, int], bytes]:
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        (selector, matching): made(data)
        for selector, data in ((0, certificate), (1, spki))
        for matching, made in (
            (0, bytes), (1, lambda d: hashlib.sha256(d).digest()),
            (2, lambda d: hashlib.sha512(d).digest()),
        )
    }  # fmt: skip


def test_each_way_to_pin_a_certificate_is_known(files: tuple[Path, Path]) -> None:
    certificate = der(files[0])
    for (selector, matching), data in digests(certificate).items():
        assert is_pinned(certificate, [TlsAssociation(3, selector, matching, data)])
        assert not is_pinned(certificate, [TlsAssociation(2, selector, matching, data)])
        assert not is_pinned(certificate, [TlsAssociation(3, 1 - selector, matching, data)])
    assert record_for(certificate) == f"3 1 1 {digests(certificate)[1, 1].hex()}"


def looked(files: tuple[Path, Path], record: str, *, starttls: bool = True) -> dict[str, Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            if line.startswith(b"STARTTLS") and starttls:
                writer.write(b"220 go\r\n")
                await writer.start_tls(context)
            else:
                writer.write(b"454 no\r\n" if line.startswith(b"STARTTLS") else b"250 x\r\n")
        writer.close()

    async def story() -> tuple[Finding, ...]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        name = f"_25._tcp.{HOST}"
        resolver = StaticResolver(records={(name, "TLSA"): [record]}, authenticated=[name])
        world = World(SystemClock(), AsyncioNetwork(), resolver)
        exchangers = Exchangers((Exchanger(10, HOST, ("127.0.0.1",)),), authenticated=True)
        async with server:
            return await look_at_dane(
                resolver, "example.com", exchangers, Live(world, inside=True, port=port)
            )

    return {finding.name: finding for finding in asyncio.run(story())}


def test_a_certificate_that_is_pinned_is_right(files: tuple[Path, Path]) -> None:
    assert set(looked(files, record_for(der(files[0])))) == {"dnssec.signed", "dane.found"}


def test_another_certificate_than_the_pinned_one_is_told(files: tuple[Path, Path]) -> None:
    found = looked(files, "3 1 1 " + "ab" * 32)
    suggestion = found["dane.mismatch"].suggestion
    assert suggestion is not None
    assert suggestion.value == record_for(der(files[0]))


def test_a_server_that_shows_none_leaves_it_unknown(files: tuple[Path, Path]) -> None:
    found = looked(files, "3 1 1 " + "ab" * 32, starttls=False)
    assert "refuses STARTTLS" in found["dane.not_compared"].evidence[0]


def test_an_authority_that_is_pinned_is_not_doubted(files: tuple[Path, Path]) -> None:
    assert "dane.mismatch" not in looked(files, "2 1 1 " + "ab" * 32)
