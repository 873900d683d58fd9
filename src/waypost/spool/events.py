"""The event log of a spool: what has happened to messages, in the order in which it was committed.

Who wants to tell others what happens (a webhook, a live view) must not lose it in a crash, so he
does not listen: he reads this log from where he has come to, and keeps that place. An entry is
written in the very transaction that makes its fact durable, and holds references only; what it
says is read from the rows of message and attempt.

Entries are numbered. The numbers rise in the order of commits, so whoever reads on behind the last
number he has seen misses nothing. They rise for as long as a spool lives, and never begin again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from waypost.spool.contract import AttemptRecord, MessageRow


class EntryKind(IntEnum):
    """What an entry is about. The numbers are stored."""

    ACCEPTED = 0
    ATTEMPTED = 1
    """What it came to for each recipient, the results tell."""
    HELD = 2
    RELEASED = 3
    CANCELLED = 4
    DAMAGED = 5
    TOLD = 6
    """Something that came to be known from elsewhere, such as a complaint; see `append_event`."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry, with what it refers to."""

    number: int
    kind: EntryKind
    at: float
    """When it happened, seconds since the epoch. Rises with the numbers, but for the moment that
    a commit takes."""
    identifier: int
    """Of the message; 0: of none."""
    message: MessageRow | None
    """With those of its recipients that the entry is about; all of them when it was accepted. None
    when retention has removed it."""
    attempt: AttemptRecord | None = None
    """Of ATTEMPTED; without its transcript."""
    name: str = ""
    """Of TOLD: what kind of thing."""
    detail: str = ""
    """Of TOLD: more of it, as JSON."""


@dataclass(frozen=True, slots=True)
class LogState:
    """How far an event log reaches."""

    identity: str
    """Of this log, made when it was begun. A place kept from another log means nothing in it. ""
    where nothing was ever recorded."""
    is_recording: bool
    first: int
    """The oldest entry that is kept; 0: there is none."""
    last: int


class EventLogSpool(Protocol):
    """What every spool has for its event log."""

    async def record_events(self, *, wanted: bool) -> LogState:
        """Begin or end to write the log, durably. What is in it stays until it is pruned."""

    async def event_log(self) -> LogState:
        """How far the log reaches."""

    async def entries(self, after: int, limit: int) -> list[LogEntry]:
        """The entries behind a number, in order; `limit` at most, and fewer where they are large:
        empty only when there is none."""

    async def entry_before(self, at: float) -> int:
        """The number behind which all entries stand that happened at a time or later; 0: all."""

    async def latest_messages(self, after: int, limit: int) -> list[int]:
        """The messages of the latest entries behind a number, each once, the latest first."""

    async def append_event(
        self, name: str, message: int, at: float, detail: str, number: int | None = None
    ) -> int:
        """Write an entry of kind TOLD, whether or not the log is on; its number. `message` is 0
        for one about no message, `number` a recipient of the message."""

    async def prune_events(self, before: float, limit: int) -> int:
        """Remove entries older than a time, the oldest first and never the newest; how many."""
