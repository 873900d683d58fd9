"""Bodies of a spool in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from waypost.spool.bodies import CHUNK, LARGE
from waypost.spool.contract import BodyDamaged


class StoredBytes:
    """A Body over bytes; like those of other spools `whole` is there for small ones only."""

    __slots__ = ("_content", "_is_damaged")

    def __init__(self, content: bytes, is_damaged: Callable[[], bool] = lambda: False) -> None:
        self._content = content
        self._is_damaged = is_damaged

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._content)

    @property
    def whole(self) -> bytes | None:
        """All of a small one."""
        return self._content if len(self._content) <= LARGE else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content in pieces of at most CHUNK bytes. Raises BodyDamaged before the last."""
        for start in range(0, len(self._content), CHUNK):
            if start + CHUNK >= len(self._content) and self._is_damaged():
                raise BodyDamaged("its content does not match its checksum")
            yield self._content[start : start + CHUNK]


class MemoryBodyWriter:
    """Takes content as it arrives."""

    __slots__ = ("_parts", "_taken", "identifier", "size")

    def __init__(self, identifier: int) -> None:
        self.identifier = identifier
        self.size = 0
        self._parts: list[bytes] = []
        self._taken = False

    def reserve(self, count: int) -> None:
        """Leave room."""
        assert not self._parts, "room is left before anything else"
        self.write(bytes(count))

    def fill(self, data: bytes) -> None:
        """What stands in it."""
        if self._parts:  # not discarded meanwhile
            assert len(data) <= len(self._parts[0])
            self.size -= len(self._parts[0]) - len(data)
            self._parts[0] = data

    @property
    def is_exact(self) -> bool:
        """Never: nothing is on a disk."""
        return False

    def write(self, data: bytes) -> None:
        """Add bytes."""
        assert not self._taken, "the body has been appended"
        self._parts.append(data)
        self.size += len(data)

    @property
    def congested(self) -> bool:
        """Never: there is no disk to wait for."""
        return False

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call once: at once."""
        callback()

    def discard(self) -> None:
        """Forget it all."""
        if not self._taken:
            self._parts = []

    def content(self) -> bytes:
        """All of it; from now on the spool's."""
        self._taken = True
        return b"".join(self._parts)
