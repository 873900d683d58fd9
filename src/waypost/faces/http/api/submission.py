"""To submit mail over the API: `202` means that the message is durable.

A message comes as its parts in JSON, or whole (message/rfc822) with its envelope beside it; whole
ones are read as they come and never held in memory. Both take the way of every other message
(relay.submission). A request with an Idempotency-Key may be repeated: see control.submissions.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import AwareDatetime
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.control.submissions import InProgress, KeyReused, Notes, Ticket
from waypost.faces.documents import Document
from waypost.faces.http.api.messages_explained import refusal_document
from waypost.faces.http.api.models import Tag
from waypost.faces.http.api.models_sending import Accepted, MessageToSend
from waypost.faces.http.api.submission_compose import Ready, composed, whole
from waypost.faces.http.api.submission_refusals import (
    belongs_in_body,
    problem_of,
    reading_ended,
    refused_whole,
    replaced_key,
    under_way,
)
from waypost.faces.http.api.templates import rendered
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    IN_THREAD,
    PREFIX,
    Room,
    answer,
    budget_of,
    content_type,
    parsed,
    refusals,
    taken,
    too_large,
    unsupported,
)
from waypost.faces.http.security import Caller, api_caller
from waypost.relay.submission import SubmissionRefused, Submissions
from waypost.smtp.reply import Reply
from waypost.spool.identifiers import identifier_text

router = APIRouter(prefix=PREFIX, tags=["messages"])
taken[MessageToSend.__name__] = MessageToSend

JSON_MESSAGE: Final = 32 * 1024 * 1024
"""Bytes of a message in JSON; a larger one comes whole."""

MAXIMUM_KEY: Final = 255

SOURCE: Final = "api"
"""What the trace field and the log say of where a message comes from."""

RAW: Final = "message/rfc822"

_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{MessageToSend.__name__}"},
                "examples": {
                    "simple": {
                        "summary": "Text and HTML",
                        "value": {
                            "from": "Shop <shop@example.com>",
                            "to": ["ann@example.org"],
                            "subject": "Your order",
                            "text": "Thank you.",
                            "html": "<p>Thank you.</p>",
                            "tags": ["receipt"],
                            "metadata": {"order": "4711"},
                        },
                    }
                },
            },
            RAW: {
                "schema": {"type": "string"},
                "example": "From: shop@example.com\r\nTo: ann@example.org\r\n"
                "Subject: Your order\r\n\r\nThank you.\r\n",
            },
        },
    }
}


@dataclass(slots=True)
class _Submission:
    """One request on its way to the spool."""

    room: ControlRoom
    caller: Caller
    ready: Ready
    content: bytes | AsyncIterator[bytes]
    notes: Notes
    ticket: Ticket | None
    digest: Any
    """Of the request; of a message that comes whole, known when all of it has come."""
    answered: Document = field(default_factory=dict)
    claimed: int | None = None

    async def claim(self, identifier: int, refused: Mapping[int, Reply]) -> None:
        """Write down what is going to be answered, before it can be true (relay.submission)."""
        self.answered = self.document(identifier_text(identifier), refused)
        if self.ticket is not None or self.notes:
            await self.room.submissions.claim(
                identifier, self.notes, self.ticket, self.digest.digest(), self.answered
            )
            self.claimed = identifier

    def document(self, identifier: str, refused: Mapping[int, Reply]) -> Document:
        """The answer."""
        return {
            "id": identifier,
            "refused": [
                refusal_document(
                    self.ready.envelope.recipients[number].address, reply,
                    suppressed=self.is_suppressed(number),
                )
                for number, reply in sorted(refused.items())
            ],
            "send_at": self.ready.send_at_text,
        }  # fmt: skip

    def is_suppressed(self, number: int) -> bool:
        """Whether a recipient is on the suppression list."""
        address = self.ready.envelope.recipients[number].address
        return self.room.service.spool.suppression_reason(address) is not None

    async def submit(self) -> Document:
        """Hand it over; the answer. Raises Problem."""
        submissions = self.room.service.submissions
        assert submissions is not None, "the service has started before the room"
        try:
            done = await submissions.submit(
                self.ready.envelope, self.content, source=SOURCE, user=self.caller.user,
                claim=self.claim,
            )  # fmt: skip
        except Exception as fault:
            # After a cancellation the claim stays, as the message may yet become durable: the
            # spool tells when the key comes again.
            if self.claimed is not None:
                await self.room.submissions.withdraw(self.claimed, self.ticket)
            if isinstance(fault, SubmissionRefused):
                raise problem_of(fault.reply, submissions.maximum_size) from None
            if isinstance(fault, InProgress):
                raise under_way() from None
            if isinstance(fault, ClientDisconnect):
                raise reading_ended() from None
            raise
        if not done.identifier:
            refused = self.document("", done.refusals)["refused"]
            raise refused_whole(refused, done.refusals.values())
        if self.ticket is not None:
            await self.room.submissions.done(self.ticket)
        return self.answered


@dataclass(frozen=True, slots=True)
class _Beside:
    """What stands beside a whole message, in headers and in the query."""

    sender: str | None
    recipients: list[str]
    tags: list[str]
    send_at: dt.datetime | None

    @property
    def names(self) -> list[str]:
        """What is given of it."""
        given = {
            "Waypost-From": self.sender is not None, "Waypost-To": self.recipients,
            "tag": self.tags, "send_at": self.send_at is not None,
        }  # fmt: skip
        return [name for name, is_given in given.items() if is_given]

    def written(self) -> bytes:
        """All of it, as a part of what a request is told apart by."""
        at = None if self.send_at is None else self.send_at.timestamp()
        told = repr((self.sender, self.recipients, self.tags, at))
        return told.encode("utf-8", "surrogatepass")


async def _beside(
    waypost_from: Annotated[
        str | None, Header(max_length=1000, description="Of a whole message: who sends it.")
    ] = None,
    waypost_to: Annotated[
        list[str] | None,
        Header(
            max_length=1000,
            description="Of a whole message: who receives it; several with commas between.",
        ),
    ] = None,
    from_: Annotated[
        str | None,
        Query(alias="from", max_length=1000, description="In place of `Waypost-From`."),
    ] = None,
    to: Annotated[
        list[str] | None, Query(max_length=1000, description="In place of `Waypost-To`.")
    ] = None,
    tag: Annotated[
        list[Tag] | None, Query(max_length=10, description="Of a whole message: its tags.")
    ] = None,
    send_at: Annotated[
        AwareDatetime | None,
        Query(description="Of a whole message: no earlier than this, within 30 days."),
    ] = None,
) -> _Beside:
    sender = waypost_from if waypost_from is not None else from_
    return _Beside(sender, [*_split(waypost_to), *(to or ())], tag or [], send_at)


@router.post(
    "/messages",
    status_code=202,
    summary="Submit a message",
    operation_id="sendMessage",
    response_model=Accepted,
    responses=refusals(*BODY_REFUSALS, 409, 507),
    openapi_extra=_BODY,
)
async def send_message(
    room: Room,
    caller: Annotated[Caller, api_caller(Permission.SEND)],
    request: Request,
    beside: Annotated[_Beside, Depends(_beside)],
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=MAXIMUM_KEY,
            description="Any word, new for each message. The same request with the same key has "
            "the same answer for 24 hours and sends nothing again, whatever happened in between.",
        ),
    ] = None,
) -> Response:
    """`202`: the message is on stable storage and will be delivered, or its sender told why not.
    Recipients that cannot be taken are in `refused`, each with the reply that SMTP would have
    given and what to do; where none is left, the answer is `422` (or `503`, when all may be taken
    later).

    A message comes in JSON, or whole as `message/rfc822`: then nothing of it is changed but line
    ends, fields of trace are added, and its envelope stands in `Waypost-From` and `Waypost-To`. A
    key that is bound to a user of the relay sends as that user, from the addresses that the user
    owns."""
    kind = content_type(request)
    if kind not in ("application/json", RAW):
        raise unsupported("application/json", RAW)
    if kind != RAW and beside.names:
        raise belongs_in_body(beside.names)
    with ExitStack() as stack:
        ticket = None
        if idempotency_key is not None:
            ticket = Ticket(caller.name, idempotency_key)
            try:
                stack.enter_context(room.submissions.under_way(ticket))
            except InProgress:
                raise under_way() from None
        if kind == RAW:
            return await _send_whole(room, caller, request, ticket, beside)
        async with budget_of(request).reading(request, JSON_MESSAGE) as body:
            return await _send_parts(room, caller, request, ticket, body)


async def _send_parts(
    room: ControlRoom, caller: Caller, request: Request, ticket: Ticket | None, body: bytes
) -> Response:
    digest = hashlib.sha256(body)
    if ticket is not None:
        earlier = await _earlier(room, ticket, digest.digest())
        if earlier is not None:
            return earlier
    given = await parsed(MessageToSend, body)
    parts = None
    if given.template is not None:
        parts = await rendered(room, given.template.name, given.template.variables, "#/template")
    now = room.clock.now()
    hostname = room.service.settings.hostname
    if len(body) > IN_THREAD:
        ready = await asyncio.to_thread(composed, given, parts, now, hostname)
    else:
        ready = composed(given, parts, now, hostname)
    _admit(room, caller, request, ready, len(ready.content))
    notes = Notes(tuple(dict.fromkeys(given.tags)), given.metadata, ready.send_at)
    made = _Submission(room, caller, ready, ready.content, notes, ticket, digest)
    return answer(await made.submit(), 202)


async def _send_whole(
    room: ControlRoom,
    caller: Caller,
    request: Request,
    ticket: Ticket | None,
    beside: _Beside,
) -> Response:
    ready = whole(beside.sender, beside.recipients, beside.send_at, room.clock.now())
    digest = hashlib.sha256(beside.written())
    submissions = room.service.submissions
    assert submissions is not None, "the service has started before the room"
    pieces = _pieces(request, submissions, digest)
    if ticket is not None and await room.submissions.is_known(ticket):
        try:
            async for _ in pieces:
                pass  # what it is has to be known, and no more of it is kept
        except ClientDisconnect:
            raise reading_ended() from None
        earlier = await _earlier(room, ticket, digest.digest())
        if earlier is not None:
            return earlier
        raise under_way()  # a crash had left a claim, which counts no more: the next try is taken
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isdecimal() and len(length) < 16 else None
    if declared is not None and declared > submissions.maximum_size:
        raise too_large(submissions.maximum_size)
    _admit(room, caller, request, ready, declared or 0)
    notes = Notes(tuple(dict.fromkeys(beside.tags)), send_at=ready.send_at)
    made = _Submission(room, caller, ready, pieces, notes, ticket, digest)
    return answer(await made.submit(), 202)


async def _pieces(request: Request, submissions: Submissions, digest: Any) -> AsyncIterator[bytes]:
    """The body as it comes, bounded. Raises Problem 413, ClientDisconnect."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > submissions.maximum_size:
            raise too_large(submissions.maximum_size)
        digest.update(piece)
        if piece:
            yield piece


async def _earlier(room: ControlRoom, ticket: Ticket, digest: bytes) -> Response | None:
    """The answer that this request had before. Raises Problem."""
    try:
        earlier = await room.submissions.earlier_answer(ticket, digest)
    except KeyReused:
        raise replaced_key() from None
    if earlier is None:
        return None
    return answer(earlier, 202, {"Idempotent-Replayed": "true"})


def _admit(room: ControlRoom, caller: Caller, request: Request, ready: Ready, size: int) -> None:
    """What MAIL and RCPT would be asked: whose addresses, how many messages, is there room.

    A key is a login of its own, so networks do not count; a user's limits and addresses do.
    Raises Problem.
    """
    service = room.service
    refusal: Reply | None = None
    if caller.user is not None:
        address = request.client.host if request.client else ""
        now = room.clock.monotonic()
        identity = service.access.identify(address, "submission", caller.user, encrypted=True)
        refusal = service.access.decide_sender(identity, ready.envelope.reverse_path)
        refusal = refusal or service.limits.message(address, caller.user, now)
        for _ in ready.envelope.recipients:
            refusal = refusal or service.limits.recipient(address, caller.user, now)
    if refusal is not None:
        raise problem_of(refusal, service.settings.maximum_size)
    full = service.spool.admission(size)
    if full is not None:
        raise full


def _split(given: list[str] | None) -> list[str]:
    """Addresses of a header."""
    return [one.strip() for line in given or () for one in line.split(",") if one.strip()]
