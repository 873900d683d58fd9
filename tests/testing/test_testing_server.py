"""`waypost.testing`: the mail server of an application's tests."""

from __future__ import annotations

import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

import waypost
from waypost.errors import AuthenticationFailed, RecipientRefused
from waypost.testing import MailServer, NothingCame

LETTER = {"from_": "a@example.com", "to": "ann@example.org", "subject": "Hello", "text": "Hi"}


def letter(to: str = "ann@example.org") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", to, "Grüße"
    message.set_content("See https://example.com/a?b=1.\n")
    message.add_alternative("<a href='https://example.com/c'>c</a>", subtype="html")
    message.add_attachment(b"\x00\x01", maintype="application", subtype="x", filename="a.bin")
    return message


def send(server: MailServer, *messages: EmailMessage) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=20) as client:
        for message in messages or (letter(),):
            client.send_message(message)


def test_what_was_sent_is_seen_as_a_person_sees_it() -> None:
    with MailServer() as server:
        send(server)
        message = server.wait_for(to="ANN@example.org", subject="Grü")
    assert (message.sender, message.recipients) == ("a@example.com", ("ann@example.org",))
    assert message.subject == message["subject"] == "Grüße"
    assert message.text == "See https://example.com/a?b=1.\n"
    assert "<a href" in message.html
    assert message.links == ["https://example.com/a?b=1", "https://example.com/c"]
    assert message.attachments == {"a.bin": b"\x00\x01"}
    assert (message.user, message.tls) == (None, "")
    with pytest.raises(KeyError):
        message["X-None"]


def test_a_message_is_waited_for() -> None:
    with MailServer() as server:
        threading.Timer(0.1, send, (server,)).start()
        assert server.wait_for(sender="a@example.com").subject == "Grüße"
        assert len(server.wait_for_count(1)) == 1
        server.clear()
        server.assert_nothing_came()


def test_what_came_instead_is_told() -> None:
    with MailServer() as server:
        with pytest.raises(NothingCame, match="nothing came over 0 connections"):
            server.wait_for(to="ann@example.org", seconds=0.01)
        send(server)
        with pytest.raises(NothingCame, match=r"no message to 'bob@example.org'.*Grüße"):
            server.wait_for(to="bob@example.org", seconds=0.01)
        with pytest.raises(NothingCame, match="2 messages were waited for"):
            server.wait_for_count(2, seconds=0.01)
        with pytest.raises(AssertionError, match="Grüße"):
            server.assert_nothing_came()


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_the_librarys_mailer_gets_in_by_its_url(tls: str) -> None:
    with MailServer(tls=tls, users={"joe": "p@ss word"}, require_login=True) as server:  # type: ignore[arg-type]
        with waypost.Mailer(server.url) as mailer:
            mailer.send(**LETTER)  # type: ignore[arg-type]
        message = server.wait_for()
    assert message.user == "joe"
    assert message.tls.startswith("TLS" if tls != "none" else "")
    assert bool(message.tls) is (tls != "none")


def test_smtplib_over_starttls_with_the_certificate_verified() -> None:
    with MailServer(tls="starttls", users={"joe": "secret"}) as server:
        context = ssl.create_default_context(cafile=str(server.ca_file))
        with smtplib.SMTP("localhost", server.port, timeout=20) as client:
            client.starttls(context=context)
            client.login("joe", "secret")
            client.send_message(letter())
        assert server.wait_for().user == "joe"
        folder = Path(server.ca_file).parent
    assert not folder.exists()


def test_a_wrong_password_is_refused_and_nobody_else_may_send() -> None:
    with MailServer(users={"joe": "secret"}, require_login=True) as server:
        wrong = server.url.replace("secret", "wrong")
        with waypost.Mailer(wrong, retry=1) as mailer, pytest.raises(AuthenticationFailed):
            mailer.send(**LETTER)  # type: ignore[arg-type]
        with smtplib.SMTP(server.host, server.port, timeout=20) as client:
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                client.send_message(letter())
            assert refused.value.smtp_code == 530
        server.assert_nothing_came()


# --- faults ----------------------------------------------------------------------------------


def test_a_recipient_is_refused_by_rule() -> None:
    with MailServer() as server:
        server.fail(on="rcpt", recipient="bad@*", reply="550 5.1.1 No such user")
        with waypost.Mailer(server.url) as mailer:
            with pytest.raises(RecipientRefused, match="No such user"):
                mailer.send(**{**LETTER, "to": "bad@example.org"})  # type: ignore[arg-type]
            mailer.send(**LETTER)  # type: ignore[arg-type]
        assert [one.recipients for one in server.messages] == [("ann@example.org",)]


def test_a_greylist_passes_the_second_time() -> None:
    with MailServer() as server:
        server.fail(on="rcpt", reply="450 4.7.1 Greylisted", times=1)
        with smtplib.SMTP(server.host, server.port, timeout=20) as client:
            client.ehlo()
            client.mail("a@example.com")
            assert client.rcpt("ann@example.org") == (450, b"4.7.1 Greylisted")
            assert client.rcpt("ann@example.org")[0] == 250


COMMANDS: dict[str, Callable[[smtplib.SMTP], object]] = {
    "ehlo": lambda client: client.ehlo(),
    "mail": lambda client: client.mail("a@example.com"),
    "rcpt": lambda client: client.rcpt("b@example.org"),
    "data": lambda client: client.data(b"Subject: x\r\n\r\n"),
}


@pytest.mark.parametrize("on", ["connect", *COMMANDS, "content"])
def test_a_connection_is_dropped_at_any_command(on: str) -> None:
    with MailServer() as server:
        server.fail(on=on, drop=True)  # type: ignore[arg-type]
        last = ""
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):  # noqa: PT012
            client = smtplib.SMTP(server.host, server.port, timeout=20)
            for name, command in COMMANDS.items():
                last = name
                command(client)
        assert last == {"connect": "", "content": "data"}.get(on, on)
        kept = [one.trapped.acknowledged for one in server.messages]
        assert kept == ([False] if on == "content" else [])


@pytest.mark.parametrize("on", COMMANDS)
def test_an_answer_is_delayed_at_any_command(on: str) -> None:
    with MailServer() as server:
        server.fail(on=on, delay=0.3, times=1)  # type: ignore[arg-type]
        with smtplib.SMTP(server.host, server.port, timeout=20) as client:
            for name, command in COMMANDS.items():
                begun = time.monotonic()
                command(client)
                if name == on:
                    assert time.monotonic() - begun >= 0.3
        assert len(server.wait_for_count(1)) == 1


def test_421_closes_the_connection() -> None:
    with MailServer() as server:
        server.fail(on="mail", rate="1/minute", reply="421 4.7.0 Too fast")
        with smtplib.SMTP(server.host, server.port, timeout=20) as client:
            client.ehlo()
            assert client.mail("a@example.com")[0] == 250
            client.rset()
            assert client.mail("a@example.com")[0] == 421
            with pytest.raises(smtplib.SMTPServerDisconnected):
                client.noop()
        server.heal()
        send(server)


def test_a_server_that_turns_everybody_away_at_first() -> None:
    with MailServer() as server:
        server.fail(on="connect", reply="554 5.7.1 Go away", times=1)
        with pytest.raises(smtplib.SMTPConnectError):
            smtplib.SMTP(server.host, server.port, timeout=20)
        send(server)


def test_a_pipelining_client_is_answered_in_order_while_an_answer_is_delayed() -> None:
    with MailServer() as server:
        server.fail(on="rcpt", delay=0.2, times=1)
        with waypost.Mailer(server.url) as mailer:
            for result in mailer.send_many([LETTER] * 5):
                assert result
        assert len(server.messages) == 5


# --- life ------------------------------------------------------------------------------------


def test_a_server_stops_with_clients_still_there() -> None:
    server = MailServer().start()
    client = smtplib.SMTP(server.host, server.port, timeout=20)
    server.stop()
    server.stop()
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        client.noop()
    with pytest.raises(OSError, match="refused"):
        smtplib.SMTP(server.host, server.port, timeout=20)


def test_a_port_that_is_taken_is_told() -> None:
    with MailServer() as server, pytest.raises(OSError, match="in use"):
        MailServer(port=server.port).start()


def test_the_fixture_takes_what_the_library_sends(mailbox: MailServer) -> None:
    waypost.send(**LETTER)  # type: ignore[arg-type]
    assert mailbox.wait_for(to="ann@example.org").text == "Hi\n"
