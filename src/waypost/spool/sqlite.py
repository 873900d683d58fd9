"""The spool on SQLite: one file, one writing thread, and three that read.

WAL with synchronous=FULL: COMMIT returns when the log is fsynced, so a committed message survives
a power cut. Large bodies stand in files beside it (bodies.py). One reader serves the engine; one
serves people, whose questions may take a look at everything; one their short questions.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from waypost.spool import sqlite_control, sqlite_opening, sqlite_reading
from waypost.spool.bodies import (
    FileBody,
    MemoryBody,
    MemoryBudget,
    SpoolBodyWriter,
    fsync_directory,
)
from waypost.spool.committer import Committer, as_refusal
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    BodyDamaged,
    BodyWriter,
    Done,
    DueQueue,
    NewMessage,
    QueuedMessage,
    Recovery,
    SetAside,
    SpoolFailure,
    SpoolFull,
    SpoolRefusal,
)
from waypost.spool.exchange import with_exchange
from waypost.spool.identifiers import IdentifierSource, identifier_text
from waypost.spool.operations import Append, Execute, Finish, MarkStarted, apply_operations
from waypost.spool.room import Room, disk_free
from waypost.spool.sqlite_events import SqliteEvents
from waypost.spool.sqlite_questions import SqliteQuestions

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """Where the spool is and what it may use. Sizes in bytes."""

    directory: Path
    maximum_bytes: int = 0
    """Quota over database and files; 0: the disk decides."""
    minimum_free: int = 256 * 1024 * 1024
    """Free disk below which nothing more is accepted."""
    memory: int = 64 * 1024 * 1024
    """Arriving content held in memory over all connections; what exceeds it goes to files."""


class SpoolInUse(Exception):
    """Another process works on this spool."""


class SqliteSpool(SqliteQuestions, SqliteEvents):
    """See waypost.spool.contract.Spool."""

    def __init__(
        self,
        settings: SqliteSettings,
        now: Callable[[], float] = time.time,
        free: Callable[[Path], int] = disk_free,
    ) -> None:
        self.settings = settings
        self.on_set_aside: SetAside = lambda _message, _reason: None
        self.on_damage: Callable[[str], None] = lambda _finding: None
        """Told on the event loop: what the search for damage finds in the database as such."""
        self._now = now
        self._path = settings.directory / "spool.sqlite"
        self._bodies = settings.directory / "bodies"
        self._captured = settings.directory / "captured"
        self._budget = MemoryBudget(settings.memory)
        self._committer = Committer(
            lambda: with_exchange(sqlite_opening.connect(self._path)), apply_operations
        )
        self._room = Room(
            settings.minimum_free,
            settings.maximum_bytes,
            lambda: free(settings.directory) - self._log_bytes(),
            self._measure_pages,
            self._bytes_in_progress,
            time.monotonic,
        )
        self._reading = ThreadPoolExecutor(1, "waypost-spool-reader")
        self._asking = ThreadPoolExecutor(1, "waypost-spool-people")
        self._glancing = ThreadPoolExecutor(1, "waypost-spool-glances")
        self._writing = ThreadPoolExecutor(2, "waypost-spool-bodies")
        self._reader: sqlite3.Connection | None = None
        self._people: sqlite3.Connection | None = None
        self._glances: sqlite3.Connection | None = None
        self._gauge: sqlite3.Connection | None = None
        self._checker: sqlite3.Connection | None = None
        self._pages = (0, 0)
        self._identifiers = IdentifierSource()
        self._files: dict[int, int] = {}
        """Bodies in files, with their bytes."""
        self._settling = 0
        """Bodies on their way into files, with an append behind them."""
        self._all_settled: asyncio.Future[None] | None = None
        self._suppressed: dict[str, str] = {}
        self._serial = 0
        self._next_expiry = float("-inf")
        """No queued message expires before this time."""
        self._lock: int | None = None
        self._search: asyncio.Task[None] | None = None
        self._closing = False

    # --- opening and closing ----------------------------------------------------------------

    async def open(self) -> Recovery:
        """Make ready; see the contract. Raises SpoolInUse, SpoolDamaged, OSError, sqlite3.Error."""
        begun = time.monotonic()
        for directory in (self.settings.directory, self._bodies, self._captured):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fsync_directory(self.settings.directory)
        self._take_lock()
        try:
            recovery = await self._in(self._reading, self._prepare)
            self._gauge = sqlite_opening.connect(self._path)
            self._room.measure()
        except BaseException:
            self._close_connections()
            self._give_back_lock()
            raise
        self._committer.start()
        self._search = asyncio.create_task(self._search_for_damage())
        return replace(recovery, seconds=time.monotonic() - begun)

    async def close(self) -> None:
        """Commit what was given and stop."""
        self._closing = True
        if self._search is not None:
            if self._checker is not None:
                self._checker.interrupt()
            await self._search
        if self._settling:
            self._all_settled = asyncio.get_running_loop().create_future()
            await self._all_settled
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._committer.stop)
        await asyncio.sleep(0)  # let the callbacks of the last commit run
        for pool in (self._writing, self._reading, self._asking, self._glancing):
            await loop.run_in_executor(None, pool.shutdown)
        self._close_connections()
        self._give_back_lock()

    def _take_lock(self) -> None:
        self._lock = os.open(self.settings.directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            self._give_back_lock()
            raise SpoolInUse(
                f"the spool {self.settings.directory} is in use by another process; "
                "stop it, or give this one another --spool"
            ) from fault

    def _give_back_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _prepare(self) -> Recovery:
        """In the reading thread: schema, recovery, and what is known in memory."""
        sqlite_opening.prepare(self._path)
        self._reader = reader = sqlite_opening.connect(self._path)
        self._people = sqlite_opening.connect(self._path)
        self._glances = sqlite_opening.connect(self._path)
        self._glances.execute("PRAGMA cache_size = -4000")  # it passes through, and does not stay
        recovery = sqlite_opening.recover(reader, self._path, self._bodies, self._now())
        self._files = sqlite_opening.file_sizes(self._bodies)
        kept = sqlite_opening.file_sizes(self._captured) | self._files
        self._room.files = sum(kept.values())
        self._suppressed = dict(reader.execute("SELECT address, reason FROM suppression"))
        (last,) = reader.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
        self._identifiers = IdentifierSource(last)
        self._serial = time.time_ns()  # above all that an earlier run has given
        return recovery

    def _close_connections(self) -> None:
        for connection in (self._reader, self._people, self._glances, self._gauge):
            if connection is not None:
                connection.close()
        self._reader = self._people = self._glances = self._gauge = None

    async def _search_for_damage(self) -> None:
        """Look at everything, beside the work. What is found is reported and set aside."""
        loop = asyncio.get_running_loop()
        checker = self._checker = sqlite_opening.connect(self._path)

        def search() -> None:
            try:
                for finding in sqlite_opening.findings(checker, lambda: self._closing):
                    loop.call_soon_threadsafe(self.on_damage, finding)
            except sqlite3.OperationalError as fault:
                if not self._closing:
                    loop.call_soon_threadsafe(self.on_damage, f"the search ended early: {fault}")

        await loop.run_in_executor(None, search)
        self._checker = None
        checker.close()
        after = 1
        while after and not self._closing:
            try:
                found, after = await self._ask(
                    lambda c, after=after: sqlite_opening.unreadable(c, after)  # type: ignore[misc]
                )
            except sqlite3.DatabaseError as fault:
                self.on_damage(str(fault))
                return
            for message, reason in found:
                await self._put_aside(message, reason)

    # --- room -------------------------------------------------------------------------------

    def _log_bytes(self) -> int:
        """Bytes of the write-ahead log: a checkpoint may need as much again in the database."""
        log = self._path.with_name(self._path.name + "-wal")
        try:
            return log.stat().st_size
        except FileNotFoundError:
            return 0

    def _measure_pages(self) -> tuple[int, int]:
        if self._gauge is not None:
            with suppress(sqlite3.Error):  # the last measurement will do
                self._pages = sqlite_reading.used_pages(self._gauge)
        return self._pages

    def _bytes_in_progress(self) -> int:
        return sum(
            2 * len(operation.content or b"")
            for operation in self._committer.in_progress()
            if isinstance(operation, Append)
        )

    def admission(self, size: int) -> SpoolRefusal | None:
        """Whether a message of `size` bytes may be taken now; measures at most once a second."""
        try:
            left = self._room.left()
        except OSError as fault:
            return SpoolFailure(f"the disk of the spool cannot be measured: {fault}")
        if max(size, 1) > left:
            return SpoolFull("the spool has no room; try again later")
        return None

    # --- messages in ------------------------------------------------------------------------

    def identifier(self) -> int:
        """A new message identifier."""
        return self._identifiers.next(self._now())

    def body_writer(self, expected: int | None) -> SpoolBodyWriter:
        """Begin a body."""
        return SpoolBodyWriter(
            self.identifier(), self._bodies, self._writing, self._budget, self._room, expected
        )

    def append(self, message: NewMessage, body: BodyWriter, done: Done) -> Body:
        """Keep a message; see the contract."""
        assert isinstance(body, SpoolBodyWriter)
        if message.expires_at < self._next_expiry:
            self._next_expiry = message.expires_at
        if not body.in_file:
            content = body.take_content()
            self._committer.submit(Append(message, content, zlib.crc32(content), done))
            return MemoryBody(content)
        writer = body
        stored = FileBody(writer.path, writer.size, 0)

        def in_place(refusal: Exception | None) -> None:
            if refusal is not None:
                done(refusal)
                return
            stored.checksum = writer.checksum
            self._committer.submit(Append(message, None, writer.checksum, committed))

        def committed(failure: Exception | None) -> None:
            self._file_committed(writer, failure)
            done(failure)

        self._settle(writer, in_place)
        return stored

    def _settle(self, writer: SpoolBodyWriter, done: Done) -> None:
        """Bring a body into its file; `close` waits for it."""
        self._settling += 1

        def settled() -> None:
            self._settling -= 1
            done(None if writer.failure is None else as_refusal(writer.failure))
            if not self._settling and self._all_settled is not None:
                self._all_settled.set_result(None)

        writer.settle(settled)

    def _file_committed(self, writer: SpoolBodyWriter, failure: Exception | None) -> None:
        if failure is None:
            self._files[writer.identifier] = writer.size
        else:
            writer.remove()

    # --- attempts ---------------------------------------------------------------------------

    def mark_started(self, message: int, numbers: Sequence[int], done: Done) -> None:
        """Say that an attempt begins."""
        self._committer.submit(MarkStarted(message, numbers, done))

    def unmark_started(self, message: int, numbers: Sequence[int], done: Done) -> None:
        """Take the mark back."""
        self._execute(
            lambda connection: connection.executemany(
                "UPDATE recipient SET started = 0 WHERE message = ? AND number = ? AND state = 0",
                [(message, number) for number in numbers],
            ),
            done,
        )

    def finish(
        self,
        record: AttemptRecord,
        done: Done,
        notification: tuple[NewMessage, BodyWriter] | None = None,
    ) -> None:
        """Store an attempt and what it came to; see the contract."""
        self._serial += 1
        serial = self._serial
        if notification is None:
            if record.message in self._files:
                done = self._dropping_files([record.message], done)
            self._committer.submit(Finish(record, serial, done))
            return
        notice, writer = notification
        assert isinstance(writer, SpoolBodyWriter)
        if notice.expires_at < self._next_expiry:
            self._next_expiry = notice.expires_at

        def committed(failure: Exception | None) -> None:
            # After a failure the caller comes again with the same writer, so it stays whole.
            if failure is None and writer.in_file:
                self._files[writer.identifier] = writer.size
            elif failure is None:
                writer.take_content()
            done(failure)

        told = self._dropping_files([record.message], committed)

        def submit(content: bytes | None, checksum: int) -> None:
            attached = Append(notice, content, checksum, None)
            self._committer.submit(Finish(record, serial, told, attached))

        def in_place(refusal: Exception | None) -> None:
            if refusal is None:
                submit(None, writer.checksum)
            else:
                done(refusal)

        if writer.in_file:
            self._settle(writer, in_place)
        else:
            content = writer.peek_content()
            submit(content, zlib.crc32(content))

    def capture(self, message: int, addresses: Sequence[str], at: float, done: Done) -> None:
        """Keep a copy of a message for the sandbox."""
        self._execute(
            lambda connection: sqlite_control.capture(
                connection, self._bodies, self._captured, message, addresses, at
            ),
            done,
        )

    def _dropping_files(self, messages: Sequence[int], done: Done) -> Done:
        """`done`, and after it the files go of those messages that nobody waits for any more."""

        def finished(failure: Exception | None) -> None:
            done(failure)
            in_files = [message for message in messages if message in self._files]
            if failure is None and in_files:
                self._drop_files(in_files)

        return finished

    def _drop_files(self, messages: Sequence[int]) -> None:
        """Remove the files of bodies for which no recipient waits. Should it fail or a crash come
        between, the next start does it."""
        gone: list[int] = []
        freed = 0

        def work(connection: sqlite3.Connection) -> None:
            nonlocal freed
            gone.clear()
            for message in messages:
                held = connection.execute(
                    "SELECT 1 FROM recipient WHERE message = ? AND state IN (0, 1, 6)", (message,)
                ).fetchone()
                path = self._bodies / f"{message}.eml"
                if held is None and path.exists():
                    status = path.stat()
                    path.unlink()
                    freed += status.st_size if status.st_nlink == 1 else 0
                    gone.append(message)

        def done(_failure: Exception | None) -> None:
            for message in gone:
                self._files.pop(message, None)
            self._room.files -= freed

        self._committer.submit(Execute(work, done))

    def warned(self, message: int, done: Done) -> None:
        """A delay warning was sent."""
        self._execute(
            lambda connection: connection.execute(
                "UPDATE message SET warned = 1 WHERE id = ?", (message,)
            ),
            done,
        )

    # --- what is due ------------------------------------------------------------------------

    async def due_queues(self, now: float, after: str, limit: int) -> list[DueQueue]:  # noqa: ARG002
        """Destinations with queued recipients; see the contract."""
        return await self._read(lambda c: sqlite_reading.due_queues(c, after, limit))

    async def load_due(
        self, domain: str, now: float, limit: int, excluded: frozenset[int]
    ) -> list[QueuedMessage]:
        """Due messages of a destination; see the contract."""
        return await self._loaded(
            await self._read(lambda c: sqlite_reading.load_due(c, domain, now, limit, excluded))
        )

    async def _loaded(self, found: sqlite_reading.Loaded) -> list[QueuedMessage]:
        """What was read; what could not be is set aside, or it would be tried for ever."""
        for message, reason in found.unreadable:
            await self._put_aside(message, reason)
        return found.messages

    async def next_due(self, domain: str, after: float) -> float | None:
        """When the next queued recipient of a destination becomes due after a time."""
        return await self._read(lambda c: sqlite_reading.next_due(c, domain, after))

    async def expired(self, now: float, limit: int) -> list[int]:
        """Messages whose time is over. Looks at all that waits, but only when one may be."""
        if now < self._next_expiry:
            return []
        self._next_expiry = float("inf")  # appends lower it while we look
        found, first = await self._ask(lambda c: sqlite_reading.expired(c, now, limit))
        if first is not None:
            self._next_expiry = min(self._next_expiry, first)
        return found

    async def load_message(self, message: int) -> list[QueuedMessage]:
        """A message with its queued recipients, one for each domain."""
        return await self._loaded(
            await self._read(lambda c: sqlite_reading.load_message(c, message))
        )

    async def open_body(self, message: int) -> Body:
        """The content. Raises BodyDamaged."""
        return await self._read(lambda c: self._open_body(c, message))

    def _open_body(self, connection: sqlite3.Connection, message: int) -> Body:
        try:
            row = connection.execute(
                "SELECT m.size, m.checksum, m.in_file, b.content FROM message m "
                "LEFT JOIN body b ON b.message = m.id WHERE m.id = ?",
                (message,),
            ).fetchone()
        except sqlite3.DatabaseError as fault:
            raise BodyDamaged(f"the database cannot read it: {fault}") from fault
        if row is None:
            raise BodyDamaged("its row is gone")
        size, checksum, in_file, content = row
        if in_file:
            path = self._bodies / f"{message}.eml"
            try:
                actual = path.stat().st_size
            except OSError as fault:
                raise BodyDamaged(f"cannot open {path.name}: {fault}") from fault
            if actual != size:
                raise BodyDamaged(f"{path.name} has {actual} bytes of {size}")
            return FileBody(path, size, checksum)
        if content is None:
            raise BodyDamaged("its content is gone")
        if zlib.crc32(content) != checksum:
            raise BodyDamaged("its content does not match its checksum")
        return MemoryBody(content)

    def _log_identity(self) -> str:
        return identifier_text(self.identifier())

    # --- threads ----------------------------------------------------------------------------

    async def _read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """A short question of the engine."""
        reader = self._reader
        assert reader is not None, "the spool is not open"
        return await self._in(self._reading, lambda: work(reader))

    async def _ask(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """A question that may take long; the engine's do not wait behind it."""
        people = self._people
        assert people is not None, "the spool is not open"
        return await self._in(self._asking, lambda: work(people))

    async def _glance(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """A short question of people, who do not wait behind a long one either."""
        glances = self._glances
        assert glances is not None, "the spool is not open"
        return await self._in(self._glancing, lambda: work(glances))

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    async def _write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a function in the committer's transaction and give its result when durable."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        result: list[_Result] = []

        def done(failure: Exception | None) -> None:
            if not future.done():
                if failure is None:
                    future.set_result(result[-1])
                else:
                    future.set_exception(failure)

        self._committer.submit(Execute(lambda c: result.append(work(c)), done))
        return await future

    def _execute(self, work: Callable[[sqlite3.Connection], object], done: Done) -> None:
        def run(connection: sqlite3.Connection) -> None:
            work(connection)

        self._committer.submit(Execute(run, done))
