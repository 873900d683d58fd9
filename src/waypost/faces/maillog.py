"""The mail log: what happens to each message, as lines for other programs and for people.

Off unless `log.mail` asks for it. The relay's loop only puts events aside (gathering.py); shape
(maillog_lines.py, maillog_postfix.py) and place (maillog_sinks.py) are another thread's. The
relay's own log keeps telling what goes wrong, with or without it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from waypost.faces.gathering import Gathering, Happening
from waypost.faces.logging import LogFormat, renderer
from waypost.faces.maillog_lines import Line, NamedValues, Shape
from waypost.faces.maillog_postfix import PostfixLines
from waypost.faces.maillog_sinks import FileSink, Heading, Sink, StandardErrorSink, SyslogSink
from waypost.net.clock import Clock

MailForm = Literal["off", "values", "maillog"]


@dataclass(frozen=True, slots=True)
class MailLogSettings:
    """`[log]`, as far as it is about mail."""

    hostname: str
    form: MailForm = "off"
    to: Path | str = "stderr"
    """`stderr`, `syslog` or a file."""
    name: str = "postfix"
    """Before the program in a maillog; readers look for Postfix's own."""
    values: LogFormat = "console"
    """How `values` are written."""
    worker: str = ""


class MailLog:
    """See the module."""

    def __init__(self, settings: MailLogSettings, clock: Clock) -> None:
        self._clock = clock
        self._shape = _shape(settings)
        self._sink = _sink(settings)
        self._lock = threading.Lock()
        """`reopen` comes from the loop, and lines from the thread."""
        self._gathering = Gathering(clock, self._write, "waypost-maillog")
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.maillog")
        self._failing = False
        self.take = self._gathering.take
        """For `Administration.watch`."""
        self.take_refusal = self._gathering.take_refusal
        """For `Administration.watch_refusals`."""

    def reopen(self) -> None:
        """SIGHUP: the file may have been moved away."""
        with self._lock:
            self._sink.reopen()

    def close(self) -> None:
        """Write what is left."""
        self._gathering.finish()
        with self._lock:
            self._sink.close()

    def _write(self, happenings: Sequence[Happening], left_out: int) -> None:
        lines: list[Line] = []
        if left_out:
            lines += self._shape.of_left_out(left_out, self._clock.now())
        lines += self._shape.of(happenings)
        try:
            with self._lock:
                self._sink.write(lines)
        except OSError as fault:
            if not self._failing:  # once for each trouble, and not several times a second
                self._failing = True
                self._log.error(
                    "the mail log cannot be written", why=str(fault),
                    then="mail goes on; make room, or mend log.mail_to",
                )  # fmt: skip
            return
        if self._failing:
            self._failing = False
            self._log.info("the mail log is written again")


def _shape(settings: MailLogSettings) -> Shape:
    if settings.form == "maillog":
        return PostfixLines()
    return NamedValues(renderer(settings.values, settings.worker))


def _sink(settings: MailLogSettings) -> Sink:
    name = settings.name if settings.form == "maillog" else "waypost"
    heading = Heading(settings.hostname, name)
    if settings.to == "stderr":
        return StandardErrorSink(heading)
    if settings.to == "syslog":
        return SyslogSink(heading)
    return FileSink(Path(settings.to), heading)
