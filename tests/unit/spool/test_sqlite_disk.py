"""Order on the disk, and what happens when it is full."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from spool_world import (
    DAY,
    NOON,
    Commit,
    SqliteWorld,
    StandingClock,
    append,
    barrier,
    begin_append,
    content_of,
    envelope,
    finish,
    record,
    result,
)

from waypost.spool import bodies as bodies_module
from waypost.spool.bodies import CONGESTED, LARGE
from waypost.spool.contract import MessageFilter, NewMessage, RecipientState, SpoolFull
from waypost.spool.sqlite import SqliteSettings, SqliteSpool

MEBIBYTE = 1024 * 1024


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


class Opened(SqliteWorld):
    """A spool with settings of its own and a disk that says how much it has."""

    def __init__(self, directory: Path, free: Callable[[Path], int], **settings: int) -> None:
        super().__init__(directory)
        self._settings = {"minimum_free": 0, **settings}
        self._free = free

    def _made(self) -> SqliteSpool:
        if not hasattr(self, "_settings"):
            return super()._made()
        settings = SqliteSettings(self.directory, **self._settings)
        return SqliteSpool(settings, self.clock.now, self._free)


def endless(_directory: Path) -> int:
    return 1 << 40


def test_a_file_and_its_folder_are_synced_before_the_row_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        events: list[str] = []
        fsync, rename = os.fsync, Path.rename
        submit = world.sqlite._committer.submit

        def watched_fsync(handle: int) -> None:
            kind = "folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file"
            fsync(handle)
            events.append(f"fsync {kind}")

        def watched_rename(path: Path, to: Path) -> Path:
            events.append(f"rename {path.suffix} {to.suffix}")
            return rename(path, to)

        def watched_submit(operation: Any) -> None:
            events.append(type(operation).__name__)
            submit(operation)

        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(Path, "rename", watched_rename)
        world.sqlite._committer.submit = watched_submit  # type: ignore[method-assign]
        await append(world, content=b"x" * LARGE * 2)
        assert events == ["fsync file", "rename .part .eml", "fsync folder", "Append"]
        await world.close()

    run(main())


def test_a_file_that_cannot_be_synced_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()

        def full(_handle: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(bodies_module.os, "fsync", full)
            with pytest.raises(SpoolFull):
                await append(world, content=b"x" * LARGE * 2)
        assert list((world.directory / "bodies").iterdir()) == []
        assert await world.spool.messages(MessageFilter()) == []
        message = await append(world, content=b"y" * LARGE * 2)
        assert await content_of(await world.spool.open_body(message)) == b"y" * LARGE * 2
        await world.close()

    run(main())


def test_a_row_that_cannot_be_committed_takes_its_file_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        known = await append(world)
        writer = world.sqlite.body_writer(None)
        writer.write(b"x" * LARGE * 2)
        twice = NewMessage(
            known, envelope("a@b.example"), NOON, NOON + DAY, NOON, None, "", writer.size, "", "",
            False,
        )  # fmt: skip
        commit = Commit()
        world.spool.append(twice, writer, commit.done("append"))
        await barrier(world)
        while "append" not in commit.outcomes:
            await barrier(world)
        assert commit.outcomes["append"] is not None
        assert list((world.directory / "bodies").iterdir()) == []
        assert world.sqlite._room.files == 0
        await world.close()

    run(main())


def test_the_books_are_even_when_all_is_done(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        room, budget = world.sqlite._room, world.sqlite._budget
        for size in (100, LARGE * 3):
            message = await append(world, content=b"x" * size)
            for expected in (None, size, size * 2):
                abandoned = world.sqlite.body_writer(expected)
                abandoned.write(b"x" * size)
                abandoned.discard()
            notice = world.sqlite.body_writer(None)
            notice.write(b"n" * size)
            commit = Commit()
            told = NewMessage(
                notice.identifier, envelope("joe@x.example", sender=""), NOON, NOON + DAY, NOON,
                None, "notice", size, "", "", False,
            )  # fmt: skip
            world.spool.finish(
                record(message, result(0, RecipientState.BOUNCED)), commit.done("f"), (told, notice)
            )
            await commit.all("f")
            await finish(world, notice.identifier, result(0))
        for _ in range(200):  # two threads still write what was discarded
            await barrier(world)
            if not (room.promised or room.files):
                break
            await asyncio.sleep(0.01)
        assert (room.promised, room.files, budget.used) == (0, 0, 0)
        assert list((world.directory / "bodies").iterdir()) == []
        await world.close()

    run(main())


def test_content_waits_for_the_disk_in_bounded_memory(tmp_path: Path) -> None:
    async def main() -> None:
        world = SqliteWorld(tmp_path)
        await world.open()
        writer = world.sqlite.body_writer(None)
        largest = 0
        for _ in range(800):  # 50 MiB
            writer.write(b"x" * 65536)
            largest = max(largest, sum(map(len, writer.parts)))
            if writer.congested:
                drained = asyncio.Event()
                writer.when_drained(drained.set)
                await drained.wait()
        assert largest <= CONGESTED + 2 * 65536
        commit = Commit()
        message = NewMessage(
            writer.identifier, envelope("a@b.example"), NOON, NOON + DAY, NOON, None, "",
            writer.size, "", "", False,
        )  # fmt: skip
        world.spool.append(message, writer, commit.done("append"))
        await commit.all("append")
        body = await world.spool.open_body(message.identifier)
        assert body.size == 800 * 65536
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async for piece in body.chunks():
            assert len(piece) <= 256 * 1024
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
        await world.close()

    run(main())


def test_arriving_content_beyond_the_memory_of_all_goes_to_files(tmp_path: Path) -> None:
    async def main() -> None:
        world = Opened(tmp_path, endless, memory=1000)
        await world.open()
        writers = [world.sqlite.body_writer(None) for _ in range(3)]
        for writer in writers:
            writer.write(b"x" * 600)
        assert [writer.in_file for writer in writers] == [False, True, True]
        assert world.sqlite._budget.used == 600
        for writer in writers:
            writer.discard()
        message = await append(world, content=b"y" * 2000)
        assert await content_of(await world.spool.open_body(message)) == b"y" * 2000
        await world.close()

    run(main())


# --- room ---------------------------------------------------------------------------------------


def test_a_low_disk_refuses_before_it_is_full(tmp_path: Path) -> None:
    async def main() -> None:
        free = 2 * MEBIBYTE
        world = Opened(tmp_path, lambda _directory: free, minimum_free=MEBIBYTE)
        await world.open()
        assert world.spool.admission(MEBIBYTE // 2) is None
        assert isinstance(world.spool.admission(MEBIBYTE + 1), SpoolFull)
        free = MEBIBYTE
        world.sqlite._room.measure()
        assert isinstance(world.spool.admission(0), SpoolFull)
        free = 2 * MEBIBYTE
        world.sqlite._room.measure()
        assert world.spool.admission(0) is None
        await world.close()

    run(main())


def test_what_is_arriving_has_its_room_already(tmp_path: Path) -> None:
    async def main() -> None:
        world = Opened(tmp_path, lambda _directory: 10 * MEBIBYTE)
        await world.open()
        first = world.sqlite.body_writer(6 * MEBIBYTE)
        assert isinstance(world.spool.admission(6 * MEBIBYTE), SpoolFull)
        world.sqlite._room.measure()
        assert isinstance(world.spool.admission(6 * MEBIBYTE), SpoolFull)
        first.discard()
        assert world.spool.admission(6 * MEBIBYTE) is None
        await world.close()

    run(main())


def test_content_of_undeclared_size_fails_when_the_room_is_used_up(tmp_path: Path) -> None:
    async def main() -> None:
        world = Opened(tmp_path, lambda _directory: 2 * MEBIBYTE)
        await world.open()
        commit = Commit()
        writer = world.sqlite.body_writer(None)
        for _ in range(80):
            writer.write(b"x" * 65536)
        assert sum(map(len, writer.parts)) <= 2 * MEBIBYTE
        message = NewMessage(
            writer.identifier, envelope("a@b.example"), NOON, NOON + DAY, NOON, None, "",
            writer.size, "", "", False,
        )  # fmt: skip
        world.spool.append(message, writer, commit.done("append"))
        with pytest.raises(SpoolFull):
            await commit.all("append")
        assert list((world.directory / "bodies").iterdir()) == []
        await append(world)
        assert world.sqlite._room.promised == 0
        await world.close()

    run(main())


def test_the_quota_opens_again_when_mail_has_left(tmp_path: Path) -> None:
    async def main() -> None:
        world = Opened(tmp_path, endless, maximum_bytes=4 * MEBIBYTE)
        await world.open()
        small: list[int] = []
        while world.spool.admission(100_000) is None:
            small.append(await append(world, content=b"x" * 100_000))
            assert len(small) < 100
        assert len(small) > 10
        used = (await world.spool.counts()).bytes_used
        assert used <= 4 * MEBIBYTE
        await world.spool.cancel(MessageFilter(identifiers=tuple(small)), "x")
        world.sqlite._room.measure()
        assert world.spool.admission(MEBIBYTE) is None, "pages that are free are room"
        large = await append(world, content=b"x" * (3 * MEBIBYTE))
        world.sqlite._room.measure()
        assert isinstance(world.spool.admission(MEBIBYTE), SpoolFull)
        assert (await world.spool.counts()).bytes_used >= 3 * MEBIBYTE
        await finish(world, large, result(0))
        await barrier(world)
        world.sqlite._room.measure()
        assert world.spool.admission(MEBIBYTE) is None
        await world.close()

    run(main())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_survived_and_nothing_that_was_kept_is_lost(small_disk: Path) -> None:
    """Without any reserve, so that SQLite and the files themselves run into the end."""

    async def main() -> None:
        world = Opened(small_disk, endless)
        await world.open()
        kept: list[int] = []
        refused = 0
        for _ in range(300):
            commit = Commit()
            for number, size in enumerate((150_000, 10, LARGE * 2)):
                message, _ = begin_append(world, commit.done(str(number)), content=b"x" * size)
                try:
                    await commit.all(str(number))
                    kept.append(message)
                except SpoolFull:
                    refused += 1
            if refused > 20:
                break
        assert refused > 20
        assert len(kept) > 10
        await world.close()
        recovery = await world.open()
        assert (recovery.messages, recovery.set_aside) == (len(kept), ()), "it opens though full"
        remount = ["mount", "-o", "remount,size=64m", str(small_disk)]
        await asyncio.to_thread(subprocess.run, remount, check=True)
        kept.append(await append(world, content=b"y" * 1000))
        rows = await world.spool.messages(MessageFilter(limit=0))
        assert {row.identifier for row in rows} == set(kept)
        for message in kept:
            await content_of(await world.spool.open_body(message))
        await world.close()

    run(main())


def test_a_reserve_keeps_a_small_disk_from_filling(small_disk: Path) -> None:
    async def main() -> None:
        clock = StandingClock()
        settings = SqliteSettings(small_disk, minimum_free=8 * MEBIBYTE)
        spool = SqliteSpool(settings, clock.now)
        world = SqliteWorld(small_disk)
        world.spool = spool
        await spool.open()
        kept = 0
        while spool.admission(200_000) is None:
            await append(world, content=b"x" * 200_000)
            kept += 1
            assert kept < 500
        assert kept > 10
        status = os.statvfs(small_disk)
        assert status.f_bavail * status.f_frsize > 4 * MEBIBYTE
        # What was taken in can still be delivered: outcomes need a little of the reserve.
        assert await spool.cancel(MessageFilter(limit=0), "x") == kept
        await spool.close()

    run(main())
