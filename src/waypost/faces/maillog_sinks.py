"""Where the lines of a mail log go: a file, syslog, standard error.

A file is looked up by its name before each writing, so a file that logrotate has moved is left and
a new one begun, with a signal or without.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from waypost.faces.maillog_lines import Line

MAIL_INFO: Final = 2 << 3 | 6
"""The facility mail and the severity info (RFC 5424 6.2.1)."""

SYSLOG_SECONDS: Final = 1.0
"""How long a logger of the system that takes nothing is waited for."""

SYSLOG_PLACES: Final = ("/dev/log", "/var/run/syslog", "/var/run/log")


class Sink(Protocol):
    """Takes lines, in a thread of its own."""

    def write(self, lines: Sequence[Line]) -> None:
        """Raises OSError; the lines are lost then."""

    def reopen(self) -> None:
        """The file may have been moved away."""

    def close(self) -> None:
        """Nothing more is written."""


class Heading:
    """What stands before the text of a line of a program, as syslog has it."""

    def __init__(self, hostname: str, name: str) -> None:
        self.hostname = hostname
        self.name = name
        self._process = os.getpid()
        self._second = -1
        self._head = self._zone = ""

    def tag(self, program: str) -> str:
        """postfix/smtpd[4711]"""
        return f"{self.name}/{program}[{self._process}]" if program else self.name

    def of(self, line: Line) -> str:
        """The whole line; times are local and name their distance from UTC (RFC 3339)."""
        at, program, text = line
        if not program:
            return text
        second = int(at)
        if second != self._second:  # most lines are of the second of the one before
            moment = dt.datetime.fromtimestamp(second).astimezone().isoformat()
            self._second, self._head, self._zone = second, moment[:19], moment[19:]
        moment = f"{self._head}.{int((at - second) * 1_000_000):06}{self._zone}"
        return f"{moment} {self.hostname} {self.tag(program)}: {text}"


class FileSink:
    """Appends to a file; several processes may share it, as lines are written whole."""

    def __init__(self, path: Path, heading: Heading) -> None:
        self._path = path
        self._heading = heading
        self._descriptor: int | None = None

    def write(self, lines: Sequence[Line]) -> None:
        """Raises OSError."""
        data = "".join(f"{self._heading.of(line)}\n" for line in lines).encode("utf-8", "replace")
        descriptor = self._opened()
        while data:
            data = data[os.write(descriptor, data) :]

    def _opened(self) -> int:
        if self._descriptor is not None:
            ours = os.fstat(self._descriptor)
            with contextlib.suppress(FileNotFoundError):
                there = self._path.stat()
                if (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev):
                    return self._descriptor
            self.reopen()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o640)
        return self._descriptor

    def reopen(self) -> None:
        """The file may have been moved away."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def close(self) -> None:
        """Nothing more is written."""
        self.reopen()


class StandardErrorSink:
    """Beside the relay's own log."""

    def __init__(self, heading: Heading) -> None:
        self._heading = heading

    def write(self, lines: Sequence[Line]) -> None:
        """Raises OSError."""
        data = "".join(f"{self._heading.of(line)}\n" for line in lines).encode("utf-8", "replace")
        while data:
            data = data[os.write(2, data) :]

    def reopen(self) -> None:
        """There is nothing to open."""

    def close(self) -> None:
        """It is not ours to close."""


class SyslogSink:
    """The logger of this machine, be it rsyslog or journald."""

    def __init__(self, heading: Heading, places: Sequence[str] = SYSLOG_PLACES) -> None:
        self._heading = heading
        self._places = places
        self._socket: socket.socket | None = None

    def write(self, lines: Sequence[Line]) -> None:
        """Raises OSError."""
        for line in lines:
            data = self._packet(line)
            try:
                self._connected().send(data)
            except OSError:
                self.reopen()  # the logger may have been started again
                self._connected().send(data)

    def _packet(self, line: Line) -> bytes:
        at, program, text = line
        # Loggers take the traditional form from local programs (RFC 3164 4.1.2, day with a space).
        moment = dt.datetime.fromtimestamp(at)  # noqa: DTZ006 - syslog has local time
        stamp = f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"
        return f"<{MAIL_INFO}>{stamp} {self._heading.tag(program)}: {text}".encode(
            "utf-8", "replace"
        )

    def _connected(self) -> socket.socket:
        if self._socket is None:
            fault: OSError = FileNotFoundError("there is no /dev/log: no syslog runs here")
            for place in self._places:
                made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                made.settimeout(SYSLOG_SECONDS)
                try:
                    made.connect(place)
                except OSError as failed:
                    made.close()
                    if not isinstance(failed, FileNotFoundError):
                        fault = failed
                    continue
                self._socket = made
                return made
            raise fault
        return self._socket

    def reopen(self) -> None:
        """Connect anew at the next line."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Nothing more is written."""
        self.reopen()
