"""What the cases of broken servers share: how a case is marked with the cause that is to be found.

A case is a function that is given a lab, breaks something in it, and checks it. test_every_cause.py
runs them all; cases_*.py have them, each file those of one stage.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable

from broken_servers import Script
from check_lab import CheckLab
from made_certificates import context_of

from waypost.doctor.check.run import Checked

Case = Callable[[CheckLab], Awaitable[Checked]]
CASES: dict[str, tuple[str, Case]] = {}


def finds(cause: str) -> Callable[[Case], Case]:
    """Mark a case with the cause that is to be found first."""

    def mark(case: Case) -> Case:
        assert case.__name__ not in CASES
        CASES[case.__name__] = (cause, case)
        return case

    return mark


HOST = {("mail.test", "A"): ["127.0.0.1"]}

STARTTLS = b"250-mail.test\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 STARTTLS\r\n"


def closed_port(lab: CheckLab) -> int:
    """One that nobody listens on, while the lab is there."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    lab.hold(held)
    return int(held.getsockname()[1])


def good_tls(lab: CheckLab) -> ssl.SSLContext:
    """With a certificate that the lab's authority has signed."""
    return context_of(lab.folder, lab.certificate("mail.test", "127.0.0.1"))


def offer(*lines: str) -> bytes:
    """A reply to EHLO."""
    words = ["mail.test", "SIZE 1000", "8BITMIME", *lines]
    last = len(words) - 1
    return "".join(
        f"250{' ' if number == last else '-'}{word}\r\n" for number, word in enumerate(words)
    ).encode()


async def with_sender(lab: CheckLab, answer: bytes) -> Checked:
    """A server that answers MAIL so."""
    port = await lab.serve(Script().with_(MAIL=answer))
    return await lab.check(f"127.0.0.1:{port}", sender="me@mail.test", recipient="you@there.test")
