"""Accounts of the panel, API keys and the audit log, for programs.

Nobody gives or changes more than they have themselves (`account_rules`). A secret is told once,
where it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from waypost.control import accounts, accounts_links, keys
from waypost.control.accounts import AccountFault, NoSuchOperator, Operator
from waypost.control.accounts_links import LINK_SECONDS
from waypost.control.audit import AuditFilter
from waypost.control.keys import ApiKey, KeyExists, NoSuchKey
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.documents import time_text
from waypost.faces.http.account_rules import (
    NotYours,
    check_grant,
    check_role,
    link_address,
    may_manage,
)
from waypost.faces.http.api.models import Page
from waypost.faces.http.api.models_accounts import (
    AuditEntryTold,
    KeysTold,
    Me,
    NewKey,
    NewKeyTold,
    NewOperator,
    OneTimeLinkTold,
    OperatorAccount,
    OperatorAccounts,
    OperatorChange,
)
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    PREFIX,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)
from waypost.faces.http.pagination import DEFAULT_LIMIT, Cursor, Limit, make_cursor, read_cursor
from waypost.faces.http.problems import Problem, not_found, problem_type
from waypost.faces.http.security import Caller, api_caller

router = APIRouter(prefix=PREFIX, tags=["accounts"])

Anybody = Annotated[Caller, api_caller()]
Admin = Annotated[Caller, api_caller(Permission.ACCOUNTS)]
Auditor = Annotated[Caller, api_caller(Permission.AUDIT)]
Named = Annotated[str, Path(max_length=64)]

AUDIT_CURSOR = "audit"

_Result = TypeVar("_Result")


@router.get(
    "/me",
    response_model=Me,
    responses=refusals(),
    operation_id="getMe",
    summary="Who makes this request",
)
async def me(caller: Anybody) -> Response:
    """The name of the caller, and what it may do."""
    return answer(
        {
            "name": caller.name,
            "kind": caller.kind,
            "role": caller.role,
            "permissions": sorted(caller.permissions),
            "user": caller.user,
        }
    )


# --- operators ----------------------------------------------------------------------------------


@router.get(
    "/operators",
    response_model=OperatorAccounts,
    responses=refusals(),
    operation_id="listOperators",
    summary="The people",
)
async def operators(room: Room, caller: Admin) -> Response:
    """Everybody who may open the panel."""
    del caller
    found = await room.accounts.read(accounts.operators)
    return answer({"items": [operator_document(one) for one in found]})


@router.post(
    "/operators",
    status_code=201,
    response_model=OneTimeLinkTold,
    responses=refusals(409, *BODY_REFUSALS),
    openapi_extra=takes(NewOperator),
    operation_id="inviteOperator",
    summary="Invite a person",
)
async def invite(
    request: Request, room: Room, caller: Admin, new: Annotated[NewOperator, body_of(NewOperator)]
) -> Response:
    """Add a person; the link with which they choose a password is in the answer, once."""
    now = room.clock.now()

    def work(connection: Connection) -> tuple[str, str]:
        role = check_role(caller, new.role)
        made = accounts.add(connection, new.name, role, now)
        return made.name, accounts_links.make(connection, made.name, now)

    name, secret = await _change(room, caller, "operator added", new.name, work, new.role)
    return answer(_link(request, name, secret, now), 201)


@router.patch(
    "/operators/{name}",
    response_model=OperatorAccount,
    responses=refusals(404, 409, *BODY_REFUSALS),
    openapi_extra=takes(OperatorChange),
    operation_id="changeOperator",
    summary="Change a person's role, keep a person out",
)
async def change_operator(
    room: Room,
    caller: Admin,
    name: Named,
    change: Annotated[OperatorChange, body_of(OperatorChange)],
) -> Response:
    """Change role and state; the sessions of the person end."""

    def work(connection: Connection) -> Operator:
        found = may_manage(caller, accounts.known(connection, name))
        if change.role is not None:
            found = accounts.set_role(connection, name, check_role(caller, change.role))
        if change.disabled is not None:
            found = accounts.set_disabled(connection, name, disabled=change.disabled)
        return found

    detail = ", ".join(
        f"{key}={value}" for key, value in change.model_dump(exclude_none=True).items()
    )
    found = await _change(room, caller, "operator changed", name, work, detail)
    return answer(operator_document(found))


@router.delete(
    "/operators/{name}",
    status_code=204,
    responses=refusals(404, 409),
    operation_id="removeOperator",
    summary="Remove a person",
)
async def remove_operator(room: Room, caller: Admin, name: Named) -> Response:
    """Make an end of an account, with its sessions."""

    def work(connection: Connection) -> None:
        may_manage(caller, accounts.known(connection, name))
        accounts.remove(connection, name)

    await _change(room, caller, "operator removed", name, work)
    return Response(status_code=204)


@router.post(
    "/operators/{name}/link",
    status_code=201,
    response_model=OneTimeLinkTold,
    responses=refusals(404, 409),
    operation_id="linkOperator",
    summary="A link to choose another password",
)
async def make_link(request: Request, room: Room, caller: Admin, name: Named) -> Response:
    """A one-time link for somebody who has forgotten the password."""
    now = room.clock.now()

    def work(connection: Connection) -> tuple[str, str]:
        found = may_manage(caller, accounts.known(connection, name))
        return found.name, accounts_links.make(connection, found.name, now)

    found, secret = await _change(room, caller, "operator link made", name, work)
    return answer(_link(request, found, secret, now), 201)


# --- keys ---------------------------------------------------------------------------------------


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

    made, secret = await _change(
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

    await _change(room, caller, "key revoked", name, work)
    return Response(status_code=204)


# --- audit --------------------------------------------------------------------------------------


@router.get(
    "/audit",
    response_model=Page[AuditEntryTold],
    responses=refusals(),
    operation_id="listAudit",
    summary="The audit log",
)
async def audit(
    room: Room,
    caller: Auditor,
    who: Annotated[str, Query(max_length=100)] = "",
    action: Annotated[str, Query(max_length=60, description="How it begins.")] = "",
    text: Annotated[str, Query(max_length=200, description="In subject or detail.")] = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Who did what, the latest first."""
    del caller
    before = _before(cursor)
    wanted = AuditFilter(who, action, text, _moment(since), _moment(until), before, limit + 1)
    found = await room.audit.entries(wanted)
    following = make_cursor(AUDIT_CURSOR, str(found[limit - 1].id)) if len(found) > limit else None
    items = [
        {
            "id": one.id, "at": time_text(one.at), "who": one.who, "address": one.address,
            "action": one.action, "subject": one.subject, "detail": one.detail,
        }
        for one in found[:limit]
    ]  # fmt: skip
    return answer({"items": items, "next": following})


def _moment(given: datetime | None) -> float | None:
    """Without an offset it is UTC."""
    if given is None:
        return None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()


def _before(cursor: str | None) -> int | None:
    place = read_cursor(AUDIT_CURSOR, cursor)
    if place is None:
        return None
    if not place.isdecimal() or len(place) > 18:
        read_cursor(AUDIT_CURSOR, "")  # none that we have made: raises
    return int(place)


# --- documents ----------------------------------------------------------------------------------


def operator_document(one: Operator) -> dict[str, Any]:
    """A person."""
    return {
        "name": one.name,
        "role": one.role,
        "state": one.state,
        "created": time_text(one.created_at),
        "last_login": time_text(one.last_login_at),
        "last_login_from": one.last_login_from,
    }


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


def _link(request: Request, name: str, secret: str, now: float) -> dict[str, Any]:
    return {
        "name": name,
        "link": link_address(request, secret),
        "expires": time_text(now + LINK_SECONDS),
    }


async def _change(
    room: ControlRoom,
    caller: Caller,
    action: str,
    subject: str,
    work: Callable[[Connection], _Result],
    detail: str = "",
) -> _Result:
    """Do it and write it to the audit log. Raises Problem 403, 404, 409, 422."""
    try:
        return await room.accounts.change(caller.name, action, subject, work, detail=detail)
    except NotYours as fault:
        raise Problem(403, str(fault), type=problem_type("not-permitted")) from None
    except (NoSuchOperator, NoSuchKey) as fault:
        raise not_found(str(fault)) from None
    except (AccountFault, KeyExists) as fault:
        raise Problem(409, str(fault), type=problem_type("conflict")) from None
    except ValueError as fault:
        raise Problem(422, str(fault), type=problem_type("invalid-request")) from None
