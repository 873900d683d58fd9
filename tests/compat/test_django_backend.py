"""Django's EMAIL_BACKEND over a mailer: its own tests where its source is, and what is ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.conf import settings
from scripted_server import ScriptedServer, scripted

if not settings.configured:
    settings.configure(USE_I18N=False)
    django.setup()

from django.core import mail
from django.test import override_settings

from waypost.compat.django import EmailBackend
from waypost.errors import ConnectionFailed, RecipientRefused, WaypostError

BACKEND = "waypost.compat.django.EmailBackend"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with (
        scripted() as one,
        override_settings(
            EMAIL_BACKEND=BACKEND, EMAIL_HOST="127.0.0.1", EMAIL_PORT=one.port, WAYPOST={"retry": 1}
        ),
    ):
        yield one


SOURCE = os.environ.get("DJANGO_TESTS", "")


@pytest.mark.peer
@pytest.mark.skipif(not SOURCE, reason="DJANGO_TESTS names no tests folder of Django's source")
def test_the_tests_of_django_pass() -> None:
    script = Path(__file__).with_name("django_own_tests.py")
    done = subprocess.run(
        [sys.executable, str(script), SOURCE], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert found is not None
    assert int(found[1]) >= 18


def message(number: int = 0, **more: object) -> mail.EmailMessage:
    given = {"to": ["b@example.org"], **more}
    return mail.EmailMessage(f"Subject {number}", "Content", "a@example.com", **given)  # type: ignore[arg-type]


def test_a_view_sends_by_djangos_own_function(server: ScriptedServer) -> None:
    assert mail.send_mail("Hello", "Hi Zoë", "App <a@example.com>", ["Zoë <z@bücher.example>"]) == 1
    assert b"MAIL FROM:<a@example.com>" in [line[:25] for line in server.lines]
    assert b"RCPT TO:<z@xn--bcher-kva.example>" in server.lines
    assert b"Subject: Hello\r\n" in server.messages[0]


def test_bcc_receives_and_is_not_written(server: ScriptedServer) -> None:
    message(bcc=["secret@example.net"]).send()
    assert b"RCPT TO:<secret@example.net>" in server.lines
    assert b"secret" not in server.messages[0]


def test_many_messages_go_over_few_connections(server: ScriptedServer) -> None:
    assert mail.get_connection().send_messages([message(n) for n in range(30)]) == 30
    assert mail.get_connection().send_messages([message(n) for n in range(30)]) == 30
    assert len(server.messages) == 60
    assert sum(line[:4] == b"EHLO" for line in server.lines) <= 10


def test_every_message_is_tried_before_the_first_failure_is_raised(server: ScriptedServer) -> None:
    server.answers["rcpt"] = [b"250 ok\r\n", b"550 5.1.1 nobody here\r\n", b"250 ok\r\n"]
    with pytest.raises(RecipientRefused, match="nobody here"):
        mail.get_connection(pool_size=1).send_messages([message(n) for n in range(3)])
    assert len(server.messages) == 2


def test_a_silent_backend_counts_what_was_sent(server: ScriptedServer) -> None:
    server.answers["rcpt"] = [b"550 no\r\n", b"250 ok\r\n"]
    connection = mail.get_connection(fail_silently=True, pool_size=1)
    bad = message(to=["no address@"])
    assert connection.send_messages([message(), bad, message(), message(to=[])]) == 1


@pytest.mark.parametrize(
    "address",
    ["to@other.com@example.com", "to@other.com <to@example.com>", "@", "to@", "@example.com",
     '"evil@example.com\r\nto"@example.com', "to\nevil@example.com"],
)  # fmt: skip
def test_no_invalid_address_reaches_a_command(server: ScriptedServer, address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - Django's own, or ours, by where it is found
        message(bcc=[address]).send()
    assert server.lines == []


def test_a_message_without_recipients_is_not_sent(server: ScriptedServer) -> None:
    assert mail.get_connection().send_messages([message(to=[])]) == 0
    assert mail.get_connection().send_messages([]) == 0
    assert server.lines == []


def test_a_server_that_is_away_is_said() -> None:
    with scripted() as gone:
        port = gone.port
    with pytest.raises(ConnectionFailed, match="what to do"):
        EmailBackend(host="127.0.0.1", port=port, retry=1).send_messages([message()])
    silent = EmailBackend(host="127.0.0.1", port=port, retry=1, fail_silently=True)
    assert silent.send_messages([message()]) == 0


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "smtp+plain://localhost:25"),
        ({"EMAIL_HOST": "mail.example.com"}, "smtp://mail.example.com:25"),
        ({"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": 587, "EMAIL_USE_TLS": True,
          "EMAIL_HOST_USER": "a@b", "EMAIL_HOST_PASSWORD": "p/w"},
         "smtp://a%40b:p%2Fw@mail.example.com:587"),
        ({"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": 465, "EMAIL_USE_SSL": True},
         "smtps://mail.example.com:465"),
        ({"EMAIL_HOST": "::1"}, "smtp+plain://[::1]:25"),
        ({"WAYPOST_URL": "ses:eu-west-1", "EMAIL_HOST": "x"}, "ses:eu-west-1"),
    ],
)  # fmt: skip
def test_the_settings_that_are_there_are_used(given: dict[str, object], url: str) -> None:
    with override_settings(**given):
        assert EmailBackend().url == url


def test_settings_that_exclude_each_other_are_said() -> None:
    both = override_settings(EMAIL_USE_TLS=True, EMAIL_USE_SSL=True)
    with both, pytest.raises(ValueError, match="exclude each other"):
        EmailBackend()


def test_a_setting_that_cannot_be_used_shows_with_the_first_message() -> None:
    backend = EmailBackend(url="gopher://x")
    with pytest.raises(WaypostError):
        backend.send_messages([message()])
