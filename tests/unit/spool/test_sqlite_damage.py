"""What a SQLite spool does about damage: nothing is delivered that is not what was stored, and
nothing that was stored disappears without a word."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spool_world import (
    NOON,
    SqliteWorld,
    append,
    barrier,
    content_of,
    finish,
    result,
    states,
)

from waypost.spool.contract import BodyDamaged, MessageFilter, RecipientState
from waypost.spool.salvage import NothingToSalvage, salvage
from waypost.spool.sqlite import SpoolInUse, SqliteSettings, SqliteSpool
from waypost.spool.sqlite_opening import SpoolDamaged

QUEUED, DAMAGED = RecipientState.QUEUED, RecipientState.DAMAGED
LARGE = b"a line of a large message\r\n" * 20_000


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_a_flipped_bit_in_a_small_body_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        message = await append(world, content=b"precious content\r\n")
        await world.close()
        with closing(sqlite3.connect(world.directory / "spool.sqlite")) as database:
            database.execute("UPDATE body SET content = CAST('Precious content' AS BLOB)")
            database.commit()
        await world.open()
        with pytest.raises(BodyDamaged, match="checksum"):
            await world.spool.open_body(message)
        await world.close()

    run(main())


@pytest.mark.parametrize("place", [0, len(LARGE) // 2, len(LARGE) - 1])
def test_a_flipped_bit_in_a_large_body_is_found_before_its_end(tmp_path: Path, place: int) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        message = await append(world, content=LARGE)
        path = world.directory / "bodies" / f"{message}.eml"
        with path.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1]))
        body = await world.spool.open_body(message)
        given: list[bytes] = []

        async def give_out() -> None:
            async for piece in body.chunks():
                given.append(piece)  # noqa: PERF401 - what came before the fault counts

        with pytest.raises(BodyDamaged, match="checksum"):
            await give_out()
        assert len(b"".join(given)) < len(LARGE)
        await world.close()

    run(main())


@pytest.mark.parametrize("size", [0, len(LARGE) - 1, len(LARGE) + 1])
def test_a_file_of_another_length_is_found_at_once(tmp_path: Path, size: int) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        message = await append(world, content=LARGE)
        os.truncate(world.directory / "bodies" / f"{message}.eml", size)
        with pytest.raises(BodyDamaged, match=f"has {size} bytes of {len(LARGE)}"):
            await world.spool.open_body(message)
        await world.close()

    run(main())


def test_a_missing_file_is_set_aside_at_start_and_reported(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        lost = await append(world, content=LARGE)
        kept = await append(world, content=LARGE)
        await world.close()
        (world.directory / "bodies" / f"{lost}.eml").unlink()
        recovery = await world.open()
        assert recovery.set_aside == ((lost, "its content file is gone"),)
        assert recovery.messages == 1
        assert await states(world, lost) == [DAMAGED]
        assert await states(world, kept) == [QUEUED]
        await world.close()

    run(main())


def test_a_missing_file_is_found_by_whoever_opens_it(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        message = await append(world, content=LARGE)
        (world.directory / "bodies" / f"{message}.eml").unlink()
        with pytest.raises(BodyDamaged, match="cannot open"):
            await world.spool.open_body(message)
        await world.close()

    run(main())


def test_missing_rows_are_set_aside_while_the_spool_works(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        no_body = await append(world, "a@one.example")
        no_row = await append(world, "b@one.example")
        whole = await append(world, "c@one.example")
        await world.close()
        with closing(sqlite3.connect(world.directory / "spool.sqlite")) as database:
            database.execute("DELETE FROM body WHERE message = ?", (no_body,))
            database.execute("DELETE FROM message WHERE id = ?", (no_row,))
            database.commit()
        told: list[tuple[int, str]] = []
        opened = SqliteSpool(SqliteSettings(world.directory, minimum_free=0), world.clock.now)
        opened.on_set_aside = lambda message, reason: told.append((message, reason))
        await opened.open()
        assert opened._search is not None
        await opened._search
        assert told == [(no_body, "its content is gone"), (no_row, "its row is gone")]
        found = await opened.load_due("one.example", NOON, 10, frozenset())
        assert [message.identifier for message in found] == [whole]
        assert (await opened.counts()).damaged == 2
        await opened.close()

    run(main())


def test_a_damaged_page_is_reported_while_the_spool_works(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        for number in range(400):
            message = await append(world, f"u{number}@one.example")
        await finish(world, message, result(0))
        await world.close()
        _damage_pages(world.directory / "spool.sqlite", "message", 1)
        told: list[str] = []
        opened = SqliteSpool(SqliteSettings(world.directory, minimum_free=0), world.clock.now)
        opened.on_damage = told.append
        await opened.open()
        assert opened._search is not None
        await opened._search
        assert told
        assert told[0].startswith("table message: ")
        found = await opened.load_due("one.example", NOON, 1000, frozenset())
        assert 200 < len(found) < 399, "the others are served"
        counts = await opened.counts()
        assert counts.damaged + counts.queued == 399
        assert counts.damaged == 399 - len(found)
        await opened.close()

    run(main())


def test_closing_during_the_search_reports_no_damage(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        told: list[str] = []
        world.sqlite.on_damage = told.append
        await world.close()
        assert told == []

    run(main())


def test_a_row_that_makes_no_sense_does_not_hold_up_its_destination(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        bad = [await append(world, "a@one.example", due=-9) for _ in range(3)]
        good = await append(world, "b@one.example")
        with closing(sqlite3.connect(world.directory / "spool.sqlite")) as database:
            database.execute("UPDATE message SET options = '{' WHERE id = ?", (bad[0],))
            database.execute("UPDATE recipient SET options = '[]' WHERE message = ?", (bad[1],))
            database.execute(
                "UPDATE recipient SET address = CAST(x'ff' AS TEXT) WHERE message = ?", (bad[2],)
            )
            database.commit()
        told: list[int] = []
        world.spool.on_set_aside = lambda message, _reason: told.append(message)
        found = await world.spool.load_due("one.example", NOON, 10, frozenset())
        assert [message.identifier for message in found] == [good]
        assert told == bad
        assert await world.spool.load_due("one.example", NOON, 10, frozenset({good})) == []
        await world.close()

    run(main())


def test_what_a_crash_leaves_beside_the_database_is_cleared_away(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        kept = await append(world, content=LARGE)
        done = await append(world, content=LARGE)
        await finish(world, done, result(0))
        await barrier(world)
        await world.close()
        bodies = world.directory / "bodies"
        assert [path.name for path in bodies.iterdir()] == [f"{kept}.eml"]
        (bodies / "17.part").write_bytes(b"arriving")
        (bodies / "18.eml").write_bytes(b"never committed")
        (bodies / f"{done}.eml").write_bytes(LARGE)
        (bodies / "a note of the administrator").write_text("not ours")
        await world.open()
        assert sorted(path.name for path in bodies.iterdir()) == sorted(
            [f"{kept}.eml", "a note of the administrator"]
        )
        await world.close()

    run(main())


def test_a_file_that_is_no_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_bytes(b"this is not a database at all" * 1000)

    async def main() -> None:
        with pytest.raises(SpoolDamaged) as caught:
            await SqliteSpool(SqliteSettings(tmp_path)).open()
        text = str(caught.value)
        assert str(tmp_path / "spool.sqlite") in text
        assert "waypost queue salvage" in text
        assert "Nothing was changed" in text

    run(main())
    assert (tmp_path / "spool.sqlite").read_bytes().startswith(b"this is not")


def test_a_database_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        for _ in range(50):
            await append(world, content=b"x" * 10_000)
        await world.close()
        path = world.directory / "spool.sqlite"
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(SpoolDamaged, match="bytes of"):
            await world.open()
        # The lock is free again: the refusal is about the file, not about us.
        with pytest.raises(SpoolDamaged):
            await world.open()

    run(main())


def test_a_spool_of_a_later_version_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        await world.close()
        with closing(sqlite3.connect(world.directory / "spool.sqlite")) as database:
            database.execute("PRAGMA user_version = 99")
        with pytest.raises(sqlite3.NotSupportedError, match="has schema 99"):
            await world.open()

    run(main())


def test_a_spool_belongs_to_one_process(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        with pytest.raises(SpoolInUse, match="in use by another process"):
            await SqliteSpool(SqliteSettings(world.directory)).open()
        await world.close()
        await world.open()
        await world.close()

    run(main())


# --- salvage ------------------------------------------------------------------------------------


def _damage_pages(path: Path, table: str, count: int) -> None:
    """Overwrite some leaf pages of a table with noise."""
    with closing(sqlite3.connect(path)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone()
    raw = bytearray(path.read_bytes())
    start = (root - 1) * size
    assert raw[start] in (2, 5), "the table has more than one page"
    cells = int.from_bytes(raw[start + 3 : start + 5], "big")
    for index in range(cells // 2, cells // 2 + count):
        at = start + 12 + 2 * index
        cell = start + int.from_bytes(raw[at : at + 2], "big")
        child = int.from_bytes(raw[cell : cell + 4], "big")
        raw[(child - 1) * size : (child - 1) * size + 200] = b"\xa5" * 200
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("table", ["message", "recipient", "body"])
def test_salvage_saves_all_but_what_stood_on_the_damaged_pages(tmp_path: Path, table: str) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path / "old")
        await world.open()
        messages = [
            await append(world, f"u{number}@one.example", content=b"%d\r\n" % number + b"x" * 500)
            for number in range(400)
        ]
        large = await append(world, content=LARGE)
        over = await append(world)
        await finish(world, over, result(0))
        await world.spool.suppress("ann@one.example", "bounced")
        await world.close()
        _damage_pages(world.directory / "spool.sqlite", table, 2)
        before = (world.directory / "spool.sqlite").read_bytes()
        found = salvage(world.directory, tmp_path / "new")
        assert (world.directory / "spool.sqlite").read_bytes() == before
        new = SqliteSpool(SqliteSettings(tmp_path / "new", minimum_free=0), world.clock.now)
        recovery = await new.open()
        rows = await new.messages(MessageFilter(limit=0))
        waiting = {row.identifier for row in rows for one in row.recipients if one.state is QUEUED}
        lost = {message for message, _ in found.damaged}
        assert waiting | lost == {*messages, large}, "what is not saved is named"
        assert not waiting & lost
        assert 0 < len(lost) < 250
        assert recovery.recipients == found.waiting == len(waiting)
        assert await content_of(await new.open_body(large)) == LARGE
        for number, message in enumerate(messages):
            if message in waiting:
                content = await content_of(await new.open_body(message))
                assert content == b"%d\r\n" % number + b"x" * 500
        assert new.suppression_reason("ann@one.example") == "bounced"
        await new.close()

    run(main())


def test_salvage_of_a_sound_spool_saves_everything(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path / "old")
        await world.open()
        message = await append(world, "a@one.example", "b@two.example")
        await finish(world, message, result(0))
        await world.close()
        found = salvage(world.directory, tmp_path / "new")
        assert (found.messages, found.waiting, found.damaged) == (1, 1, [])
        old = SqliteSpool(SqliteSettings(world.directory, minimum_free=0), world.clock.now)
        new = SqliteSpool(SqliteSettings(tmp_path / "new", minimum_free=0), world.clock.now)
        await old.open()
        await new.open()
        everything = MessageFilter(limit=0)
        assert await new.messages(everything) == await old.messages(everything)
        assert await new.attempts(message) == await old.attempts(message)
        await old.close()
        await new.close()

    run(main())


def test_salvage_refuses_to_mix_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(NothingToSalvage, match=r"holds no spool\.sqlite"):
        salvage(tmp_path, tmp_path / "new")
    (tmp_path / "spool.sqlite").write_bytes(b"")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "something").touch()
    with pytest.raises(NothingToSalvage, match="is not empty"):
        salvage(tmp_path, tmp_path / "new")
