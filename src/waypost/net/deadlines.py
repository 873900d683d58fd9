"""One timer for the deadlines of many connections.

A timeout of minutes does not need the precision of a timer of its own, and arming one for every
command would cost more than the command. Connections carry a `deadline` that they push ahead by
plain assignment; once a second all are looked at.
"""

from __future__ import annotations

from typing import Final, Protocol

from waypost.net.clock import Clock, Timer

NEVER: Final = float("inf")
"""A deadline that does not come."""

INTERVAL: Final = 1.0
"""Seconds between two looks; a timeout is late by at most this."""


class Deadlined(Protocol):
    """Something that must not wait for ever."""

    deadline: float
    """On the monotonic clock, in seconds."""

    def deadline_passed(self) -> None:
        """Called when it has; must move the deadline or end."""


class Deadlines:
    """Watches the deadlines of all that are added."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: set[Deadlined] = set()
        self._timer: Timer | None = None

    def add(self, watched: Deadlined) -> None:
        """Watch until `remove`."""
        self._watched.add(watched)
        if self._timer is None:
            self._timer = self._clock.call_later(INTERVAL, self._look)

    def remove(self, watched: Deadlined) -> None:
        """Watch no longer; harmless when it is not watched."""
        self._watched.discard(watched)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        passed = [watched for watched in self._watched if watched.deadline <= now]
        for watched in passed:
            watched.deadline_passed()
        if self._watched:
            self._timer = self._clock.call_later(INTERVAL, self._look)
