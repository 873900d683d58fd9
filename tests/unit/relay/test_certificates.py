"""The relay's certificate: a broken file never replaces one that works, and each fault is named."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from waypost.relay.certificates import CertificateFault, ServerCertificates, self_signed

NOW = dt.datetime.now(dt.UTC)  # the handshake looks at the clock of this machine


def handshake(server: ssl.SSLContext, trusted: Path, name: str) -> ssl.SSLObject:
    """A whole handshake in memory; raises what the client finds wrong."""
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done = 0
    for _ in range(10):
        done = 0
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
        if done == 2:
            return ours
    raise AssertionError("the handshake does not end")


def touch_later(*paths: Path) -> None:
    """As if written a second later; the clock of a file system may be coarse."""
    for path in paths:
        moment = path.stat().st_mtime_ns + 1_000_000_000
        os.utime(path, ns=(moment, moment))


@pytest.mark.parametrize("name", ["relay.example.com", "localhost", "127.0.0.1", "::1"])
def test_a_self_signed_certificate_is_its_own_trust_anchor(tmp_path: Path, name: str) -> None:
    certificate, key = self_signed(tmp_path / "tls", "relay.example.com", NOW)
    certificates = ServerCertificates(certificate, key)
    assert handshake(certificates.context(), certificate, name).version() == "TLSv1.3"


def test_a_self_signed_certificate_is_for_no_other_name(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "relay.example.com", NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ServerCertificates(certificate, key).context(), certificate, "other.example")


def test_its_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    _, key = self_signed(tmp_path / "tls", "relay.example.com", NOW)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_it_is_made_anew_only_when_it_ends_soon_or_the_name_has_changed(tmp_path: Path) -> None:
    def made(hostname: str, now: dt.datetime) -> int:
        certificate, _ = self_signed(tmp_path, hostname, now)
        return x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number

    first = made("a.example", NOW)
    assert made("a.example", NOW + dt.timedelta(days=700)) == first
    second = made("a.example", NOW + dt.timedelta(days=800))
    assert second != first
    assert made("b.example", NOW + dt.timedelta(days=800)) != second
    (tmp_path / "self-signed.pem").write_text("damaged")
    assert made("b.example", NOW)


def test_a_changed_file_is_used_for_the_next_handshake(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "a", "a.example", NOW)
    certificates = ServerCertificates(certificate, key)
    before = certificates.context()
    assert certificates.context() is before
    other_certificate, other_key = self_signed(tmp_path / "b", "b.example", NOW)
    certificate.write_bytes(other_certificate.read_bytes())
    key.write_bytes(other_key.read_bytes())
    touch_later(certificate, key)
    assert certificates.context() is not before
    assert handshake(certificates.context(), certificate, "b.example")


def test_a_broken_file_does_not_replace_one_that_works(tmp_path: Path) -> None:
    reports: list[str] = []
    certificate, key = self_signed(tmp_path, "a.example", NOW)
    certificates = ServerCertificates(certificate, key, report=reports.append)
    before = certificates.context()
    good = certificate.read_bytes()
    certificate.write_text("half a certif")
    touch_later(certificate)
    for _ in range(3):
        assert certificates.context() is before
    assert len(reports) == 1  # once, not at each handshake
    assert "the certificate in use stays" in reports[0]
    certificate.unlink()
    assert certificates.context() is before
    assert "is gone" in reports[1]
    certificate.write_bytes(good)
    assert certificates.context() is not before


def test_half_of_a_change_is_no_change(tmp_path: Path) -> None:
    reports: list[str] = []
    certificate, key = self_signed(tmp_path / "a", "a.example", NOW)
    certificates = ServerCertificates(certificate, key, report=reports.append)
    before = certificates.context()
    other_certificate, other_key = self_signed(tmp_path / "b", "b.example", NOW)
    certificate.write_bytes(other_certificate.read_bytes())
    touch_later(certificate)
    assert certificates.context() is before
    key.write_bytes(other_key.read_bytes())
    touch_later(key)
    assert certificates.context() is not before


def test_what_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "a", "a.example", NOW)
    _, other_key = self_signed(tmp_path / "b", "b.example", NOW)
    locked = tmp_path / "locked.key"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for used_certificate, used_key, reason in (
        (tmp_path / "none.pem", key, "does not exist"),
        (certificate, tmp_path / "none.key", "does not exist"),
        (certificate, other_key, "cannot be used"),
        (key, certificate, "cannot be used"),
        (tmp_path, key, "cannot be used"),
        (certificate, locked, "passphrase"),
    ):
        with pytest.raises(CertificateFault, match=reason):
            ServerCertificates(used_certificate, used_key)


def test_a_key_that_others_can_read_is_reported(tmp_path: Path) -> None:
    reports: list[str] = []
    certificate, key = self_signed(tmp_path, "a.example", NOW)
    key.chmod(0o644)
    ServerCertificates(certificate, key, report=reports.append)
    assert "set its mode to 600" in reports[0]


def test_old_tls_is_refused(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "a.example", NOW)
    context = ServerCertificates(certificate, key).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
