"""Who calls, and the people of the panel, for programs; keys and the audit log stand beside.

Nobody gives or changes more than they have themselves (`account_rules`).
"""

from __future__ import annotations

from sqlite3 import Connection
from typing import Annotated, Any

from fastapi import Request
from starlette.responses import Response

from waypost.control import accounts, accounts_links
from waypost.control.accounts import Operator
from waypost.control.accounts_links import LINK_SECONDS
from waypost.faces.documents import time_text
from waypost.faces.http.account_rules import check_role, link_address, may_manage
from waypost.faces.http.api import accounts_audit, accounts_keys, users
from waypost.faces.http.api.accounts_parts import Admin, Named, change, router
from waypost.faces.http.api.models_accounts import (
    Me,
    NewOperator,
    OneTimeLinkTold,
    OperatorAccount,
    OperatorAccounts,
    OperatorChange,
)
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)
from waypost.faces.http.security import Caller, api_caller

PARTS = (accounts_audit, accounts_keys, users)
"""They bring their routes to the same router."""

Anybody = Annotated[Caller, api_caller()]


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

    name, secret = await change(room, caller, "operator added", new.name, work, new.role)
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
    wanted: Annotated[OperatorChange, body_of(OperatorChange)],
) -> Response:
    """Change role and state; the sessions of the person end."""

    def work(connection: Connection) -> Operator:
        found = may_manage(caller, accounts.known(connection, name))
        if wanted.role is not None:
            found = accounts.set_role(connection, name, check_role(caller, wanted.role))
        if wanted.disabled is not None:
            found = accounts.set_disabled(connection, name, disabled=wanted.disabled)
        return found

    detail = ", ".join(
        f"{key}={value}" for key, value in wanted.model_dump(exclude_none=True).items()
    )
    found = await change(room, caller, "operator changed", name, work, detail)
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

    await change(room, caller, "operator removed", name, work)
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

    found, secret = await change(room, caller, "operator link made", name, work)
    return answer(_link(request, found, secret, now), 201)


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


def _link(request: Request, name: str, secret: str, now: float) -> dict[str, Any]:
    return {
        "name": name,
        "link": link_address(request, secret),
        "expires": time_text(now + LINK_SECONDS),
    }
