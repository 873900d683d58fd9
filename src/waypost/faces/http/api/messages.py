"""Messages over the API: to find them, and to see what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from waypost.administration import NoSuchMessage
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.control.submissions import Notes
from waypost.faces import documents
from waypost.faces.documents import Document, time_text
from waypost.faces.http.api.messages_explained import explanation_of
from waypost.faces.http.api.models import (
    MAXIMUM_FILTER_TEXT,
    Attempts,
    Events,
    Message,
    Page,
    State,
    Tag,
)
from waypost.faces.http.api_parts import PREFIX, Room, answer, refusals
from waypost.faces.http.pagination import Cursor, Limit, make_cursor, no_cursor, read_cursor
from waypost.faces.http.problems import invalid, not_found
from waypost.faces.http.security import Caller, api_caller
from waypost.mail.encoded_words import decode_encoded_words
from waypost.spool.contract import AttemptRecord, MessageFilter, MessageRow, RecipientState
from waypost.spool.identifiers import identifier_text, parse_identifier

router = APIRouter(prefix=PREFIX, tags=["messages"])

LOOKS: Final = 20
"""Batches of tagged messages that are looked through for one page."""

KIND: Final = "messages"
"""Of cursors."""

MessageName = Annotated[
    str,
    Path(
        pattern=r"^[0-9A-Za-z]{1,13}$",
        description="A message, as `202` has named it.",
        examples=["1g3k9x2m4n5"],
    ),
]
Reader = Annotated[Caller, api_caller(Permission.READ)]
ContentReader = Annotated[Caller, api_caller(Permission.READ, Permission.CONTENT)]


def number_of(name: str) -> int:
    """The number behind a name. Raises Problem 404: it is none that the relay has given."""
    try:
        return parse_identifier(name)
    except ValueError as fault:
        raise not_found(str(fault)) from None


def before_of(cursor: str | None) -> int | None:
    """The number below which a page of messages begins. Raises Problem."""
    place = read_cursor(KIND, cursor)
    try:
        return None if place is None else parse_identifier(place)
    except ValueError:
        raise no_cursor() from None


async def row_of(room: ControlRoom, caller: Caller, name: str) -> MessageRow:
    """A message that the caller may see: a key of a user sees that user's alone.

    Raises NoSuchMessage, Problem 404.
    """
    wanted = MessageFilter(identifiers=(number_of(name),), user=caller.user or "", limit=1)
    found = await room.administration.messages(wanted)
    if not found:
        raise NoSuchMessage
    return found[0]


def message_document(row: MessageRow, notes: Notes | None) -> Document:
    """A message with what its sender wants to be kept with it."""
    notes = notes or Notes()
    return documents.message_document(row) | {
        "subject": decode_encoded_words(row.subject),
        "tags": list(notes.tags),
        "metadata": dict(notes.metadata),
        "send_at": time_text(notes.send_at),
    }


@router.get(
    "/messages",
    summary="List messages",
    operation_id="listMessages",
    response_model=Page[Message],
    responses=refusals(),
)
async def list_messages(
    room: Room,
    caller: Reader,
    sender: Annotated[
        str,
        Query(
            max_length=MAXIMUM_FILTER_TEXT,
            description="A whole address, `@domain`, `<>`, or a part of an address.",
        ),
    ] = "",
    recipient: Annotated[
        str, Query(max_length=MAXIMUM_FILTER_TEXT, description="As `sender`.")
    ] = "",
    state: Annotated[
        list[State] | None,
        Query(max_length=7, description="Some recipient is in one of these."),
    ] = None,
    text: Annotated[
        str,
        Query(
            max_length=MAXIMUM_FILTER_TEXT,
            description="Found in subject, Message-ID or addresses.",
        ),
    ] = "",
    older_than: Annotated[datetime | None, Query(description="Received before this time.")] = None,
    tag: Annotated[Tag | None, Query(description="With this tag.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Newest first. All that is given must match; `sender` and `recipient` do not tell capital
    letters from small ones. Words of `text` may be in different places; "quotation marks" keep
    them together. A page may have fewer entries than `limit` and yet be followed by another."""
    wanted = MessageFilter(
        sender=sender,
        recipient=recipient,
        states=tuple(RecipientState[one.upper()] for one in state or ()),
        text=text,
        older_than=None if older_than is None else older_than.timestamp(),
        user=caller.user or "",
        limit=limit,
        before=before_of(cursor),
    )
    if tag is None:
        found = await room.search.find(wanted)
        rows, last = list(found.rows), found.before
    else:
        rows, last = await _tagged(room, tag, wanted)
    notes = await room.submissions.notes([row.identifier for row in rows])
    return answer(
        {
            "items": [message_document(row, notes.get(row.identifier)) for row in rows],
            "next": None if last is None else make_cursor(KIND, identifier_text(last)),
        }
    )


async def _tagged(
    room: ControlRoom, tag: str, wanted: MessageFilter
) -> tuple[list[MessageRow], int | None]:
    """A page of the messages with a tag, and where the next one begins."""
    found: list[MessageRow] = []
    before = wanted.before
    for _ in range(LOOKS):
        several = await room.submissions.tagged(tag, before, 500)
        if not several:
            return found, None
        rest = wanted.limit - len(found)
        narrowed = replace(wanted, identifiers=tuple(several), before=before, limit=rest)
        rows = await room.administration.messages(narrowed)
        found += rows
        if len(rows) == rest:
            return found, rows[-1].identifier
        before = several[-1]
        if len(several) < 500:
            return found, None
    return found, before


@router.get(
    "/messages/{id}",
    summary="See a message",
    operation_id="getMessage",
    response_model=Message,
    responses=refusals(404),
)
async def get_message(
    room: Room, caller: Reader, name: Annotated[MessageName, Path(alias="id")]
) -> Response:
    """With what each of its recipients waits for, and until when."""
    row = await row_of(room, caller, name)
    notes = await room.submissions.notes([row.identifier])
    document = message_document(row, notes.get(row.identifier))
    waits = {wait.number: wait for wait in room.administration.waits(row)}
    for one, recipient in zip(row.recipients, document["recipients"], strict=True):
        wait = waits.get(one.number)
        recipient["waits_for"] = wait.text if wait else None
        recipient["waits_until"] = time_text(wait.until) if wait else None
    return answer(document)


@router.get(
    "/messages/{id}/attempts",
    summary="See the attempts of a message",
    operation_id="getAttempts",
    response_model=Attempts,
    responses=refusals(404),
)
async def get_attempts(
    room: Room, caller: Reader, name: Annotated[MessageName, Path(alias="id")]
) -> Response:
    """Oldest first, each with what was said (with `content:read`), and with each failing reply
    explained."""
    row = await row_of(room, caller, name)
    addresses = {one.number: one.address for one in row.recipients}
    attempts = await room.administration.attempts(row.identifier)
    may_read = caller.may(Permission.CONTENT)
    return answer({"items": [_attempt(one, addresses, may_read) for one in attempts]})


def _attempt(attempt: AttemptRecord, addresses: dict[int, str], may_read: bool) -> Document:
    document = documents.attempt_document(attempt, addresses)
    if not may_read:
        document["transcript"] = None
    for result, told in zip(attempt.results, document["results"], strict=True):
        passed = result.state is RecipientState.DELIVERED
        told["explanation"] = None if passed else explanation_of(result.reply, result.reason)
    return document


@router.get(
    "/messages/{id}/events",
    summary="See what has happened to a message",
    operation_id="getMessageEvents",
    response_model=Events,
    responses=refusals(404),
)
async def get_events(
    room: Room, caller: Reader, name: Annotated[MessageName, Path(alias="id")]
) -> Response:
    """In order: accepted, then what each attempt came to. docs/reference/commands.md lists the
    fields (`waypost log --json`)."""
    row = await row_of(room, caller, name)
    events = await room.administration.events_of(row)
    return answer({"items": [documents.event_document(one) for one in events]})


_SOURCE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The message as it is stored, with our trace fields.",
        "content": {"message/rfc822": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/messages/{id}/source",
    summary="Read a message",
    operation_id="getMessageSource",
    response_class=Response,
    responses=_SOURCE | refusals(404, 410),
)
async def get_source(
    room: Room,
    caller: ContentReader,
    name: Annotated[MessageName, Path(alias="id")],
    request: Request,
) -> Response:
    """The content is kept while a recipient waits for it, or when the sandbox has caught it."""
    row = await row_of(room, caller, name)
    body = await room.administration.content(row.identifier)
    headers = {
        "Content-Disposition": f'attachment; filename="{identifier_text(row.identifier)}.eml"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Length": str(body.size),
        "Cache-Control": "no-store",
    }
    if request.method == "HEAD":
        return Response(headers=headers, media_type="message/rfc822")
    return StreamingResponse(body.chunks(), headers=headers, media_type="message/rfc822")


def identifiers_of(names: Sequence[str]) -> tuple[int, ...]:
    """Numbers of the messages that a filter names. Raises Problem 422."""
    try:
        return tuple(parse_identifier(one) for one in names)
    except ValueError as fault:
        raise invalid([{"loc": ("body", "filter", "ids"), "msg": str(fault)}]) from None
