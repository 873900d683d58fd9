"""Waypost as a user starts it: `waypost serve` with a route, everything else as it comes.

Received header, transcripts, checks at RCPT and limits are on: they are the defaults.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from load import free_port
from processes import BenchError, group_of, wait_for

COMMAND = Path(sys.executable).with_name("waypost")


def environment_in(directory: Path) -> dict[str, str]:
    """The environment of its commands: nothing of the user's own is read or touched."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")}
    return kept | {
        "HOME": str(directory),
        "XDG_DATA_HOME": str(directory / "data"),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "XDG_STATE_HOME": str(directory / "state"),
    }


class Waypost:
    """A relay that runs."""

    name = "Waypost"

    def __init__(self, port: int, root: int, spool: Path, ready_seconds: float) -> None:
        self.port = port
        self.root = root
        self.ready_seconds = ready_seconds
        """From the start of the process to `ready`."""
        self._database = spool / "spool.sqlite"

    def queued(self) -> int:
        """Recipients that wait; each message of the benchmark has one."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT count(*) FROM recipient WHERE state = 0").fetchone()
        return int(row[0])


class WaypostStarter:
    """Starts `command serve`; another checkout's command may stand in, to compare versions."""

    name = "Waypost"

    def __init__(self, command: Path = COMMAND) -> None:
        self.command = command

    def version(self) -> str:
        """As `waypost --version` says it."""
        told = subprocess.run(
            [self.command, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
        return told.stdout.strip().removeprefix("waypost ") or "unknown"

    @contextmanager
    def run(self, directory: Path, next_hop: int, panel: str = "off") -> Iterator[Waypost]:
        """A relay with its spool and its data in a directory; `panel` is HOST:PORT or off."""
        port = free_port()
        spool = directory / "spool"
        errors = directory / "waypost.log"
        environment = environment_in(directory)
        started = time.monotonic()
        with errors.open("ab") as output:
            seen = errors.stat().st_size
            process = subprocess.Popen(
                [
                    self.command, "serve",
                    "--listen", f"127.0.0.1:{port}",
                    "--route", f"smtp+plain://127.0.0.1:{next_hop}",
                    "--spool", f"sqlite:{spool}",
                    "--panel", panel,
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment, start_new_session=True,
            )  # fmt: skip
        with group_of(process):

            def ready() -> bool:
                said = errors.read_bytes()[seen:]
                if process.poll() is not None:
                    words = said.decode(errors="replace").strip()[-1500:]
                    raise BenchError(f"`waypost serve` ended with {process.returncode}: {words}")
                return b"ready" in said.splitlines()

            moment = wait_for("`waypost serve` is ready", ready, 60, every=0.005)
            yield Waypost(port, process.pid, spool, moment - started)
