"""What is told where a request cannot be answered: Problem Details (RFC 9457) for programs, a page
for people.

A `Problem` says what happened, with the evidence, and what to do next. Whatever else goes wrong is
a fault of ours: it is written to the log under an identifier, and the client is told that alone.
Nothing that a client sent is repeated beyond the place where it was found.
"""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waypost.administration import NoSuchMessage
from waypost.spool.contract import BodyDamaged, SpoolFull, SpoolRefusal

MEDIA_TYPE: Final = "application/problem+json"

API: Final = "/api/"
"""Under this programs ask; elsewhere people do."""

RETRY_SECONDS: Final = 60
"""After which a client may come again where the spool cannot take or give anything."""

MAXIMUM_ERRORS: Final = 100
"""Faults of one request that are told."""


class Problem(Exception):
    """A request is not answered, and why.

    `detail` is a sentence for people; `type` tells programs which problem it is ("about:blank":
    what the status says). Further members stand beside them in the JSON.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        title: str = "",
        type: str = "about:blank",  # noqa: A002 (the name that RFC 9457 gives it)
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.status = status
        self.detail = detail
        self.title = title or HTTPStatus(status).phrase
        self.type = type
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(detail or self.title)

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        document = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        return document | self.members


def problem_type(name: str) -> str:
    """The type of a problem of ours; docs/reference/http-api.md lists the names."""
    return f"urn:waypost:problem:{name}"


def problem_response(problem: Problem) -> Response:
    """The answer to a program."""
    # In US-ASCII, as a lone surrogate that came as an escape can leave as one and not otherwise.
    content = json.dumps(problem.document(), ensure_ascii=True, separators=(",", ":"))
    return Response(content, problem.status, problem.headers, MEDIA_TYPE)


def respond(request: Request, problem: Problem) -> Response:
    """The answer to whoever asked: JSON under /api/, elsewhere a page (bare without a panel)."""
    if request.url.path.startswith(API):
        return problem_response(problem)
    if getattr(request.app.state, "panel", None) is not None:
        from waypost.faces.http.panel.pages import error_page  # it raises problems itself

        answer = error_page(request, problem.status, problem.title, problem.detail)
        answer.headers.update(problem.headers)
        return answer
    title = html.escape(problem.title)
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>{html.escape(problem.detail)}</p></html>"
    )
    return HTMLResponse(text, problem.status, problem.headers)


def invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The problem of a request that is not of the described form, from pydantic's errors."""
    told = [_error(one) for one in errors[:MAXIMUM_ERRORS]]
    first = told[0] if told else {"detail": "see the description of the API"}
    where = first.get("pointer") or first.get("parameter") or ""
    return Problem(
        422,
        f"{where}: {first['detail']}".lstrip(": "),
        title="The request is not of the described form",
        type=problem_type("invalid-request"),
        errors=told,
    )


def _error(error: Mapping[str, Any]) -> dict[str, str]:
    place = [str(one) for one in error.get("loc", ())]
    told = {"detail": str(error.get("msg", ""))[:500]}
    kind = place[0] if place else "body"
    if kind in ("query", "path", "header", "cookie"):
        return {"in": kind, "parameter": ".".join(place[1:])[:200], **told}
    inner = place[1:] if kind == "body" else place
    steps = [one.replace("~", "~0").replace("/", "~1")[:100] for one in inner]
    return {"in": "body", "pointer": "#" + "".join(f"/{one}" for one in steps)[:500], **told}


def of_spool(refusal: SpoolRefusal) -> Problem:
    """The spool cannot take or give anything just now."""
    full = isinstance(refusal, SpoolFull)
    return Problem(
        507 if full else 503,
        f"{refusal.text}. Nothing was stored; try again later"
        + ("; the operator can make room" if full else "; the relay's log has the cause"),
        type=problem_type("spool-full" if full else "spool-unavailable"),
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def not_found(what: str) -> Problem:
    """There is no such thing, or no longer."""
    return Problem(404, what, type=problem_type("not-found"))


_NO_MESSAGE: Final = (
    "there is no message of this identifier; finished ones go after the time of `retention`"
)


def add_handlers(application: FastAPI) -> None:
    """Have every failure of the application answered by the above."""

    async def problem(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, Problem)
        return respond(request, fault)

    async def validation(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, RequestValidationError | ValidationError)
        return respond(request, invalid(fault.errors()))

    async def http(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        return respond(request, _of_status(request, fault))

    async def no_message(request: Request, _: Exception) -> Response:
        return respond(request, not_found(_NO_MESSAGE))

    async def no_content(request: Request, fault: Exception) -> Response:
        return respond(request, gone(fault))

    async def spool(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, SpoolRefusal)
        return respond(request, of_spool(fault))

    application.add_exception_handler(Problem, problem)
    application.add_exception_handler(RequestValidationError, validation)
    application.add_exception_handler(HTTPException, http)
    application.add_exception_handler(NoSuchMessage, no_message)
    application.add_exception_handler(BodyDamaged, no_content)
    application.add_exception_handler(SpoolRefusal, spool)
    application.add_middleware(Unexpected)


def gone(fault: Exception) -> Problem:
    """The content of a message is no longer there."""
    return Problem(
        410,
        f"the content cannot be given: {fault}. Content is kept while a recipient waits for it, "
        "or when the sandbox has caught it",
        type=problem_type("content-gone"),
    )


def _of_status(request: Request, fault: HTTPException) -> Problem:
    """What the framework refuses by itself."""
    path, headers = request.url.path, fault.headers
    if fault.status_code == 404:
        return Problem(404, f"there is nothing at {path[:200]}", headers=headers)
    if fault.status_code == 405:
        allowed = (headers or {}).get("Allow", "")
        said = f"{path[:200]} does not take {request.method[:20]}; it takes {allowed or 'others'}"
        return Problem(405, said, headers=headers)
    return Problem(fault.status_code, str(fault.detail), headers=headers)


class Unexpected:
    """Answers what nobody has foreseen with 500 and an identifier that is in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as fault:  # noqa: BLE001 (whatever it is, it is told and not passed on)
            name = secrets.token_hex(6)
            self._log.error(
                "a request failed", id=name, method=scope["method"], path=scope["path"][:200],
                why=f"{type(fault).__name__}: {fault}", exc_info=fault,
            )  # fmt: skip
            if begun:
                return  # the connection is cut short, which the client notices
            problem = Problem(
                500,
                f"the relay failed; its log has the cause under the id {name}",
                type=problem_type("internal"),
                id=name,
            )
            await respond(Request(scope, receive), problem)(scope, receive, send)
