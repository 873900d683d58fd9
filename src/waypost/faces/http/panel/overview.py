"""The overview: how the relay fares now and over time, what waits, what fails and why, how quickly
the servers answer.

All figures are counted already (control.statistics), so the page is made without a look into the
spool. It fetches itself anew every few seconds while it is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.control.statistics import Statistics
from waypost.control.statistics_figures import (
    DestinationFigures,
    Figure,
    RouteFigures,
    Series,
    Span,
    Totals,
    WaitingQueue,
)
from waypost.faces.http.panel.charts import Bars, Lines, bars, lines
from waypost.faces.http.panel.explanations import Explanation, explanation_of_outcome
from waypost.faces.http.panel.pages import page
from waypost.faces.http.security import Caller, page_caller
from waypost.service import Service

GOOD_SECONDS: Final = 1.0
"""A server that answers within this answers well."""

SPANS: Final = (Span.HOUR, Span.DAY, Span.WEEK, Span.MONTH)

FIRST_COUNT_SECONDS: Final = 0.1
"""What a page that is opened first waits for the figures of the queue."""

SHOWN: Final = 6
"""Destinations of each list, and routes of the chart."""

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]


@dataclass(frozen=True, slots=True)
class Flow:
    """One of the four numbers that tell how mail flows."""

    name: str
    meaning: str
    minute: int
    hour: int
    day: int
    bars: Bars
    parts: tuple[Series, ...]
    """What it is the sum of."""
    tone: str


@dataclass(frozen=True, slots=True)
class Failing:
    """A destination where attempts fail, with what the last failure means."""

    figures: DestinationFigures
    explanation: Explanation
    can_test: bool
    """Its route has a connection that can be tested."""


_FLOWS: Final = (
    ("Accepted", "recipients of messages taken in", (Figure.ACCEPTED,), "accepted"),
    ("Delivered", "taken by the next server", (Figure.DELIVERED, Figure.CAPTURED), "delivered"),
    ("Deferred", "refused for now, tried again", (Figure.DEFERRED,), "deferred"),
    ("Bounced", "refused for good, or given up", (Figure.BOUNCED, Figure.EXPIRED), "bounced"),
)


@router.get("/")
async def overview(request: Request, caller: Reader, span: Span = Span.DAY) -> HTMLResponse:
    """The page."""
    room: ControlRoom = request.app.state.room
    await room.statistics.counted_once(FIRST_COUNT_SECONDS)
    return _page(request, "overview.html", caller, span)


@router.get("/overview/now")
async def overview_now(request: Request, caller: Reader, span: Span = Span.DAY) -> HTMLResponse:
    """The part that changes."""
    return _page(request, "overview_now.html", caller, span)


def _page(request: Request, template: str, caller: Caller, span: Span) -> HTMLResponse:
    room: ControlRoom = request.app.state.room
    statistics = room.statistics
    span = Span.DAY if span is Span.MINUTE else span
    flow = flows(statistics, span)
    counted, queues = statistics.counts(), statistics.queues()
    waiting = [one for one in queues.queues if one.oldest is not None] if queues else []
    routes = statistics.routes(span)
    return page(
        request, template, caller, span=span, spans=SPANS, flows=flow,
        counts=counted.counts if counted else None, age=counted.age if counted else None,
        oldest=sorted(waiting, key=_age)[:SHOWN],
        destinations=queues.destinations if queues else 0,
        left_alone=len(room.service.slots.left_alone(room.clock.now())),
        connections=room.service.slots.connections,
        failing=_failing(statistics, room.service, span),
        slowest=[one for one in statistics.slowest(span, SHOWN) if one.mean_seconds],
        routes=routes, chart=response_chart(statistics, routes, span), good=GOOD_SECONDS,
        is_new=_is_new(statistics),
    )  # fmt: skip


def flows(statistics: Statistics, span: Span) -> list[Flow]:
    """The four numbers: now, and over a span."""
    minute, hour, day = (statistics.totals(one) for one in (Span.MINUTE, Span.HOUR, Span.DAY))
    found = []
    for name, meaning, figures, tone in _FLOWS:
        parts = statistics.all_series(figures, span)
        values = [sum(each) for each in zip(*(one.values for one in parts), strict=True)]
        drawn = bars(name, values, parts[0].start, parts[0].step)
        sums = [_sum(totals, figures) for totals in (minute, hour, day)]
        found.append(Flow(name, meaning, sums[0], sums[1], sums[2], drawn, parts, tone))
    return found


def _sum(totals: Totals, figures: Sequence[Figure]) -> int:
    return sum(int(getattr(totals, figure)) for figure in figures)


def _age(queue: WaitingQueue) -> float:
    assert queue.oldest is not None, "those without are left out"
    return queue.oldest


def response_chart(
    statistics: Statistics, routes: Sequence[RouteFigures], span: Span
) -> Lines | None:
    """The first reply of each route's servers over time (95 %), against the one-second line; of the
    routes with most attempts. None where nothing was measured."""
    measured = [one for one in routes if one.first_reply is not None and one.route]
    measured.sort(key=lambda one: -one.first_reply.number if one.first_reply else 0)
    series = [
        (one.route, statistics.response_series(one.route, span, first_reply=True))
        for one in measured[:SHOWN]
    ]
    if not series:
        return None
    first = series[0][1]
    named = [(name, one.values) for name, one in series]
    return lines(named, first.start, first.step, GOOD_SECONDS)


def _failing(statistics: Statistics, service: Service, span: Span) -> list[Failing]:
    by_name = service.engine.routing.by_name
    found = []
    for one in statistics.failing(span, SHOWN):
        route = by_name.get(one.route)
        can_test = route is not None and not route.is_sandbox
        found.append(Failing(one, _explained(one.reply, one.reason, one.domain), can_test))
    return found


@lru_cache(maxsize=256)
def _explained(reply: str, reason: str, domain: str) -> Explanation:
    return explanation_of_outcome(reply, reason, host=domain, recipient="")


def _is_new(statistics: Statistics) -> bool:
    """No mail has come yet, as far as is known."""
    counted = statistics.counts()
    if statistics.totals(Span.MONTH).accepted:
        return False
    if counted is None:
        return True
    counts = counted.counts
    return not (
        counts.queued or counts.held or counts.delivered or counts.bounced or counts.expired
        or counts.cancelled
    )  # fmt: skip
