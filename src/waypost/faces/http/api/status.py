"""The relay as a whole over the API, and what bounds its senders."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from waypost.control.permissions import Permission
from waypost.faces.documents import status_document, time_text
from waypost.faces.http.api.models_queues import Limits, Status
from waypost.faces.http.api_parts import PREFIX, Room, answer, refusals
from waypost.faces.http.problems import Problem, problem_type
from waypost.faces.http.security import Caller, api_caller

router = APIRouter(prefix=PREFIX, tags=["status"])

Reader = Annotated[Caller, api_caller(Permission.READ)]


def see_all(caller: Caller) -> None:
    """What tells of everybody's mail is not for a key of one user. Raises Problem 403."""
    if caller.user is not None:
        raise Problem(
            403,
            f"{caller.name} is bound to the user {caller.user} and sees that user's mail alone; "
            "this tells of everybody's",
            type=problem_type("not-permitted"),
        )


@router.get(
    "/status",
    summary="See the relay as a whole",
    operation_id="getStatus",
    response_model=Status,
    responses=refusals(),
)
async def get_status(room: Room, caller: Reader) -> Response:
    """How much there is by state of recipients, what is under way, who is left alone."""
    see_all(caller)
    status = await room.administration.status()
    return answer(
        {
            "version": version("waypost"),
            "hostname": room.service.settings.hostname,
            "time": time_text(room.clock.now()),
            "listeners": [
                {"kind": kind, "address": place} for kind, place in room.administration.listening
            ],
            **status_document(status),
        }
    )


@router.get(
    "/limits",
    summary="See what bounds senders",
    operation_id="getLimits",
    response_model=Limits,
    responses=refusals(),
)
async def get_limits(room: Room, caller: Reader, request: Request) -> Response:
    """For SMTP (`[limits]` of the configuration) and for this API. 0: not bounded."""
    del caller
    service = room.service
    return answer(
        {
            "maximum_size": service.settings.maximum_size,
            "peers": asdict(service.limits.settings),
            "open_connections": service.limits.open_connections,
            "api": asdict(request.app.state.rate_limiter.rate),
        }
    )
