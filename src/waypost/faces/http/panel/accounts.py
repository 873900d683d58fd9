"""The people of the panel: who there is, and, for admins, to invite, promote, keep out, remove.

Nobody sets a password for somebody else: a new person, and one who has forgotten it, gets a
one-time link. Nobody can give or take what they do not have themselves (`may_manage`).
"""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import Annotated, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from waypost.control import accounts, accounts_links
from waypost.control.accounts import AccountFault, Operator
from waypost.control.permissions import ROLE_MEANINGS, Permission, Role
from waypost.faces.http.account_rules import check_role, link_address, may_manage
from waypost.faces.http.panel.login import Text, accounts_of
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.security import Caller, page_caller

router = APIRouter(include_in_schema=False)

Admin = Annotated[Caller, page_caller(Permission.ACCOUNTS)]

_Result = TypeVar("_Result")


@router.get("/accounts")
async def people(request: Request, caller: Admin) -> Response:
    """Everybody."""
    return await _people(request, caller)


@router.post("/accounts/add")
async def add(
    request: Request, caller: Admin, name: Text = "", role: Text = Role.VIEWER
) -> Response:
    """Invite somebody; the link to give them is shown once."""
    now: float = request.app.state.room.clock.now()

    def work(connection: Connection) -> str:
        wanted = check_role(caller, role)
        made = accounts.add(connection, name, wanted, now)
        return accounts_links.make(connection, made.name, now)

    try:
        secret = await _change(request, caller, "operator added", name, work, role)
    except (AccountFault, ValueError) as fault:
        return _refused(request, fault)
    return await _people(request, caller, link=link_address(request, secret), linked=name)


@router.post("/accounts/link")
async def link(request: Request, caller: Admin, name: Text = "") -> Response:
    """A link with which somebody chooses another password."""
    now: float = request.app.state.room.clock.now()

    def work(connection: Connection) -> str:
        found = may_manage(caller, accounts.known(connection, name))
        return accounts_links.make(connection, found.name, now)

    try:
        secret = await _change(request, caller, "operator link made", name, work)
    except AccountFault as fault:
        return _refused(request, fault)
    return await _people(request, caller, link=link_address(request, secret), linked=name)


@router.post("/accounts/role")
async def set_role(request: Request, caller: Admin, name: Text = "", role: Text = "") -> Response:
    """Make somebody something else."""

    def work(connection: Connection) -> Operator:
        may_manage(caller, accounts.known(connection, name))
        return accounts.set_role(connection, name, check_role(caller, role))

    try:
        found = await _change(request, caller, "operator role set", name, work, role)
    except (AccountFault, ValueError) as fault:
        return _refused(request, fault)
    return told(request, "/accounts", f"{found.name} is {found.role} now.")


@router.post("/accounts/disable")
async def disable(request: Request, caller: Admin, name: Text = "") -> Response:
    """Keep somebody out."""
    return await _set_disabled(request, caller, name, disabled=True)


@router.post("/accounts/enable")
async def enable(request: Request, caller: Admin, name: Text = "") -> Response:
    """Let somebody in again."""
    return await _set_disabled(request, caller, name, disabled=False)


async def _set_disabled(request: Request, caller: Caller, name: str, *, disabled: bool) -> Response:
    def work(connection: Connection) -> Operator:
        may_manage(caller, accounts.known(connection, name))
        return accounts.set_disabled(connection, name, disabled=disabled)

    what = "disabled" if disabled else "enabled"
    try:
        found = await _change(request, caller, f"operator {what}", name, work)
    except AccountFault as fault:
        return _refused(request, fault)
    can = "can no longer log in" if disabled else "can log in again"
    return told(request, "/accounts", f"{found.name} {can}.")


@router.post("/accounts/remove")
async def remove(request: Request, caller: Admin, name: Text = "") -> Response:
    """Make an end of an account."""

    def work(connection: Connection) -> Operator:
        may_manage(caller, accounts.known(connection, name))
        return accounts.remove(connection, name)

    try:
        found = await _change(request, caller, "operator removed", name, work)
    except AccountFault as fault:
        return _refused(request, fault)
    return told(request, "/accounts", f"{found.name} is removed.")


async def _change(
    request: Request,
    caller: Caller,
    action: str,
    name: str,
    work: Callable[[Connection], _Result],
    detail: str = "",
) -> _Result:
    return await accounts_of(request).change(caller.name, action, name, work, detail=detail)


async def _people(
    request: Request, caller: Caller, *, link: str = "", linked: str = ""
) -> Response:
    found = await accounts_of(request).read(accounts.operators)
    return page(
        request, "accounts.html", caller, people=found, roles=list(ROLE_MEANINGS.items()),
        link=link, linked=linked,
    )  # fmt: skip


def _refused(request: Request, fault: Exception) -> Response:
    text = str(fault)
    return told(request, "/accounts", f"{text[:1].upper()}{text[1:]}.", "bad")
