"""Pausing a route, or one destination of a route that delivers directly, and letting it go on."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.delivery.pauses import MAXIMUM_PAUSES, NoSuchQueue, TooManyPauses
from waypost.faces.http.panel.pages import told
from waypost.faces.http.security import Caller, page_caller

LONGEST_REASON: Final = 200

router = APIRouter(include_in_schema=False)

Steerer = Annotated[Caller, page_caller(Permission.STEER)]
Route = Annotated[str, Form(max_length=200)]
Destination = Annotated[str, Form(max_length=255)]


@router.post("/pauses/add")
async def pause(
    request: Request,
    caller: Steerer,
    route: Route,
    destination: Destination = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Let nothing leave a queue until it is resumed, also after a restart."""
    room: ControlRoom = request.app.state.room
    to, why = destination.strip().lower(), reason.strip()[:LONGEST_REASON]
    try:
        changed = await room.administration.pausing.pause(route, to, caller.name, why)
    except NoSuchQueue as fault:
        return told(request, "/queues", f"Nothing was paused: {fault}.", "bad")
    except TooManyPauses:
        text = f"{MAXIMUM_PAUSES} queues are paused; resume some, or pause the whole route."
        return told(request, "/queues", text, "bad")
    if not changed:
        return told(request, "/queues", f"{_named(route, to)} was paused already.", "wait")
    await room.audit.record(caller.name, "queue paused", _subject(route, to), why)
    return told(request, "/queues", f"{_named(route, to)} is paused; its mail waits.")


@router.post("/pauses/remove")
async def resume(
    request: Request, caller: Steerer, route: Route, destination: Destination = ""
) -> Response:
    """Let a queue go on."""
    room: ControlRoom = request.app.state.room
    try:
        changed = await room.administration.pausing.resume(route, destination)
    except NoSuchQueue as fault:
        return told(request, "/queues", f"Nothing was resumed: {fault}.", "bad")
    if not changed:
        return told(request, "/queues", f"{_named(route, destination)} was not paused.", "wait")
    await room.audit.record(caller.name, "queue resumed", _subject(route, destination))
    return told(request, "/queues", f"{_named(route, destination)} goes on.")


def _named(route: str, destination: str) -> str:
    return f"Route {route}" + (f" to {destination}" if destination else "")


def _subject(route: str, destination: str) -> str:
    return f"{route} {destination}".strip()
