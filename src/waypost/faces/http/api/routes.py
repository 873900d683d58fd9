"""Routes over the API: where mail goes, and how it goes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.delivery.route import NextHop, Route
from waypost.delivery.slots import DestinationView
from waypost.faces.documents import Document, time_text
from waypost.faces.http.api.models_queues import Routes
from waypost.faces.http.api.status import see_all
from waypost.faces.http.api_parts import PREFIX, Room, answer, refusals
from waypost.faces.http.security import Caller, api_caller

router = APIRouter(prefix=PREFIX, tags=["routes"])


@router.get(
    "/routes",
    summary="List routes and their health",
    operation_id="listRoutes",
    response_model=Routes,
    responses=refusals(),
)
async def list_routes(
    room: Room, caller: Annotated[Caller, api_caller(Permission.READ)]
) -> Response:
    """In the order in which they are asked: open connections, what is left of quotas, next hops
    and destinations that are left alone after failures, with the last of them."""
    see_all(caller)
    service = room.service
    left_alone = service.slots.left_alone(room.clock.now())
    routes = service.engine.routing.routes
    return answer({"items": [_route(room, one, left_alone) for one in routes]})


def _route(room: ControlRoom, route: Route, left_alone: list[DestinationView]) -> Document:
    slots, limits, quotas = room.service.slots, route.limits, route.quotas
    return {
        "name": route.name,
        "kind": "mx" if route.is_direct else "sandbox" if route.is_sandbox else "smarthost",
        "next_hops": [_hop(room, hop) for hop in route.via],
        "recipients": list(route.match.recipients),
        "senders": list(route.match.senders),
        "users": list(route.match.users),
        "overflow": route.overflow,
        "connections": slots.connections_of(route),
        "limits": {
            "connections": limits.connections,
            "connections_per_destination": limits.connections_per_destination,
            "messages_per_connection": limits.messages_per_connection,
            "recipients_per_transaction": limits.recipients_per_transaction,
            "rate": str(limits.rate) if limits.rate is not None else None,
            "rate_per_destination": (
                str(limits.rate_per_destination) if limits.rate_per_destination else None
            ),
        },
        "quotas": {
            "per_minute": quotas.per_minute,
            "per_hour": quotas.per_hour,
            "per_day": quotas.per_day,
        },
        "quotas_left": slots.quotas_left(route, room.clock.now()),
        "paused": slots.pauses.has(route.name, ""),
        "left_alone": [
            {
                "route": one.route,
                "destination": one.destination,
                "failures": one.failures,
                "until": time_text(one.blocked_until),
                "reason": one.blocked_reason,
            }
            for one in left_alone
            if one.route == route.name
        ],
    }


def _hop(room: ControlRoom, hop: NextHop) -> Document:
    clock = room.clock
    why = room.service.circuits.why(hop, clock.monotonic())
    until = None if why is None else clock.now() + why[0] - clock.monotonic()
    return {
        "name": hop.identity,
        "suspended_until": time_text(until),
        "reason": None if why is None else why[1],
    }
