"""Views of the book: sums over spans of time, made quickly, because they are asked for every few
seconds and on the event loop.

What is over does not change: only the slot that is now is counted into. So the sums of all earlier
ones are remembered, until the clock is set back and an earlier slot changes all the same
(Ring.rewritten).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

from waypost.control.statistics_book import TABLE_WIDTHS, total
from waypost.control.statistics_figures import Span
from waypost.control.statistics_rings import Ring
from waypost.control.statistics_tables import BoundedTable, Row
from waypost.net.clock import Clock

MAXIMUM_REMEMBERED: Final = 500
"""Views; there are as many as routes times spans, and some more."""

_Value = TypeVar("_Value")
_Row = TypeVar("_Row", bound=Row)


class Views:
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._points: dict[Hashable, tuple[int, dict[int, Any]]] = {}
        self._tables: dict[Hashable, tuple[tuple[int, int], BoundedTable[Any]]] = {}

    def points(
        self,
        ring: Ring[list[int]],
        span: Span,
        step: int,
        width: int,
        of: Callable[[Sequence[int]], _Value],
        name: Hashable,
    ) -> tuple[float, list[_Value]]:
        """The beginning of the first step of a span, and what is made `of` the sums of each step.
        `name` names the kind of value: it is remembered under it."""
        each, last = step // ring.width, int(self._clock.now() // step)
        first = last - span.seconds // step + 1
        known = self._known(ring, (id(ring), step, name))
        for number in [number for number in known if not first <= number < last]:
            del known[number]
        values: list[_Value] = []
        for point in range(first, last + 1):
            if point in known:
                values.append(known[point])
                continue
            slots = [ring.get(number) for number in range(point * each, (point + 1) * each)]
            value = of(total([slot for slot in slots if slot is not None], width))
            if point < last:
                known[point] = value
            values.append(value)
        return float(first * step), values

    def _known(self, ring: Ring[Any], key: Hashable) -> dict[int, Any]:
        found = self._points.get(key)
        if found is None or found[0] != ring.rewritten:
            if len(self._points) >= MAXIMUM_REMEMBERED:
                self._points.clear()
            found = self._points[key] = ring.rewritten, {}
        return found[1]

    def table(
        self, rings: dict[int, Ring[BoundedTable[_Row]]], span: Span, keep: int, row: type[_Row]
    ) -> dict[str, _Row]:
        """What is counted by name in a span."""
        ring = rings[TABLE_WIDTHS[span]]
        now = self._clock.now()
        number, state = ring.slot_of(now), (ring.slot_of(now), ring.rewritten)
        found = self._tables.get((id(ring), span))
        if found is None or found[0] != state:
            start = now - span.seconds + ring.width
            over: BoundedTable[_Row] = BoundedTable(keep, row)
            over.take(ring.since(start, now - ring.width))
            over.cut()
            found = self._tables[(id(ring), span)] = state, over
        table: BoundedTable[_Row] = BoundedTable(keep, row)
        current = ring.get(number)
        table.take([found[1]] if current is None else [found[1], current])
        table.cut()
        return table.rows
