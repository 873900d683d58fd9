"""The drop-in for smtplib where it does more than the standard library's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import smtplib as original
import socket
import ssl
from email.message import EmailMessage
from pathlib import Path

import pytest
from scripted_server import ScriptedServer, scripted, self_signed

from waypost.compat import smtplib
from waypost.oauth import OAuth2

EHLO = b"250-here\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 SMTPUTF8\r\n"


def connected(server: ScriptedServer, **more: object) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", server.port, local_hostname="me.example", timeout=10, **more)  # type: ignore[arg-type]


def test_exceptions_are_those_of_the_standard_library() -> None:
    for name in smtplib.__all__:
        if name.endswith(("Error", "Exception", "Refused", "Disconnected")):
            assert getattr(smtplib, name) is getattr(original, name)
    assert set(original.__all__) <= set(smtplib.__all__)


def test_an_exception_says_what_to_do() -> None:
    with scripted(ehlo=EHLO, mail=b"530 5.7.0 Authentication required\r\n") as server:
        with pytest.raises(original.SMTPSenderRefused) as refused, connected(server) as client:
            client.sendmail("a@example.com", "b@example.org", "x")
        assert refused.value.smtp_code == 530
        assert refused.value.fix  # type: ignore[attr-defined]
        assert any("What to do:" in note for note in refused.value.__notes__)


def test_sender_and_recipients_go_in_one_write() -> None:
    with scripted(ehlo=EHLO) as server, connected(server) as client:
        client.sendmail("a@example.com", ["b@example.org", "c@example.org"], b"Hi\n.dot")
        together = (
            b"mail from:<a@example.com> size=8\r\n"
            b"rcpt to:<b@example.org>\r\nrcpt to:<c@example.org>\r\n"
        )
        assert together in server.reads
        assert server.messages == [b"Hi\r\n..dot\r\n"]


def test_more_recipients_than_buffers_hold_go_in_several_writes() -> None:
    with scripted(ehlo=EHLO) as server, connected(server) as client:
        many = [f"somebody-{n}@example.org" for n in range(950)]
        assert client.sendmail("a@example.com", many, b"Hi") == {}
        assert sum(line.startswith(b"rcpt") for line in server.lines) == 950


def test_a_subclass_with_commands_of_its_own_is_asked_for_each() -> None:
    asked: list[str] = []

    class Own(smtplib.SMTP):
        def rcpt(self, recip: str, options: object = ()) -> tuple[int, bytes]:
            asked.append(recip)
            return super().rcpt(recip)

    with scripted(ehlo=EHLO) as server, Own("127.0.0.1", server.port, "me.example") as client:
        client.sendmail("a@example.com", ["b@example.org", "c@example.org"], b"Hi")
    assert asked == ["b@example.org", "c@example.org"]


def test_those_refused_are_returned_and_the_rest_is_sent() -> None:
    answers = [b"250 ok\r\n", b"550 no\r\n", b"251 ok\r\n"]
    with scripted(ehlo=EHLO, rcpt=answers) as server, connected(server) as client:
        refused = client.sendmail(
            "a@example.com", ["b@x.example", "c@x.example", "d@x.example"], "x"
        )
        assert refused == {"c@x.example": (550, b"no")}
        assert len(server.messages) == 1


def test_bare_line_ends_in_bytes_smuggle_nothing() -> None:
    with scripted(ehlo=EHLO) as server, connected(server) as client:
        client.sendmail("a@example.com", "b@example.org", b"Hi\n.\nMAIL FROM:<x@y>\r.\rQUIT")
        assert server.messages == [b"Hi\r\n..\r\nMAIL FROM:<x@y>\r\n..\r\nQUIT\r\n"]


def test_a_message_object_goes_without_bcc_and_unchanged_itself() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"] = "a@example.com", "b@x.example", "c@x.example"
    message.set_content("Hi")
    before = message.as_bytes()
    with scripted(ehlo=EHLO) as server, connected(server) as client:
        assert client.send_message(message) == {}
        assert b"rcpt to:<c@x.example>" in server.lines
        assert b"c@x.example" not in server.messages[0]
    assert message.as_bytes() == before


def test_an_injected_field_is_refused() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.com", "b@x.example"
    message.set_raw("Subject", "x\r\nBcc: victim@example.net")
    with scripted(ehlo=EHLO) as server, connected(server) as client:
        said = "Subject: the value holds a line break"
        with pytest.raises(ValueError, match=said):
            client.send_message(message)


def test_an_international_domain_needs_no_smtputf8() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.com", "Zoë <z@bücher.example>"
    message.set_content("Hi")
    with scripted(ehlo=b"250 here\r\n") as server, connected(server) as client:
        client.send_message(message)
        client.sendmail("a@example.com", "z@bücher.example", "Hi")
        assert server.lines.count(b"rcpt to:<z@xn--bcher-kva.example>") == 2


# --- logging in ---------------------------------------------------------------------------------


def test_tokens_are_renewed_once_where_they_are_refused() -> None:
    tokens = iter(["old", "new", "never"])
    access = OAuth2("a@example.com", lambda: next(tokens))
    answers = [b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", b"235 in\r\n"]
    with scripted(ehlo=b"250-here\r\n250 AUTH XOAUTH2\r\n", auth=answers) as server:
        server.answers[""] = [b"220 here\r\n", b"535 5.7.8 expired\r\n"]  # then to an empty line
        with connected(server) as client:
            assert client.login("", access) == (235, b"in")
        sent = [base64.b64decode(line.split()[2]) for line in server.lines if line[:4] == b"AUTH"]
        assert sent == [
            b"user=a@example.com\x01auth=Bearer old\x01\x01",
            b"user=a@example.com\x01auth=Bearer new\x01\x01",
        ]


def test_a_token_is_no_password_for_a_server_without_oauth() -> None:
    with scripted(ehlo=b"250-here\r\n250 AUTH PLAIN\r\n") as server, connected(server) as client:
        access = OAuth2("a", lambda: "t")
        with pytest.raises(original.SMTPNotSupportedError) as refused:
            client.login("a", access)
        refused.match(r"takes no OAuth 2\.0")


def test_without_tls_the_password_is_not_shown_where_it_need_not_be() -> None:
    with scripted(
        ehlo=b"250-here\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n", auth=b"535 no\r\n"
    ) as server:
        with connected(server) as client, pytest.raises(original.SMTPAuthenticationError):
            client.login("a", "b")
        tried = [line.split()[1] for line in server.lines if line[:4] == b"AUTH"]
        assert tried == [b"CRAM-MD5", b"PLAIN", b"LOGIN"]


def test_a_server_has_to_prove_that_it_knows_the_secret() -> None:
    with scripted(
        ehlo=b"250-here\r\n250 AUTH SCRAM-SHA-256\r\n", auth=b"235 welcome\r\n"
    ) as server:
        client = connected(server)
        with pytest.raises(original.SMTPAuthenticationError, match="without proving"):
            client.login("a", "b")
        assert client.sock is None


def test_cram_md5_is_what_rfc_2195_says() -> None:
    client = smtplib.SMTP()
    client.user, client.password = "tim", "tanstaaftanstaaf"
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    digest = hmac.new(b"tanstaaftanstaaf", challenge, hashlib.md5).hexdigest()
    assert client.auth_cram_md5(challenge) == f"tim {digest}"
    assert digest == "b913a602c7eda7a495b4e6e7334d3890"


# --- TLS ----------------------------------------------------------------------------------------


def test_bytes_in_the_clear_behind_starttls_are_refused() -> None:
    offer = b"250-here\r\n250 STARTTLS\r\n"
    with scripted(ehlo=offer, starttls=b"220 go\r\n250 injected\r\n") as server:
        client = connected(server)
        with pytest.raises(original.SMTPServerDisconnected, match="in the clear"):
            client.starttls()
        assert client.sock is None


def test_certificates_are_verified_unless_a_context_says_otherwise(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    with scripted(tls=context) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            smtplib.SMTP_SSL("127.0.0.1", server.port, timeout=10)
        trusting = ssl.create_default_context(cafile=certificate)
        with smtplib.SMTP_SSL("127.0.0.1", server.port, timeout=10, context=trusting) as client:
            assert client.noop() == (250, b"ok")


# --- LMTP ---------------------------------------------------------------------------------------


def test_lmtp_reads_the_reply_of_every_recipient() -> None:
    dots = [b"250 a\r\n250 b\r\n", b"250 a\r\n552 full\r\n", b"552 full\r\n552 full\r\n"]
    both = ["b@x.example", "c@x.example"]
    with scripted(dot=dots) as server, smtplib.LMTP("127.0.0.1", server.port, "me") as client:
        assert client.sendmail("a@x.example", both, "Hi") == {}
        assert client.sendmail("a@x.example", both, "Hi") == {"c@x.example": (552, b"full")}
        with pytest.raises(original.SMTPDataError):
            client.sendmail("a@x.example", both, "Hi")
        assert client.noop() == (250, b"ok")


# --- a peer without measure ---------------------------------------------------------------------


@pytest.mark.parametrize("flood", [b"250-x\r\n" * 2000, b"250 " + b"x" * 9000])
def test_a_reply_without_an_end_is_cut(flood: bytes) -> None:
    with scripted(noop=flood) as server:
        client = connected(server)
        with pytest.raises(original.SMTPResponseException) as cut:
            client.noop()
        assert cut.value.smtp_code == 500
        assert client.sock is None


def test_a_silent_server_ends_in_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(original.SMTPServerDisconnected) as ended:
            smtplib.SMTP("127.0.0.1", port, timeout=0.2)
        ended.match("timed out")
