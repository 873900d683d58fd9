"""The logging handler: the program goes on, floods are one mail, nothing is lost at its end."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import pytest
from scripted_server import ScriptedServer, scripted

from waypost import Mailer
from waypost.compat.logging import MailHandler
from waypost.errors import ConfigurationError, InvalidMessage

log = logging.getLogger("app.test")
log.propagate = False


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted() as one:
        yield one
    log.handlers.clear()


def handler(server: ScriptedServer, **more: Any) -> MailHandler:
    given: dict[str, Any] = {
        "from_": "app@example.com", "to": ["ops@example.com"], "gather": 0.0, "interval": 0.0,
        "grace": 20.0, "subject": "[shop]",
    }  # fmt: skip
    one = MailHandler(f"smtp+plain://127.0.0.1:{server.port}", **(given | more))
    log.addHandler(one)
    return one


def mails(server: ScriptedServer) -> list[EmailMessage]:
    return [
        cast("EmailMessage", message_from_bytes(one, policy=policy.default))
        for one in server.messages
    ]


def test_an_error_is_mailed_with_its_traceback(server: ScriptedServer) -> None:
    one = handler(server)
    try:
        raise ValueError("broken Zoë")
    except ValueError:
        log.exception("order %d failed", 7)
    log.warning("not this")
    one.close()
    (mail,) = mails(server)
    assert mail["Subject"] == "[shop] ERROR app.test: order 7 failed"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "order 7 failed" in text
    assert "ValueError: broken Zoë" in text
    assert "not this" not in text


def test_a_flood_is_one_mail_and_one_entry(server: ScriptedServer) -> None:
    one = handler(server, gather=60.0)
    for number in range(5000):
        log.error("database away, attempt %d", number)
    one.close()
    (mail,) = mails(server)
    assert "(repeated: 5000 times in all)" in mail.get_content()


def test_what_does_not_fit_is_counted(server: ScriptedServer) -> None:
    one = handler(server, gather=60.0, capacity=10)
    for number in range(25):
        words = "different" + "." * number
        log.error(words)
    one.close()
    (mail,) = mails(server)
    assert mail["Subject"].endswith("(and 9 more)")
    assert "15 more records were left out" in mail.get_content()


def test_a_mail_after_another_waits_and_takes_with_it_what_came(server: ScriptedServer) -> None:
    one = handler(server, interval=300.0)
    log.error("first")
    until = time.monotonic() + 20
    while not server.messages and time.monotonic() < until:
        time.sleep(0.01)
    log.error("second")
    log.error("third")
    time.sleep(0.1)
    assert len(server.messages) == 1
    one.flush()
    assert [mail["Subject"] for mail in mails(server)] == [
        "[shop] ERROR app.test: first",
        "[shop] ERROR app.test: second (and 1 more)",
    ]
    one.close()


def test_a_server_that_is_silent_does_not_hold_up_the_program(
    server: ScriptedServer,
) -> None:
    server.answers[""] = [b""]  # no greeting, ever
    one = handler(server, grace=0.2)
    begun = time.monotonic()
    for number in range(1000):
        words = "number" + "." * (number % 50)
        log.error(words)
    assert time.monotonic() - begun < 5
    one.close()
    assert time.monotonic() - begun < 30


def test_a_server_that_refuses_is_told_on_standard_error(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["mail"] = [b"550 5.7.1 not from you\r\n"]
    one = handler(server)
    log.error("one")
    one.close()
    assert "1 log entries could not be mailed" in capsys.readouterr().err


def test_what_is_logged_while_sending_feeds_nothing(server: ScriptedServer) -> None:
    class Chatty(Mailer):
        def send(self, *arguments: Any, **parts: Any) -> Any:
            log.error("sending")
            return super().send(*arguments, **parts)

    with Chatty(f"smtp+plain://127.0.0.1:{server.port}") as mailer:
        one = MailHandler(
            mailer, from_="a@example.com", to="b@example.com", gather=0.0, interval=0.0
        )
        log.addHandler(one)
        log.error("one")
        one.close()
    assert len(server.messages) == 1
    assert "sending" not in mails(server)[0].get_content()


@pytest.mark.parametrize("message", ["line\r\nBcc: victim@example.net", "\0\ud800 \u2028"])
def test_a_record_of_any_text_is_mailed(server: ScriptedServer, message: str) -> None:
    one = handler(server)
    log.error("%s", message)
    one.close()
    (mail,) = mails(server)
    assert mail["Bcc"] is None
    assert all(
        "RCPT TO:<ops@example.com>" in line.decode() for line in server.lines if line[:4] == b"RCPT"
    )


def test_many_threads_lose_nothing(server: ScriptedServer) -> None:
    one = handler(server, gather=60.0)
    threads = [
        threading.Thread(target=lambda: [log.error("from a thread") for _ in range(200)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    one.close()
    assert "(repeated: 1600 times in all)" in mails(server)[0].get_content()


def test_what_is_wrong_shows_at_the_start() -> None:
    with pytest.raises(InvalidMessage, match="is no address"):
        MailHandler("smtp+plain://127.0.0.1:1", from_="nobody", to="b@example.com")
    with pytest.raises(ConfigurationError):
        MailHandler("gopher://x", from_="a@example.com", to="b@example.com")


def test_a_program_that_ends_sends_what_is_left(server: ScriptedServer) -> None:
    program = f"""
import logging, logging.config
logging.config.dictConfig({{"version": 1, "root": {{"handlers": ["mail"]}}, "handlers": {{"mail": {{
    "class": "waypost.compat.logging.MailHandler", "via": "smtp+plain://127.0.0.1:{server.port}",
    "from_": "a@example.com", "to": ["b@example.com"], "level": "ERROR", "gather": 60.0}}}}}})
logging.error("last words")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "last words" in mails(server)[0].get_content()
