"""Rings: the figures of the last so many minutes or hours, each under the number of its slot.

A slot is named by the time it covers (slot n of minutes began at n * 60 seconds since the epoch),
not by its place, so a clock that jumps only leaves slots out or comes to one a second time: what
was counted is never moved, and never counted twice. What bounds a ring is how many slots it has;
when there is one too many, the one that was begun first goes. So a clock that was wrong for a while
does not throw away what was right, and slots that lie in the future are not looked at until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_Slot = TypeVar("_Slot")


class Ring(Generic[_Slot]):
    """See the module. What a slot holds is made by `make` and changed in place."""

    def __init__(self, width: int, capacity: int, make: Callable[[], _Slot]) -> None:
        self.width = width
        """Seconds of a slot."""
        self.capacity = capacity
        self._make = make
        self._slots: dict[int, _Slot] = {}
        self._newest = 0
        self.rewritten = 0
        """How often a slot was changed that was over: the clock was set back."""
        self.changed: set[int] = set()
        """Slots touched since somebody emptied this; bounded by what is in the ring."""
        self.gone: set[int] = set()
        """Slots that have left the ring since somebody emptied this, for the one who keeps them."""

    def __len__(self) -> int:
        return len(self._slots)

    def slot_of(self, moment: float) -> int:
        """The number of the slot that a moment falls into."""
        return int(moment // self.width)

    def at(self, moment: float) -> _Slot:
        """The slot of a moment, to be changed."""
        number = self.slot_of(moment)
        self.changed.add(number)
        if number >= self._newest:
            self._newest = number
        else:
            self.rewritten += 1
        found = self._slots.get(number)
        if found is None:
            found = self._slots[number] = self._make()
            self.gone.discard(number)
            if len(self._slots) > self.capacity:
                oldest = next(iter(self._slots))
                del self._slots[oldest]
                self.changed.discard(oldest)
                self.gone.add(oldest)
        return found

    def restore(self, number: int, slot: _Slot) -> None:
        """Put back what was kept; in the order in which slots were begun. More than there is room
        for is forgotten."""
        self._slots[number] = slot
        if len(self._slots) > self.capacity:
            oldest = next(iter(self._slots))
            del self._slots[oldest]
            self.gone.add(oldest)
        self.rewritten += 1

    def get(self, number: int) -> _Slot | None:
        """A slot to look at."""
        return self._slots.get(number)

    def since(self, start: float, now: float) -> Iterator[_Slot]:
        """The slots that lie between two moments, wholly or in part, to look at; not in order."""
        first, last = self.slot_of(start), self.slot_of(now)
        if last - first > len(self._slots):
            yield from (slot for n, slot in self._slots.items() if first <= n <= last)
            return
        for number in range(first, last + 1):
            found = self._slots.get(number)
            if found is not None:
                yield found
