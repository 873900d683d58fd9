"""Queues over the API: what waits for which destination, and to pause and resume it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from waypost.administration import DestinationQueue
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.delivery.pauses import MAXIMUM_PAUSES, NoSuchQueue, TooManyPauses
from waypost.faces.documents import Document, pause_document, time_text
from waypost.faces.http.api.models_queues import PauseRequest, Queues, QueueSteered
from waypost.faces.http.api.status import see_all
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    PREFIX,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)
from waypost.faces.http.problems import Problem, not_found, problem_type
from waypost.faces.http.security import Caller, api_caller
from waypost.spool.identifiers import identifier_text

router = APIRouter(prefix=PREFIX, tags=["queue"])

Reader = Annotated[Caller, api_caller(Permission.READ)]
Steerer = Annotated[Caller, api_caller(Permission.STEER)]
RouteName = Annotated[str, Path(max_length=200, examples=["default"])]
Destination = Annotated[
    str,
    Path(max_length=255, description="A domain, of a route that delivers directly (mx:)."),
]


@router.get(
    "/queues",
    summary="List queues",
    operation_id="listQueues",
    response_model=Queues,
    responses=refusals(),
)
async def list_queues(
    room: Room,
    caller: Reader,
    text: Annotated[
        str, Query(max_length=255, description="Only destinations with this in their name.")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """What waits by destination, the fullest first, with what the oldest message of each waits
    for; and the queues that are paused."""
    see_all(caller)
    found = await room.administration.destinations(text, limit)
    return answer(
        {
            "items": [_queue(one) for one in found],
            "paused": [pause_document(one) for one in room.administration.pauses],
        }
    )


def _queue(one: DestinationQueue) -> Document:
    waiting, wait = one.waiting, one.wait
    return {
        "destination": waiting.domain,
        "queued": waiting.queued,
        "held": waiting.held,
        "oldest": identifier_text(waiting.oldest),
        "oldest_received": time_text(one.oldest_at),
        "next_due": time_text(waiting.next_due),
        "route": one.route,
        "wait": None if wait is None else {"text": wait.text, "until": time_text(wait.until)},
    }


@router.post(
    "/queues/{route}/pause",
    summary="Pause a route",
    operation_id="pauseRoute",
    response_model=QueueSteered,
    responses=refusals(*BODY_REFUSALS, 404, 409),
    openapi_extra=takes(PauseRequest, required=False),
)
async def pause_route(
    room: Room,
    caller: Steerer,
    route: RouteName,
    given: Annotated[PauseRequest, body_of(PauseRequest, required=False)],
) -> Response:
    """Nothing leaves it until it is resumed, also after a restart. Mail for it is accepted and
    waits, and expires in its time; what is under way comes to its end."""
    return await _pause(room, caller, route, "", given.reason)


@router.post(
    "/queues/{route}/resume",
    summary="Resume a route",
    operation_id="resumeRoute",
    response_model=QueueSteered,
    responses=refusals(404),
)
async def resume_route(room: Room, caller: Steerer, route: RouteName) -> Response:
    """What waits for it goes as soon as it may. Destinations of it that are paused on their own
    stay so."""
    return await _resume(room, caller, route, "")


@router.post(
    "/queues/{route}/{destination}/pause",
    summary="Pause a destination",
    operation_id="pauseDestination",
    response_model=QueueSteered,
    responses=refusals(*BODY_REFUSALS, 404, 409),
    openapi_extra=takes(PauseRequest, required=False),
)
async def pause_destination(
    room: Room,
    caller: Steerer,
    route: RouteName,
    destination: Destination,
    given: Annotated[PauseRequest, body_of(PauseRequest, required=False)],
) -> Response:
    """The same for one domain of a route that delivers directly."""
    return await _pause(room, caller, route, destination.lower(), given.reason)


@router.post(
    "/queues/{route}/{destination}/resume",
    summary="Resume a destination",
    operation_id="resumeDestination",
    response_model=QueueSteered,
    responses=refusals(404),
)
async def resume_destination(
    room: Room, caller: Steerer, route: RouteName, destination: Destination
) -> Response:
    """What waits for it goes as soon as it may."""
    return await _resume(room, caller, route, destination.lower())


async def _pause(
    room: ControlRoom, caller: Caller, route: str, destination: str, reason: str
) -> Response:
    see_all(caller)
    try:
        changed = await room.administration.pausing.pause(
            route, destination, caller.name, reason.strip()
        )
    except NoSuchQueue as fault:
        raise not_found(str(fault)) from None
    except TooManyPauses:
        raise Problem(
            409,
            f"{MAXIMUM_PAUSES} queues are paused already; resume one, or pause a whole route",
            type=problem_type("too-many-pauses"),
        ) from None
    if changed:
        await room.audit.record(caller.name, "queue paused", _name(route, destination), reason)
    return answer(_steered(route, destination, paused=True, changed=changed))


async def _resume(room: ControlRoom, caller: Caller, route: str, destination: str) -> Response:
    see_all(caller)
    try:
        changed = await room.administration.pausing.resume(route, destination)
    except NoSuchQueue as fault:
        raise not_found(str(fault)) from None
    if changed:
        await room.audit.record(caller.name, "queue resumed", _name(route, destination))
    return answer(_steered(route, destination, paused=False, changed=changed))


def _name(route: str, destination: str) -> str:
    return f"{route} {destination}".strip()


def _steered(route: str, destination: str, *, paused: bool, changed: bool) -> Document:
    return {
        "route": route, "destination": destination or None, "paused": paused, "changed": changed,
    }  # fmt: skip
