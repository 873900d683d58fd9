"""What people ask of a SQLite spool and let it do: lists, holding, cancelling, suppression.

A search may take a look at everything, so it has a reader of its own and ends before the change
begins; the change is then made a part at a time between the commits of arriving mail.
"""

from __future__ import annotations

import sqlite3
import zlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from waypost.spool import sqlite_control, sqlite_reading, sqlite_waiting
from waypost.spool.bodies import FileBody, MemoryBody
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    BodyDamaged,
    Captured,
    MessageFilter,
    MessageRow,
    RecipientState,
    SelectedRecipient,
    SetAside,
    SpoolCounts,
    SpoolRefusal,
    Suppression,
    WaitingDestination,
)
from waypost.spool.room import Room
from waypost.spool.sqlite_search import SqliteSearch

CHANGED_AT_ONCE: Final = 1000
"""Messages that a person's operation changes in one transaction; others commit in between."""

_QUEUED, _HELD = RecipientState.QUEUED, RecipientState.HELD

_Result = TypeVar("_Result")


class SqliteQuestions(SqliteSearch):
    """The coroutines of waypost.spool.contract.Spool that are for people."""

    on_set_aside: SetAside
    on_damage: Callable[[str], None]
    _now: Callable[[], float]
    _captured: Path
    _files: dict[int, int]
    _room: Room
    _suppressed: dict[str, str]
    _next_expiry: float

    @abstractmethod
    async def _ask(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a question that may take long."""

    @abstractmethod
    async def _write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a function in a transaction and give its result when durable."""

    @abstractmethod
    def _drop_files(self, messages: Sequence[int]) -> None:
        """Remove the files of bodies for which no recipient waits."""

    async def set_aside(self, message: int, reason: str) -> None:
        """Mark the waiting recipients of an unreadable message as DAMAGED."""
        now = self._now()
        if await self._write(lambda c: sqlite_control.set_aside(c, message, reason, now)):
            self.on_set_aside(message, reason)

    async def _put_aside(self, message: int, reason: str) -> None:
        """Set a message aside that we found ourselves; if even that fails, say so."""
        try:
            await self.set_aside(message, reason)
        except SpoolRefusal as refusal:
            self.on_damage(f"message {message}: {reason}, and it cannot be marked: {refusal.text}")

    async def messages(self, wanted: MessageFilter) -> list[MessageRow]:
        """Messages, newest first."""
        run = self._glance if wanted.is_quick else self._ask
        return await run(lambda c: sqlite_reading.messages(c, wanted))

    async def select(
        self, wanted: MessageFilter, states: Sequence[RecipientState]
    ) -> list[SelectedRecipient]:
        """The recipients that an operation would be for."""
        return await self._ask(lambda c: sqlite_reading.selected(c, wanted, states))

    async def attempts(self, message: int) -> list[AttemptRecord]:
        """The attempts of a message."""
        return await self._glance(lambda c: sqlite_reading.attempts(c, message))

    async def hold(self, wanted: MessageFilter) -> int:
        """Hold queued recipients; how many."""
        now = self._now()
        return await self._change(
            wanted, (_QUEUED,), lambda c, part: sqlite_control.hold(c, part, wanted, now)
        )

    async def release(self, wanted: MessageFilter, now: float) -> int:
        """Release held ones; how many."""
        self._next_expiry = float("-inf")  # their time may have passed while they were held
        return await self._change(
            wanted, (_HELD,), lambda c, part: sqlite_control.release(c, part, wanted, now)
        )

    async def retry(self, wanted: MessageFilter, now: float) -> int:
        """Make queued ones due; how many."""
        return await self._change(
            wanted, (_QUEUED,), lambda c, part: sqlite_control.retry(c, part, wanted, now)
        )

    async def cancel(self, wanted: MessageFilter, reason: str) -> int:
        """Cancel queued and held ones; how many."""
        now = self._now()
        return await self._change(
            wanted,
            (_QUEUED, _HELD),
            lambda c, part: sqlite_control.cancel(c, part, wanted, reason, now),
        )

    async def _change(
        self,
        wanted: MessageFilter,
        states: Sequence[RecipientState],
        change: Callable[[sqlite3.Connection, Sequence[int]], int],
    ) -> int:
        """Find the messages beside the work, then change them a part at a time."""
        found = await self._ask(lambda c: sqlite_reading.selected_messages(c, wanted, states))
        changed = 0
        for start in range(0, len(found), CHANGED_AT_ONCE):
            part = found[start : start + CHANGED_AT_ONCE]
            changed += await self._write(lambda c, part=part: change(c, part))  # type: ignore[misc]
            in_files = [message for message in part if message in self._files]
            if in_files:
                self._drop_files(in_files)
        return changed

    async def waiting(self, text: str, limit: int) -> list[WaitingDestination]:
        """What waits by destination; see the contract."""
        return await self._ask(lambda c: sqlite_waiting.waiting(c, text, limit))

    async def counts(self) -> SpoolCounts:
        """Totals."""
        counted = await self._ask(sqlite_reading.counts)
        return replace(counted, bytes_used=counted.bytes_used + self._room.files)

    async def prune(self, before: float, limit: int) -> int:
        """Remove finished messages; how many."""
        found = await self._ask(lambda c: sqlite_reading.finished_before(c, before, limit))
        if found:
            await self._write(lambda c: sqlite_control.remove(c, found))
        return len(found)

    async def suppress(self, address: str, reason: str) -> None:
        """Send nothing to an address from now on."""
        name, now = address.lower(), self._now()
        await self._write(
            lambda c: c.execute(
                "INSERT OR REPLACE INTO suppression VALUES (?, ?, ?)", (name, reason, now)
            )
        )
        self._suppressed[name] = reason

    async def unsuppress(self, address: str) -> bool:
        """Send to it again; whether it was suppressed."""
        name = address.lower()
        removed = await self._write(
            lambda c: c.execute("DELETE FROM suppression WHERE address = ?", (name,)).rowcount
        )
        self._suppressed.pop(name, None)
        return bool(removed)

    async def suppressions(self, limit: int, after: str = "") -> list[Suppression]:
        """Suppressed addresses, by name."""
        return await self._ask(lambda c: sqlite_reading.suppressions(c, limit, after))

    def suppression_reason(self, address: str) -> str | None:
        """Why nothing is to be sent to an address."""
        return self._suppressed.get(address.lower()) if self._suppressed else None

    async def captured(self, limit: int, before: int | None = None) -> list[Captured]:
        """What the sandbox has caught, newest first."""
        return await self._glance(lambda c: sqlite_reading.captured(c, limit, before))

    async def captured_content(self, message: int) -> Body:
        """The content of a captured message. Raises BodyDamaged."""
        return await self._glance(lambda c: self._captured_body(c, message))

    def _captured_body(self, connection: sqlite3.Connection, message: int) -> Body:
        row = connection.execute(
            "SELECT size, checksum, content FROM captured WHERE message = ?", (message,)
        ).fetchone()
        if row is None:
            raise BodyDamaged("nothing of this identifier was captured")
        if row[2] is None:
            return FileBody(self._captured / f"{message}.eml", row[0], row[1])
        if zlib.crc32(row[2]) != row[1]:
            raise BodyDamaged("its content does not match its checksum")
        return MemoryBody(row[2])

    async def remove_captured(self, messages: Sequence[int]) -> int:
        """Forget what the sandbox has caught of these messages; how many there were."""
        removed = 0
        for start in range(0, len(messages), CHANGED_AT_ONCE):
            part = messages[start : start + CHANGED_AT_ONCE]
            count, freed = await self._write(
                lambda c, part=part: sqlite_control.remove_captured(c, self._captured, part)  # type: ignore[misc]
            )
            removed += count
            self._room.files -= freed
        return removed

    async def remember(self, name: str, value: str) -> None:
        """Keep a small fact."""
        await self._write(
            lambda c: c.execute(
                "INSERT INTO fact (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )
        )

    async def recall(self, name: str) -> str | None:
        """What was kept under a name."""
        row = await self._glance(
            lambda c: c.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        )
        return None if row is None else str(row[0])
