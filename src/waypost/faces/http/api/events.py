"""Events over the API: in pages behind a place, and as a stream while they happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from waypost.control.event_log import EventBatch, EventLog
from waypost.control.event_log_documents import (
    NO_LABELS,
    EventFilter,
    Labels,
    event_payload,
)
from waypost.control.event_log_places import BEGINNING, OtherLog, Place, PlacedEvent
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.api.event_stream import EventSource, stream_of, streams_of
from waypost.faces.http.api.models_events import MAXIMUM_TYPES, EventPage, EventType
from waypost.faces.http.api_parts import PREFIX, Room, answer, refusals
from waypost.faces.http.pagination import DEFAULT_LIMIT, MAXIMUM_LIMIT
from waypost.faces.http.problems import Problem, problem_type
from waypost.faces.http.security import Caller, api_caller
from waypost.spool.identifiers import parse_identifier

router = APIRouter(prefix=PREFIX, tags=["events"])

Reader = Annotated[Caller, api_caller(Permission.EVENTS)]

MAXIMUM_PLACE: Final = 60

READ_AT_ONCE: Final = 10
"""Parts of the log that one request looks through for events that are wanted."""

After = Annotated[
    str | None,
    Query(
        max_length=MAXIMUM_PLACE,
        description="Only what came behind this `place`. Without it: from the oldest that is kept.",
    ),
]
Types = Annotated[
    list[EventType] | None,
    Query(alias="type", max_length=MAXIMUM_TYPES, description="Only these; may be repeated."),
]
OfMessage = Annotated[
    str | None, Query(max_length=13, description="Only of this message.", examples=[None])
]
OfUser = Annotated[str | None, Query(max_length=200, description="Only of this user's messages.")]
OfRoute = Annotated[
    str | None, Query(max_length=200, description="Only what attempts over this route came to.")
]
OfTag = Annotated[str | None, Query(max_length=64, description="Only of messages with this tag.")]


def _wanted(
    caller: Caller,
    types: list[EventType] | None,
    message: str | None,
    user: str | None,
    route: str | None,
    tag: str | None,
) -> EventFilter:
    """What the request wants, and its caller may see. Raises Problem."""
    number = None
    if message is not None:
        try:
            number = parse_identifier(message)
        except ValueError as fault:
            raise _invalid("message", str(fault)) from None
    wanted = EventFilter(frozenset(types or ()), number, user or "", route or "", tag or "")
    if caller.user is None:
        return wanted
    if user not in (None, caller.user):
        raise Problem(
            403,
            f"this key is bound to the user {caller.user} and sees that user's mail alone",
            type=problem_type("forbidden"),
        )
    return replace(wanted, user=caller.user)


def _invalid(parameter: str, detail: str) -> Problem:
    return Problem(
        422,
        detail,
        title="The request is not of the described form",
        type=problem_type("invalid-request"),
        errors=[{"in": "query", "parameter": parameter, "detail": detail}],
    )


def _place(log: EventLog, text: str | None, parameter: str) -> tuple[Place, bool]:
    """Where to go on; and whether something may be missed. Raises Problem."""
    if text is None:
        return BEGINNING, False
    try:
        return log.parse(text), False
    except OtherLog:
        return BEGINNING, True
    except ValueError as fault:
        raise _invalid(parameter, str(fault)) from None


def _document(log: EventLog, one: PlacedEvent, labels: Labels) -> dict[str, Any]:
    return {
        "id": one.identity,
        "place": one.place.text(log.identity),
        **event_payload(one, labels),
    }


async def _labels(room: ControlRoom, events: tuple[PlacedEvent, ...]) -> dict[int, Labels]:
    labelled = room.webhooks.labelled
    messages = {one.entry.identifier for one in events} - {0}
    return dict(await labelled.labels(messages)) if labelled and messages else {}


@router.get(
    "/events",
    summary="List what has happened",
    response_model=EventPage,
    responses=refusals(),
)
async def list_events(
    room: Room,
    caller: Reader,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=MAXIMUM_LIMIT)] = DEFAULT_LIMIT,
    types: Types = None,
    message: OfMessage = None,
    user: OfUser = None,
    route: OfRoute = None,
    tag: OfTag = None,
) -> Response:
    """Events in the order in which they became durable; none is left out and none told twice.

    A request looks through a bounded part of the log, so `items` may be empty while there is
    `more`: go on with `after`.
    """
    log = room.events
    wanted = _wanted(caller, types, message, user, route, tag)
    place, missed = _place(log, after, "after")
    items: list[dict[str, Any]] = []
    more = False
    for _ in range(READ_AT_ONCE):
        batch = await log.read(place)
        missed = missed or batch.missed
        labels = await _labels(room, batch.events)
        place, more = batch.upto, not batch.is_end
        for one in batch.events:
            of = labels.get(one.entry.identifier, NO_LABELS)
            if wanted.matches(one, of):
                if len(items) == limit:
                    more = True
                    break
                items.append(_document(log, one, of))
                if len(items) == limit:
                    place = one.place
        if len(items) == limit or batch.is_end:
            break
    return answer(
        {"items": items, "after": place.text(log.identity), "more": more, "missed": missed}
    )


@router.get(
    "/events/stream",
    summary="Follow what happens",
    response_class=Response,
    responses=refusals(503)
    | {
        200: {
            "description": "Server-sent events: `id` is the place, `event` the type, `data` an "
            "Event. An event of the type `missed` tells that retention removed some. A comment "
            "comes every 15 seconds; after an hour the stream ends and is to be opened again.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def follow_events(
    request: Request,
    room: Room,
    caller: Reader,
    last_event_id: Annotated[
        str | None,
        Header(max_length=MAXIMUM_PLACE, description="The `id` of the last event that was seen."),
    ] = None,
    after: Annotated[
        str | None,
        Query(
            max_length=MAXIMUM_PLACE,
            description="The same, for the first request. Without either: what happens from now "
            "on.",
        ),
    ] = None,
    types: Types = None,
    message: OfMessage = None,
    user: OfUser = None,
    route: OfRoute = None,
    tag: OfTag = None,
) -> Response:
    """Events as they happen (text/event-stream), as a browser's EventSource reads them. It
    continues where it broke off, without a gap and telling nothing twice."""
    log = room.events
    wanted = _wanted(caller, types, message, user, route, tag)
    given = last_event_id or after
    if given is None:
        place, missed = await log.end(), False
    else:
        place, missed = _place(log, given, "last-event-id" if last_event_id else "after")

    async def told(batch: EventBatch) -> list[dict[str, Any]]:
        labels = await _labels(room, batch.events)
        return [
            _document(log, one, labels.get(one.entry.identifier, NO_LABELS))
            for one in batch.events
            if wanted.matches(one, labels.get(one.entry.identifier, NO_LABELS))
        ]

    source = EventSource(log, room.clock, place, told, missed=missed)
    return stream_of(streams_of(request.app), source)
