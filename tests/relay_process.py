"""A real `waypost serve` on loopback, with a data folder of its own."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from waypost.relay.credentials import CredentialStore

COMMAND = Path(sys.executable).with_name("waypost")
START_SECONDS = 60.0
STOP_SECONDS = 10.0
"""The contract: SIGTERM finishes what is in flight and ends within this."""

WAIT = 60.0
"""Longer than anything here takes, on a busy machine too."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, below those that the kernel gives to clients."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket(family) as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise AssertionError(f"no port of {host} between 20000 and 30000 is free")


def has_ipv6() -> bool:
    """Whether ::1 is there; some containers go without."""
    with socket.socket(socket.AF_INET6) as probe, suppress(OSError):
        probe.bind(("::1", 0))
        return True
    return False


def wait_for(what: str, true: Callable[[], bool], seconds: float = WAIT) -> None:
    """Until something is true; fails after so many seconds."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.02)


class RelayProcess:
    """See the module. `configuration` is TOML without `data`, `hostname` and [log]."""

    def __init__(self, folder: Path, configuration: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.path = folder / "waypost.toml"
        self.log_path = folder / "relay.log"
        self.welcome_path = folder / "relay.out"
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = 0
        self.panel = "off"
        """HOST:PORT for tests of the panel."""
        folder.mkdir(parents=True, exist_ok=True)
        self.configure(configuration)

    def configure(self, configuration: str) -> None:
        """Write the configuration; a running relay takes it with `reload`."""
        top = f'hostname = "relay.example"\ndata = "{self.data}"\n'
        self.path.write_text(f'{top}{configuration}\n[log]\nformat = "json"\n')

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WAYPOST_", "LISTEN_"))}
        return kept | {
            "WAYPOST_PANEL": self.panel,
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder / "xdg"),
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(
        self, launcher: tuple[str, ...] = (), pass_fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start it and wait for nothing."""
        self._seen = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as output, self.welcome_path.open("wb") as welcome:
            self._process = subprocess.Popen(
                [*launcher, str(COMMAND), "serve", "--config", str(self.path)],
                stdin=subprocess.DEVNULL, stdout=welcome, stderr=output,
                env=self.environment, start_new_session=True, pass_fds=pass_fds,
            )  # fmt: skip
        return self._process

    def start(self, launcher: tuple[str, ...] = (), pass_fds: tuple[int, ...] = ()) -> RelayProcess:
        """Start it and wait for `ready`."""
        process = self.launch(launcher, pass_fds)

        def ready() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}: {self.log_text}"
            return "ready" in self.log_text.splitlines()

        wait_for("the relay is ready", ready, START_SECONDS)
        return self

    def stop(self) -> None:
        """SIGTERM; it must end in time, by itself and well."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise AssertionError(f"it did not end in time: {self.log_text}") from None
        assert code == 0, self.log_text

    def kill(self) -> None:
        """SIGKILL to it and to everything it has started."""
        process, self._process = self._process, None
        if process is not None:
            _kill_group(process)

    def reload(self) -> None:
        """SIGHUP, and wait until it is done."""
        before = len(self.events("configuration read again"))
        os.kill(self.pid, signal.SIGHUP)
        wait_for(
            "the configuration is read again",
            lambda: len(self.events("configuration read again")) > before,
        )

    @property
    def log_text(self) -> str:
        """What it has said since it was last started."""
        with self.log_path.open("rb") as log:
            log.seek(self._seen)
            return log.read().decode(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of the log of one kind."""
        lines = (line for line in self.log_text.splitlines() if line.startswith("{"))
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def add_user(self, name: str, password: str, *senders: str) -> None:
        store = CredentialStore(
            self.data / "users.sqlite", secrets.token_bytes, time.monotonic, time.time
        )
        try:
            store.add(name, password, senders)
        finally:
            store.close()

    def retry(self) -> None:
        """Try all that waits again now, however long its next hop was to be left alone."""
        subprocess.run(
            [COMMAND, "queue", "retry", "--state", "queued", "--yes", "--config", self.path],
            env=self.environment, check=True, capture_output=True, timeout=WAIT,
        )  # fmt: skip

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the spool's database, beside the running relay."""
        path = self.data / "spool" / "spool.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(statement).fetchall()

    def queued(self) -> int:
        """Recipients that wait."""
        return int(self.query("SELECT count(*) FROM recipient WHERE state = 0")[0][0])


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


LARGE = 300 * 1024
"""More than the spool keeps in its database: this content goes to a file of its own."""


def content_of(number: int | str) -> bytes:
    """A message with a number as its Subject; every tenth is a large one."""
    lines = 1 if not isinstance(number, int) or number % 10 else LARGE // 64
    return f"Subject: {number}\r\n\r\n".encode() + f"{number:0>62}\r\n".encode() * lines


def submit(port: int, number: int | str, recipient: str = "someone@there.example") -> str:
    """Send a message; the identifier that it got."""
    with smtplib.SMTP("127.0.0.1", port, timeout=WAIT) as client:
        return submit_over(client, number, recipient)


def submit_over(
    client: smtplib.SMTP, number: int | str, recipient: str = "someone@there.example"
) -> str:
    """As `submit`, over an open connection. Raises SMTPResponseException when refused."""
    client.ehlo_or_helo_if_needed()
    for code, words in (client.mail("app@here.example"), client.rcpt(recipient)):
        if code != 250:
            raise smtplib.SMTPResponseException(code, words)
    code, words = client.data(content_of(number))
    if code != 250:
        raise smtplib.SMTPResponseException(code, words)
    return words.decode().rpartition(" ")[2]
