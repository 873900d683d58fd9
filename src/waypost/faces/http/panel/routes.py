"""Routes: where mail goes, within which limits, how it fares, and a test of each connection.

The test is one answer that grows: a whole page for a browser without scripts, which shows it as it
comes, and lines of JSON (one fragment of the page each) for static/routes.js.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from markupsafe import Markup

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.control.statistics_figures import RouteFigures, Span
from waypost.doctor.check.run import Checked
from waypost.doctor.check.steps import Step
from waypost.faces.http.panel.pages import page, rendered
from waypost.faces.http.panel.route_test import CannotTest, Event, RouteTest, RouteTests
from waypost.faces.http.panel.route_views import route_views
from waypost.faces.http.security import Caller, page_caller
from waypost.knowledge.causes import cause

LINES: Final = "application/x-ndjson"

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]
Tester = Annotated[Caller, page_caller(Permission.DOCTOR)]


@router.get("/routes")
async def routes(request: Request, caller: Reader) -> HTMLResponse:
    """All routes."""
    room: ControlRoom = request.app.state.room
    return page(
        request, "routes.html", caller, routes=route_views(room.service), times=_times(room)
    )


@router.get("/routes/now")
async def routes_now(request: Request, caller: Reader) -> HTMLResponse:
    """The part that changes."""
    room: ControlRoom = request.app.state.room
    return page(
        request, "routes_now.html", caller, routes=route_views(room.service), times=_times(room)
    )


def _times(room: ControlRoom) -> dict[str, RouteFigures]:
    """How the last day went over each route."""
    return {one.route: one for one in room.statistics.routes(Span.DAY)}


@router.post("/routes/test")
async def connection_test(
    request: Request,
    caller: Tester,
    route: Annotated[str, Form()],
    target: Annotated[str, Form()] = "",
) -> Response:
    """Test the connection of a route."""
    room: ControlRoom = request.app.state.room
    tests = _tests(request)
    in_lines = LINES in request.headers.get("accept", "")
    fault = ""
    wanted: RouteTest | None = None
    try:
        wanted = tests.prepare(route, target)
    except CannotTest as refused:
        fault = str(refused)
    if wanted is not None:
        await room.audit.record(caller.name, "route tested", route, target.strip())
    fragments = _fragments(request, caller, tests, wanted, fault)
    if in_lines:
        return StreamingResponse(_lines(fragments), media_type=LINES)
    # The page, cut where the steps go: what stands before is sent at once.
    mark = secrets.token_hex(16)
    whole = rendered(request, "route_test.html", caller, route=route, mark=Markup(mark))  # noqa: S704 - hexadecimal
    before, _, after = whole.partition(mark)
    return StreamingResponse(_page(before, fragments, after), media_type="text/html; charset=utf-8")


def _tests(request: Request) -> RouteTests:
    state = request.app.state
    if not hasattr(state, "route_tests"):
        state.route_tests = RouteTests(state.room.service)
    tests: RouteTests = state.route_tests
    return tests


async def _fragments(
    request: Request, caller: Caller, tests: RouteTests, wanted: RouteTest | None, fault: str
) -> AsyncIterator[str]:
    if wanted is None:
        yield rendered(request, "route_test_fault.html", caller, fault=fault)
        return
    try:
        async with aclosing(tests.run(wanted)) as events:
            async for event in events:
                yield _fragment(request, caller, event, wanted.route.name)
    except CannotTest as refused:
        yield rendered(request, "route_test_fault.html", caller, fault=str(refused))


def _fragment(request: Request, caller: Caller, event: Event, route: str) -> str:
    if isinstance(event, Step):
        return rendered(request, "route_test_step.html", caller, step=event, host="")
    if isinstance(event, Checked):
        others = [cause(name) for name in event.diagnosis.alternatives]
        return rendered(
            request, "route_test_result.html", caller, found=event.diagnosis, others=others,
            checked=event, route=route,
        )  # fmt: skip
    return rendered(request, "route_test_step.html", caller, step=None, host=event)


async def _lines(fragments: AsyncIterator[str]) -> AsyncIterator[str]:
    async for fragment in fragments:
        yield json.dumps(fragment) + "\n"


async def _page(before: str, fragments: AsyncIterator[str], after: str) -> AsyncIterator[str]:
    yield before
    async for fragment in fragments:
        yield fragment
    yield after
