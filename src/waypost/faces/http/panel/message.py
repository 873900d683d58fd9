"""A message's page: what it is, whom it is for, what has happened to it, and what it says.

Whoever may see messages sees its story; transcripts and content need `content:read`. Retrying,
holding, releasing and cancelling are actions of the queues, for this one message.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from waypost.administration import NoSuchMessage, Story
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.content_views import ContentView, view_of
from waypost.faces.http.panel.message_content import NoContent, read_content
from waypost.faces.http.panel.message_rows import shown_row
from waypost.faces.http.panel.message_story import story_view
from waypost.faces.http.panel.pages import error_page, page
from waypost.faces.http.panel.queues import WORDINGS
from waypost.faces.http.security import Caller, page_caller
from waypost.knowledge.causes import causes
from waypost.spool.identifiers import parse_identifier

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]

NO_SUCH: Final = (
    "The relay knows no message of this identifier, or no longer: finished ones go after the time "
    "of `retention`. Look for it under Messages."
)


@router.get("/messages/{identifier}")
async def message(
    request: Request, caller: Reader, identifier: str, view: str = ""
) -> HTMLResponse:
    """The page."""
    room: ControlRoom = request.app.state.room
    story = await story_of(room, identifier)
    if story is None:
        return no_such(request, caller)
    content, missing = None, ""
    if caller.may(Permission.CONTENT):
        content, missing = await content_of(room, story, view)
    number = story.message.identifier
    notes = (await room.submissions.notes([number])).get(number)
    return page(
        request, "message.html", caller, content=content, missing=missing, notes=notes,
        base=f"/messages/{identifier}", **_shown(room, story, identifier),
    )  # fmt: skip


@router.get("/messages/{identifier}/now")
async def message_now(request: Request, caller: Reader, identifier: str) -> HTMLResponse:
    """The part of the page that changes."""
    room: ControlRoom = request.app.state.room
    story = await story_of(room, identifier)
    if story is None:
        return no_such(request, caller)
    return page(request, "message_now.html", caller, **_shown(room, story, identifier))


@router.get("/causes/{identifier}")
async def cause(request: Request, caller: Reader, identifier: str) -> HTMLResponse:
    """What is known of one cause of failures."""
    found = causes().get(identifier)
    if found is None:
        return error_page(
            request, 404, "No such cause", "The causes are in the reference: docs/reference/"
            "causes.md.", caller,
        )  # fmt: skip
    others = [causes()[one] for one in found.instead if one in causes()]
    return page(
        request, "cause.html", caller, cause=found, fix=found.fix_with(),
        command=found.command_with(), others=others,
    )  # fmt: skip


def _shown(room: ControlRoom, story: Story, identifier: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "row": shown_row(story.message, room.administration),
        "message": story.message,
        "story": story_view(story, room),
        "wordings": WORDINGS,
    }


async def story_of(room: ControlRoom, identifier: str) -> Story | None:
    """All about a message; None where there is none."""
    try:
        return await room.administration.story(parse_identifier(identifier))
    except (ValueError, NoSuchMessage):
        return None


async def content_of(room: ControlRoom, story: Story, view: str) -> tuple[ContentView | None, str]:
    """A view of its content, or why there is none."""
    message = story.message
    try:
        return await read_content(
            room, message.identifier, lambda read: view_of(read, view, message.size)
        ), ""
    except NoContent as fault:
        return None, str(fault)
    except NoSuchMessage:
        return None, NO_SUCH


def no_such(request: Request, caller: Caller) -> HTMLResponse:
    """There is no such message."""
    return error_page(request, 404, "There is no such message", NO_SUCH, caller)
