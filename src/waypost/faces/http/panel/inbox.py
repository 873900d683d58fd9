"""The sandbox's inbox: mail that applications sent while nothing was to leave this machine.

List and message stand side by side on a wide screen, and are two pages on a narrow one. What was
opened counts as read, for everybody. The content is shown by the same views as any message's.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from waypost.control.inbox import InboxRow
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.content_views import view_of
from waypost.faces.http.panel.message_content import NoContent, read_content
from waypost.faces.http.panel.pages import error_page, page, told
from waypost.faces.http.security import Caller, page_caller
from waypost.spool.identifiers import identifier_text, parse_identifier

PAGE: Final = 50
"""Rows of a list."""

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]
Opener = Annotated[Caller, page_caller(Permission.CONTENT)]
Changer = Annotated[Caller, page_caller(Permission.SANDBOX)]


@router.get("/sandbox")
async def sandbox(
    request: Request, caller: Reader, q: str = "", unread: bool = False, before: str = ""
) -> HTMLResponse:
    """The inbox."""
    return page(
        request, "sandbox.html", caller, content=None, row=None, missing="",
        **await _inbox(request, caller, q, unread, before),
    )  # fmt: skip


@router.get("/sandbox/now")
async def sandbox_now(
    request: Request,
    caller: Reader,
    q: str = "",
    unread: bool = False,
    before: str = "",
    open: str = "",  # noqa: A002
) -> HTMLResponse:
    """The list as of now; `open` is the message beside it."""
    shown = identifier_of(open)
    return page(
        request, "sandbox_list.html", caller, id=open if shown else "",
        **await _inbox(request, caller, q, unread, before),
    )  # fmt: skip


@router.get("/sandbox/newest")
async def newest(request: Request, caller: Reader) -> JSONResponse:  # noqa: ARG001 - permission
    """The newest message, for the page that waits for the first one."""
    room: ControlRoom = request.app.state.room
    counts = await room.inbox.counts()
    return JSONResponse(
        {"id": identifier_text(counts.newest) if counts.newest else None, "unread": counts.unread}
    )


@router.get("/sandbox/{identifier}")
async def opened(
    request: Request,
    caller: Opener,
    identifier: str,
    q: str = "",
    unread: bool = False,
    before: str = "",
    view: str = "",
) -> HTMLResponse:
    """One message beside the inbox."""
    room: ControlRoom = request.app.state.room
    message = identifier_of(identifier)
    row = await room.inbox.row(message) if message is not None else None
    if message is None or row is None:
        return no_such(request, caller)
    content, missing = None, ""
    try:
        content = await read_content(room, message, lambda read: view_of(read, view, row.size))
    except NoContent as fault:
        missing = str(fault)
    if not row.is_read:
        await room.inbox.mark([message], is_read=True)
    return page(
        request, "sandbox.html", caller, content=content, missing=missing, row=row, id=identifier,
        base=f"/sandbox/{identifier}",
        **await _inbox(request, caller, q, unread, before),
    )  # fmt: skip


async def _inbox(
    request: Request, caller: Caller, q: str, unread: bool, before: str
) -> dict[str, Any]:
    room: ControlRoom = request.app.state.room
    text = q.strip()[:200]
    rows = await room.inbox.rows(PAGE, text=text, unread=unread, before=identifier_of(before))
    kept = {"q": text, "unread": "true" if unread else "", "before": before}
    query = urlencode({name: value for name, value in kept.items() if value})
    older = ""
    if len(rows) == PAGE:
        kept["before"] = identifier_text(rows[-1].identifier)
        older = "/sandbox?" + urlencode({name: value for name, value in kept.items() if value})
    return {
        "rows": rows if caller.may(Permission.CONTENT) else [_without_content(one) for one in rows],
        "counts": await room.inbox.counts(), "q": text, "unread": unread,
        "query": f"?{query}" if query else "", "live_query": query, "older": older,
        "newest_page": "/sandbox" + (f"?q={text}" if text else "") if before else "",
        "is_sandbox": any(one.is_sandbox for one in room.service.engine.routing.routes),
        "rules": room.service.sandbox_rules,
    }  # fmt: skip


def _without_content(row: InboxRow) -> InboxRow:
    return InboxRow(
        row.identifier, row.captured_at, row.sender, row.recipients, row.subject, "", row.size,
        row.attachments, row.is_read,
    )  # fmt: skip


@router.post("/sandbox/read")
async def mark_all_read(request: Request, caller: Opener) -> Response:  # noqa: ARG001
    """All has been looked at."""
    room: ControlRoom = request.app.state.room
    await room.inbox.mark_all_read()
    return told(request, "/sandbox", "All messages are marked as read.")


@router.post("/sandbox/remove")
async def remove(
    request: Request,
    caller: Changer,
    id: Annotated[str, Form()],  # noqa: A002
) -> Response:
    """Forget one captured message."""
    room: ControlRoom = request.app.state.room
    message = identifier_of(id)
    if message is None or not await room.inbox.remove([message]):
        return told(request, "/sandbox", "The message is gone already.", "wait")
    await room.audit.record(caller.name, "sandbox message removed", id, "")
    return told(request, "/sandbox", "The message is removed.")


@router.get("/sandbox/all/remove")
async def ask_to_remove_all(request: Request, caller: Changer) -> HTMLResponse:
    """Whether the inbox is to be emptied."""
    room: ControlRoom = request.app.state.room
    return page(request, "sandbox_empty.html", caller, counts=await room.inbox.counts())


@router.post("/sandbox/all/remove")
async def remove_all(request: Request, caller: Changer) -> Response:
    """Empty the inbox."""
    room: ControlRoom = request.app.state.room
    removed = await room.inbox.remove_all()
    await room.audit.record(caller.name, "sandbox emptied", "", f"{removed} messages")
    text = f"{removed} message{' is' if removed == 1 else 's are'} removed."
    return told(request, "/sandbox", text)


@router.post("/sandbox/{identifier}/unread")
async def mark_unread(request: Request, caller: Opener, identifier: str) -> Response:  # noqa: ARG001
    """It has not been looked at, after all."""
    room: ControlRoom = request.app.state.room
    message = identifier_of(identifier)
    if message is not None:
        await room.inbox.mark([message], is_read=False)
    return told(request, "/sandbox", "The message is marked as unread.")


def identifier_of(text: str) -> int | None:
    """The number of an identifier; None where it is none."""
    try:
        return parse_identifier(text) if text else None
    except ValueError:
        return None


def no_such(request: Request, caller: Caller) -> HTMLResponse:
    """The sandbox has no such message."""
    return error_page(
        request, 404, "The sandbox has no such message",
        "It was removed, or made room for newer ones: the newest 10,000 are kept.", caller,
    )  # fmt: skip
