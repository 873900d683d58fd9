"""swaks, curl and msmtp submit to the relay, as people do from a shell."""

from __future__ import annotations

import os
from email.message import EmailMessage
from pathlib import Path

import pytest
from peer_relay import PASSWORD, USER, Peer, taken_apart
from programs import program, run

from relay_process import has_ipv6

pytestmark = pytest.mark.peer

PLAIN = (
    b"From: app@here.example\r\nTo: you@there.example\r\nSubject: Hello\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@here.example>\r\n\r\n"
    b".dot\r\n..dots\r\n.\r\nend\r\n"
)


# --- swaks ----------------------------------------------------------------------------------


def swaks(port: int, recipient: str, *options: str, expected: int | None = 0) -> str:
    arguments = ["--server", "127.0.0.1", "--port", str(port), "--ehlo", "client.example"]
    arguments += ["--from", "app@here.example", "--to", recipient, *options]
    return run(program("swaks"), *arguments, expected=expected)


def needs_tls_of_swaks() -> None:
    if "TLS not available" in run(program("swaks"), "--support"):
        pytest.skip("swaks has no TLS here; on Debian libnet-ssleay-perl brings it")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_by_starttls_and_auth(peer: Peer, mechanism: str) -> None:
    needs_tls_of_swaks()
    recipient = f"swaks-{mechanism.lower()}@there.example"
    said = swaks(
        peer.anywhere, recipient, "--tls", "--auth", mechanism,
        "--auth-user", USER, "--auth-password", PASSWORD,
    )  # fmt: skip
    assert "235 2.7.0" in said
    received = peer.sink.wait_for(recipient)
    assert b"with ESMTPSA id" in received.content
    assert received.envelope.reverse_path == "app@here.example"


def test_swaks_by_tls_from_the_first_byte(peer: Peer) -> None:
    needs_tls_of_swaks()
    swaks(peer.submissions, "swaks-465@there.example", "--tls-on-connect")
    assert b"with ESMTPS id" in peer.sink.wait_for("swaks-465@there.example").content


def test_swaks_over_a_unix_socket(peer: Peer) -> None:
    run(
        program("swaks"), "--socket", peer.unix, "--ehlo", "client.example",
        "--from", "app@here.example", "--to", "swaks-unix@there.example",
    )  # fmt: skip
    assert b"(local)" in peer.sink.wait_for("swaks-unix@there.example").content


def test_swaks_pipelines(peer: Peer) -> None:
    said = swaks(peer.submission, "swaks-pipe@there.example", "--pipeline")
    assert said.count("250 2.1.5") == 1
    peer.sink.wait_for("swaks-pipe@there.example")


@pytest.mark.parametrize("version", ["1", "2"])
def test_swaks_behind_a_balancer_with_a_proxy_header(peer: Peer, version: str) -> None:
    recipient = f"swaks-proxy{version}@ours.example"
    said = swaks(
        peer.proxied, recipient, "--proxy-version", version, "--proxy-family",
        "TCP4" if version == "1" else "AF_INET", "--proxy-source", "192.0.2.1",
        "--proxy-source-port", "1000", "--proxy-dest", "192.0.2.2", "--proxy-dest-port", "25",
    )  # fmt: skip
    assert "250 2.0.0" in said
    assert b"from client.example ([192.0.2.1])" in peer.sink.wait_for(recipient).content


# --- curl -----------------------------------------------------------------------------------


def curl(url: str, recipient: str, content: bytes, *options: str | Path) -> str:
    return run(
        program("curl"), "--silent", "--show-error", "--verbose", url,
        "--mail-from", "app@here.example", "--mail-rcpt", recipient, "--upload-file", "-",
        *options, given=content,
    )  # fmt: skip


def test_curl_in_the_clear_byte_for_byte(peer: Peer) -> None:
    curl(f"smtp://127.0.0.1:{peer.submission}", "curl@there.example", PLAIN)
    delivered = taken_apart(peer.sink.wait_for("curl@there.example").content)
    assert delivered.content == PLAIN
    assert b"Date:" not in delivered.added


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_curl_by_starttls_and_auth(peer: Peer, mechanism: str) -> None:
    recipient = f"curl-{mechanism.lower()}@there.example"
    if mechanism.startswith("SCRAM") and "gsasl" not in run(program("curl"), "--version"):
        pytest.skip("this curl is built without SCRAM")
    curl(
        f"smtp://127.0.0.1:{peer.anywhere}/client.example", recipient, PLAIN, "--ssl-reqd",
        "--cacert", peer.certificate, "--user", f"{USER}:{PASSWORD}",
        "--login-options", f"AUTH={mechanism}",
    )  # fmt: skip
    received = peer.sink.wait_for(recipient)
    assert b"with ESMTPSA id" in received.content
    assert taken_apart(received.content).content == PLAIN


def test_curl_by_smtps(peer: Peer) -> None:
    curl(
        f"smtps://localhost:{peer.submissions}", "curl-465@there.example", PLAIN, "--ipv4",
        "--cacert", peer.certificate,
    )  # fmt: skip
    assert b"with ESMTPS id" in peer.sink.wait_for("curl-465@there.example").content


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_curl_over_ipv6(peer: Peer) -> None:
    curl(f"smtp://[::1]:{peer.ipv6}", "curl-6@there.example", PLAIN)
    assert b"([IPv6:::1])" in peer.sink.wait_for("curl-6@there.example").content


def test_curl_is_told_that_the_password_is_wrong_after_a_while(peer: Peer) -> None:
    said = run(
        program("curl"), "--silent", "--verbose", "--write-out", "%{time_total}",
        f"smtp://127.0.0.1:{peer.anywhere}", "--ssl-reqd", "--cacert", peer.certificate,
        "--user", f"{USER}:wrong", "--mail-from", "a@here.example", "--mail-rcpt",
        "no@there.example", "--upload-file", "-", given=PLAIN, expected=67,
    )  # fmt: skip
    assert "535 5.7.8" in said
    assert float(said.split()[-1]) >= 1.0, "no tarpit"


# --- msmtp ----------------------------------------------------------------------------------


def msmtp(
    folder: Path, recipient: str, content: bytes, *, expected: int = 0, **settings: object
) -> str:
    lines = {"host": "127.0.0.1", "from": "app@here.example", "domain": "client.example"}
    folder.mkdir(exist_ok=True)
    configuration = folder / "msmtprc"
    configuration.write_text(
        "account default\n" + "".join(f"{k} {v}\n" for k, v in {**lines, **settings}.items())
    )
    configuration.chmod(0o600)
    return run(
        program("msmtp"), "-v", "-C", configuration, recipient,
        given=content, environment={"HOME": str(folder)}, expected=expected,
    )  # fmt: skip


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp_by_starttls_and_auth(peer: Peer, tmp_path: Path, mechanism: str) -> None:
    if mechanism.startswith("scram") and mechanism not in run(program("msmtp"), "--version"):
        pytest.skip("this msmtp is built without SCRAM")
    recipient = f"msmtp-{mechanism}@there.example"
    msmtp(
        tmp_path, recipient, PLAIN.replace(b"\r\n", b"\n"), port=peer.anywhere, tls="on",
        tls_trust_file=peer.certificate, auth=mechanism, user=USER,
        passwordeval=f'echo "{PASSWORD}"',
    )  # fmt: skip
    received = peer.sink.wait_for(recipient)
    assert b"with ESMTPSA id" in received.content
    assert taken_apart(received.content).content == PLAIN


def test_msmtp_is_told_that_the_password_is_wrong_whatever_the_mechanism(
    peer: Peer, tmp_path: Path
) -> None:
    offered = run(program("msmtp"), "--version")
    for mechanism in ("plain", "scram-sha-256"):
        if mechanism in offered:
            said = msmtp(
                tmp_path, "no@there.example", PLAIN, port=peer.anywhere, tls="on",
                tls_trust_file=peer.certificate, auth=mechanism, user=f"guess-{mechanism}",
                passwordeval="echo wrong", expected=77,
            )  # fmt: skip
            assert "535 5.7.8 Authentication failed" in said
    assert not peer.sink.for_recipient("no@there.example")


def test_msmtp_by_tls_from_the_first_byte(peer: Peer, tmp_path: Path) -> None:
    msmtp(
        tmp_path, "msmtp-465@there.example", PLAIN.replace(b"\r\n", b"\n"),
        port=peer.submissions, tls="on", tls_starttls="off", tls_trust_file=peer.certificate,
    )  # fmt: skip
    delivered = taken_apart(peer.sink.wait_for("msmtp-465@there.example").content)
    assert delivered.content == PLAIN


def test_msmtp_as_sendmail_of_php(peer: Peer, tmp_path: Path) -> None:
    """PHP's mail() by way of a sendmail; Windows' php.ini speaks SMTP to us by itself."""
    php = program("php")
    (tmp_path / "msmtprc").write_text(
        f"account default\nhost 127.0.0.1\nport {peer.submission}\nfrom app@here.example\n"
    )
    (tmp_path / "msmtprc").chmod(0o600)
    run(
        php, "-d", f"sendmail_path={program('msmtp')} -C {tmp_path / 'msmtprc'} -t",
        "-r", "exit(mail('php@there.example', 'Hello', \"one\\ntwo\\n\") ? 0 : 1);",
        environment={"HOME": str(tmp_path)},
    )  # fmt: skip
    content = peer.sink.wait_for("php@there.example").content
    assert b"Subject: Hello\r\n" in content
    assert b"\r\n\r\none\r\ntwo\r\n" in content


def test_a_large_attachment_byte_for_byte(peer: Peer) -> None:
    attachment = os.urandom(25 * 1024 * 1024)
    message = EmailMessage()
    message["From"], message["To"] = "app@here.example", "large@there.example"
    message["Subject"], message["Date"] = "Large", "Tue, 24 Nov 2026 10:00:00 +0000"
    message["Message-ID"] = "<large@here.example>"
    message.set_content("See attachment.")
    message.add_attachment(
        attachment, maintype="application", subtype="octet-stream", filename="large.bin"
    )
    content = message.as_bytes().replace(b"\n", b"\r\n")
    curl(f"smtp://127.0.0.1:{peer.submission}", "large@there.example", content)
    delivered = taken_apart(peer.sink.wait_for("large@there.example").content)
    assert delivered.content == content
