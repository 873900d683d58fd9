"""To retry, hold, release and cancel mail over the API: one message, or all that a filter finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path
from starlette.responses import Response

from waypost.administration import Action, RoutedRecipient
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces import documents
from waypost.faces.documents import Document
from waypost.faces.http.api.messages import (
    KIND,
    MessageName,
    before_of,
    identifiers_of,
    row_of,
)
from waypost.faces.http.api.models import Changed, Filter, QueueChange, RoutedRecipients
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    PREFIX,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)
from waypost.faces.http.pagination import make_cursor
from waypost.faces.http.problems import Problem, problem_type
from waypost.faces.http.security import Caller, api_caller
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.identifiers import identifier_text

router = APIRouter(prefix=PREFIX, tags=["queue"])

SHOWN: Final = 100
"""Recipients that a preview names; all are counted."""

ActionName = Annotated[
    Literal["retry", "hold", "release", "cancel"],
    Path(
        description="`retry`: try now, in spite of earlier failures (what was to be sent later, "
        "too). `hold`: let it wait until `release`. `cancel`: never send it."
    ),
]
Steerer = Annotated[Caller, api_caller(Permission.READ, Permission.STEER)]

_ACTIONS: Final[Mapping[str, Action]] = {
    "retry": Action.RETRY,
    "hold": Action.HOLD,
    "release": Action.RELEASE,
    "cancel": Action.REMOVE,
}
_DONE: Final = {
    "retry": "queue retried",
    "hold": "queue held",
    "release": "queue released",
    "cancel": "queue cancelled",
}


@router.post(
    "/messages/{id}/{action}",
    summary="Retry, hold, release or cancel a message",
    operation_id="steerMessage",
    response_model=Changed,
    responses=refusals(404),
)
async def steer_message(
    room: Room,
    caller: Steerer,
    name: Annotated[MessageName, Path(alias="id")],
    action: ActionName,
) -> Response:
    """For those of its recipients that it can be done to; `changed` says how many these were. A
    recipient for whom an attempt is under way is left alone."""
    row = await row_of(room, caller, name)
    wanted = MessageFilter(identifiers=(row.identifier,), limit=1)
    done = await room.administration.change(_ACTIONS[action], wanted)
    await room.audit.record(
        caller.name, _DONE[action], identifier_text(row.identifier), f"{done.changed} recipients"
    )
    return answer(_changed(done.changed, done.under_way, None))


@router.post(
    "/queue/routes",
    summary="See which routes waiting mail would take",
    operation_id="routeQueue",
    response_model=RoutedRecipients,
    responses=refusals(*BODY_REFUSALS),
    openapi_extra=takes(QueueChange),
)
async def route_queue(
    room: Room, caller: Steerer, change: Annotated[QueueChange, body_of(QueueChange)]
) -> Response:
    """A route is asked for at each attempt, by the configuration of that time: mail that waits is
    re-routed by changing the configuration (`waypost config check`, then SIGHUP) and `retry`. Here
    is what that would come to. Nothing is changed."""
    batch = await _batch(room, caller, change)
    routed: list[RoutedRecipient] = []
    before = None
    if batch.wanted is not None:
        routed, before = await room.administration.routes(batch.wanted)
    counts: dict[str, int] = {}
    for one in routed:
        counts[one.route] = counts.get(one.route, 0) + 1
    return answer(
        {
            "items": [documents.routed_document(one) for one in routed[:SHOWN]],
            "routes": [{"route": name, "recipients": count} for name, count in counts.items()],
            "next": _cursor(batch.next or before),
        }
    )


@router.post(
    "/queue/{action}",
    summary="Retry, hold, release or cancel many messages",
    operation_id="steerQueue",
    response_model=Changed,
    responses=refusals(*BODY_REFUSALS),
    openapi_extra=takes(QueueChange),
)
async def steer_queue(
    room: Room,
    caller: Steerer,
    action: ActionName,
    change: Annotated[QueueChange, body_of(QueueChange)],
) -> Response:
    """Newest messages first, `limit` of them in one request; while `next` is given, ask again with
    it as `cursor`. With `preview` nothing is changed."""
    batch = await _batch(room, caller, change)
    wanted = batch.wanted
    if wanted is None:
        return answer(_changed(0, 0, batch.next, preview=change.preview))
    chosen = _ACTIONS[action]
    if change.preview:
        selection = await room.administration.select(chosen, wanted)
        shown = [documents.selected_document(one) for one in selection.recipients[:SHOWN]]
        under_way = sum(one.started for one in selection.recipients)
        count = len(selection.recipients) - under_way
        return answer(
            _changed(count, under_way, batch.next or selection.before, preview=True, shown=shown)
        )
    done = await room.administration.change(chosen, wanted)
    await room.audit.record(
        caller.name, _DONE[action], _described(change.filter), f"{done.changed} recipients"
    )
    return answer(_changed(done.changed, done.under_way, batch.next or done.before))


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one request is for."""

    wanted: MessageFilter | None
    """None: there is nothing."""
    next: int | None = None
    """Of messages with a tag: where the next batch of them begins."""


async def _batch(room: ControlRoom, caller: Caller, change: QueueChange) -> _Batch:
    """Raises Problem."""
    given = change.filter
    if given == Filter() and not change.all:
        raise Problem(
            422,
            "the filter is empty, which means every message; say so with all: true, or give it "
            "something to go by",
            type=problem_type("empty-filter"),
        )
    identifiers = identifiers_of(given.ids)
    before = before_of(change.cursor)
    following = None
    if given.tag is not None:
        tagged = await room.submissions.tagged(given.tag, before, change.limit)
        following = tagged[-1] if len(tagged) == change.limit else None
        identifiers = tuple(one for one in tagged if not identifiers or one in identifiers)
        if not identifiers:
            return _Batch(None, following)
    wanted = MessageFilter(
        identifiers=identifiers,
        sender=given.sender,
        recipient=given.recipient,
        states=tuple(RecipientState[one.upper()] for one in given.states),
        older_than=None if given.older_than is None else given.older_than.timestamp(),
        text=given.text,
        user=caller.user or "",
        limit=change.limit,
        before=before,
    )
    return _Batch(wanted, following)


def _changed(
    count: int,
    under_way: int,
    before: int | None,
    *,
    preview: bool = False,
    shown: list[Document] | None = None,
) -> dict[str, Any]:
    return {
        "preview": preview,
        "changed": count,
        "under_way": under_way,
        "recipients": shown or [],
        "next": _cursor(before),
    }


def _cursor(before: int | None) -> str | None:
    return None if before is None else make_cursor(KIND, identifier_text(before))


def _described(given: Filter) -> str:
    """A filter for the audit log."""
    fields = given.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(f"{name} {value}" for name, value in fields.items())[:300] or "everything"
