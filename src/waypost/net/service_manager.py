"""Tells the service manager how the relay is (sd_notify(3)): ready, reloading, stopping, alive.

The protocol is a datagram of lines to the Unix socket that NOTIFY_SOCKET names. It is written here
in a few lines, as the relay needs no more of systemd than that. Without NOTIFY_SOCKET nothing is
told, and nothing is different.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

LONGEST_STATUS: Final = 200


class ServiceManager:
    """See the module. `report` is told once when the manager cannot be reached."""

    def __init__(
        self,
        environment: Mapping[str, str],
        monotonic: Callable[[], float],
        report: Callable[[str], None],
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._monotonic = monotonic
        self._report = report
        self._reported = False
        self.watchdog_seconds = _watchdog(environment) if self._address else None
        """How often `alive` has to be called; None: nobody waits for it."""

    def ready(self, status: str) -> None:
        """All listeners are up, or what was read again is in force."""
        self._send("READY=1", f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows."""
        # The moment lets Type=notify-reload tell this from an earlier one; microseconds.
        moment = int(self._monotonic() * 1_000_000)
        self._send("RELOADING=1", f"MONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """The relay ends."""
        self._send("STOPPING=1", "STATUS=finishing what is under way")

    def alive(self, status: str) -> None:
        """It is still at work; `status` is what systemctl shows."""
        self._send("WATCHDOG=1", f"STATUS={_line(status)}")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as made:
                made.setblocking(False)  # a manager that does not read must not hold mail up
                made.connect(self._address)
                made.send("\n".join(lines).encode())
        except OSError as fault:
            if not self._reported:
                self._reported = True
                self._report(f"the service manager cannot be told {lines[0]}: {fault}")


def _address(text: str) -> str | None:
    """A path, or an abstract name, which begins with a NUL where the variable has an at sign."""
    if text.startswith("@") and len(text) > 1:
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """Half of what is allowed, as sd_watchdog_enabled(3) advises."""
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID")
    if process not in (None, str(os.getpid())):
        return None
    if not (microseconds.isascii() and microseconds.isdigit()) or int(microseconds) == 0:
        return None
    return int(microseconds) / 2_000_000


def _line(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)[:LONGEST_STATUS]
