"""Somebody at a terminal, who runs a command of waypost in it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from pathlib import Path
from typing import Final

COMMAND: Final = Path(sys.executable).with_name("waypost")
WAIT: Final = 30.0


class Person:
    """Somebody at a terminal."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(COMMAND, ["waypost", *arguments])
        self._seen = ""
        self.all = ""

    def sees(self, pattern: str) -> str:
        """Wait until something is on the screen; what came before it is passed over."""
        until = time.monotonic() + WAIT
        while not (found := re.search(pattern, self._seen, re.DOTALL)):
            assert time.monotonic() < until, f"{pattern!r} is not in {self._seen!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    read = os.read(self._terminal, 65536).decode("utf-8", "replace")
                except OSError:
                    read = ""
                assert read, f"{pattern!r} is not in {self._seen!r}, and the shell has ended"
                self._seen += read
                self.all += read
        self._seen = self._seen[found.end() :]
        return found[0]

    def types(self, text: str) -> None:
        time.sleep(0.1)  # the line editor needs a moment behind its prompt
        os.write(self._terminal, text.encode())

    def ends(self) -> int:
        """The exit code."""
        until = time.monotonic() + WAIT
        while True:
            if select.select([self._terminal], [], [], 0.05)[0]:
                try:
                    self.all += os.read(self._terminal, 65536).decode("utf-8", "replace")
                except OSError:
                    break
            assert time.monotonic() < until, f"it does not end: {self.all}"
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def leaves(self) -> None:
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._terminal)
