"""Counters that only rise while the relay runs, for monitoring that works out rates by itself.

They are fed once a second with what `statistics_counting` has counted anyway, so they cost a
message nothing. A restart begins at zero; whoever reads counters knows that.
"""

from __future__ import annotations

from typing import Final

from waypost.control.statistics_counting import Gathered
from waypost.control.statistics_rows import ATTEMPT_SECONDS, ROUTE_WIDTH
from waypost.relay.refusals import Refusal

MAXIMUM_NAMES: Final = 100
"""Routes, and reasons, that are told apart; what is more counts under OTHER."""

OTHER: Final = "other"


class Counters:
    """See the module. All counts are by recipient where a name does not say otherwise."""

    def __init__(self) -> None:
        self.messages = 0
        self.accepted = 0
        self.bytes = 0
        self.routes: dict[str, list[int]] = {}
        """By the places of statistics_rows."""
        self.reasons: dict[str, list[int]] = {}
        """Failures, by the same places."""
        self.refusals: dict[tuple[str, str], int] = {}
        """By command and class of the reply: ("rcpt", "5xx")."""

    def add(self, gathered: Gathered) -> None:
        """What has been counted since the last time."""
        self.messages += gathered.messages
        self.accepted += gathered.accepted
        self.bytes += gathered.bytes
        for name, numbers in gathered.routes.items():
            _add(self.routes, name, numbers, ROUTE_WIDTH)
        for name, row in gathered.reasons.items():
            _add(self.reasons, name, row.numbers, ATTEMPT_SECONDS)

    def refused(self, refusal: Refusal) -> None:
        """For `Administration.watch_refusals`."""
        command = "rcpt" if refusal.recipient else "mail"
        key = (command, f"{refusal.reply.code // 100}xx")
        self.refusals[key] = self.refusals.get(key, 0) + 1


def _add(rows: dict[str, list[int]], name: str, numbers: list[int], width: int) -> None:
    row = rows.get(name)
    if row is None:
        if len(rows) >= MAXIMUM_NAMES:
            name = OTHER
        row = rows.setdefault(name, [0] * width)
    for place, number in enumerate(numbers):
        row[place] += number
