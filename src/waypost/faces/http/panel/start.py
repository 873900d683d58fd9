"""The first page: how to point an application at this relay, and what comes after.

Host, port, TLS and login are those of the running relay, so what is copied works. A part of the
page waits for the first message and leads to it; the last part chooses a provider for real mail.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.message_rows import shown_row
from waypost.faces.http.panel.pages import page
from waypost.faces.http.panel.start_listener import listener_facts
from waypost.faces.http.panel.start_snippets import Snippet, snippets
from waypost.faces.http.security import Caller, page_caller
from waypost.knowledge.providers import Provider, providers
from waypost.spool.contract import MessageFilter

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]

KINDS = {
    "mailbox": "Mailboxes", "transactional": "Services for sending", "hosting": "Hosting",
}  # fmt: skip


@router.get("/start")
async def start(
    request: Request, caller: Reader, way: str = "python", provider: str = ""
) -> HTMLResponse:
    """The page. `way` is the kind of program, `provider` who is to take the mail on."""
    room: ControlRoom = request.app.state.room
    host = request.url.hostname or "127.0.0.1"
    listeners = listener_facts(room.service, host)
    found: list[Snippet] = []
    if listeners:
        found = list(snippets(listeners[0], sendmail_path(), str(request.base_url).rstrip("/")))
    shown = next((one for one in found if one.name == way), found[0] if found else None)
    chosen = providers().get(provider)
    routes = room.service.engine.routing.routes
    return page(
        request, "start.html", caller, listeners=listeners, snippets=found, shown=shown,
        providers=_by_kind(), provider=chosen, route_text=route_of(chosen) if chosen else "",
        is_sandbox=all(one.is_sandbox for one in routes),
        routes=[one for one in routes if not one.is_sandbox], first=await _first(room),
    )  # fmt: skip


@router.get("/start/now")
async def start_now(request: Request, caller: Reader) -> HTMLResponse:
    """The part that waits for a message."""
    room: ControlRoom = request.app.state.room
    return page(request, "start_now.html", caller, first=await _first(room))


async def _first(room: ControlRoom) -> object:
    """The newest message, as a row."""
    found = await room.administration.messages(MessageFilter(limit=1))
    return shown_row(found[0], room.administration) if found else None


def _by_kind() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (title, sorted(
            ((one.name, one.title) for one in providers().values() if one.kind == kind),
            key=lambda pair: pair[1].lower(),
        ))
        for kind, title in KINDS.items()
    ]  # fmt: skip


def route_of(provider: Provider) -> str:
    """The route for the configuration; the password stays in the environment."""
    variable = provider.name.upper().replace("-", "_") + "_PASSWORD"
    user = provider.user or "USER"
    if "ip-address" in provider.authentication and len(provider.authentication) == 1:
        via = f"{provider.name}:{provider.region_example}".rstrip(":") + (
            "" if provider.region_example else ":"
        )
    else:
        via = f"{provider.name}://{user}:${{{variable}}}@{provider.region_example}"
    return f'[[route]]\nname = "{provider.name}"\nvia = "{via}"\n'


def sendmail_path() -> str:
    """Where waypost-sendmail is on this machine."""
    beside = Path(sys.executable).with_name("waypost-sendmail")
    return str(beside) if beside.exists() else shutil.which(beside.name) or beside.name
