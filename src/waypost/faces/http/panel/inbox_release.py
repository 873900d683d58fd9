"""Sends a message of the sandbox on to a real server, now and once, and shows what was said.

It goes beside the queue: nothing is kept and nothing tried again. So what a test has caught can be
looked at in a real mail program, without a route for all mail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.delivery.judgement import peer_of
from waypost.delivery.next_hop import Sandbox, Smarthost
from waypost.delivery.route import Route
from waypost.delivery.route_url import InvalidRouteUrl, parse_route_url
from waypost.delivery.single import SingleOutcome, deliver_once
from waypost.delivery.transcript import MAXIMUM_LINES
from waypost.faces.http.panel.inbox import identifier_of, no_such
from waypost.faces.http.panel.message_content import NoContent, read_content
from waypost.faces.http.panel.pages import page
from waypost.faces.http.panel.transcripts import read_transcript
from waypost.faces.http.security import Caller, page_caller
from waypost.mail.address import InvalidAddress, parse_address
from waypost.mail.parts import MAXIMUM_LOOKED_AT
from waypost.smtp.envelope import Envelope, Recipient

MAXIMUM_RECIPIENTS: Final = 20

router = APIRouter(include_in_schema=False)

Sender = Annotated[Caller, page_caller(Permission.SANDBOX, Permission.CONTENT, Permission.SEND)]


class NotSent(Exception):
    """What was asked cannot be done; the text says why."""


@dataclass(slots=True)
class _Heard:
    """Takes the lines of a delivery as a transcript."""

    lines: list[str] = field(default_factory=list)

    def take(self, seconds: float, direction: str, text: str) -> None:
        if len(self.lines) < MAXIMUM_LINES:
            self.lines.append(f"{seconds * 1000:.1f} {direction} {text[:500]}")


@router.get("/sandbox/{identifier}/release")
async def release(request: Request, caller: Sender, identifier: str) -> HTMLResponse:
    """Where to, and for whom."""
    room: ControlRoom = request.app.state.room
    message = identifier_of(identifier)
    row = await room.inbox.row(message) if message is not None else None
    if row is None:
        return no_such(request, caller)
    return page(
        request, "sandbox_release.html", caller, row=row, id=identifier, routes=_routes(room),
        recipients="\n".join(row.recipients), route="", url="", fault="", outcomes=(), said=(),
    )  # fmt: skip


@router.post("/sandbox/{identifier}/release")
async def send_on(
    request: Request,
    caller: Sender,
    identifier: str,
    recipients: Annotated[str, Form()] = "",
    route: Annotated[str, Form()] = "",
    url: Annotated[str, Form()] = "",
) -> Response:
    """Send it, and tell what became of it."""
    room: ControlRoom = request.app.state.room
    message = identifier_of(identifier)
    row = await room.inbox.row(message) if message is not None else None
    if message is None or row is None:
        return no_such(request, caller)
    fault = ""
    outcomes: list[SingleOutcome] = []
    heard = _Heard()
    through = None
    try:
        chosen = _chosen(room, route, url)
        through = peer_of(chosen)
        content = await read_content(room, message, lambda read: read.content)
        if len(content) != row.size or row.size > MAXIMUM_LOOKED_AT:
            raise NotSent("The message is too large to be sent on from here: save it as .eml.")
        envelope = _envelope(await _reverse_path(room, message), _recipients(recipients), content)
        await room.audit.record(
            caller.name, "sandbox message sent on", identifier,
            f"to {', '.join(one.address for one in envelope.recipients)} over "
            f"{chosen.via[0].identity}",
        )  # fmt: skip
        outcomes = await deliver_once(
            envelope, content, chosen, room.service.opener, room.clock, heard.take
        )
    except (NotSent, NoContent, InvalidRouteUrl) as found:
        fault = str(found)
    return page(
        request, "sandbox_release.html", caller, row=row, id=identifier, routes=_routes(room),
        recipients=recipients[:4000], route=route, url=_shown_url(url), fault=fault,
        outcomes=outcomes,
        said=read_transcript("\n".join(heard.lines), host="", through=through),
    )  # fmt: skip


def _routes(room: ControlRoom) -> list[tuple[str, str]]:
    """Those that lead somewhere, with where."""
    return [
        (one.name, f"{one.name}: {', '.join(hop.identity for hop in one.via)}")
        for one in room.service.engine.routing.routes
        if not one.is_sandbox
    ]


def _chosen(room: ControlRoom, name: str, url: str) -> Route:
    """The route of the form. A URL may hold a login; it may name no file, variable or socket of
    this machine, as what those hold would be sent to whomever the URL names."""
    if not url.strip():
        route = room.service.engine.routing.by_name.get(name)
        if route is None or route.is_sandbox:
            raise NotSent("Choose a route, or write the URL of a server.")
        return route
    hop = parse_route_url(url)
    if isinstance(hop, Sandbox):
        raise NotSent("The message is in the sandbox already; name a server.")
    if isinstance(hop, Smarthost) and hop.is_unix:
        raise NotSent("A socket of this machine cannot be named here; make a route of it.")
    return Route("send on", (hop,))


def _recipients(text: str) -> tuple[Recipient, ...]:
    found: dict[str, Recipient] = {}
    for word in text.replace(",", "\n").split():
        try:
            address = str(parse_address(word, smtputf8=True))
        except InvalidAddress as fault:
            raise NotSent(f"{word[:100]!r} is no address: {fault}") from fault
        found.setdefault(address, Recipient(address))
    if not found:
        raise NotSent("Name at least one recipient.")
    if len(found) > MAXIMUM_RECIPIENTS:
        raise NotSent(f"Name at most {MAXIMUM_RECIPIENTS} recipients.")
    return tuple(found.values())


def _envelope(sender: str, recipients: tuple[Recipient, ...], content: bytes) -> Envelope:
    """What is asked of the server follows from the addresses and the content."""
    header = content.partition(b"\r\n\r\n")[0]
    international = not (
        header.isascii() and sender.isascii() and all(one.address.isascii() for one in recipients)
    )
    return Envelope(
        sender, recipients, body=None if content.isascii() else "8BITMIME",
        smtputf8=international, declared_size=len(content),
    )  # fmt: skip


async def _reverse_path(room: ControlRoom, message: int) -> str:
    found = await room.service.spool.captured(1, message + 1)
    return found[0].reverse_path if found else ""


def _shown_url(url: str) -> str:
    """The URL for the form again, without its password."""
    scheme, joint, rest = url[:500].partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}{joint}{login.partition(':')[0]}{at}{host}" if at else url[:500]
