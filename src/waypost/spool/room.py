"""How much the spool may still take: free disk, quota, and what is already on its way.

The disk is measured at most once a second. Between two measurements what is written is taken off,
and what arriving messages have been promised counts as used from the start, so that many large
messages at once cannot fill a disk that has room for each of them alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

MEASURE_SECONDS: Final = 1.0
"""How old a measurement may be."""

ROW_BYTES: Final = 16 * 1024
"""What the rows of a message take beside its content, in whole pages of the log."""


def disk_free(directory: Path) -> int:
    """Bytes that an ordinary process may still write."""
    return shutil.disk_usage(directory).free


class Room:
    """The books of the space. All numbers are bytes."""

    __slots__ = (
        "_free", "_maximum", "_measure_free", "_measure_pages", "_measure_waiting", "_measured_at",
        "_minimum_free", "_monotonic", "files", "promised", "taken",
    )  # fmt: skip

    def __init__(
        self,
        minimum_free: int,
        maximum: int,
        free: Callable[[], int],
        pages: Callable[[], tuple[int, int]],
        waiting: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        """`free` measures the disk, `pages` the used and the free bytes inside the database,
        `waiting` what has been given to the database and is not in it yet."""
        self._minimum_free = minimum_free
        self._maximum = maximum
        self._measure_free = free
        self._measure_pages = pages
        self._measure_waiting = waiting
        self._monotonic = monotonic
        self._measured_at = float("-inf")
        self._free = 0
        self.files = 0
        """In files beside the database."""
        self.promised = 0
        """To messages that are arriving, and not yet on the disk."""
        self.taken = 0
        """Written or handed over since the disk was measured."""

    def measure(self) -> None:
        """Look at the disk now. Raises OSError."""
        used_pages, free_pages = self._measure_pages()
        # Pages that deleted messages leave inside the database are used again before it grows.
        room = self._measure_free() + free_pages - self._minimum_free
        if self._maximum:
            room = min(room, self._maximum - used_pages - self.files)
        self._free = room
        self.taken = self._measure_waiting()
        self._measured_at = self._monotonic()

    def left(self) -> int:
        """What nobody has a claim on. Negative when even that which is under way is too much."""
        if self._monotonic() - self._measured_at > MEASURE_SECONDS:
            self.measure()
        return self._free - self.taken - self.promised
