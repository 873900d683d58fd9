"""The event log of a spool in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from waypost.spool.contract import AttemptRecord
from waypost.spool.events import EntryKind, LogEntry, LogState
from waypost.spool.memory_rows import Durable, StoredEntry, shown

_Result = TypeVar("_Result")


class MemoryEvents(ABC):
    """The coroutines of waypost.spool.events.EventLogSpool."""

    _durable: Durable

    @abstractmethod
    async def _commit_everything(self, work: Callable[[], _Result]) -> _Result:
        """Do something as an operation of its own and give the result when it is durable."""

    @abstractmethod
    def _log_identity(self) -> str:
        """A name that no other log has."""

    def _record(
        self,
        kind: EntryKind,
        message: int,
        at: float,
        numbers: Iterable[int] = (),
        attempt: AttemptRecord | None = None,
    ) -> None:
        """Write an entry, within the operation that makes it true; where the log is on."""
        if self._durable.is_recording:
            self._write_entry(StoredEntry(0, kind, at, message, tuple(numbers), attempt))

    def _write_entry(self, entry: StoredEntry) -> int:
        log = self._durable.log
        number = log[-1].number + 1 if log else 1
        log.append(replace(entry, number=number))
        return number

    async def record_events(self, *, wanted: bool) -> LogState:
        """Begin or end to write the log."""

        def work() -> None:
            self._durable.is_recording = wanted
            if wanted and not self._durable.log_identity:
                self._durable.log_identity = self._log_identity()

        await self._commit_everything(work)
        return await self.event_log()

    async def event_log(self) -> LogState:
        """How far the log reaches."""
        durable = self._durable
        log = durable.log
        return LogState(
            durable.log_identity, durable.is_recording, log[0].number if log else 0,
            log[-1].number if log else 0,
        )  # fmt: skip

    async def entries(self, after: int, limit: int) -> list[LogEntry]:
        """The entries behind a number."""
        found = [entry for entry in self._durable.log if entry.number > after][:limit]
        return [self._entry(one) for one in found]

    def _entry(self, one: StoredEntry) -> LogEntry:
        stored = self._durable.messages.get(one.message)
        attempt = replace(one.attempt, transcript="") if one.attempt and stored else None
        message = None
        if stored is not None:
            message = shown(stored)
            if one.kind is not EntryKind.ACCEPTED:
                about = tuple(r for r in message.recipients if r.number in one.numbers)
                message = replace(message, recipients=about)
        return LogEntry(
            one.number, one.kind, one.at, one.message, message, attempt, one.name, one.detail
        )

    async def entry_before(self, at: float) -> int:
        """The number behind which all entries stand that happened at a time or later."""
        first = next((entry.number for entry in self._durable.log if entry.at >= at), None)
        if first is not None:
            return first - 1
        return self._durable.log[-1].number if self._durable.log else 0

    async def latest_messages(self, after: int, limit: int) -> list[int]:
        """The messages of the latest entries behind a number."""
        found = {
            entry.message: None
            for entry in reversed(self._durable.log)
            if entry.number > after and entry.message
        }
        return [*found][:limit]

    async def append_event(
        self, name: str, message: int, at: float, detail: str, number: int | None = None
    ) -> int:
        """Write an entry of kind TOLD; its number."""
        numbers = () if number is None else (number,)
        entry = StoredEntry(0, EntryKind.TOLD, at, message, numbers, None, name, detail)
        return await self._commit_everything(lambda: self._write_entry(entry))

    async def prune_events(self, before: float, limit: int) -> int:
        """Remove old entries; how many."""

        def work() -> int:
            log = self._durable.log
            count = 0
            while count < min(limit, len(log) - 1) and log[count].at < before:
                count += 1
            del log[:count]
            return count

        return await self._commit_everything(work)
