"""The audit log, over the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from waypost.control.audit import AuditFilter
from waypost.control.permissions import Permission
from waypost.faces.documents import time_text
from waypost.faces.http.api.accounts_parts import router
from waypost.faces.http.api.models import Page
from waypost.faces.http.api.models_accounts import AuditEntryTold
from waypost.faces.http.api_parts import Room, answer, refusals
from waypost.faces.http.pagination import DEFAULT_LIMIT, Cursor, Limit, make_cursor, read_cursor
from waypost.faces.http.security import Caller, api_caller

Auditor = Annotated[Caller, api_caller(Permission.AUDIT)]

AUDIT_CURSOR = "audit"


@router.get(
    "/audit",
    response_model=Page[AuditEntryTold],
    responses=refusals(),
    operation_id="listAudit",
    summary="The audit log",
)
async def audit(
    room: Room,
    caller: Auditor,
    who: Annotated[str, Query(max_length=100)] = "",
    action: Annotated[str, Query(max_length=60, description="How it begins.")] = "",
    text: Annotated[str, Query(max_length=200, description="In subject or detail.")] = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Who did what, the latest first."""
    del caller
    before = _before(cursor)
    wanted = AuditFilter(who, action, text, _moment(since), _moment(until), before, limit + 1)
    found = await room.audit.entries(wanted)
    following = make_cursor(AUDIT_CURSOR, str(found[limit - 1].id)) if len(found) > limit else None
    items = [
        {
            "id": one.id, "at": time_text(one.at), "who": one.who, "address": one.address,
            "action": one.action, "subject": one.subject, "detail": one.detail,
        }
        for one in found[:limit]
    ]  # fmt: skip
    return answer({"items": items, "next": following})


def _moment(given: datetime | None) -> float | None:
    """Without an offset it is UTC."""
    if given is None:
        return None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()


def _before(cursor: str | None) -> int | None:
    place = read_cursor(AUDIT_CURSOR, cursor)
    if place is None:
        return None
    if not place.isdecimal() or len(place) > 18:
        read_cursor(AUDIT_CURSOR, "")  # none that we have made: raises
    return int(place)
