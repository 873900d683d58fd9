"""What clients were told no to, for the mail log and the counters.

A refusal at MAIL or RCPT leaves no message behind, so nothing else tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from waypost.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Refusal:
    """One MAIL or RCPT that was answered with 4xx or 5xx by our own policy."""

    at: float
    """Seconds since the epoch."""
    client: str
    """Its address."""
    hello: str
    """What it has called itself."""
    sender: str
    recipient: str
    """"" where MAIL was refused."""
    reply: Reply


RefusalWatcher = Callable[[Refusal], None]
"""Told on the event loop; returns at once and raises nothing."""
