"""How much is kept of what is said with a destination; changed while the relay runs.

`normal` keeps each attempt's lines, long ones cut. `full` keeps them whole and tells each in the
relay's log as it is said, for somebody who watches; it ends by itself. `brief` keeps the lines of
attempts that fail and drops those of others, for destinations that take much mail without trouble.

Whatever the level: the content of messages is never in a transcript, and secrets are replaced
before a line comes here (smtp.client_outgoing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from waypost.delivery.in_memory import domains_of
from waypost.delivery.lane import Lane
from waypost.delivery.route import Smarthost
from waypost.delivery.transcript import Transcript
from waypost.spool.contract import QueuedMessage
from waypost.spool.identifiers import identifier_text

MAXIMUM_RULES: Final = 100

MAXIMUM_NAME: Final = 255

MAXIMUM_LENGTH: Final = 1024 * 1024
"""Characters of one full transcript."""

MAXIMUM_TOLD: Final = 2000
"""Lines of one attempt that go to the log."""


class Level(StrEnum):
    """See the module."""

    BRIEF = "brief"
    NORMAL = "normal"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept for a destination."""

    destination: str
    """The name of a route, a recipient's domain or the host of a next hop; in lower case."""
    level: Level
    until: float | None
    """Seconds since the epoch; None: until the relay ends."""


class TooManyRules(ValueError):
    """There are MAXIMUM_RULES already."""


class Verbosity:
    """The rules of a running relay. None, most of the time: then nothing is looked up."""

    def __init__(self, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._rules: dict[str, Rule] = {}
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.transcript")

    def set(self, destination: str, level: Level, until: float | None) -> None:
        """From the next attempt on. NORMAL takes a rule away. Raises ValueError, TooManyRules."""
        name = destination.strip().lower()
        if not 0 < len(name) <= MAXIMUM_NAME or not name.isprintable():
            raise ValueError(f"{destination[:60]!r} is no domain, no host and no route")
        if level is Level.NORMAL:
            self._rules.pop(name, None)
            return
        if name not in self._rules and len(self.rules()) >= MAXIMUM_RULES:
            raise TooManyRules(
                f"there are {MAXIMUM_RULES} destinations with a verbosity of their own; set some "
                "back to normal"
            )
        self._rules[name] = Rule(name, level, until)

    def rules(self) -> tuple[Rule, ...]:
        """Those in force, by name."""
        now = self._now()
        for rule in list(self._rules.values()):
            if rule.until is not None and rule.until <= now:
                del self._rules[rule.destination]
        return tuple(self._rules[name] for name in sorted(self._rules))

    def transcript(self, lane: Lane, message: QueuedMessage | None) -> Transcript:
        """For an attempt that begins now; `message` is the one that it is for, where it is known
        already."""
        if not self._rules:
            return Transcript(self._monotonic())
        level = self._level(lane, message)
        if level is Level.FULL:
            log = self._log.bind(
                route=lane.route.name, destination=lane.destination,
                message=identifier_text(message.identifier) if message is not None else "",
            )  # fmt: skip
            return FullTranscript(self._monotonic(), log)
        if level is Level.BRIEF:
            return BriefTranscript(self._monotonic())
        return Transcript(self._monotonic())

    def _level(self, lane: Lane, message: QueuedMessage | None) -> Level:
        """The most that any rule for this attempt asks for."""
        names = {lane.route.name.lower(), lane.destination}
        names.update(hop.host.lower() for hop in lane.route.via if isinstance(hop, Smarthost))
        if message is not None:
            names.update(domains_of(message))
        found = {rule.level for rule in self.rules() if rule.destination in names}
        return next((one for one in (Level.FULL, Level.BRIEF) if one in found), Level.NORMAL)


class FullTranscript(Transcript):
    """Keeps lines whole, and tells each in the log as it is said."""

    __slots__ = ("_length", "_log", "_told")

    def __init__(self, started: float, log: structlog.stdlib.BoundLogger) -> None:
        super().__init__(started)
        self._length = 0
        self._told = 0
        self._log = log

    def add(self, moment: float, direction: str, lines: str) -> None:
        """Add a line, or several joined by LF that went together."""
        if self._length > MAXIMUM_LENGTH:
            return
        self._length += len(lines) + 1
        if self._length > MAXIMUM_LENGTH:
            direction, lines = (
                "*",
                f"further lines are not kept (limit {MAXIMUM_LENGTH} characters)",
            )
        self._entries.append((moment, direction, lines))
        for line in lines.split("\n"):
            if self._told < MAXIMUM_TOLD:
                self._told += 1
                at = round((moment - self.started) * 1000, 1)
                self._log.info("said", milliseconds=at, by=_SPEAKERS[direction], line=line)

    def _bounded(self, text: str) -> str:
        return text


_SPEAKERS: Final = {">": "relay", "<": "peer", "*": "note"}


class BriefTranscript(Transcript):
    """Is not kept of an attempt that delivered."""

    __slots__ = ()

    keeps_deliveries = False
