"""Streams of messages: read as they go, results as they come, memory bounded.

A stream keeps a number of messages with the engine (`concurrency`), enough for every connection to
have one under way and the next at hand. When one is finished the next is read in that very moment,
so that with pipelining it leaves in the same write as the content before it.

Both forms count what they saw (`Tally`). A message that cannot be made, or that nobody takes, is a
result with an error like any other: a stream does not end for it. What the caller's own iterable
raises ends the stream, after the messages under way have their results.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

from waypost.errors import ConfigurationError, WaypostError
from waypost.faces.library import background
from waypost.faces.library.engine import Engine, failed_result
from waypost.faces.library.prepared import Prepared, Sendable
from waypost.faces.library.result import Result
from waypost.faces.library.settings import Settings
from waypost.faces.library.signing import prepare_signed
from waypost.net.clock import Clock

PER_CONNECTION: Final = 3
"""Messages with the engine for each connection: one whose last reply is due, one begun behind it,
one for the moment in which the next is read."""

OnResult = Callable[[Result], object]


@dataclass(slots=True)
class Tally:
    """What a stream came to, in messages. True where every message was accepted by all."""

    accepted: int = 0
    """Every recipient was accepted."""
    partly: int = 0
    """Some were, some were not."""
    refused: int = 0
    """None was."""
    uncertain: int = 0
    """At least one may have been, as the answer was lost; none was accepted."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.accepted + self.partly + self.refused + self.uncertain

    def __bool__(self) -> bool:
        return self.accepted == self.total

    def count(self, result: Result) -> None:
        """Add a message."""
        states = {one.state for one in result.recipients}
        if result.error is None and states == {"accepted"}:
            self.accepted += 1
        elif "accepted" in states:
            self.partly += 1
        elif "uncertain" in states:
            self.uncertain += 1
        else:
            self.refused += 1


class _Stream:
    """What both forms have in common."""

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        concurrency: int | None,
        on_result: OnResult | None,
    ) -> None:
        if concurrency is not None and concurrency < 1:
            raise ConfigurationError(
                f"concurrency is {concurrency}", fix="give at least 1, or leave it out"
            )
        self._clock = clock
        self._settings = settings
        self._concurrency = concurrency or settings.pool_size * PER_CONNECTION
        self._on_result = on_result
        self.tally = Tally()
        """What came out so far."""

    def _prepared(self, message: Sendable) -> Prepared | WaypostError:
        try:
            settings = self._settings
            return prepare_signed(message, {}, self._clock, settings.hostname, settings.signing)
        except WaypostError as error:
            return error

    def _told(self, result: Result) -> None:
        self.tally.count(result)
        if self._on_result is not None:
            self._on_result(result)


class AsyncBatch(_Stream):
    """A stream of an AsyncMailer: iterate over its results, or await it for its tally."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        clock: Clock,
        settings: Settings,
        messages: Iterable[Sendable] | AsyncIterable[Sendable],
        concurrency: int | None,
        on_result: OnResult | None,
    ) -> None:
        super().__init__(clock, settings, concurrency, on_result)
        self._engine = engine
        self._messages = messages
        self._results: deque[Result] = deque()
        self._under_way = 0
        self._number = 0
        self._ended = False
        self._fault: BaseException | None = None
        self._source: Iterator[Sendable] | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._something: asyncio.Event = asyncio.Event()
        self._room: asyncio.Event = asyncio.Event()

    def __await__(self) -> Generator[Any, None, Tally]:
        return self._run().__await__()

    async def _run(self) -> Tally:
        async for _ in self:
            pass
        return self.tally

    async def __aiter__(self) -> AsyncIterator[Result]:
        engine = self._engine()
        if isinstance(self._messages, AsyncIterable):
            self._feeder = asyncio.get_running_loop().create_task(self._feed(engine))
        else:
            self._source = iter(self._messages)
            self._fill(engine)
        try:
            while True:
                while self._results:
                    result = self._results.popleft()
                    self._told(result)
                    if self._source is None:
                        self._room.set()
                    elif self._under_way < self._concurrency:
                        self._fill(engine)
                    yield result
                if self._ended and not self._under_way:
                    break
                self._something.clear()
                await self._something.wait()
        finally:
            self._ended = True  # whoever stops to look stops the stream; what has begun goes on
            if self._feeder is not None:
                self._feeder.cancel()
        if self._fault is not None:
            raise self._fault

    @property
    def _full(self) -> bool:
        return self._under_way + len(self._results) >= 2 * self._concurrency or (
            self._under_way >= self._concurrency
        )

    def _fill(self, engine: Engine) -> None:
        """Read messages as long as there is room for them."""
        assert self._source is not None
        while not self._ended and not self._full:
            try:
                message = next(self._source)
            except StopIteration:
                self._end(None)
                return
            except Exception as fault:  # noqa: BLE001 - the caller's own, raised when all is told
                self._end(fault)
                return
            self._give(engine, message)

    async def _feed(self, engine: Engine) -> None:
        """The same for messages that have to be awaited."""
        assert isinstance(self._messages, AsyncIterable)
        try:
            async for message in self._messages:
                self._give(engine, message)
                while self._full:
                    self._room.clear()
                    await self._room.wait()
        except Exception as fault:  # noqa: BLE001 - likewise
            self._end(fault)
        else:
            self._end(None)

    def _end(self, fault: BaseException | None) -> None:
        self._ended = True
        self._fault = fault
        self._something.set()

    def _give(self, engine: Engine, message: Sendable) -> None:
        number = self._number
        self._number += 1
        prepared = self._prepared(message)
        if isinstance(prepared, Prepared):
            try:
                self._under_way += 1
                engine.submit(
                    prepared, lambda result: self._done(engine, result), number=number, patient=True
                )
            except WaypostError as error:  # the mailer was closed
                self._under_way -= 1
                self._end(error)
            return
        self._results.append(failed_result(prepared, number))
        self._something.set()

    def _done(self, engine: Engine, result: Result) -> None:
        self._under_way -= 1
        self._results.append(result)
        if self._source is not None:
            self._fill(engine)
        else:
            self._room.set()
        self._something.set()


class Batch(_Stream):
    """A stream of a Mailer: iterate over its results, or `run` it for its tally.

    The messages are read and the results told in the caller's thread; they go to the thread behind
    and come back many at a time.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        clock: Clock,
        settings: Settings,
        messages: Iterable[Sendable],
        concurrency: int | None,
        on_result: OnResult | None,
    ) -> None:
        super().__init__(clock, settings, concurrency, on_result)
        self._engine = engine
        self._messages = messages

    def run(self) -> Tally:
        """Send all, and tell what it came to."""
        for _ in self:
            pass
        return self.tally

    def __iter__(self) -> Iterator[Result]:
        desk = _Desk(self._engine)
        source = iter(self._messages)
        number = under_way = 0
        fault: Exception | None = None
        ended = False
        while True:
            given: list[tuple[int, Prepared]] = []
            failed: list[Result] = []
            while not ended and under_way + len(given) < self._concurrency:
                try:
                    message = next(source)
                except StopIteration:
                    ended = True
                    break
                except Exception as raised:  # noqa: BLE001 - the caller's own, raised at the end
                    fault, ended = raised, True
                    break
                prepared = self._prepared(message)
                if isinstance(prepared, Prepared):
                    given.append((number, prepared))
                else:
                    failed.append(failed_result(prepared, number))
                number += 1
                if len(failed) >= self._concurrency:
                    break
            if given:
                under_way += len(given)
                background.call(desk.submit, given)
            if under_way and not failed:
                came = desk.results.get()
                if isinstance(came, WaypostError):
                    raise came
                under_way -= len(came)
                failed = came
            for result in failed:
                self._told(result)
                yield result
            if ended and not under_way and not given:
                break
        if fault is not None:
            raise fault


class _Desk:
    """Between the caller's thread and the loop: messages in, results out, many at a time."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self.results: SimpleQueue[list[Result] | WaypostError] = SimpleQueue()
        self._collected: list[Result] = []

    def submit(self, given: list[tuple[int, Prepared]]) -> None:
        """In the loop: give messages to the engine."""
        try:
            engine = self._engine()
            for number, prepared in given:
                engine.submit(prepared, self._done, number=number, patient=True)
        except WaypostError as error:  # the mailer was closed
            self.results.put(error)

    def _done(self, result: Result) -> None:
        if not self._collected:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._collected.append(result)

    def _hand_over(self) -> None:
        results, self._collected = self._collected, []
        self.results.put(results)
