"""Message content: small ones in memory and in the database, large ones in files beside it.

A large body is written while it arrives, by a thread, to `ID.part`; it is fsynced and renamed to
`ID.eml` before its rows are committed. So after a crash a `.part` file, or an `.eml` file without
rows, was never answered with 250 and may go.
"""

from __future__ import annotations

import asyncio
import errno
import os
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from waypost.spool.contract import BodyDamaged
from waypost.spool.room import ROW_BYTES, Room

LARGE: Final = 256 * 1024
"""Bytes from which a body goes to a file."""

CHUNK: Final = 256 * 1024
"""Bytes read from a file at once."""

CONGESTED: Final = 1024 * 1024
"""Bytes of one body that may wait for the disk before its sender is made to wait."""


class MemoryBody:
    """A body that is whole in memory."""

    __slots__ = ("size", "whole")

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        """Bytes."""
        self.whole: bytes | None = content
        """All of it."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content as one piece."""
        assert self.whole is not None
        yield self.whole


class FileBody:
    """A body in a file, read piece by piece and checked against size and checksum as it goes."""

    __slots__ = ("_path", "_size", "checksum")

    def __init__(self, path: Path, size: int, checksum: int) -> None:
        self._path = path
        self._size = size
        self.checksum = checksum

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    @property
    def whole(self) -> bytes | None:
        """Never: it is large."""
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content in pieces of at most CHUNK bytes. Raises BodyDamaged.

        The last piece is only given out once the checksum of all holds, so that a damaged body is
        never completed at a peer.
        """
        loop = asyncio.get_running_loop()
        try:
            file = await loop.run_in_executor(None, self._path.open, "rb")
        except OSError as fault:
            raise BodyDamaged(f"cannot open {self._path.name}: {fault}") from fault
        with file:
            left, checksum = self._size, 0
            while left > 0:
                try:
                    piece = await loop.run_in_executor(None, file.read, min(CHUNK, left))
                except OSError as fault:
                    raise BodyDamaged(f"cannot read {self._path.name}: {fault}") from fault
                left -= len(piece)
                checksum = zlib.crc32(piece, checksum)
                if not piece:
                    raise BodyDamaged(f"{self._path.name} is {left} bytes short of {self._size}")
                if not left and checksum != self.checksum:
                    raise BodyDamaged(f"{self._path.name} does not match its checksum")
                yield piece


class MemoryBudget:
    """How many bytes of arriving content may be in memory, over all connections."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class SpoolBodyWriter:
    """Takes content as it arrives. Starts in memory; moves to a file when it grows large, or when
    memory for arriving content is used up.

    A body in a file is written by a thread, one run at a time: `_write_out` is what the thread
    does, everything else happens on the loop.
    """

    __slots__ = (
        "_budget", "_busy", "_claimed", "_complete", "_drained", "_file", "_filled", "_loop",
        "_on_settled",
        "_pool", "_promise", "_room", "_settling", "_waiting", "checksum", "directory",
        "discarded", "failure", "identifier", "parts", "size",
    )  # fmt: skip

    def __init__(
        self,
        identifier: int,
        directory: Path,
        pool: ThreadPoolExecutor,
        budget: MemoryBudget,
        room: Room,
        expected: int | None,
    ) -> None:
        self.identifier = identifier
        self.directory = directory
        self.parts: list[bytes] = []
        self.size = 0
        self.checksum = 0
        self.failure: OSError | None = None
        self.discarded = False
        self._pool = pool
        self._budget = budget
        self._room = room
        self._promise = expected or 0
        """Bytes promised to this body that are not on the disk."""
        room.promised += self._promise
        self._claimed = self._promise
        """Bytes that the room knows of, written or not."""
        self._file: int | None = None
        self._filled = b""
        """For the room at the beginning."""
        self._waiting = 0
        self._busy = False
        self._settling = False
        self._complete = False
        self._drained: Callable[[], None] | None = None
        self._on_settled: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def in_file(self) -> bool:
        """The body is (going) in a file."""
        return self._loop is not None

    @property
    def path(self) -> Path:
        """Where it stands when it is whole."""
        return self.directory / f"{self.identifier}.eml"

    @property
    def congested(self) -> bool:
        """More is waiting for the disk than should be."""
        return self.in_file and self._waiting > CONGESTED

    def reserve(self, count: int) -> None:
        """Leave room for so many bytes, before anything is written."""
        assert not self.size, "room is left before anything else"
        self.write(bytes(count))

    def fill(self, data: bytes) -> None:
        """What stands in that room. A file has it when it is made durable."""
        if self._loop is not None:
            self._filled = data
        elif self.parts:  # not discarded meanwhile
            unused = len(self.parts[0]) - len(data)
            assert unused >= 0, "more than there is room for"
            self.size -= unused
            self._budget.used -= unused
            self.parts[0] = data

    @property
    def is_exact(self) -> bool:
        """The body is going into a file."""
        return self.in_file

    def write(self, data: bytes) -> None:
        """Add bytes. What comes after a failure is counted and not kept."""
        self.size += len(data)
        if self._loop is None:
            self.parts.append(data)
            self._budget.used += len(data)
            if self.size > LARGE or self._budget.used > self._budget.limit:
                self._budget.used -= self.size
                self._waiting = self.size
                self._loop = asyncio.get_running_loop()
                self._go_on()
        elif self.failure is None and not self.discarded:
            self.parts.append(data)
            self._waiting += len(data)
            self._go_on()

    def _go_on(self) -> None:
        """Claim the room for what has arrived, and write it; without room the body fails."""
        wanted = self.size - self._claimed
        if wanted > 0:
            if wanted > self._room.left():
                self.failure = OSError(errno.ENOSPC, "the room of the spool is used up")
                self.parts = []
                self._waiting = 0
                return
            self._claimed += wanted
            self._promise += wanted
            self._room.promised += wanted
        self._write_behind()

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call once when no longer congested."""
        if self.congested:
            self._drained = callback
        else:
            callback()

    def take_content(self) -> bytes:
        """All of a body that stayed in memory; the writer is done with it."""
        self._budget.used -= self.size
        content = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts = []
        self._settling = True
        room = self._room
        room.promised -= self._promise
        room.taken += 2 * self.size + ROW_BYTES  # in the log, and then in the database
        self._promise = 0
        return content

    def peek_content(self) -> bytes:
        """All of a body in memory, without taking it: for a caller that may have to ask again."""
        return b"".join(self.parts)

    def settle(self, callback: Callable[[], None]) -> None:
        """Call when the file is whole and durable, or `failure` is set. From now on the file is
        no longer the writer's to discard."""
        assert self._loop is not None
        self._settling = True
        if self._complete:
            self._loop.call_soon(callback)
            return
        self._on_settled = callback
        self._write_behind()

    def discard(self) -> None:
        """Forget it all; nothing happens once the body has been appended."""
        if self.discarded or self._settling:
            return
        self.discarded = True
        if self._loop is None:
            self._budget.used -= self.size
            self.parts = []
            self._release()
        else:
            self.parts = []
            self._write_behind()

    def remove(self) -> None:
        """Remove the file of a body whose rows could not be committed."""
        self.path.unlink(missing_ok=True)
        self._room.files -= self.size

    def _release(self) -> None:
        """Give back what was promised and not used."""
        self._room.promised -= self._promise
        self._promise = 0

    def _write_behind(self) -> None:
        if self._busy:
            return
        parts, self.parts = self.parts, []
        last = self._on_settled is not None
        assert self._loop is not None
        try:
            future = self._loop.run_in_executor(self._pool, self._write_out, parts, last)
        except RuntimeError:  # the spool has been closed: what is partial goes at the next start
            self._remove_partial()
            return
        self._busy = True
        future.add_done_callback(self._written)

    def _write_out(self, parts: list[bytes], last: bool) -> int:
        """In the thread: write the parts, and with `last` make the file durable. -> bytes."""
        if self.discarded or self.failure is not None:
            return 0
        part_file = self.directory / f"{self.identifier}.part"
        if self._file is None:
            self._file = os.open(part_file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        written = 0
        for part in parts:
            view = memoryview(part)
            while view:
                count = os.write(self._file, view)
                view = view[count:]
            self.checksum = zlib.crc32(part, self.checksum)
            written += len(part)
        if last:
            if self._filled:
                self._fill_room(self._file)
            os.fsync(self._file)
            os.close(self._file)
            self._file = None
            part_file.rename(self.path)
            fsync_directory(self.directory)
            self._complete = True
        return written

    def _fill_room(self, file: int) -> None:
        """In the thread: the bytes at the beginning, and the checksum with them.

        CRC-32 is linear over messages of one length: that of three of them, laid over each other,
        is theirs laid over each other. Two are zeros behind the room.
        """
        data = self._filled
        os.lseek(file, 0, os.SEEK_SET)
        if os.write(file, data) != len(data):
            raise OSError(errno.ENOSPC, "the beginning of the body could not be written")
        filled, empty = zlib.crc32(data), zlib.crc32(bytes(len(data)))
        left, zeros = self.size - len(data), bytes(CHUNK)
        while left > 0:
            some = zeros if left >= CHUNK else bytes(left)
            filled, empty = zlib.crc32(some, filled), zlib.crc32(some, empty)
            left -= len(some)
        self.checksum ^= filled ^ empty

    def _written(self, future: asyncio.Future[int]) -> None:
        """On the loop, after each run of the thread."""
        self._busy = False
        fault = future.exception()
        if fault is None:
            written = future.result()
            self._waiting = max(0, self._waiting - written)
            self._promise -= written
            self._room.promised -= written
            self._room.taken += written
            self._room.files += written
        else:
            self.failure = fault if isinstance(fault, OSError) else OSError(str(fault))
        if self.failure is not None or self.discarded:
            self.parts = []
            self._waiting = 0
            self._remove_partial()
        elif self.parts or (self._on_settled is not None and not self._complete):
            self._write_behind()
        if self._drained is not None and not self.congested:
            drained, self._drained = self._drained, None
            drained()
        if self._on_settled is not None and (self._complete or self.failure is not None):
            self._release()
            settled, self._on_settled = self._on_settled, None
            settled()

    def _remove_partial(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        part_file = self.directory / f"{self.identifier}.part"
        part_file.unlink(missing_ok=True)
        self._room.files -= self._claimed - self._promise
        self._claimed = self._promise
        self._release()
        self._claimed = 0


def fsync_directory(directory: Path) -> None:
    """Make a rename durable (POSIX; elsewhere a directory cannot be opened)."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
