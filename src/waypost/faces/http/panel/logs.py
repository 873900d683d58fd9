"""The log: what happened to messages, the newest first, and what happens now without a reload.

The past is read from the messages that changed last. The stream sends rows of the same table, made
here, so that the page shows both alike; it is bounded for the relay's sake: so many rows a second,
so many listeners. What is left out is counted and told.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from waypost.administration import Administration
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.pages import page, rendered
from waypost.faces.http.problems import Problem
from waypost.faces.http.security import Caller, page_caller
from waypost.message_events import Event
from waypost.net.clock import Clock
from waypost.spool.contract import MessageFilter

MESSAGES: Final = 60
"""Of which the page shows the events, at first."""

ROWS: Final = 200
"""Events on the page, at first."""

BEAT_SECONDS: Final = 0.5
"""Between two parcels of a stream."""

ROWS_A_BEAT: Final = 25

OVERLAP_SECONDS: Final = 10.0
"""A stream begins so long before its page was made: what became durable in between is on neither
otherwise. The page leaves out what it has."""

SILENCE_SECONDS: Final = 15.0
"""After which a comment is sent, so that nothing on the way takes the stream for dead."""

LISTENERS: Final = 20

KINDS: Final = (
    "accepted", "delivered", "captured", "deferred", "held", "bounced", "expired", "removed",
    "damaged",
)  # fmt: skip

_MOMENT: Final = re.compile(r"[0-9]{1,12}\.[0-9]{3}")

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.EVENTS)]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which events are wanted; "" any."""

    text: str = ""
    kind: str = ""

    def takes(self, event: Event) -> bool:
        """Whether this is one of them."""
        if event.event == "missed":
            return True
        if self.kind and event.event != self.kind:
            return False
        return not self.text or self.text in " ".join(
            (event.sender, *event.recipients, event.reply, event.reason, event.route,
             event.next_hop, event.client)
        ).lower()  # fmt: skip


def _filter(q: str, kind: str) -> LogFilter:
    return LogFilter(q.strip().lower()[:200], kind if kind in KINDS else "")


@router.get("/logs")
async def logs(request: Request, caller: Reader, q: str = "", kind: str = "") -> HTMLResponse:
    """The newest events."""
    room: ControlRoom = request.app.state.room
    wanted = _filter(q, kind)
    since = room.clock.now() - OVERLAP_SECONDS
    events = await _past(room.administration, wanted)
    return page(
        request, "logs.html", caller, events=events, q=q, kind=wanted.kind, kinds=KINDS,
        messages=MESSAGES, since=f"{since:.3f}",
    )  # fmt: skip


async def _past(administration: Administration, wanted: LogFilter) -> Sequence[Event]:
    """Newest first."""
    found: list[Event] = []
    for row in await administration.messages(MessageFilter(limit=MESSAGES)):
        found += [one for one in await administration.events_of(row) if wanted.takes(one)]
    found.sort(key=lambda one: one.at, reverse=True)
    return found[:ROWS]


@router.get("/logs/stream")
async def stream(
    request: Request, caller: Reader, q: str = "", kind: str = "", since: float = float("inf")
) -> StreamingResponse:
    """What happens from a moment on, as server-sent events: `rows`, each a text of table rows. A
    browser that connects again says where it was."""
    listeners = _listeners(request)
    if listeners.count >= LISTENERS:
        raise Problem(
            503, f"{LISTENERS} pages follow the log already; close one",
            headers={"Retry-After": "30"},
        )  # fmt: skip
    room: ControlRoom = request.app.state.room
    wanted = _filter(q, kind)
    begin = _moment(request.headers.get("last-event-id", "")) or since

    async def lines() -> AsyncIterator[str]:
        listeners.count += 1
        try:
            yield "retry: 5000\n\n"
            asked = _parcels(room.administration, room.clock, wanted, begin)
            async with aclosing(asked) as parcels:
                async for events, skipped in parcels:
                    if not events and not skipped:
                        yield ": still here\n\n"
                        continue
                    html = rendered(
                        request, "log_rows.html", caller, events=events, skipped=skipped
                    )
                    at = f"id: {room.clock.now() - OVERLAP_SECONDS:.3f}\n"
                    yield f"{at}event: rows\ndata: {json.dumps(html)}\n\n"
        finally:
            listeners.count -= 1

    return StreamingResponse(
        lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


def _moment(text: str) -> float | None:
    return float(text) if _MOMENT.fullmatch(text) else None


class _Listeners:
    count = 0


def _listeners(request: Request) -> _Listeners:
    state = request.app.state
    if not hasattr(state, "log_listeners"):
        state.log_listeners = _Listeners()
    found: _Listeners = state.log_listeners
    return found


async def _parcels(
    administration: Administration, clock: Clock, wanted: LogFilter, since: float = float("inf")
) -> AsyncGenerator[tuple[list[Event], int], None]:
    """Events, newest first, with how many were left out; an empty parcel now and then."""
    with administration.following() as follower:
        if since <= clock.now():
            past = [one for one in await _past(administration, wanted) if one.at >= since]
            if past:
                yield past, 0
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    events = [await follower.next()]
            except TimeoutError:
                yield [], 0
                continue
            await clock.sleep(BEAT_SECONDS)
            events += follower.waiting()
            missed = sum(one.count for one in events if one.event == "missed")
            events = [one for one in events if one.event != "missed" and wanted.takes(one)]
            skipped = max(0, len(events) - ROWS_A_BEAT) + missed
            yield events[: -ROWS_A_BEAT - 1 : -1], skipped
