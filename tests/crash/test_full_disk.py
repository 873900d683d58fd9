"""A disk that is full, or a quota that is used up: mail is refused for now, nothing that was
accepted suffers, and the relay goes on by itself when there is room."""

from __future__ import annotations

import shutil
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from relay_process import RelayProcess, content_of, free_port, submit_over, wait_for
from sink import Sink

pytestmark = pytest.mark.crash

MakeRelay = Callable[..., RelayProcess]
ENOUGH = 400
"""Messages, every tenth of 300 KiB: more than any disk or quota here takes."""


def submit_until_refused(port: int, first: int = 0) -> tuple[list[int], smtplib.SMTPException]:
    """The numbers that were accepted, and the refusal that ended it."""
    accepted: list[int] = []
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        for number in range(first, first + ENOUGH):
            try:
                submit_over(client, number)
            except smtplib.SMTPResponseException as refusal:
                return accepted, refusal
            accepted.append(number)
    raise AssertionError("it took everything")


def submits(port: int, number: int) -> bool:
    """Whether a message is accepted now."""
    with suppress(smtplib.SMTPResponseException), smtplib.SMTP("127.0.0.1", port) as client:
        submit_over(client, number)
        return True
    return False


def assert_arrived(sink: Sink, numbers: list[int]) -> None:
    contents = [one.content for one in sink.received]
    for number in numbers:
        copies = sum(content.endswith(content_of(number)) for content in contents)
        assert copies == 1, f"message {number} came {copies} times"


def test_a_used_up_quota_refuses_for_now_until_mail_has_left(
    make_relay: MakeRelay, port: int
) -> None:
    sink = Sink()
    sink.close()  # nobody listens yet
    relay = make_relay(port, sink.port, '[spool]\nquota = "3 MiB"\nminimum_free = 0\n').start()
    accepted, refusal = submit_until_refused(port)
    assert (refusal.args[0], refusal.args[1][:5]) == (452, b"4.3.1")
    sink = Sink(port=sink.port)
    try:
        relay.retry()
        wait_for("mail is taken again", lambda: submits(port, 1001))
        wait_for("all is delivered", lambda: not relay.queued())
        assert_arrived(sink, [*accepted, 1001])
        relay.stop()
    finally:
        sink.close()


def test_a_relay_without_room_says_so_in_its_log_and_not_for_every_client(
    make_relay: MakeRelay, port: int, tmp_path: Path
) -> None:
    relay = make_relay(port, port, '[spool]\nminimum_free = "900 TB"\n', tmp_path / "r").start()
    for number in range(3):
        assert not submits(port, number)
    assert len(relay.events("no mail is accepted: the spool has no room")) == 1
    relay.stop()


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own in memory."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be made here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "24m") as place:
        yield place


def test_a_disk_that_gets_full_is_left_its_minimum(
    make_relay: MakeRelay, port: int, disk: Path
) -> None:
    sink = Sink()
    sink.close()
    relay = make_relay(port, sink.port, '[spool]\nminimum_free = "12 MiB"\n', disk / "r").start()
    accepted, refusal = submit_until_refused(port)
    assert (refusal.args[0], refusal.args[1][:5]) == (452, b"4.3.1")
    # What failed attempts write of themselves is not counted beforehand, hence not exactly 12.
    assert shutil.disk_usage(disk).free > 4 * 1024 * 1024
    sink = Sink(port=sink.port)
    try:
        relay.retry()
        wait_for("all is delivered", lambda: not relay.queued())
        wait_for("mail is taken again", lambda: submits(port, 1001))
        wait_for("that is delivered", lambda: not relay.queued())
        assert_arrived(sink, [*accepted, 1001])
        relay.stop()
    finally:
        sink.close()


@pytest.mark.parametrize("after_restart", [False, True])
def test_a_disk_that_others_fill_to_the_last_byte_costs_no_accepted_mail(
    make_relay: MakeRelay, port: int, disk: Path, after_restart: bool
) -> None:
    sink = Sink()
    sink.close()
    relay = make_relay(port, sink.port, "[spool]\nminimum_free = 0\n", disk / "r").start()
    before = list(range(20))
    with smtplib.SMTP("127.0.0.1", port) as client:
        for number in before:
            submit_over(client, number)
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    accepted, refusal = submit_until_refused(port, 100)
    assert refusal.args[0] in (451, 452)
    assert relay.runs
    if after_restart:
        relay.kill()
    ballast.unlink()
    sink = Sink(port=sink.port)
    try:
        if after_restart:
            relay.start()
        else:
            relay.retry()
        wait_for("mail is taken again", lambda: submits(port, 1001))
        wait_for("all is delivered", lambda: not relay.queued())
        assert_arrived(sink, [*before, *accepted, 1001])
        relay.stop()
    finally:
        sink.close()


def test_two_relays_never_share_a_spool(make_relay: MakeRelay, tmp_path: Path, port: int) -> None:
    sink = Sink()
    try:
        first = make_relay(port, sink.port).start()
        second = make_relay(free_port(), sink.port)
        second.data.parent.mkdir(exist_ok=True)
        second.path.write_text(second.path.read_text().replace(str(second.data), str(first.data)))
        with pytest.raises(AssertionError, match="in use"):
            second.start()
        submit_over(smtplib.SMTP("127.0.0.1", port), 1)
        sink.wait_for("someone@there.example")
        first.stop()
    finally:
        sink.close()
