"""Queues: what waits for each destination, which limit or failure holds it and until when, and what
can be done about it.

An action is first shown (how many, which) and done when it is confirmed. It is for what waited
when it was shown: mail that came since is left out. It works in batches within a few seconds, and
tells what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from waypost.administration import Action, Administration
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.pages import error_page, page, told
from waypost.faces.http.security import Caller, page_caller
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.identifiers import identifier_text, parse_identifier

SHOWN: Final = 100
"""Destinations on the page."""

NAMED: Final = 20
"""Recipients that a preview names."""

BATCHES: Final = 40
"""Of 5,000 messages each: what one confirmation changes at most."""

LONGEST: Final = 10.0
"""Seconds that one confirmation works."""

REST: Final = 20
"""Times as long as counting the queues takes, before they are counted again for who looks on."""

KEPT_SEARCHES: Final = 20

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]
Steerer = Annotated[Caller, page_caller(Permission.STEER)]


@dataclass(frozen=True, slots=True)
class Wording:
    """How an action is named: on the button, in the question, when done, in the audit log."""

    button: str
    question: str
    done: str
    audit: str
    warning: str = ""


WORDINGS: Final = {
    Action.RETRY: Wording(
        "Retry now", "Try these again now?", "will be tried again now", "queue retried",
        "Destinations that are left alone after failures are tried at once, with one connection.",
    ),
    Action.HOLD: Wording(
        "Hold", "Hold these?", "are held until they are released", "queue held",
        "Nothing is tried for them until they are released; their time to expiry goes on.",
    ),
    Action.RELEASE: Wording(
        "Release", "Release these?", "are released and due now", "queue released",
    ),
    Action.REMOVE: Wording(
        "Cancel delivery", "Cancel the delivery to these for good?", "are cancelled",
        "queue removed", "This cannot be undone, and their senders are not told.",
    ),
}  # fmt: skip


@router.get("/queues")
async def queues(request: Request, caller: Reader, q: str = "") -> HTMLResponse:
    """What waits by destination."""
    room: ControlRoom = request.app.state.room
    text = q.strip()[:255]
    return page(
        request, "queues.html", caller, q=text, shown=SHOWN,
        routes=[one.name for one in room.service.engine.routing.routes],
        **await _figures(room.administration, text),
    )  # fmt: skip


@router.get("/queues/now")
async def queues_now(request: Request, caller: Reader, q: str = "") -> HTMLResponse:
    """The part of the page that changes."""
    room: ControlRoom = request.app.state.room
    text = q.strip()[:255]
    figures = await _recent(request, text, room)
    return page(request, "queues_now.html", caller, q=text, shown=SHOWN, **figures)


@dataclass(slots=True)
class _Recent:
    """What was found last for a search, and how long it is good for."""

    figures: dict[str, Any]
    until: float


async def _recent(request: Request, text: str, room: ControlRoom) -> dict[str, Any]:
    """The figures; where they take long (with a million waiting, half a second), those of before
    for a while, so that pages that look on cost a part of the time at most."""
    state = request.app.state
    if not hasattr(state, "recent_queues"):
        state.recent_queues = {}
    kept: dict[str, _Recent] = state.recent_queues
    begun = room.clock.monotonic()
    known = kept.get(text)
    if known is not None and begun < known.until:
        return known.figures
    figures = await _figures(room.administration, text)
    ended = room.clock.monotonic()
    if len(kept) >= KEPT_SEARCHES:
        kept.clear()
    kept[text] = _Recent(figures, ended + (ended - begun) * REST)
    return figures


async def _figures(administration: Administration, text: str) -> dict[str, Any]:
    return {
        "pauses": administration.pauses,
        "destinations": await administration.destinations(text, SHOWN),
        "overall": await administration.status(),
    }


@router.get("/queues/{action}")
async def preview(
    request: Request,
    caller: Steerer,
    action: Action,
    to: str = "",
    id: str = "",  # noqa: A002
) -> Response:
    """What an action would be for."""
    administration: Administration = request.app.state.room.administration
    wanted = _wanted(to, id)
    if wanted is None:
        return _no_such(request, caller, id)
    batch = await administration.select(action, wanted)
    newest = max((one.message for one in batch.recipients), default=None)
    return page(
        request, "queue_action.html", caller, action=action, wording=WORDINGS[action], to=to,
        id=id, recipients=batch.recipients[:NAMED], count=len(batch.recipients),
        messages=len({one.message for one in batch.recipients}),
        under_way=sum(one.started for one in batch.recipients), more=batch.before is not None,
        newest=identifier_text(newest) if newest is not None else "",
    )  # fmt: skip


@router.post("/queues/{action}")
async def act(
    request: Request,
    caller: Steerer,
    action: Action,
    newest: Annotated[str, Form()],
    to: Annotated[str, Form()] = "",
    id: Annotated[str, Form()] = "",  # noqa: A002
) -> Response:
    """Do it to what was shown."""
    room: ControlRoom = request.app.state.room
    wanted = _wanted(to, id)
    if wanted is None:
        return _no_such(request, caller, id)
    try:
        wanted = replace(wanted, before=parse_identifier(newest) + 1)
    except ValueError as fault:
        return error_page(request, 422, "That cannot be done", f"{fault}; begin anew", caller)
    changed, under_way, more = await _change(room, action, wanted)
    wording, where = WORDINGS[action], _where(to, id)
    counted = f"{changed} recipient{'' if changed == 1 else 's'}"
    await room.audit.record(caller.name, wording.audit, where, counted)
    text = f"{counted} {wording.done}" if changed != 1 else f"{counted} {_single(wording.done)}"
    if under_way:
        text += f"; {under_way} left alone, as an attempt is under way for them"
    if more:
        text += "; more are left: do it again for those"
    target = f"/messages/{id}" if id else "/queues"
    return told(request, target, text + ".", "good" if changed else "wait")


async def _change(
    room: ControlRoom, action: Action, wanted: MessageFilter
) -> tuple[int, int, bool]:
    """How many were changed, how many were under way, and whether there are more."""
    until = room.clock.monotonic() + LONGEST
    changed = under_way = 0
    for _ in range(BATCHES):
        change = await room.administration.change(action, wanted)
        changed += change.changed
        under_way += change.under_way
        if change.before is None:
            return changed, under_way, False
        wanted = replace(wanted, before=change.before)
        if room.clock.monotonic() > until:
            break
    return changed, under_way, True


def _wanted(to: str, identifier: str) -> MessageFilter | None:
    """What is meant: one message, one destination or address, or all; None where it is neither.

    `to` is "@example.com" or an address.
    """
    if identifier:
        try:
            return MessageFilter(identifiers=(parse_identifier(identifier),), recipient=to)
        except ValueError:
            return None
    return MessageFilter(recipient=to, states=(RecipientState.QUEUED, RecipientState.HELD), limit=0)


def _where(to: str, identifier: str) -> str:
    return identifier or to.removeprefix("@") or "all destinations"


def _single(text: str) -> str:
    return "is" + text.removeprefix("are") if text.startswith("are ") else text


def _no_such(request: Request, caller: Caller, identifier: str) -> HTMLResponse:
    return error_page(
        request, 404, "There is no such message",
        f"{identifier[:40]!r} is no identifier of a message; look for it under Messages.", caller,
    )  # fmt: skip
