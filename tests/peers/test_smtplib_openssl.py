"""Python's smtplib and `openssl s_client` submit to the relay."""

from __future__ import annotations

import os
import smtplib
import ssl
import subprocess
import time
from email.message import EmailMessage

import pytest
from peer_relay import OWNER, OWNER_PASSWORD, PASSWORD, USER, Peer, taken_apart
from programs import SECONDS, program

pytestmark = pytest.mark.peer

HEADER = (
    b"From: app@here.example\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@here.example>\r\nSubject: x\r\n\r\n"
)


def connected(port: int) -> smtplib.SMTP:
    client = smtplib.SMTP("localhost", port, local_hostname="client.example", timeout=60)
    client.ehlo()
    return client


def exchange(client: smtplib.SMTP, recipient: str, content: bytes, *options: str) -> None:
    """Send content that is CRLF lines already; smtplib adds the dots."""
    client.sendmail("app@here.example", [recipient], content, mail_options=options)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty", HEADER),
        ("one-dot", HEADER + b".\r\n"),
        ("dots", HEADER + b"..\r\n.a\r\n...\r\n\r\n.\r\n.\r\n"),
        ("no-final-crlf", HEADER + b"no end"),
        ("long-line", HEADER + b"x" * 100_000 + b"\r\n" + b"." + b"y" * 5000 + b"\r\n"),
        ("eight-bit", HEADER + bytes(b for b in range(256) if b not in (10, 13)) + b"\r\n"),
        ("nul", HEADER + b"a\0b\r\n\0\r\n"),
        ("blank-lines", HEADER + b"\r\n" * 50),
        ("many-fields", b"".join(b"X-%d: y\r\n" % n for n in range(900)) + HEADER + b"z\r\n"),
        ("folded", b"X-Folded: a\r\n b\r\n\tc\r\n" + HEADER + b"text\r\n"),
    ],
)
def test_what_the_next_hop_gets_is_what_was_submitted(
    peer: Peer, name: str, content: bytes
) -> None:
    recipient = f"bytes-{name}@there.example"
    with connected(peer.submission) as client:
        exchange(client, recipient, content, "BODY=8BITMIME")
    delivered = taken_apart(peer.sink.wait_for(recipient).content)
    wanted = content if content.endswith(b"\r\n") else content + b"\r\n"
    assert delivered.content == wanted
    assert delivered.added.count(b"Received:") == 1
    assert b"Message-ID" not in delivered.added
    assert b"Date:" not in delivered.added


def test_a_submission_without_date_and_message_id_gets_them(peer: Peer) -> None:
    content = b"Subject: x\r\n\r\nhi\r\n"
    with connected(peer.submission) as client:
        exchange(client, "adds@there.example", content)
    delivered = taken_apart(peer.sink.wait_for("adds@there.example").content)
    assert delivered.content == content
    assert b"\r\nMessage-ID: <" in delivered.added
    assert b"\r\nDate: " in delivered.added


def test_mail_from_other_servers_is_only_given_a_trace(peer: Peer) -> None:
    content = b"Subject: x\r\n\r\nhi\r\n"
    with connected(peer.relay) as client:
        exchange(client, "trace@there.example", content)
    received = peer.sink.wait_for("trace@there.example").content
    assert received.endswith(b"+0000\r\n" + content)
    assert received.startswith(b"Received: from client.example ([127.0.0.1])\r\n")


def test_a_message_without_a_header_keeps_its_first_line_as_text(peer: Peer) -> None:
    with connected(peer.submission) as client:
        exchange(client, "bare@there.example", b"just text\r\n")
    received = peer.sink.wait_for("bare@there.example").content
    assert received.endswith(b"\r\n\r\njust text\r\n")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_auth_in_the_clear_on_loopback(peer: Peer, mechanism: str) -> None:
    with connected(peer.submission) as client:
        client.user, client.password = USER, PASSWORD
        method = client.auth_plain if mechanism == "PLAIN" else client.auth_login
        assert client.auth(mechanism, method)[0] == 235
        exchange(client, f"clear-{mechanism}@there.example", HEADER)
    received = peer.sink.wait_for(f"clear-{mechanism}@there.example").content
    assert b"with ESMTPA id" in received


def test_no_auth_in_the_clear_elsewhere(peer: Peer) -> None:
    with connected(peer.anywhere) as client:
        assert not client.has_extn("auth")
        code, words = client.docmd("AUTH PLAIN", "AGEAYg==")
        assert (code, words[:6]) == (538, b"5.7.11")
        client.starttls(context=peer.tls())
        client.ehlo()
        assert "SCRAM-SHA-256 PLAIN LOGIN" in client.esmtp_features["auth"]
        client.login(USER, PASSWORD)


def test_a_wrong_password_is_answered_slowly_and_ever_more_so(peer: Peer) -> None:
    times = []
    with connected(peer.submission) as client:
        for password in ("wrong", "still wrong"):
            before = time.monotonic()
            client.user, client.password = "guessed", password
            with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
                client.auth("PLAIN", client.auth_plain)
            times.append(time.monotonic() - before)
            assert refusal.value.smtp_code == 535
            assert refusal.value.smtp_error.startswith(b"5.7.8")
        assert client.noop()[0] == 250
    assert times[0] >= 1.0
    assert times[1] >= 2.0


def test_smtps_and_its_version(peer: Peer) -> None:
    with smtplib.SMTP_SSL("localhost", peer.submissions, context=peer.tls(), timeout=60) as client:
        client.ehlo("client.example")
        assert not client.has_extn("starttls")
        assert client.has_extn("requiretls")
        exchange(client, "smtps@there.example", HEADER)
    assert b"(TLSv1.3 TLS_AES_" in peer.sink.wait_for("smtps@there.example").content


def test_smtputf8(peer: Peer) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "jörg@bücher.example", "δοκιμή@there.example"
    message["Subject"] = "Grüße"
    message.set_content("schön")
    with connected(peer.submission) as client:
        client.send_message(message)
    received = peer.sink.wait_for("δοκιμή@there.example")
    assert received.envelope.reverse_path == "jörg@bücher.example"
    assert received.envelope.smtputf8
    assert "Subject: Grüße\r\n".encode() in received.content
    assert b"with UTF8SMTP id" in received.content


def test_dsn_parameters_are_passed_on(peer: Peer) -> None:
    with connected(peer.submission) as client:
        client.sendmail(
            "app@here.example", ["dsn@there.example"], HEADER,
            mail_options=["RET=HDRS", "ENVID=a+2Bb"],
            rcpt_options=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;Dsn@There.example"],
        )  # fmt: skip
    envelope = peer.sink.wait_for("dsn@there.example").envelope
    assert (envelope.returned, envelope.envelope_id) == ("HDRS", "a+b")
    assert envelope.recipients[0].notify == frozenset({"FAILURE", "DELAY"})
    assert envelope.recipients[0].original == "rfc822;Dsn@There.example"


def test_a_large_message_in_chunks(peer: Peer) -> None:
    """CHUNKING, by a client of our own: smtplib knows no BDAT."""
    content = HEADER + os.urandom(3_000_000).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n"
    with connected(peer.submission) as client:
        assert client.has_extn("chunking")
        assert client.mail("app@here.example", ["BODY=8BITMIME"])[0] == 250
        assert client.rcpt("chunks@there.example")[0] == 250
        for start in range(0, len(content), 1_000_000):
            chunk = content[start : start + 1_000_000]
            last = " LAST" if start + len(chunk) == len(content) else ""
            client.send(b"BDAT %d%b\r\n" % (len(chunk), last.encode()) + chunk)
            assert client.getreply()[0] == 250
    delivered = taken_apart(peer.sink.wait_for("chunks@there.example").content)
    assert delivered.content == content


def test_many_large_messages_in_one_write(peer: Peer) -> None:
    """Chunks may be pipelined (RFC 3030 4.2): while one message is made durable, the next ones
    come, and what cannot be read yet makes the client wait."""
    contents = [HEADER + b"%d" % n * 600_000 + b"\r\n" for n in range(10)]
    group = b"".join(
        b"MAIL FROM:<app@here.example>\r\nRCPT TO:<group%d@there.example>\r\n"
        b"BDAT %d LAST\r\n%b" % (n, len(content), content)
        for n, content in enumerate(contents)
    )
    with connected(peer.submission) as client:
        client.send(group)
        for _ in contents:
            assert [client.getreply()[0] for _ in range(3)] == [250, 250, 250]
    for n, content in enumerate(contents):
        delivered = taken_apart(peer.sink.wait_for(f"group{n}@there.example").content)
        assert delivered.content == content


# --- who may send as whom, and where to -------------------------------------------------------


def test_a_user_with_addresses_of_its_own_may_use_no_other(strict: Peer) -> None:
    with connected(strict.submission) as client:
        client.login(OWNER, OWNER_PASSWORD)
        code, words = client.mail("boss@elsewhere.example")
        assert (code, words[:5]) == (553, b"5.7.1")
        assert b"not owned by user owner" in words
        exchange(client, "owned@there.example", HEADER)
    strict.sink.wait_for("owned@there.example")


def test_a_stranger_is_told_who_may_relay_and_how_to_be_let_in(strict: Peer) -> None:
    with connected(strict.relay) as client:
        client.mail("a@elsewhere.example")
        code, words = client.rcpt("b@there.example")
        assert (code, words[:5]) == (554, b"5.7.1")
        assert b"relay access denied" in words
        assert b"your address is 127.0.0.1" in words
        assert client.rcpt("ours@ours.example")[0] == 250
        assert client.rcpt("b%there.example@ours.example")[0] == 550


def test_a_submission_without_logging_in_is_refused_at_mail(strict: Peer) -> None:
    with connected(strict.submission) as client:
        code, words = client.mail("a@here.example")
        assert (code, words[:5]) == (530, b"5.7.0")
        assert b"STARTTLS, then AUTH" in words
        client.starttls(context=strict.tls())
        client.ehlo()
        assert b"STARTTLS" not in client.mail("a@here.example")[1]


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("no-at-sign", (553, b"5.1.3")),
        ("two@@there.example", (553, b"5.1.3")),
        ("dot..dot@there.example", (553, b"5.1.3")),
        ("a@-bad.example", (553, b"5.1.3")),
    ],
)
def test_a_recipient_that_is_no_address_is_refused_at_rcpt(
    peer: Peer, recipient: str, expected: tuple[int, bytes]
) -> None:
    with connected(peer.submission) as client:
        client.mail("a@here.example")
        code, words = client.docmd(f"RCPT TO:<{recipient}>")
        assert (code, words[:5]) == expected


def test_a_message_in_a_loop_is_refused(strict: Peer) -> None:
    content = b"Received: from a by b; Tue, 24 Nov 2026 10:00:00 +0000\r\n" * 21 + HEADER
    with connected(strict.relay) as client, pytest.raises(smtplib.SMTPDataError) as refusal:
        exchange(client, "loop@ours.example", content)
    assert (refusal.value.smtp_code, refusal.value.smtp_error[:5]) == (554, b"5.4.6")
    assert not strict.sink.for_recipient("loop@ours.example")


# --- openssl ----------------------------------------------------------------------------------


def s_client(peer: Peer, port: int, *options: str, given: bytes = b"QUIT\n") -> str:
    done = subprocess.run(
        [
            program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-crlf", "-quiet",
            "-CAfile", str(peer.certificate), "-verify_return_error", *options,
        ],
        input=given, capture_output=True, timeout=SECONDS,
    )  # fmt: skip
    return (done.stdout + done.stderr).decode(errors="replace")


def test_openssl_by_starttls(peer: Peer) -> None:
    said = s_client(peer, peer.submission, "-starttls", "smtp")
    assert "221 2.0.0" in said
    assert "verify error" not in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_by_tls_from_the_first_byte(peer: Peer, version: str) -> None:
    assert "220 relay.example" in s_client(peer, peer.submissions, version)


def test_old_versions_of_tls_are_refused(peer: Peer) -> None:
    said = s_client(peer, peer.submissions, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "220" not in said
    assert "error" in said


def test_a_failed_handshake_costs_only_its_own_connection(peer: Peer) -> None:
    with connected(peer.submission) as client, pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(context=ssl.create_default_context())
    with connected(peer.submission) as client:
        assert client.noop()[0] == 250
