"""The content of a message as files: its HTML for the frame of a page, its source, its attachments.

What stands here was written by strangers and is served from the panel's own origin, so every answer
says that it runs nothing: a policy without sources, the sandbox directive (an origin of its own,
no scripts, no forms, no top navigation), no sniffing of types. The HTML has passed
`mail.html_display` before, and shows images of the message itself as data: URLs alone; attachments
are saved and never shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse

from waypost.administration import NoSuchMessage
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.content_views import SAFE_IMAGES, display_html, download_name
from waypost.faces.http.panel.message import no_such
from waypost.faces.http.panel.message_content import NoContent, read_content
from waypost.faces.http.panel.pages import error_page
from waypost.faces.http.security import Caller, page_caller
from waypost.mail.part_parameters import attachment_disposition
from waypost.mail.parts import ReadMessage
from waypost.spool.contract import Body, BodyDamaged
from waypost.spool.identifiers import parse_identifier

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.CONTENT)]

HTML_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox"
)
FILE_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; sandbox"

_HTML_HEADERS: Final = {
    "Content-Security-Policy": HTML_POLICY,
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILE_HEADERS: Final = {"Content-Security-Policy": FILE_POLICY, "Cache-Control": "no-store"}

_FRAME: Final = """\
<!doctype html>
<html><head><meta charset="utf-8"><meta name="referrer" content="no-referrer"><style>
html {{ background: #fff; color: #000; color-scheme: light; }}
body {{ margin: 12px; font: 15px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }}
img {{ max-width: 100%; }}
img[data-off] {{ outline: 1px dashed #8a96a2; outline-offset: -1px; color: #56626d; }}
:where(a[data-link]) {{ color: #0b57d0; text-decoration: underline; }}
</style></head><body>{}</body></html>
"""

_Result = TypeVar("_Result")

SHOWN_SOURCE: Final = 4 << 20
"""Bytes of the source that a browser is given to show; all of it can be saved."""


@router.get("/messages/{identifier}/html")
async def html(request: Request, caller: Reader, identifier: str) -> Response:
    """The HTML, for the sandboxed frame of the message's page."""
    shown = await _read(request, caller, identifier, display_html)
    if isinstance(shown, Response):
        return shown
    body = shown.html if shown is not None else "<p>This message has no HTML.</p>"
    return HTMLResponse(_FRAME.format(body), headers=_HTML_HEADERS)


@router.get("/messages/{identifier}/source")
async def source(request: Request, caller: Reader, identifier: str) -> Response:
    """The source as plain text."""
    text = await _read(
        request, caller, identifier,
        lambda read: read.content[:SHOWN_SOURCE].decode("utf-8", "backslashreplace"),
    )  # fmt: skip
    if isinstance(text, Response):
        return text
    return PlainTextResponse(text, headers=_FILE_HEADERS)


@router.get("/messages/{identifier}/message.eml")
async def whole(request: Request, caller: Reader, identifier: str) -> Response:
    """The message as it is, to be saved."""
    room: ControlRoom = request.app.state.room
    try:
        body = await room.administration.content(parse_identifier(identifier))
    except (ValueError, NoSuchMessage):
        return no_such(request, caller)
    except BodyDamaged as fault:
        return _gone(request, caller, f"Its content cannot be given: {fault}.")
    await room.audit.record(caller.name, "message saved", identifier, f"{body.size} bytes")
    headers = {
        **_FILE_HEADERS,
        "Content-Disposition": attachment_disposition(f"{identifier}.eml"),
        "Content-Length": str(body.size),
    }
    return StreamingResponse(_pieces(body), media_type="message/rfc822", headers=headers)


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    """The content. Where it turns out to be damaged, the answer ends short of its length, which
    tells a client that the file is not whole."""
    async for piece in body.chunks():
        yield piece


@router.get("/messages/{identifier}/parts/{number}")
async def part(request: Request, caller: Reader, identifier: str, number: int) -> Response:
    """One attachment, to be saved."""

    def work(read: ReadMessage) -> tuple[str, str, bytes] | None:
        found = read.part(number)
        if found is None:
            return None
        octets = read.octets(found)
        kind = "application/octet-stream"
        if found.kind in SAFE_IMAGES and octets.startswith(SAFE_IMAGES[found.kind]):
            kind = found.kind
        return download_name(found), kind, octets

    found = await _read(request, caller, identifier, work)
    if isinstance(found, Response):
        return found
    if found is None:
        return error_page(
            request, 404, "There is no such attachment",
            f"The message has no part {number}.", caller,
        )  # fmt: skip
    name, kind, octets = found
    headers = {**_FILE_HEADERS, "Content-Disposition": attachment_disposition(name)}
    return Response(octets, media_type=kind, headers=headers)


async def _read(
    request: Request, caller: Caller, identifier: str, work: Callable[[ReadMessage], _Result]
) -> _Result | Response:
    """What `work` makes of the message, or the page that says why it cannot be read."""
    room: ControlRoom = request.app.state.room
    try:
        return await read_content(room, parse_identifier(identifier), work)
    except (ValueError, NoSuchMessage):
        return no_such(request, caller)
    except NoContent as fault:
        return _gone(request, caller, str(fault))


def _gone(request: Request, caller: Caller, text: str) -> HTMLResponse:
    return error_page(request, 404, "The content is not there", text, caller)
