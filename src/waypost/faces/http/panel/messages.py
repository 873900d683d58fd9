"""The list of messages: newest first, searched, and what can be done to several at once.

An action is shown first (how many recipients, which) and done when it is confirmed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from waypost.administration import Action, Administration
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.message_rows import shown_row
from waypost.faces.http.panel.message_search import PAGE, STATES, WITHIN, Query, find
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.panel.queues import WORDINGS
from waypost.faces.http.security import Caller, page_caller
from waypost.spool.contract import MessageFilter
from waypost.spool.identifiers import parse_identifier

NAMED: Final = 20
"""Recipients that a preview names."""

AT_ONCE: Final = 500
"""Messages that may be chosen for one action; a page has fewer."""

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]
Steerer = Annotated[Caller, page_caller(Permission.STEER)]


@router.get("/messages")
async def messages(
    request: Request,
    caller: Reader,
    q: str = "",
    state: str = "",
    within: str = "",
    before: str = "",
) -> HTMLResponse:
    """The list."""
    return await _list(request, caller, "messages.html", Query.of(q, state, within, before))


@router.get("/messages/now")
async def messages_now(
    request: Request,
    caller: Reader,
    q: str = "",
    state: str = "",
    within: str = "",
    before: str = "",
) -> HTMLResponse:
    """The rows alone, as of now."""
    return await _list(request, caller, "messages_now.html", Query.of(q, state, within, before))


async def _list(request: Request, caller: Caller, name: str, query: Query) -> HTMLResponse:
    room: ControlRoom = request.app.state.room
    found = await find(room, query)
    return page(
        request, name, caller, query=query, page_size=PAGE, states=STATES, within=WITHIN,
        rows=[shown_row(row, room.administration) for row in found.rows],
        complete=found.complete,
        first=query.address("/messages") if query.before is not None else "",
        next=query.address("/messages", found.before) if found.before is not None else "",
        live=query.address("/messages/now", query.before), actions=Action, wordings=WORDINGS,
    )  # fmt: skip


@router.post("/messages/choose")
async def choose(
    request: Request,
    caller: Steerer,
    action: Annotated[Action, Form()],
    chosen: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """What an action would be for."""
    identifiers = _identifiers(chosen)
    if not identifiers:
        return told(request, "/messages", "Choose messages first, by the box before each.", "wait")
    administration: Administration = request.app.state.room.administration
    batch = await administration.select(
        action, MessageFilter(identifiers=identifiers, limit=len(identifiers))
    )
    found = {one.message for one in batch.recipients}
    return page(
        request, "messages_action.html", caller, action=action, wording=WORDINGS[action],
        chosen=sorted(found, reverse=True), recipients=batch.recipients[:NAMED],
        count=len(batch.recipients), left_out=len(identifiers) - len(found),
        under_way=sum(one.started for one in batch.recipients),
    )  # fmt: skip


@router.post("/messages/act")
async def act(
    request: Request,
    caller: Steerer,
    action: Annotated[Action, Form()],
    chosen: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Do it."""
    room: ControlRoom = request.app.state.room
    identifiers = _identifiers(chosen)
    if not identifiers:
        return RedirectResponse("/messages", 303)
    wanted = MessageFilter(identifiers=identifiers, limit=len(identifiers))
    changed = under_way = 0
    while True:  # a batch holds more messages than may be chosen; this ends with the first
        change = await room.administration.change(action, wanted)
        changed += change.changed
        under_way += change.under_way
        if change.before is None or change.before <= min(identifiers):
            break
        wanted = replace(wanted, before=change.before)
    wording = WORDINGS[action]
    counted = f"{changed} recipient{'' if changed == 1 else 's'}"
    await room.audit.record(
        caller.name, wording.audit, f"{len(identifiers)} chosen messages",
        f"{counted}: {' '.join(one for one in (chosen or ())[:20])}",
    )  # fmt: skip
    done = wording.done if changed != 1 else wording.done.replace("are ", "is ", 1)
    text = f"{counted} {done}."
    if under_way:
        text += f" {under_way} left alone, as an attempt is under way for them."
    return told(request, "/messages", text, "good" if changed else "wait")


def _identifiers(chosen: list[str] | None) -> tuple[int, ...]:
    """Those that were chosen; what is none is left out."""
    found: dict[int, None] = {}
    for one in (chosen or ())[:AT_ONCE]:
        try:
            found[parse_identifier(one)] = None
        except ValueError:
            continue
    return tuple(found)
