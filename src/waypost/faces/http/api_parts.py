"""What all routes of the API share: the room, bodies that are bounded and checked, answers, and
what is described of them.

A body is read by the relay's own bounds and checked by its model in one go (pydantic reads JSON
itself: nesting, numbers and lone surrogates are bounded there). FastAPI's own way would read it
whole first and fail by other rules.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waypost.control.room import ControlRoom
from waypost.faces.http.api.models import ProblemDetails
from waypost.faces.http.problems import API, MEDIA_TYPE, Problem, invalid, problem_type

PREFIX: Final = "/api/v1"

MAXIMUM_BODY: Final = 1024 * 1024
"""Bytes of a body in JSON; submissions may be larger."""

PIECE_SECONDS: Final = 30.0
"""Within which a further piece of a body has to come."""

BODY_SECONDS: Final = 600.0
"""Within which all of it has to; as long as SMTP gives content (RFC 5321 4.5.3.2)."""

IN_THREAD: Final = 256 * 1024
"""Bytes from which a body is read by a thread: it would hold up the mail otherwise."""

TOTAL_BODIES: Final = 64 * 1024 * 1024
"""Bytes of bodies held in memory, over all requests."""

taken: Final[dict[str, type[BaseModel]]] = {}
"""The models of bodies by name, for the description of the API."""

_Model = TypeVar("_Model", bound=BaseModel)


async def _room(request: Request) -> ControlRoom:  # a plain one would take a thread each time
    room: ControlRoom = request.app.state.room
    return room


Room = Annotated[ControlRoom, Depends(_room)]


class BodyBudget:
    """Bounds the bodies that are in memory at the same time."""

    def __init__(self, total: int = TOTAL_BODIES) -> None:
        self._left = total

    @asynccontextmanager
    async def reading(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The body of a request, as long as it is needed. Raises Problem 413, 503."""
        body = bytearray()
        held = 0
        _check_length(request, most)
        try:
            async for piece in request.stream():
                if len(body) + len(piece) > most:
                    raise too_large(most)
                if len(piece) > self._left:
                    raise Problem(
                        503,
                        "too many large requests are being read at the same time; try again in a "
                        "moment",
                        type=problem_type("busy"),
                        headers={"Retry-After": "1"},
                    )
                self._left -= len(piece)
                held += len(piece)
                body += piece
            yield bytes(body)
        except ClientDisconnect:
            raise Problem(400, "the request ended before its body did") from None
        finally:
            self._left += held


class BoundedBodies:
    """Bounds the bodies of the API's requests, in size and in time, whichever way a route reads
    them. The size of submissions is bounded where they are read. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        bounded = not _is_submission(scope)
        left = MAXIMUM_BODY
        is_whole = False
        until = asyncio.get_running_loop().time() + BODY_SECONDS

        async def counted() -> Message:
            nonlocal left, is_whole
            if is_whole:
                return await receive()  # the end of the connection, which may take its time
            seconds = min(PIECE_SECONDS, until - asyncio.get_running_loop().time())
            try:
                async with asyncio.timeout(seconds):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, "the body did not come in time; nothing was done"
                ) from None
            is_whole = not message.get("more_body", False)
            left -= len(message.get("body", b""))
            if bounded and left < 0:
                raise HTTPException(413, f"the body has more than {MAXIMUM_BODY} bytes")
            return message

        await self._app(scope, counted, send)


def _is_submission(scope: Scope) -> bool:
    return (scope["method"], scope["path"]) == ("POST", f"{PREFIX}/messages")


def _check_length(request: Request, most: int) -> None:
    """A body that says it is too large is not read at all."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and len(length) < 16 and int(length) > most:
        raise too_large(most)


def too_large(most: int) -> Problem:
    """A body has more bytes than may be."""
    return Problem(
        413,
        f"the body has more than {most} bytes",
        type=problem_type("too-large"),
        maximum=most,
    )


def content_type(request: Request) -> str:
    """The media type of a body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(*known: str) -> Problem:
    """The body is of a type that is not taken."""
    return Problem(
        415,
        f"the body is of no type that is taken here; send {' or '.join(known)}",
        type=problem_type("unsupported-media-type"),
    )


def budget_of(request: Request) -> BodyBudget:
    """The budget of the application, made with its first body."""
    state = request.app.state
    if not hasattr(state, "body_budget"):
        state.body_budget = BodyBudget()
    budget: BodyBudget = state.body_budget
    return budget


async def parsed(model: type[_Model], body: bytes) -> _Model:
    """A body in JSON as its model. Raises Problem 422."""
    try:
        if len(body) > IN_THREAD:
            return await asyncio.to_thread(model.model_validate_json, body)
        return model.model_validate_json(body)
    except ValidationError as fault:
        raise invalid(fault.errors(include_url=False, include_input=False)) from None


def body_of(model: type[_Model], *, required: bool = True) -> Any:
    """A dependency that gives the body of a request as a model; the route says so with
    `openapi_extra=takes(model)`. Without a body, where none is required, the model's defaults."""
    taken[model.__name__] = model

    async def dependency(request: Request) -> _Model:
        async with budget_of(request).reading(request, MAXIMUM_BODY) as body:
            if not body and not required:
                return model()
            if content_type(request) != "application/json":
                raise unsupported("application/json")
            return await parsed(model, body)

    return Depends(dependency)


def takes(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """What the description of a route says of its body."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": required, "content": content}}


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A document as JSON."""
    content = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Response(content, status, dict(headers or {}), "application/json")


_MEANINGS: Final = {
    400: "The request cannot be read.",
    403: "The caller may not do this.",
    404: "There is no such thing, or no longer.",
    408: "The body did not come in time.",
    409: "It cannot be done as things stand.",
    410: "The content is no longer kept.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken.",
    422: "The request is not of the described form, or what it asks for cannot be.",
    429: "Too many requests; `Retry-After` says when to come again.",
    503: "The relay cannot do it now; `Retry-After` says when to come again.",
    504: "It has taken too long.",
    507: "The spool is full; `Retry-After` says when to come again.",
}
_OF_ANY: Final = {
    401: "Nobody is known to call: no API key, no session, or one that is no longer good.",
    403: "The caller may not do this.",
    421: "The name in `Host` is none of this server.",
    422: "The request is not of the described form.",
    429: "Too many requests; `Retry-After` says when to come again.",
    500: "A fault of the relay; its log has the cause under `id`.",
    503: "The spool cannot be asked now.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the description of a route says of the ways in which it refuses; those that every route
    has are among them."""
    meanings = _OF_ANY | {status: _MEANINGS[status] for status in statuses}
    return {
        status: {"description": meanings[status], "content": _PROBLEM}
        for status in sorted(meanings)
    }


BODY_REFUSALS: Final = (400, 408, 413, 415)
"""Of routes that take a body."""

_PROBLEM: Final = {
    MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}
}
taken[ProblemDetails.__name__] = ProblemDetails
