"""A logging handler that mails what happens, and never holds up the program that logs.

    logging.getLogger().addHandler(MailHandler(
        "smtp://user:password@mail.example.com:587",
        from_="app@example.com", to=["ops@example.com"], level=logging.ERROR))

`emit` puts a record into a bounded memory and returns; a thread behind sends. The first record goes
within a second; after a mail the next one waits for `interval`, and takes with it all that came
meanwhile. Records from the same place with the same words are one entry with a count, so a flood is
one mail a minute, however many records it has. What does not fit is counted, and the count is sent.

What the threads that send log themselves is left out: a failing server would feed itself.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Final

from waypost.errors import WaypostError
from waypost.faces.library import background
from waypost.faces.library.mailer import Mailer
from waypost.faces.library.prepared import prepare
from waypost.mail.compose import Addresses, AddressLike
from waypost.net.clock import SystemClock

CAPACITY: Final = 200
"""Different entries kept for the next mail."""

LONGEST: Final = 20_000
"""Characters of one entry; a longer one is cut."""

_SUBJECT: Final = 120
_NOT_ON_ONE_LINE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(slots=True)
class _Entry:
    """Records that say the same."""

    text: str
    title: str
    level: int
    count: int = 1
    last: float = 0.0


class MailHandler(logging.Handler):
    """See the module. `via` is a URL or a Mailer; without one, what `waypost.send` would take.

    `interval`: least seconds between two mails. `gather`: seconds that the first record waits for
    others. `grace`: most seconds that `flush`, `close` and the end of the program wait for what is
    not sent yet. `subject` stands before what the first record says.
    """

    def __init__(
        self,
        via: str | Mailer | None = None,
        *,
        from_: AddressLike,
        to: Addresses,
        subject: str = "",
        level: int = logging.ERROR,
        interval: float = 60.0,
        gather: float = 1.0,
        grace: float = 10.0,
        capacity: int = CAPACITY,
    ) -> None:
        """Raises waypost.errors.ConfigurationError and InvalidMessage: what is wrong shows when the
        program starts, not when it has something to say."""
        super().__init__(level)
        self._mailer = via if isinstance(via, Mailer) else Mailer(via)
        self._own_mailer = not isinstance(via, Mailer)
        self._from, self._to = from_, to
        self._subject = subject or f"[{socket.gethostname()}]"
        self._clock = SystemClock()
        prepare(
            None, {"from_": from_, "to": to, "subject": self._subject}, self._clock, "localhost"
        )
        self._interval, self._gather, self._grace = interval, gather, grace
        self._capacity = capacity
        self._closed = False
        self._begin()
        atexit.register(self.close)  # before the mailers are closed, which registered earlier

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._entries: dict[object, _Entry] = {}
        self._dropped = 0
        self._busy = False
        self._hurry = False
        self._not_before = 0.0
        self._thread: threading.Thread | None = None

    # --- in the threads that log ------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record. Returns at once; never raises."""
        try:
            if os.getpid() != self._process:
                self._begin()  # a forked child: what the parent kept is the parent's to send
            if threading.current_thread() is self._thread or background.is_here() or self._closed:
                return
            key = (record.name, record.levelno, record.pathname, record.lineno, str(record.msg))
            with self._changed:
                known = self._entries.get(key)
                if known is not None:
                    known.count += 1
                    known.last = record.created
                    return
                if len(self._entries) >= self._capacity:
                    self._dropped += 1
                    return
            # Formatting is the caller's work: what a record refers to may change behind it.
            text = self.format(record)[:LONGEST]
            title = f"{record.levelname} {record.name}: {record.getMessage()}"
            with self._changed:
                first = not self._entries
                self._entries[key] = _Entry(text, title, record.levelno, 1, record.created)
                if first:
                    soon = self._clock.monotonic() + self._gather
                    self._not_before = max(self._not_before, soon)
                self._start()
                self._changed.notify_all()
        except Exception:  # noqa: BLE001 - a log record must not break the program; logging decides
            self.handleError(record)

    def flush(self) -> None:
        """Send what is kept now, and wait for it, `grace` seconds at most."""
        with self._changed:
            if not self._entries and not self._busy:
                return
            self._hurry = True
            self._start()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._entries and not self._busy, self._grace)

    def close(self) -> None:
        """Send what is left, `grace` seconds at most, and take no more. May be called twice."""
        if self._closed or os.getpid() != self._process:
            super().close()
            return
        self.flush()
        self._closed = True
        with self._changed:
            self._changed.notify_all()
        atexit.unregister(self.close)
        if self._own_mailer:
            self._mailer.close(0.0)
        super().close()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            background.loop()  # its thread must be there before the program ends
            self._thread = threading.Thread(target=self._work, name="waypost-log", daemon=True)
            self._thread.start()

    # --- in the thread behind ---------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries or self._closed)
                while self._entries and not self._hurry and not self._closed:
                    left = self._not_before - self._clock.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                if not self._entries:
                    return
                entries, self._entries = list(self._entries.values()), {}
                dropped, self._dropped = self._dropped, 0
                self._busy = True
            try:
                self._send(entries, dropped)
            finally:
                with self._changed:
                    self._busy = False
                    self._hurry = self._hurry and bool(self._entries)
                    self._not_before = self._clock.monotonic() + self._interval
                    self._changed.notify_all()

    def _send(self, entries: list[_Entry], dropped: int) -> None:
        worst = max(entries, key=lambda one: one.level)
        title = _NOT_ON_ONE_LINE.sub(" ", f"{self._subject} {worst.title}")
        more = f" (and {len(entries) - 1} more)" if len(entries) > 1 else ""
        try:
            self._mailer.send(
                from_=self._from,
                to=self._to,
                subject=title[: _SUBJECT - len(more)] + more,
                text=_text(entries, dropped),
                headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no answers, please
            )
        except (WaypostError, OSError, ValueError, RuntimeError) as error:
            _complain(f"waypost: {len(entries)} log entries could not be mailed: {error}")


def _text(entries: list[_Entry], dropped: int) -> str:
    parts: list[str] = []
    for entry in entries:
        repeated = f"\n(repeated: {entry.count} times in all)" if entry.count > 1 else ""
        parts.append(entry.text.encode("utf-8", "backslashreplace").decode() + repeated)
    if dropped:
        parts.append(f"{dropped} more records were left out: there were too many different ones.")
    return "\n\n".join(parts)


def _complain(words: str) -> None:
    if logging.raiseExceptions and sys.stderr is not None:
        print(words, file=sys.stderr)
