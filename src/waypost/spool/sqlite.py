"""The spool on SQLite: one file, one writing thread, one reading thread.

WAL with synchronous=FULL: COMMIT returns when the log is fsynced, so a committed message survives
a power cut. Large bodies stand in files beside it (bodies.py).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

from waypost.spool import sqlite_control, sqlite_reading
from waypost.spool.bodies import FileBody, MemoryBody, MemoryBudget, SpoolBodyWriter
from waypost.spool.committer import Committer, as_refusal
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    BodyDamaged,
    BodyWriter,
    Captured,
    Done,
    DueQueue,
    MessageFilter,
    MessageRow,
    NewMessage,
    QueuedMessage,
    Recovery,
    SpoolCounts,
    SpoolFull,
    SpoolRefusal,
)
from waypost.spool.identifiers import IdentifierSource
from waypost.spool.operations import Append, Execute, Finish, MarkStarted, apply_operations

SCHEMA_VERSION: Final = 1

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


class SqliteSpool:
    """See waypost.spool.contract.Spool."""

    def __init__(self, settings: SqliteSettings, now: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._now = now
        self._path = settings.directory / "spool.sqlite"
        self._bodies = settings.directory / "bodies"
        self._captured = settings.directory / "captured"
        self._budget = MemoryBudget(settings.memory)
        self._committer = Committer(self._connect, apply_operations)
        self._reading = ThreadPoolExecutor(1, "waypost-spool-reader")
        self._writing = ThreadPoolExecutor(2, "waypost-spool-bodies")
        self._reader: sqlite3.Connection | None = None
        self._identifiers = IdentifierSource()
        self._in_files: set[int] = set()
        self._suppressed: dict[str, str] = {}
        self._serial = 0
        self._lock: int | None = None
        self._admission: tuple[float, int] = (0.0, 0)
        self._used_files = 0

    # --- opening and closing ----------------------------------------------------------------

    async def open(self) -> Recovery:
        """Make ready; see the contract. Raises SpoolInUse, OSError, sqlite3.Error."""
        begun = time.monotonic()
        self._bodies.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._captured.mkdir(exist_ok=True, mode=0o700)
        self._take_lock()
        recovery = await self._read_raw(self._prepare)
        self._committer.start()
        self._measure_room()
        return Recovery(
            recovery.messages, recovery.recipients, recovery.uncertain, recovery.set_aside,
            time.monotonic() - begun,
        )  # fmt: skip

    async def close(self) -> None:
        """Commit what was given and stop."""
        loop = asyncio.get_running_loop()
        self._writing.shutdown(wait=True)
        await loop.run_in_executor(None, self._committer.stop)
        await self._read_raw(self._close_reader)
        self._reading.shutdown(wait=True)
        await asyncio.sleep(0)  # let the callbacks of the last commit run
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, cached_statements=512, timeout=30
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def _take_lock(self) -> None:
        self._lock = os.open(self.settings.directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            os.close(self._lock)
            self._lock = None
            raise SpoolInUse(
                f"the spool {self.settings.directory} is in use by another process; "
                "stop it, or give this one another --spool"
            ) from fault

    def _prepare(self) -> Recovery:
        """In the reading thread: schema, integrity, recovery."""
        new = not self._path.exists()
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        self._path.chmod(0o600)
        if new:
            connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        schema = resources.files("waypost.spool").joinpath("schema.sql").read_text("utf-8")
        connection.executescript(schema)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(
                f"{self._path} has schema {version}; this version of waypost knows "
                f"{SCHEMA_VERSION}. Run the version that wrote it, or choose another --spool"
            )
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        recovery = sqlite_control.recover(connection, self._bodies)
        self._in_files = sqlite_control.bodies_in_files(connection, self._bodies)
        self._suppressed = dict(connection.execute("SELECT address, reason FROM suppression"))
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
        self._identifiers = IdentifierSource(last)
        self._used_files = sum(path.stat().st_size for path in self._bodies.glob("*.eml"))
        connection.close()
        self._reader = self._connect()
        return recovery

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- messages in ------------------------------------------------------------------------

    def identifier(self) -> int:
        """A new message identifier."""
        return self._identifiers.next(self._now())

    def admission(self, size: int) -> SpoolRefusal | None:
        """Whether `size` bytes may be taken now; measures the disk at most once a second."""
        if time.monotonic() - self._admission[0] > 1:
            self._measure_room()
        if size > self._admission[1]:
            return SpoolFull("the spool has no room; try again later")
        self._admission = (self._admission[0], self._admission[1] - size)
        return None

    def _measure_room(self) -> None:
        room = shutil.disk_usage(self.settings.directory).free - self.settings.minimum_free
        if self.settings.maximum_bytes:
            used = self._used_files + sum(
                self._path.with_name(self._path.name + suffix).stat().st_size
                for suffix in ("", "-wal")
                if self._path.with_name(self._path.name + suffix).exists()
            )
            room = min(room, self.settings.maximum_bytes - used)
        self._admission = (time.monotonic(), room)

    def body_writer(self, expected: int | None) -> SpoolBodyWriter:  # noqa: ARG002 - contract
        """Begin a body."""
        return SpoolBodyWriter(self.identifier(), self._bodies, self._writing, self._budget)

    def append(self, message: NewMessage, body: BodyWriter, done: Done) -> Body:
        """Keep a message; see the contract."""
        assert isinstance(body, SpoolBodyWriter)
        if not body.in_file:
            content = body.take_content()
            self._committer.submit(Append(message, content, zlib.crc32(content), done))
            return MemoryBody(content)
        writer = body

        def settled() -> None:
            if writer.failure is not None:
                done(as_refusal(writer.failure))
                return
            stored._checksum = writer.checksum
            self._in_files.add(message.identifier)
            self._used_files += writer.size
            self._committer.submit(Append(message, None, writer.checksum, done))

        stored = FileBody(self._bodies / f"{body.identifier}.eml", body.size, 0)
        writer.settle(settled)
        return stored

    # --- attempts ---------------------------------------------------------------------------

    def mark_started(self, message: int, numbers: Sequence[int], done: Done) -> None:
        """Say that an attempt begins."""
        self._committer.submit(MarkStarted(message, numbers, done))

    def finish(
        self,
        record: AttemptRecord,
        done: Done,
        notification: tuple[NewMessage, BodyWriter] | None = None,
    ) -> None:
        """Store an attempt and what it came to; see the contract."""
        self._serial += 1
        attached: Append | None = None
        if notification is not None:
            notice, writer = notification
            assert isinstance(writer, SpoolBodyWriter)
            content = writer.peek_content()
            attached = Append(notice, content, zlib.crc32(content), None)
        if record.message in self._in_files:
            inner = done

            def finished(failure: Exception | None) -> None:
                inner(failure)
                if failure is None:
                    self._drop_file(record.message)

            done = finished
        self._committer.submit(Finish(record, self._serial, done, attached))

    def capture(self, message: int, addresses: Sequence[str], at: float, done: Done) -> None:
        """Keep a copy of a message for the sandbox."""
        self._execute(
            lambda connection: sqlite_control.capture(
                connection, self._bodies, self._captured, message, addresses, at
            ),
            done,
        )

    def _drop_file(self, message: int) -> None:
        """Remove the file of a body for which no recipient waits any more."""

        def work(connection: sqlite3.Connection) -> None:
            (waiting,) = connection.execute(
                "SELECT count(*) FROM recipient WHERE message = ? AND state < 2", (message,)
            ).fetchone()
            path = self._bodies / f"{message}.eml"
            if not waiting and path.exists():
                self._used_files -= path.stat().st_size
                path.unlink()
                self._in_files.discard(message)

        self._committer.submit(Execute(work, None))

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
        return await self._read(lambda c: sqlite_reading.load_due(c, domain, now, limit, excluded))

    async def next_due(self, domain: str, after: float) -> float | None:
        """When the next queued recipient of a destination becomes due after a time."""
        return await self._read(lambda c: sqlite_reading.next_due(c, domain, after))

    async def expired(self, now: float, limit: int) -> list[int]:
        """Messages whose time is over."""
        return await self._read(lambda c: sqlite_reading.expired(c, now, limit))

    async def load_message(self, message: int) -> list[QueuedMessage]:
        """A message with its queued recipients, one for each domain."""
        return await self._read(lambda c: sqlite_reading.load_message(c, message))

    def suppression_reason(self, address: str) -> str | None:
        """Why nothing is to be sent to an address."""
        return self._suppressed.get(address.lower()) if self._suppressed else None

    async def captured(self, limit: int, before: int | None = None) -> list[Captured]:
        """What the sandbox has caught, newest first."""
        return await self._read(lambda c: sqlite_reading.captured(c, limit, before))

    async def captured_content(self, message: int) -> Body:
        """The content of a captured message. Raises BodyDamaged."""
        return await self._read(lambda c: self._captured_body(c, message))

    def _captured_body(self, connection: sqlite3.Connection, message: int) -> Body:
        row = connection.execute(
            "SELECT size, checksum, content FROM captured WHERE message = ?", (message,)
        ).fetchone()
        if row is None:
            raise BodyDamaged("nothing of this identifier was captured")
        if row[2] is None:
            return FileBody(self._captured / f"{message}.eml", row[0], row[1])
        return MemoryBody(row[2])

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
            return FileBody(self._bodies / f"{message}.eml", size, checksum)
        if content is None:
            raise BodyDamaged("its content is gone")
        if zlib.crc32(content) != checksum:
            raise BodyDamaged("its content does not match its checksum")
        return MemoryBody(content)

    # --- for people -------------------------------------------------------------------------

    async def set_aside(self, message: int, reason: str) -> None:
        """Mark the waiting recipients of an unreadable message as DAMAGED."""
        await self._write(lambda c: sqlite_control.set_aside(c, message, reason))

    async def messages(self, wanted: MessageFilter) -> list[MessageRow]:
        """Messages, newest first."""
        return await self._read(lambda c: sqlite_reading.messages(c, wanted))

    async def attempts(self, message: int) -> list[AttemptRecord]:
        """The attempts of a message."""
        return await self._read(lambda c: sqlite_reading.attempts(c, message))

    async def hold(self, wanted: MessageFilter) -> int:
        """Hold queued recipients; how many."""
        return await self._write(lambda c: sqlite_control.hold(c, wanted))

    async def release(self, wanted: MessageFilter, now: float) -> int:
        """Release held ones; how many."""
        return await self._write(lambda c: sqlite_control.release(c, wanted, now))

    async def retry(self, wanted: MessageFilter, now: float) -> int:
        """Make queued ones due; how many."""
        return await self._write(lambda c: sqlite_control.retry(c, wanted, now))

    async def cancel(self, wanted: MessageFilter, reason: str) -> int:
        """Cancel queued and held ones; how many."""
        removed = await self._write(lambda c: sqlite_control.cancel(c, wanted, reason))
        for message in list(self._in_files):
            self._drop_file(message)
        return removed

    async def counts(self) -> SpoolCounts:
        """Totals."""
        return await self._read(sqlite_reading.counts)

    async def prune(self, before: float, limit: int) -> int:
        """Remove finished messages; how many."""
        return await self._write(lambda c: sqlite_control.prune(c, before, limit))

    # --- threads ----------------------------------------------------------------------------

    async def _read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        reader = self._reader
        assert reader is not None, "the spool is not open"
        return await self._read_raw(lambda: work(reader))

    async def _read_raw(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

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
