"""A person's own account: the password, and where else somebody is logged in."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from waypost.control import accounts, sessions
from waypost.control.accounts_access import LoginRefused, LoginThrottled
from waypost.control.accounts_passwords import SHORTEST, PasswordRefused, TooManyLogins
from waypost.control.accounts_secrets import hash_of
from waypost.control.permissions import ROLE_MEANINGS
from waypost.faces.http.panel.accounts_browser import browser_words
from waypost.faces.http.panel.login import BUSY_SECONDS, Person, Text, accounts_of, place_of
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.security import Caller
from waypost.faces.http.security_cookies import clear_session, set_session

router = APIRouter(include_in_schema=False)


@router.get("/account")
async def account(request: Request, caller: Person) -> Response:
    """Who one is, and the sessions that one has."""
    return await _account(request, caller)


@router.post("/account/password")
async def change_password(
    request: Request,
    caller: Person,
    current: Text = "",
    password: Text = "",
    again: Text = "",
) -> Response:
    """Choose another password; all other sessions end."""
    if password != again:
        return await _account(request, caller, "The two new passwords differ.", 422)
    try:
        token = await accounts_of(request).change_password(
            caller.name, current, password, place_of(request)
        )
    except LoginRefused:
        return await _account(request, caller, "The current password is wrong.", 403)
    except PasswordRefused as fault:
        return await _account(request, caller, f"{fault}.".replace("the", "The", 1), 422)
    except LoginThrottled as fault:
        answer = await _account(request, caller, f"{fault}.".replace("too", "Too", 1), 429)
        answer.headers["Retry-After"] = str(math.ceil(fault.wait))
        return answer
    except TooManyLogins as fault:
        answer = await _account(request, caller, f"{fault}; try again.", 503)
        answer.headers["Retry-After"] = str(BUSY_SECONDS)
        return answer
    answer = told(
        request, "/account", "The password is changed; you are logged in here and nowhere else."
    )
    set_session(request, answer, token, accounts_of(request).lifetimes.absolute)
    return answer


@router.post("/account/sessions")
async def end_sessions(request: Request, caller: Person) -> Response:
    """Log out everywhere."""
    await accounts_of(request).logout(caller.name, caller.token, everywhere=True)
    answer = RedirectResponse("/login", 303)
    clear_session(request, answer)
    return answer


async def _account(
    request: Request, caller: Caller, fault: str = "", status: int = 200
) -> Response:
    found = accounts_of(request)
    now: float = request.app.state.room.clock.now()
    operator = await found.read(lambda c: accounts.known(c, caller.name))
    open_ones = await found.read(
        lambda c: sessions.of_operator(c, caller.name, now, found.lifetimes)
    )
    assert caller.role is not None
    return page(
        request, "account.html", caller, status=status, operator=operator, sessions=open_ones,
        this=hash_of(caller.token), fault=fault, shortest=SHORTEST, browser=browser_words,
        meaning=ROLE_MEANINGS[caller.role],
    )  # fmt: skip
