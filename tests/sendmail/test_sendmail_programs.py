"""Programs that call sendmail, and a relay that is there or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from relay_process import RelayProcess, free_port, wait_for
from sink import Sink

SENDMAIL = Path(sys.executable).with_name("waypost-sendmail")
LIMIT = 60.0
MESSAGE = b"From: shop@example.com\nTo: ann@example.org\nSubject: hello\n\ntext\n"


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def relay(tmp_path: Path, sink: Sink) -> Iterator[RelayProcess]:
    made = RelayProcess(
        tmp_path,
        f'[[listener]]\naddress = "127.0.0.1:{free_port()}"\n'
        f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
    )
    yield made
    made.kill()


def environment(relay: RelayProcess) -> dict[str, str]:
    return relay.environment | {"WAYPOST_CONFIG": str(relay.path)}


def sendmail(
    relay: RelayProcess, *arguments: str, given: bytes = MESSAGE, **more: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [SENDMAIL, *arguments], input=given, env=environment(relay) | more,
        capture_output=True, timeout=LIMIT,
    )  # fmt: skip


def test_a_running_relay_has_the_message_when_it_ends(relay: RelayProcess, sink: Sink) -> None:
    relay.start()

    ended = sendmail(relay, "-t", "-i", "-f", "bounces@example.com")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    received = sink.wait_for("ann@example.org")
    assert received.envelope.reverse_path == "bounces@example.com"
    assert received.content.endswith(b"Subject: hello\r\n\r\ntext\r\n")
    assert b"\r\nMessage-ID: <" in received.content


def test_without_a_relay_the_message_waits_for_it(relay: RelayProcess, sink: Sink) -> None:
    for number in range(3):
        ended = sendmail(relay, "-i", f"r{number}@example.org", "rest@example.org")
        assert (ended.returncode, ended.stderr) == (0, b"")
    assert len(list((relay.data / "drop").glob("*.mail"))) == 3

    relay.start()

    for number in range(3):
        assert sink.wait_for(f"r{number}@example.org").content.endswith(b"\r\n\r\ntext\r\n")
    wait_for("the drop is empty", lambda: not list((relay.data / "drop").iterdir()))
    assert len(sink.received) == 3


def test_what_the_drop_cannot_read_is_set_aside(relay: RelayProcess, sink: Sink) -> None:
    drop = relay.data / "drop"
    drop.mkdir(parents=True)
    (drop / "a.mail").write_bytes(b"no envelope\n")
    (drop / "b.mail").write_bytes(b"x" * 2_000_000)
    secret = relay.folder / "secret"
    secret.write_bytes(b'{"reverse_path": ""}\n')
    (drop / "c.mail").symlink_to(secret)
    os.mkfifo(drop / "d.mail")
    assert sendmail(relay, "ann@example.org").returncode == 0

    relay.start()

    sink.wait_for("ann@example.org")
    wait_for("they are set aside", lambda: len(list(drop.glob("*.unreadable"))) == 3)
    assert [one.name for one in drop.glob("*.mail")] == ["c.mail"]  # a link is not followed
    assert len(relay.events("a file of the drop cannot be read")) == 1


def test_a_sender_is_told_whom_the_relay_refused_from_the_drop(
    relay: RelayProcess, sink: Sink
) -> None:
    relay.start()
    subprocess.run(
        [SENDMAIL.with_name("waypost"), "suppress", "add", "gone@example.org",
         "--config", relay.path],
        env=relay.environment, check=True, capture_output=True, timeout=LIMIT,
    )  # fmt: skip
    relay.stop()
    ended = sendmail(relay, "-f", "shop@example.com", "gone@example.org", "ann@example.org")
    assert ended.returncode == 0

    relay.start()

    sink.wait_for("ann@example.org")
    notification = sink.wait_for("shop@example.com")
    assert notification.envelope.reverse_path == ""
    assert b"Final-Recipient: rfc822; gone@example.org" in notification.content
    assert b"suppression list" in notification.content
    assert sink.for_recipient("gone@example.org") == []


@pytest.mark.parametrize(
    ("arguments", "given", "code", "reason"),
    [
        ([], MESSAGE, 64, "nobody to send to"),
        (["-bd"], MESSAGE, 64, "waypost serve"),
        (["-t"], b"Subject: x\n\n", 65, "neither To nor Cc nor Bcc"),
        (["no address"], MESSAGE, 65, "is no address"),
        (["ann@example.org", "b@[999.1.1.1]"], MESSAGE, 65, "is no address"),
    ],
)
def test_exit_codes_of_wrong_input(
    relay: RelayProcess, arguments: Sequence[str], given: bytes, code: int, reason: str
) -> None:
    ended = sendmail(relay, *arguments, given=given)
    assert ended.returncode == code
    assert reason in ended.stderr.decode()
    assert len(ended.stderr.splitlines()) == 1


def test_refused_recipients_are_told(relay: RelayProcess) -> None:
    relay.start()
    subprocess.run(
        [SENDMAIL.with_name("waypost"), "suppress", "add", "gone@example.org",
         "--config", relay.path],
        env=relay.environment, check=True, capture_output=True, timeout=LIMIT,
    )  # fmt: skip
    ended = sendmail(relay, "gone@example.org")
    assert ended.returncode == 67
    assert b"<gone@example.org>: 550" in ended.stderr


def test_where_it_can_be_left_nowhere_it_is_tried_again_later(relay: RelayProcess) -> None:
    (relay.folder / "data").write_text("a file, where the folder should be")
    ended = sendmail(relay, "ann@example.org")
    assert ended.returncode == 75
    assert b"waypost serve" in ended.stderr


def test_php_mail(relay: RelayProcess, sink: Sink) -> None:
    php = shutil.which("php")
    if php is None:
        pytest.skip("php-cli is not installed")
    relay.start()
    script = (
        'exit(mail("ann@example.org", "From PHP", "line\\n.\\nend", '
        '"From: shop@example.com\\r\\nBcc: eve@example.net") ? 0 : 1);'
    )
    subprocess.run(
        [php, "-d", f"sendmail_path={SENDMAIL} -t -i", "-r", script],
        env=environment(relay), check=True, capture_output=True, timeout=LIMIT,
    )  # fmt: skip
    received = sink.wait_for("ann@example.org")
    assert b"\r\nSubject: From PHP\r\n" in received.content
    assert received.content.endswith(b"\r\n\r\nline\r\n.\r\nend\r\n")
    assert b"eve" not in received.content
    assert sink.for_recipient("eve@example.net")


def test_mutt(relay: RelayProcess, sink: Sink) -> None:
    mutt = shutil.which("mutt")
    if mutt is None:
        pytest.skip("mutt is not installed")
    relay.start()
    attached = relay.folder / "figures.csv"
    attached.write_text("a,b\n1,2\n")
    settings = relay.folder / "muttrc"
    settings.write_text(
        f'set sendmail = "{SENDMAIL} -oem -oi"\nset from = "joe@example.com"\n'
        "set use_envelope_from = yes\nset copy = no\n"
    )
    subprocess.run(
        [mutt, "-n", "-F", settings, "-s", "From mutt", "-a", attached, "--", "ann@example.org"],
        input=b"Good morning.\n", env=environment(relay), check=True, capture_output=True,
        timeout=LIMIT,
    )  # fmt: skip
    received = sink.wait_for("ann@example.org")
    assert received.envelope.reverse_path == "joe@example.com"
    assert b"\r\nSubject: From mutt\r\n" in received.content
    assert b"figures.csv" in received.content


def test_a_job_of_cron(relay: RelayProcess, sink: Sink) -> None:
    """As Debian's cron calls sendmail and writes to it."""
    relay.start()
    report = (
        b"From: root (Cron Daemon)\nTo: ops@example.org\n"
        b"Subject: Cron <root@host> /usr/local/bin/backup\nMIME-Version: 1.0\n"
        b"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"
        b"X-Cron-Env: <SHELL=/bin/sh>\n\nbackup: 2 \xc3\xbc\n"
    )
    ended = sendmail(
        relay, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "ops@example.org", given=report
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    received = sink.wait_for("ops@example.org")
    assert received.content.endswith(b"\r\n\r\nbackup: 2 \xc3\xbc\r\n")
    assert b"From: root@" in received.content or b"root (Cron Daemon)" in received.content


def test_swaks_speaks_smtp_with_it(relay: RelayProcess, sink: Sink) -> None:
    swaks = shutil.which("swaks")
    if swaks is None:
        pytest.skip("swaks is not installed")
    relay.start()
    subprocess.run(
        [swaks, "--pipe", f"{SENDMAIL} -bs", "--to", "ann@example.org",
         "--from", "joe@example.com"],
        env=environment(relay), check=True, capture_output=True, timeout=LIMIT,
    )  # fmt: skip
    assert sink.wait_for("ann@example.org").envelope.reverse_path == "joe@example.com"


def test_smtp_on_standard_input_without_a_relay(relay: RelayProcess) -> None:
    ended = sendmail(relay, "-bs", given=b"")
    assert ended.returncode == 75
    assert ended.stdout.startswith(b"421 4.3.2 ")


def test_the_queue_as_mailq_shows_it(relay: RelayProcess) -> None:
    relay.start()
    ended = sendmail(relay, "-bp")
    assert ended.returncode == 0, ended.stderr
