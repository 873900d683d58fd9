"""Message content: small ones in memory and in the database, large ones in files beside it.

A large body is written while it arrives, by a thread, to `ID.part`; it is fsynced and renamed to
`ID.eml` before its rows are committed. So after a crash a `.part` file, or an `.eml` file without
rows, was never answered with 250 and may go.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from waypost.spool.contract import BodyDamaged

LARGE: Final = 256 * 1024
"""Bytes from which a body goes to a file."""

CHUNK: Final = 256 * 1024
"""Bytes read from a file at once."""

CONGESTED: Final = 1024 * 1024
"""Bytes of one body that may wait for the disk before its sender is made to wait."""


class MemoryBody:
    """A body that is whole in memory."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._content)

    @property
    def whole(self) -> bytes | None:
        """All of it."""
        return self._content

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content as one piece."""
        yield self._content


class FileBody:
    """A body in a file, read piece by piece and checked against size and checksum as it goes."""

    __slots__ = ("_checksum", "_path", "_size")

    def __init__(self, path: Path, size: int, checksum: int) -> None:
        self._path = path
        self._size = size
        self._checksum = checksum

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
                if not left and checksum != self._checksum:
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
    memory for arriving content is used up."""

    __slots__ = (
        "_budget", "_busy", "_complete", "_drained", "_file", "_loop", "_on_settled", "_pool",
        "_waiting", "checksum", "directory", "discarded", "failure", "identifier", "parts", "size",
    )  # fmt: skip

    def __init__(
        self, identifier: int, directory: Path, pool: ThreadPoolExecutor, budget: MemoryBudget
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
        self._file: int | None = None
        self._waiting = 0
        self._busy = False
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

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self.parts.append(data)
        self.size += len(data)
        if self._loop is None:
            self._budget.used += len(data)
            if self.size > LARGE or self._budget.used > self._budget.limit:
                self._budget.used -= self.size
                self._waiting = self.size
                self._loop = asyncio.get_running_loop()
                self._write_behind()
        else:
            self._waiting += len(data)
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
        return content

    def peek_content(self) -> bytes:
        """All of a body in memory, without taking it: for a caller that may have to ask again."""
        return b"".join(self.parts)

    def settle(self, callback: Callable[[], None]) -> None:
        """Call when the file is whole and durable, or `failure` is set."""
        self._on_settled = callback
        self._write_behind()

    def discard(self) -> None:
        """Forget it all."""
        if self.discarded:
            return
        self.discarded = True
        if self._loop is None:
            self._budget.used -= sum(map(len, self.parts))
            self.parts = []
        else:
            self.parts = []
            self._write_behind()

    def _write_behind(self) -> None:
        if not self._busy:
            self._busy = True
            parts, self.parts = self.parts, []
            last = self._on_settled is not None
            assert self._loop is not None
            future = self._loop.run_in_executor(self._pool, self._write_out, parts, last)
            future.add_done_callback(self._written)

    def _write_out(self, parts: list[bytes], last: bool) -> int:
        """In the thread: write the parts, and with `last` make the file durable. -> bytes."""
        part_file = self.directory / f"{self.identifier}.part"
        if self.discarded:
            if self._file is not None:
                os.close(self._file)
                self._file = None
            part_file.unlink(missing_ok=True)
            return 0
        if self.failure is not None:
            return sum(map(len, parts))
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
            os.fsync(self._file)
            os.close(self._file)
            self._file = None
            part_file.rename(self.path)
            _fsync_directory(self.directory)
            self._complete = True
        return written

    def _written(self, future: asyncio.Future[int]) -> None:
        """On the loop, after each run of the thread."""
        self._busy = False
        failure = future.exception()
        if isinstance(failure, OSError):
            self.failure = failure
            self._waiting = 0
        elif failure is not None:
            raise failure
        else:
            self._waiting -= future.result()
        if self.discarded and self._file is None and not self.parts:
            (self.directory / f"{self.identifier}.part").unlink(missing_ok=True)
        if self._drained is not None and not self.congested:
            drained, self._drained = self._drained, None
            drained()
        if self.parts or (self.discarded and self._file is not None):
            self._write_behind()
        elif self._on_settled is not None:
            if self.failure is None and not self._complete:
                self._write_behind()  # settle() was called while a run was under way
                return
            if self.failure is not None:
                self._remove_partial()
            settled, self._on_settled = self._on_settled, None
            settled()

    def _remove_partial(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        (self.directory / f"{self.identifier}.part").unlink(missing_ok=True)


def _fsync_directory(directory: Path) -> None:
    """Make a rename durable (POSIX; elsewhere a directory cannot be opened)."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
