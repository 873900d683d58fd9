"""Server-sent events (HTML Living Standard, 9.2): one stream of one client.

A stream holds no events but the part of the log that it is writing: a client that does not keep up
is simply further behind in the log. Streams are counted, and each ends after an hour, so that a key
or session that is no longer good does not listen on for ever.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from waypost.control.event_log import EventBatch, EventLog
from waypost.control.event_log_courtesy import EVENT_SPACING
from waypost.control.event_log_places import Place
from waypost.faces.http.problems import Problem, problem_type
from waypost.net.clock import Clock

MOST_STREAMS: Final = 100
"""At the same time."""

HEARTBEAT_SECONDS: Final = 15.0

LONGEST_SECONDS: Final = 3600.0

RETRY_MILLISECONDS: Final = 2000
"""After which a client comes again when a stream has ended."""

PIECE: Final = 50
"""Events written at once."""


class Streams:
    """How many streams there are."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self.most = most
        self.count = 0


class EventSource:
    """Where a stream gets its events."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        place: Place,
        told: Callable[[EventBatch], Awaitable[list[dict[str, Any]]]],
        *,
        missed: bool,
    ) -> None:
        """`told` gives those of a batch that are wanted, as documents."""
        self._log = log
        self._clock = clock
        self._place = place
        self._missed = missed
        self._told = told

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text of the stream, until the log closes or its time is over."""
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        until = self._clock.monotonic() + LONGEST_SECONDS
        has_waited = False
        while not self._log.is_closed and self._clock.monotonic() < until:
            batch = await self._log.read(self._place)
            if batch.missed or self._missed:
                self._missed = False
                yield "event: missed\ndata: {}\n\n"
            documents = await self._told(batch)
            for start in range(0, len(documents), PIECE):
                yield "".join(map(_message, documents[start : start + PIECE]))
            self._place = batch.upto
            await self._log.courtesy.turn(EVENT_SPACING * len(documents))
            if not documents and not batch.is_end:
                # Those that were of no interest need not be looked at again either.
                yield f"id: {self._place.text(self._log.identity)}\n\n"
            elif has_waited and batch.is_end:
                yield ": still here\n\n"
            has_waited = batch.is_end
            await self._log.wait(batch, HEARTBEAT_SECONDS)


def _message(document: dict[str, Any]) -> str:
    data = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return f"id: {document['place']}\nevent: {document['type']}\ndata: {data}\n\n"


def streams_of(application: FastAPI) -> Streams:
    """Those of the application."""
    state = application.state
    if not hasattr(state, "event_streams"):
        state.event_streams = Streams()
    streams: Streams = state.event_streams
    return streams


def stream_of(streams: Streams, source: EventSource) -> StreamingResponse:
    """A stream as an answer. Raises Problem 503 where there are too many."""
    if streams.count >= streams.most:
        raise Problem(
            503,
            f"{streams.most} clients follow already; try again later, or read the events in pages",
            type=problem_type("busy"),
            headers={"Retry-After": "30"},
        )
    return _Counted(streams, source)


class _Counted(StreamingResponse):
    """A stream that is counted for as long as it lasts."""

    def __init__(self, streams: Streams, source: EventSource) -> None:
        super().__init__(
            source.pieces(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write it."""
        self._streams.count += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.count -= 1
