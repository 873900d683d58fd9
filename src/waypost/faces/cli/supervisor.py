"""The supervisor: starts the worker processes of a relay, keeps them running, stops them.

The workers do all the work and share nothing but the listening ports and the file of users. The
supervisor touches no mail. A worker that dies is started again on its spool shard after a second,
so what it had accepted goes on; one that dies while the relay starts ends the whole relay. When
the supervisor itself is killed, the workers see the end of a pipe and stop in order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

import structlog

from waypost.config.sharing import Assignment
from waypost.net.clock import SystemClock
from waypost.net.service_manager import ServiceManager

LOOK_SECONDS: Final = 0.1
"""How often the workers are looked at."""

STOP_SECONDS: Final = 10.0
"""How long they have to stop before they are killed."""

RESTART_LOOKS: Final = 10
"""Looks to wait before one that died is started again."""


class Supervisor:
    """See the module. `arguments` are those of `waypost serve`, without its own."""

    def __init__(self, arguments: Sequence[str], wanted: Sequence[Assignment]) -> None:
        self._arguments = list(arguments)
        self._wanted = list(wanted)
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._waiting: dict[str, int] = {}
        """Those that died, and the looks until they are started again."""
        self._lifeline, self._other_end = os.pipe()
        self._wake = threading.Event()
        self._stopping = False
        self._reload = False
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.supervisor")
        self._manager = ServiceManager(
            os.environ,
            SystemClock.monotonic,
            lambda text: self._log.warning("service manager", why=text),
        )
        self._told_at = SystemClock.monotonic()

    def run(self, ready: Callable[[], None]) -> int:
        """Until a signal. `ready` is called when all workers are; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._read_again)
        code = self._start_all()
        if code is None and not self._stopping:
            ready()
            self._manager.ready(self._status())
            self._watch()
        self._manager.stopping()
        self._stop_all()
        return code or 0

    # --- starting ---------------------------------------------------------------------------

    def _start_all(self) -> int | None:
        """Start each and wait for it; the exit code of one that could not start."""
        for one in self._wanted:
            started = self._start(one)
            while not self._stopping:
                if os.get_blocking(started):
                    os.set_blocking(started, False)
                try:
                    said = os.read(started, 16)
                except BlockingIOError:
                    self._wake.wait(LOOK_SECONDS)
                    continue
                if said:
                    break
                os.close(started)
                return self._workers.pop(one.name).wait() or 1
            os.close(started)
        return None

    def _start(self, one: Assignment) -> int:
        """Start a worker; gives the end of a pipe on which it says that it is ready."""
        ours, theirs = os.pipe()
        told = {**asdict(one), "ready": theirs, "lifeline": self._lifeline}
        command = [
            sys.executable, "-m", "waypost", "serve", *self._arguments,
            "--assignment", json.dumps(told),
        ]  # fmt: skip
        self._workers[one.name] = subprocess.Popen(  # noqa: S603 - our own program
            command, pass_fds=(theirs, self._lifeline), stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        return ours

    # --- running ----------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stopping:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            if self._reload:
                self._reload = False
                self._manager.reloading()
                self._tell_all(signal.SIGHUP)
                self._manager.ready("the workers read the configuration again")
            for one in self._wanted:
                self._look_at(one)
            self._tell_alive()

    def _tell_alive(self) -> None:
        seconds, now = self._manager.watchdog_seconds, SystemClock.monotonic()
        if seconds is not None and now - self._told_at >= seconds:
            self._told_at = now
            self._manager.alive(self._status())

    def _status(self) -> str:
        return f"{len(self._workers)} of {len(self._wanted)} workers run"

    def _look_at(self, one: Assignment) -> None:
        worker = self._workers.get(one.name)
        if worker is not None:
            if worker.poll() is None:
                return
            del self._workers[one.name]
            self._log.error("a worker has died; starting it again", worker=one.name,
                            code=worker.returncode)  # fmt: skip
            self._waiting[one.name] = RESTART_LOOKS
            return
        left = self._waiting[one.name] = self._waiting[one.name] - 1
        if left <= 0:
            os.close(self._start(one))

    # --- stopping ---------------------------------------------------------------------------

    def _end(self, _number: int, _frame: object) -> None:
        if self._stopping:
            for worker in self._workers.values():
                worker.kill()
            os._exit(1)  # asked twice: what is accepted is durable anyway
        self._stopping = True
        self._wake.set()

    def _read_again(self, _number: int, _frame: object) -> None:
        self._reload = True
        self._wake.set()

    def _tell_all(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            if worker.poll() is None:
                worker.send_signal(number)

    def _stop_all(self) -> None:
        self._tell_all(signal.SIGTERM)
        for worker in self._workers.values():
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._log.error("a worker did not stop and is killed", pid=worker.pid)
                worker.kill()
                worker.wait()
