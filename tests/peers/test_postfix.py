"""Postfix sends to the relay, and the relay to Postfix."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import pytest
from peer_relay import PASSWORD, USER, Peer, made_certificate, taken_apart

from postfix import Postfix, running_postfix
from relay_process import RelayProcess, free_port, wait_for

pytestmark = pytest.mark.peer

HEADER = (
    b"From: app@here.example\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <%b@here.example>\r\nSubject: x\r\n\r\n"
)


# --- Postfix in front -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_front(tmp_path_factory: pytest.TempPathFactory, peer: Peer) -> Iterator[Postfix]:
    """relayhost is a relay of ours; it verifies our certificate and logs in."""
    folder = tmp_path_factory.mktemp("postfix-front")
    more = (
        f"relayhost = [127.0.0.1]:{peer.anywhere}\n"
        "smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = localhost\n"
        f"smtp_tls_CAfile = {peer.certificate}\n"
        "smtp_sasl_auth_enable = yes\nsmtp_sasl_tls_security_options = noanonymous\n"
        f"smtp_sasl_password_maps = static:{{{USER}:{PASSWORD}}}\n"
        "smtp_sasl_mechanism_filter = plain, login, scram-sha-256\n"
        "smtp_line_length_limit = 0\n"
    )
    with running_postfix(folder, more) as made:
        yield made


def test_postfix_logs_in_under_verified_tls(in_front: Postfix, peer: Peer) -> None:
    in_front.submit("front@there.example", b"Subject: x\n\nby sendmail\n")
    received = peer.sink.wait_for("front@there.example")
    assert b"with ESMTPSA id" in received.content
    assert b"from postfix.example ([127.0.0.1])\r\n\t(TLSv1.3 " in received.content
    assert received.content.endswith(b"\r\n\r\nby sendmail\r\n")
    wait_for("it is noted", lambda: "status=sent (250 2.0.0 Ok: queued as" in in_front.log())


def test_postfix_sends_chunks_and_eight_bits(in_front: Postfix, peer: Peer) -> None:
    body = "häßlich\n.\n..\n".encode() + b"x" * 5000 + b"\n"
    in_front.submit("chunks-front@there.example", b"Subject: x\n\n" + body, "-B", "8BITMIME")
    received = peer.sink.wait_for("chunks-front@there.example")
    assert received.content.endswith(b"\r\n\r\n" + body.replace(b"\n", b"\r\n"))
    assert received.envelope.body == "8BITMIME"


def test_postfix_passes_delivery_reports_on(in_front: Postfix, peer: Peer) -> None:
    in_front.submit(
        "dsn-front@there.example", b"Subject: x\n\nx\n", "-N", "failure,delay", "-V", "envelope-1",
        "-R", "hdrs",
    )  # fmt: skip
    envelope = peer.sink.wait_for("dsn-front@there.example").envelope
    assert envelope.recipients[0].notify == frozenset({"FAILURE", "DELAY"})
    assert (envelope.envelope_id, envelope.returned) == ("envelope-1", "HDRS")


def test_postfix_sends_international_addresses(in_front: Postfix, peer: Peer) -> None:
    in_front.submit("grüße@there.example", "Subject: ü\n\nü\n".encode(), "-O", "smtputf8")
    assert peer.sink.wait_for("grüße@there.example").envelope.smtputf8


# --- Postfix behind ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    """Our next hop, under TLS: takes mailbox.example, holds hold.example, refuses no.example."""
    folder = tmp_path_factory.mktemp("postfix-behind")
    certificate, key = made_certificate(folder / "tls")
    (folder / "access").write_text("/@hold\\.example$/ HOLD\n/@no\\.example$/ REJECT Not here\n")
    more = (
        f"smtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\n"
        "smtpd_tls_security_level = encrypt\nsmtpd_tls_received_header = yes\n"
        f"smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/access\n"
        "smtpd_discard_ehlo_keywords =\n"
    )
    with running_postfix(folder, more) as made:
        yield made


@pytest.fixture(scope="module")
def through(
    tmp_path_factory: pytest.TempPathFactory, behind: Postfix
) -> Iterator[tuple[RelayProcess, int]]:
    """A relay whose route leads to Postfix by STARTTLS, verified; and its port."""
    port = free_port()
    authority = behind.folder / "tls"
    (certificate,) = [path for path in authority.iterdir() if "key" not in path.name]
    relay = RelayProcess(
        tmp_path_factory.mktemp("through"),
        f'[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "submission"\n'
        f'[[route]]\nname = "postfix"\nvia = "smtp://localhost:{behind.port}'
        f'?verify=yes&ca_file={certificate}"\n',
    )
    relay.start()
    yield relay, port
    relay.stop()


def send(
    port: int, recipient: str, content: bytes, *options: str, rcpt: tuple[str, ...] = ()
) -> None:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=60) as client:
        client.sendmail("app@here.example", [recipient], content, options, rcpt)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"plain", b"hello\r\n"),
        (b"dots", b".\r\n..\r\n.a\r\n\r\n.\r\n"),
        (b"eight-bit", bytes(b for b in range(128, 256)) + b"\r\n"),
        (b"long-line", b"x" * 20_000 + b"\r\n"),
        (b"large", b"0123456789abcdef" * 4 + b"\r\n" + b"y" * 78 * 1024 + b"\r\n"),
        (b"huge", (b"z" * 76 + b"\r\n") * (25 * 1024 * 1024 // 78)),
    ],
)
def test_postfix_gets_byte_for_byte_what_was_submitted(
    behind: Postfix, through: tuple[RelayProcess, int], name: bytes, body: bytes
) -> None:
    content = HEADER % name + body
    send(through[1], "inbox@mailbox.example", content, "BODY=8BITMIME")
    stored = behind.delivered(b"<" + name + b"@here.example>").replace(b"\n", b"\r\n")
    start = stored.index(b"Received: from client.example ([127.0.0.1])")
    assert taken_apart(stored[start:]).content == content
    theirs = stored[:start].replace(b"\r\n\t", b" ")
    assert b"Return-Path: <app@here.example>" in theirs
    assert b"from relay.example (unknown [127.0.0.1])" in theirs
    assert b"using TLSv1.3" in theirs


def test_postfix_takes_it_in_chunks(through: tuple[RelayProcess, int]) -> None:
    """Runs after those above: what was said to Postfix stands in the transcripts."""
    transcripts = [row[0] for row in through[0].query("SELECT transcript FROM attempt")]
    assert transcripts
    assert all("BDAT" in one for one in transcripts), transcripts[0]


def test_postfix_gets_the_delivery_report_parameters(
    behind: Postfix, through: tuple[RelayProcess, int]
) -> None:
    send(
        through[1], "a@hold.example", HEADER % b"held" + b"x\r\n", "RET=HDRS", "ENVID=e-2",
        rcpt=("NOTIFY=FAILURE", "ORCPT=rfc822;original@hold.example"),
    )  # fmt: skip
    wait_for("Postfix holds it", lambda: bool(behind.on_hold()))
    (held,) = behind.on_hold()
    assert "dsn_envid" in held or "e-2" in held
    assert "rfc822;original@hold.example" in held


def test_postfix_refuses_and_the_sender_is_told(
    behind: Postfix, through: tuple[RelayProcess, int]
) -> None:
    with smtplib.SMTP("127.0.0.1", through[1], timeout=60) as client:
        client.sendmail(
            "back@mailbox.example", ["nobody@no.example"], HEADER % b"refused" + b"x\r\n"
        )
    bounce = behind.delivered(b"<refused@here.example>")
    assert b"Content-Type: multipart/report" in bounce
    assert b"Return-Path: <>" in bounce
    assert b"554 5.7.1" in bounce
    assert b"nobody@no.example" in bounce
