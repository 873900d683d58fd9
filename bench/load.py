"""The two ends of every run: smtp-source in front, smtp-sink behind. Both come with Postfix."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from processes import BenchError, group_of, wait_for

SENDER = "app@example.com"
RECIPIENT = "someone@example.org"
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def program(name: str) -> str:
    """The path of a program. Raises BenchError where it is not installed."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise BenchError(
            f"{name} is not installed; `make bench` as root on Debian installs it, or: "
            "apt-get install postfix strace"
        )
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment.

    It lies below the ports that the kernel gives to clients, so that none of the thousands of
    connections of a run takes it, nor meets itself there.
    """
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchError("no TCP port of 127.0.0.1 between 20000 and 30000 is free")


@dataclass(frozen=True, slots=True)
class Load:
    """What smtp-source sends."""

    messages: int
    size: int = 4096
    """Bytes of each body; smtp-source adds five header lines."""
    kept: bool = True
    """Send message after message over a connection; otherwise a new connection for each."""
    sessions: int = 20


class Sink:
    """The next hop: takes everything, keeps nothing, counts messages."""

    def __init__(self, port: int, counter: Path) -> None:
        self.port = port
        self._counter = counter

    def received(self) -> int:
        """Messages taken so far: the last "mesg=N" of the running count that smtp-sink prints."""
        with self._counter.open("rb") as counter:
            counter.seek(max(0, self._counter.stat().st_size - 200))
            tail = counter.read()
        lines = [line for line in tail.split(b"\r") if b"mesg=" in line]
        complete = lines if tail.endswith(b"\r") else lines[:-1]
        return int(complete[-1].rpartition(b"mesg=")[2]) if complete else 0


@contextmanager
def sink_in(directory: Path) -> Iterator[Sink]:
    """A running sink."""
    port = free_port()
    counter = directory / f"sink-{port}"
    arguments = [program("smtp-sink"), "-c"]
    if os.geteuid() == 0:
        arguments += ["-u", "nobody"]
    with counter.open("wb") as output:
        process = subprocess.Popen(
            [*arguments, f"127.0.0.1:{port}", "1000"],
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with group_of(process):
            wait_for("smtp-sink listens", lambda: answers(port), 10)
            yield Sink(port, counter)


def answers(port: int) -> bool:
    """Whether a server greets on a port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            greeting = connection.recv(512)
            connection.sendall(b"QUIT\r\n")
            return greeting.startswith(b"220")
    except OSError:
        return False


@contextmanager
def source(load: Load, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """smtp-source at work; it ends by itself when all messages are accepted."""
    arguments = [program("smtp-source"), *(["-d"] if load.kept else [])]
    arguments += ["-s", str(load.sessions), "-m", str(load.messages), "-l", str(load.size)]
    arguments += ["-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    with group_of(process):
        yield process


def submit(load: Load, port: int, seconds: float) -> None:
    """Send all of a load and wait for the end. Raises BenchError where it does not succeed."""
    with source(load, port) as process:
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(
                f"{load.messages} messages were not accepted within {seconds:.0f} s"
            ) from None
        check_source(process, code)


def check_source(process: subprocess.Popen[bytes], code: int) -> None:
    """Raise BenchError where smtp-source has failed, with its words."""
    if code:
        words = process.stderr.read().decode(errors="replace") if process.stderr else ""
        raise BenchError(f"smtp-source ended with {code}: {words.strip()[-500:]}")
