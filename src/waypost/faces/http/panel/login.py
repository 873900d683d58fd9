"""The pages before the panel: login, logout, and the one-time link that makes an account.

They need no login and no script. Nothing here tells whether a name exists.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from waypost.control import accounts
from waypost.control.accounts_access import Accounts, From, LoginRefused, LoginThrottled
from waypost.control.accounts_links import LinkInvalid
from waypost.control.accounts_passwords import SHORTEST, TooManyLogins
from waypost.control.permissions import Role
from waypost.faces.http.panel.pages import page
from waypost.faces.http.panel.theme import own_path
from waypost.faces.http.problems import Problem, problem_type
from waypost.faces.http.security import Caller, caller_of, page_caller
from waypost.faces.http.security_cookies import clear_session, session_token, set_session

BUSY_SECONDS: Final = 5

router = APIRouter(include_in_schema=False)

Person = Annotated[Caller, page_caller()]
Text = Annotated[str, Form(max_length=2000)]


def accounts_of(request: Request) -> Accounts:
    """The accounts of the room."""
    found: Accounts = request.app.state.room.accounts
    return found


def place_of(request: Request) -> From:
    """Where a request comes from."""
    address = request.client.host if request.client else ""
    return From(address, request.headers.get("user-agent", ""))


@router.get("/login")
async def login_form(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Name and password."""
    if caller_of(request) is not None:
        return RedirectResponse(own_path(next), 303)
    first = await accounts_of(request).read(accounts.nobody_can_log_in)
    return page(request, "login.html", None, next=own_path(next), entered="", fault="", first=first)


@router.post("/login")
async def login(
    request: Request,
    name: Text = "",
    password: Text = "",
    next: Text = "/",  # noqa: A002
) -> Response:
    """Log in, and go where somebody was going."""
    status, wait = 403, 0
    try:
        _, token = await accounts_of(request).login(
            name, password, place_of(request), session_token(request)
        )
    except LoginRefused as refused:
        fault = f"{refused}."
    except LoginThrottled as throttled:
        status, wait, fault = 429, math.ceil(throttled.wait), f"{throttled}."
    except TooManyLogins as busy:
        status, wait, fault = 503, BUSY_SECONDS, f"{busy}; try again in a moment."
    else:
        answer = RedirectResponse(own_path(next), 303)
        set_session(request, answer, token, accounts_of(request).lifetimes.absolute)
        return answer
    shown = page(
        request, "login.html", None, status=status, next=own_path(next), entered=name,
        fault=fault[:1].upper() + fault[1:], first=False,
    )  # fmt: skip
    if wait:
        shown.headers["Retry-After"] = str(wait)
    return shown


@router.post("/logout")
async def logout(request: Request, caller: Person) -> Response:
    """End this session."""
    await accounts_of(request).logout(caller.name, caller.token)
    answer = RedirectResponse("/login", 303)
    clear_session(request, answer)
    return answer


@router.get("/first-run/{secret}")
async def first_run_form(request: Request, secret: str) -> Response:
    """What a one-time link is for; looking does not use it up."""
    try:
        link = await accounts_of(request).link(secret)
    except LinkInvalid as fault:
        raise _no_link(fault) from None
    return _first_run(request, link.operator, "", "", 200)


@router.post("/first-run/{secret}")
async def first_run(
    request: Request,
    secret: str,
    name: Text = "",
    password: Text = "",
    again: Text = "",
) -> Response:
    """Choose a name, where there is none yet, and a password."""
    found = accounts_of(request)
    try:
        link = await found.link(secret)
        if password != again:
            return _first_run(request, link.operator, name, "The two passwords differ.", 422)
        _, token = await found.follow_link(secret, name, password, place_of(request))
    except LinkInvalid as fault:
        raise _no_link(fault) from None
    except (ValueError, accounts.OperatorExists) as fault:
        text = f"{str(fault)[:1].upper()}{str(fault)[1:]}."
        return _first_run(request, link.operator, name, text, 422)
    except TooManyLogins as busy:
        raise _busy(busy) from None
    answer = RedirectResponse("/start" if link.operator is None else "/", 303)
    set_session(request, answer, token, found.lifetimes.absolute)
    return answer


def _first_run(
    request: Request, operator: str | None, name: str, fault: str, status: int
) -> Response:
    return page(
        request, "first_run.html", None, status=status, operator=operator, entered=name,
        fault=fault, shortest=SHORTEST, role=Role.ADMIN,
    )  # fmt: skip


def _no_link(fault: LinkInvalid) -> Problem:
    return Problem(
        410, f"{fault}.", title="This link is no longer good", type=problem_type("link-invalid")
    )


def _busy(fault: TooManyLogins) -> Problem:
    return Problem(
        503, f"{fault}; try again in a moment", type=problem_type("busy"),
        headers={"Retry-After": str(BUSY_SECONDS)},
    )  # fmt: skip
