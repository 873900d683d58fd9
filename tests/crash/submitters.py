"""Clients that submit numbered messages for as long as they are let, and write down the answers."""

from __future__ import annotations

import itertools
import smtplib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from relay_process import submit_over

PAUSE = 0.02
"""Seconds before a client whose relay is gone tries again."""


class Submitters:
    """Several clients, each with a connection of its own that it opens again when it breaks.

    A number is used once: what was not answered with 250 is not sent again, so that each copy of
    it at the next hop is the relay's own doing.
    """

    def __init__(self, port: int, clients: int = 4) -> None:
        self._port = port
        self._clients = clients
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.accepted: dict[int, str] = {}
        """By number: the identifier that the relay answered with its 250."""
        self.refused: list[str] = []
        """Answers other than 250 and 421, which is what a relay says that is shutting down."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """They submit while the block runs."""
        self._stopping.clear()
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(90)
            assert not any(thread.is_alive() for thread in threads), "a client hangs"

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self._port, timeout=60) as client:
                    while not self._stopping.is_set():
                        number = next(self._numbers)
                        identifier = submit_over(client, number)
                        with self._lock:
                            self.accepted[number] = identifier
            except smtplib.SMTPResponseException as refusal:
                if refusal.smtp_code != 421:
                    self.refused.append(str(refusal))
                time.sleep(PAUSE)
            except (OSError, smtplib.SMTPException):
                time.sleep(PAUSE)
