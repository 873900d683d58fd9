"""The audit log: who did what, when, from where."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from waypost.control.audit import AuditFilter
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.security import Caller, page_caller

router = APIRouter(include_in_schema=False)

SHOWN = 100
"""Entries of one page."""


@router.get("/audit")
async def audit(
    request: Request,
    caller: Annotated[Caller, page_caller(Permission.AUDIT)],
    who: str = "",
    action: str = "",
    text: str = "",
    day: str = "",
    before: str = "",
) -> Response:
    """Entries, the latest first."""
    room: ControlRoom = request.app.state.room
    try:
        start = dt.datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=dt.UTC) if day else None
        end = start + dt.timedelta(days=1) if start else None
        cursor = int(before[:18]) if before else None
    except (ValueError, OverflowError):
        return told(request, "/audit", "A day is written as 2026-11-24.", "bad")
    wanted = AuditFilter(
        who=who.strip(), action=action.strip(), text=text.strip(),
        since=start.timestamp() if start else None,
        until=end.timestamp() if end else None,
        before=cursor, limit=SHOWN + 1,
    )  # fmt: skip
    found = await room.audit.entries(wanted)
    chosen = {"who": who, "action": action, "text": text, "day": day}
    here = urlencode({name: value for name, value in chosen.items() if value})
    older = urlencode({"before": found[SHOWN - 1].id}) if len(found) > SHOWN else ""
    return page(
        request, "audit.html", caller, entries=found[:SHOWN], chosen=chosen,
        first=f"/audit?{here}" if cursor is not None else "",
        next=f"/audit?{here}&{older}" if older else "",
    )  # fmt: skip
