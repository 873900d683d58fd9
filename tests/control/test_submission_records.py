"""What is kept beside messages: it goes when its message has gone, and stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from waypost.control import submissions
from waypost.control.database import ControlDatabase
from waypost.control.submissions import InProgress, KeyReused, Notes, SubmissionRecords, Ticket

NOON = 1_800_000_000.0
DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Records:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.spool: set[int] = set()
        self.database = ControlDatabase(folder / "control.sqlite")
        self.records = SubmissionRecords(
            self.database,
            self.clock,
            self.existing,
            7 * DAY,  # type: ignore[arg-type]
        )

    async def existing(self, messages: Sequence[int]) -> set[int]:
        return self.spool & set(messages)

    def number(self, days_ago: float) -> int:
        """Of a message of that time."""
        return int((self.clock.time - days_ago * DAY) * 1_000_000)


def run(folder: Path, work: Callable[[Records], Awaitable[None]]) -> None:
    async def do() -> None:
        made = Records(folder)
        await made.records.open()
        try:
            await work(made)
        finally:
            await made.records.close()
            made.database.close()

    asyncio.run(do())


def test_notes_come_back_and_tags_find_their_messages_newest_first(tmp_path: Path) -> None:
    async def work(made: Records) -> None:
        for number in range(1, 6):
            notes = Notes(("a", "b") if number % 2 else ("a",), {"n": str(number)})
            await made.records.claim(number, notes, None, b"", {})
        assert await made.records.tagged("a", None, 2) == [5, 4]
        assert await made.records.tagged("a", 4, 10) == [3, 2, 1]
        assert await made.records.tagged("b", None, 10) == [5, 3, 1]
        found = await made.records.notes([1, 2, 99])
        assert found == {
            1: Notes(("a", "b"), {"n": "1"}, None), 2: Notes(("a",), {"n": "2"}, None),
        }  # fmt: skip

    run(tmp_path, work)


def test_notes_go_with_their_message_and_not_before(tmp_path: Path) -> None:
    async def work(made: Records) -> None:
        gone, waits, young = made.number(9), made.number(8), made.number(1)
        for number in (gone, waits, young):
            await made.records.claim(number, Notes(("a",)), None, b"", {})
        made.spool = {waits}  # it waits longer than finished messages are kept
        await made.records.forget_the_old()
        assert set(await made.records.notes([gone, waits, young])) == {waits, young}
        assert await made.records.tagged("a", None, 10) == [young, waits]

    run(tmp_path, work)


def test_a_claim_without_its_message_counts_for_nothing(tmp_path: Path) -> None:
    async def work(made: Records) -> None:
        ticket = Ticket("key:shop", "1")
        await made.records.claim(7, Notes(), ticket, b"digest", {"id": "7"})
        with pytest.raises(InProgress):
            await made.records.claim(8, Notes(), ticket, b"digest", {"id": "8"})
        assert await made.records.earlier_answer(ticket, b"digest") is None
        await made.records.claim(9, Notes(), ticket, b"digest", {"id": "9"})
        made.spool = {9}
        assert await made.records.earlier_answer(ticket, b"digest") == {"id": "9"}
        made.spool = set()  # retention has removed it: the answer stays
        assert await made.records.earlier_answer(ticket, b"digest") == {"id": "9"}
        with pytest.raises(KeyReused):
            await made.records.earlier_answer(ticket, b"another")

    run(tmp_path, work)


def test_keys_are_forgotten_after_a_day(tmp_path: Path) -> None:
    async def work(made: Records) -> None:
        ticket = Ticket("key:shop", "1")
        await made.records.claim(7, Notes(), ticket, b"d", {"id": "7"})
        await made.records.done(ticket)
        made.clock.time += DAY - 1
        assert await made.records.earlier_answer(ticket, b"d") == {"id": "7"}
        made.clock.time += 2
        assert await made.records.earlier_answer(ticket, b"d") is None
        await made.records.claim(8, Notes(), ticket, b"e", {"id": "8"})
        made.clock.time += DAY + 1
        await made.records.forget_the_old()
        count = await made.database.read(
            lambda c: c.execute("SELECT count(*) FROM idempotency").fetchone()[0]
        )
        assert count == 0

    run(tmp_path, work)


def test_beyond_the_bound_the_oldest_keys_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "MAXIMUM_KEYS", 5)
    monkeypatch.setattr(submissions, "AT_ONCE", 2)

    async def work(made: Records) -> None:
        for number in range(20):
            made.clock.time += 1
            await made.records.claim(number, Notes(), Ticket("o", str(number)), b"", {"id": "x"})
        kept = await made.database.read(
            lambda c: [key for (key,) in c.execute("SELECT key FROM idempotency")]
        )
        assert len(kept) <= 5
        assert "19" in kept
        assert "0" not in kept

    run(tmp_path, work)
