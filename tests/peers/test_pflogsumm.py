"""pflogsumm, which has summed up Postfix's logs for decades, counts ours right."""

from __future__ import annotations

import re
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from relay_process import RelayProcess, free_port, wait_for
from waypost.testing import MailServer

pytestmark = pytest.mark.peer

PFLOGSUMM = shutil.which("pflogsumm", path="/usr/sbin:/usr/bin")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as made:
        made.fail(on="rcpt", recipient="gone@*", reply="550 5.1.1 No such user")
        made.fail(on="rcpt", recipient="later@*", reply="450 4.7.1 Greylisted, come back")
        yield made


@pytest.fixture
def relay(tmp_path: Path, server: MailServer) -> Iterator[RelayProcess]:
    port = free_port()
    made = RelayProcess(
        tmp_path,
        f"""
        [[listener]]
        address = "127.0.0.1:{port}"
        kind = "relay"
        [access]
        trusted_networks = []
        relay_domains = ["there.example"]
        [[route]]
        name = "default"
        via = "smtp+plain://127.0.0.1:{server.port}"
        """,
    )
    made.port = port  # type: ignore[attr-defined]
    text = made.path.read_text()
    made.path.write_text(text + f'mail = "maillog"\nmail_to = "{tmp_path}/mail.log"\n')
    made.start()
    try:
        yield made
    finally:
        made.kill()


def send(port: int, *recipients: str, sender: str = "shop@here.example") -> None:
    with smtplib.SMTP("127.0.0.1", port) as client, suppress(smtplib.SMTPRecipientsRefused):
        client.sendmail(sender, recipients, "Subject: x\r\n\r\nhello\r\n")


def counted(log: str) -> dict[str, str]:
    assert PFLOGSUMM is not None
    summed = subprocess.run(
        [PFLOGSUMM, "--problems-first"], input=log, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert not summed.stderr
    return {
        found[2]: found[1]
        for found in re.finditer(
            r"^ +(\d+) +([a-z][a-z ]*?[a-z])(?: +\(.*\))?$", summed.stdout, re.MULTILINE
        )
    } | {"text": summed.stdout}


@pytest.mark.skipif(PFLOGSUMM is None, reason="pflogsumm is not installed; make peers")
def test_its_counts_are_right(relay: RelayProcess, server: MailServer, tmp_path: Path) -> None:
    port: int = relay.port  # type: ignore[attr-defined]
    for number in range(7):
        send(port, f"user{number}@there.example")
    send(port, "gone@there.example", "user@there.example")
    send(port, "later@there.example")
    send(port, "stranger@elsewhere.example")
    log = tmp_path / "mail.log"

    def settled() -> bool:
        text = log.read_text() if log.exists() else ""
        return (
            text.count("status=sent") >= 9
            and "status=deferred" in text
            and "status=bounced" in text
            and "NOQUEUE" in text
        )

    wait_for("all has been logged", settled)
    moved = log.rename(tmp_path / "mail.log.1")
    relay.reload()
    send(port, "last@there.example")
    relay.stop()  # what is not written yet is, before it ends
    assert log.read_text().count("(queue active)") == 1
    totals = counted(moved.read_text())
    # The notice about gone@ is not received, but it is delivered; so Postfix has it, too.
    assert totals["received"] == "9", totals["text"]
    assert totals["delivered"] == "9"
    assert totals["deferred"] == "1"
    assert totals["bounced"] == "1"
    assert totals["rejected"] == "1"
    assert totals["senders"] == "1"
    assert "No such user" in totals["text"]
    assert "Greylisted, come back" in totals["text"]
    assert "no size information" not in totals["text"]
