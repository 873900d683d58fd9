"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

The ready queue of asyncio is first in, first out, and nothing here reads the real clock, so a run
is the same every time. Days pass in milliseconds.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from waypost.net.clock import Timer

_Result = TypeVar("_Result")

EPOCH: Final = 1_800_000_000.0
"""What the wall clock shows when a virtual run begins, in seconds since 1970."""


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: the program would wait for ever."""


class _JumpingSelector(selectors.BaseSelector):
    """Where the loop would sleep, time is moved on instead."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert self.loop is not None
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        if timeout > 0:
            self.loop.advance(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def close(self) -> None:
        """Nothing is held."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time."""

    def __init__(self, begins: float = 0.0) -> None:
        selector = _JumpingSelector()
        self._virtual_now = begins
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Virtual seconds since the run began."""
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        """Move time on."""
        self._virtual_now += seconds


class VirtualClock:
    """The Clock seam on a VirtualLoop. `skew` shifts the wall clock alone, to make it jump."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.skew = 0.0

    def now(self) -> float:
        """Virtual seconds since 1970."""
        return EPOCH + self._loop.time() + self.skew

    def monotonic(self) -> float:
        """Virtual seconds since the run began."""
        return self._loop.time()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` after `delay` virtual seconds."""
        return self._loop.call_later(delay, callback)

    async def sleep(self, delay: float) -> None:
        """Return after `delay` virtual seconds."""
        await asyncio.sleep(delay)


def run_virtual(
    main: Callable[[VirtualClock], Coroutine[Any, Any, _Result]], begins: float = 0.0
) -> _Result:
    """Run a coroutine in a virtual world of its own and give its result.

    `begins` is where virtual time starts, in seconds: a world that goes on after a crash begins
    where the one before ended. Raises Deadlock where it waits for something that cannot come.
    """
    loop = VirtualLoop(begins)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main(VirtualClock(loop)))
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
