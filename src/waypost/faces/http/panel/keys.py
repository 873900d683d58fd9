"""API keys: which there are, and to make and revoke them. A new key is shown once."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from waypost.control import keys
from waypost.control.keys import DEFAULT_SCOPES, ApiKey, KeyExists, NoSuchKey
from waypost.control.permissions import PERMISSION_MEANINGS, Permission
from waypost.faces.http.account_rules import NotYours, check_grant
from waypost.faces.http.panel.login import Text, accounts_of
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.security import Caller, page_caller
from waypost.faces.http.web_address import own_address

router = APIRouter(include_in_schema=False)

Admin = Annotated[Caller, page_caller(Permission.ACCOUNTS)]

LIVES: Final = {"30": "30 days", "90": "90 days", "365": "a year", "": "for ever"}
"""Days that a key may be good for, and how that is said."""


@router.get("/keys")
async def all_keys(request: Request, caller: Admin) -> Response:
    """All keys, by name."""
    return await _keys(request, caller)


@router.post("/keys/add")
async def add(
    request: Request,
    caller: Admin,
    name: Text = "",
    scope: Annotated[list[str] | None, Form()] = None,
    days: Text = "",
    user: Text = "",
) -> Response:
    """Make a key and show it."""
    now: float = request.app.state.room.clock.now()

    def work(connection: Connection) -> tuple[ApiKey, str]:
        permissions = check_grant(caller, scope or ())
        if days not in LIVES:
            raise ValueError("a key is good for 30, 90 or 365 days, or for ever")
        return keys.add(
            connection, name, permissions, now, created_by=caller.name,
            expires_at=now + int(days) * 86400.0 if days else None, user=user.strip() or None,
        )  # fmt: skip

    try:
        made, secret = await accounts_of(request).change(
            caller.name, "key added", name, work, detail=" ".join(scope or ())
        )
    except (ValueError, KeyExists, NotYours) as fault:
        text = str(fault)
        return told(request, "/keys", f"{text[:1].upper()}{text[1:]}.", "bad")
    return await _keys(request, caller, made, secret)


@router.post("/keys/revoke")
async def revoke(request: Request, caller: Admin, name: Text = "") -> Response:
    """Make an end of a key."""
    try:
        await accounts_of(request).change(
            caller.name, "key revoked", name, lambda c: keys.revoke(c, name)
        )
    except NoSuchKey as fault:
        return told(request, "/keys", f"{fault}.".replace("there", "There", 1), "wait")
    return told(request, "/keys", f"The key {name} is no longer good.")


async def _keys(
    request: Request, caller: Caller, made: ApiKey | None = None, secret: str = ""
) -> Response:
    found = await accounts_of(request).read(keys.keys)
    return page(
        request, "keys.html", caller, keys=found, made=made, secret=secret,
        scopes=[one for one in PERMISSION_MEANINGS.items() if one[0] in caller.permissions],
        chosen=DEFAULT_SCOPES, lives=list(LIVES.items()), address=own_address(request),
    )  # fmt: skip
