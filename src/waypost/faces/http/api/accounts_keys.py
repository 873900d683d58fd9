"""API keys, over the API. The secret of a key is told once, where it is made."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Annotated, Any

from starlette.responses import Response

from waypost.control import keys
from waypost.control.keys import ApiKey
from waypost.faces.documents import time_text
from waypost.faces.http.account_rules import NotYours, check_grant
from waypost.faces.http.api.accounts_parts import Admin, Named, change, router
from waypost.faces.http.api.models_accounts import KeysTold, NewKey, NewKeyTold
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)


@router.get(
    "/keys",
    response_model=KeysTold,
    responses=refusals(),
    operation_id="listKeys",
    summary="The API keys",
)
async def all_keys(room: Room, caller: Admin) -> Response:
    """All keys, without their secrets."""
    del caller
    now = room.clock.now()
    found = await room.accounts.read(keys.keys)
    return answer({"items": [key_document(one, now) for one in found]})


@router.post(
    "/keys",
    status_code=201,
    response_model=NewKeyTold,
    responses=refusals(409, *BODY_REFUSALS),
    openapi_extra=takes(NewKey),
    operation_id="makeKey",
    summary="Make an API key",
)
async def make_key(room: Room, caller: Admin, new: Annotated[NewKey, body_of(NewKey)]) -> Response:
    """Make a key; its secret is in the answer, once."""
    now = room.clock.now()

    def work(connection: Connection) -> tuple[ApiKey, str]:
        granted = check_grant(caller, new.permissions, new.user)
        expires = now + new.expires_in if new.expires_in is not None else None
        return keys.add(
            connection, new.name, granted, now, created_by=caller.name, expires_at=expires,
            user=new.user,
        )  # fmt: skip

    made, secret = await change(
        room, caller, "key added", new.name, work, " ".join(new.permissions)
    )
    return answer(key_document(made, now) | {"secret": secret}, 201)


@router.delete(
    "/keys/{name}",
    status_code=204,
    responses=refusals(404),
    operation_id="revokeKey",
    summary="Revoke a key",
)
async def revoke_key(room: Room, caller: Admin, name: Named) -> Response:
    """The key is no longer good, at once."""

    def work(connection: Connection) -> None:
        found = keys.revoke(connection, name)
        if caller.user is not None and found.user != caller.user:
            raise NotYours(f"{caller.name} is bound to the user {caller.user}; this key is not")

    await change(room, caller, "key revoked", name, work)
    return Response(status_code=204)


def key_document(one: ApiKey, now: float) -> dict[str, Any]:
    """A key."""
    return {
        "name": one.name,
        "begins": one.hint,
        "permissions": sorted(one.permissions),
        "user": one.user,
        "created": time_text(one.created_at),
        "created_by": one.created_by,
        "expires": time_text(one.expires_at),
        "expired": one.has_expired(now),
        "last_used": time_text(one.last_used_at),
        "last_used_from": one.last_used_from,
    }
