"""Who calls, and what they may do: what API routes and pages ask for.

The gate (`security_gate`) has found out who calls before any route runs, and lets nobody pass who
has not said so. Here a route says which permissions it needs:

    async def route(caller: Annotated[Caller, api_caller(Permission.READ)]): ...
    async def shown(request: Request, caller: Annotated[Caller, page_caller(Permission.READ)]): ...

An unsafe request of a session must bring the session's CSRF token: programs in the header
X-CSRF-Token, forms in the hidden field `csrf`. Both dependencies check it. A key in the
Authorization header needs none, as no browser sends one by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.datastructures import UploadFile

from waypost.control.accounts_secrets import equal
from waypost.control.permissions import ROLE_PERMISSIONS, Permission, Role
from waypost.faces.http.problems import Problem, problem_type
from waypost.faces.http.security_cookies import PLAIN

CALLER: Final = "waypost.caller"
"""Where the gate leaves the caller in the scope of a request."""

CSRF_HEADER: Final = "x-csrf-token"

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# For the description of the API alone; the gate reads them.
_BEARER: Final = HTTPBearer(
    scheme_name="key", description="An API key, as `waypost key add` makes one.", auto_error=False
)
_COOKIE: Final = APIKeyCookie(
    name=PLAIN, scheme_name="session", description="A session of the panel.", auto_error=False
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request."""

    name: str
    """Of an operator, or key:NAME."""
    role: Role | None
    """None for a key."""
    permissions: frozenset[Permission]
    kind: Literal["session", "key"]
    csrf: str
    """What unsafe requests of a session must bring; "" for a key."""
    user: str | None = None
    """The user of the relay that a key is bound to."""
    token: str = ""
    """Of the session."""

    def __repr__(self) -> str:
        return f"<Caller {self.name} ({self.role or self.kind})>"

    def may(self, *permissions: Permission) -> bool:
        """Has all of these."""
        return self.permissions.issuperset(permissions)


def caller_of(request: Request) -> Caller | None:
    """Who calls, on pages that need no login too."""
    found = request.scope.get(CALLER)
    assert found is None or isinstance(found, Caller)
    return found


def api_caller(*permissions: Permission) -> Any:
    """A dependency that gives the Caller of an API route, who has all these permissions.

    Raises Problem 401, 403.
    """

    async def dependency(
        request: Request,
        _bearer: Annotated[object, Security(_BEARER)],
        _cookie: Annotated[object, Security(_COOKIE)],
    ) -> Caller:
        caller = caller_of(request)
        if caller is None:
            raise not_authenticated()
        if caller.kind == "session" and request.method not in SAFE_METHODS:
            check_csrf(caller, request.headers.get(CSRF_HEADER, ""))
        _require(caller, permissions)
        return caller

    return Depends(dependency)


def page_caller(*permissions: Permission) -> Any:
    """A dependency that gives the Caller of a page, who has all these permissions.

    For unsafe methods it checks the CSRF token of the form. Raises Problem 401, 403.
    """

    async def dependency(request: Request) -> Caller:
        caller = caller_of(request)
        if caller is None or caller.kind != "session":
            raise not_authenticated()
        if request.method not in SAFE_METHODS:
            await _check_form(request, caller)
        _require(caller, permissions)
        return caller

    return Depends(dependency)


def check_csrf(caller: Caller, given: str) -> None:
    """An unsafe request of a session has brought its token. Both dependencies see to it.

    Raises Problem 403.
    """
    if not equal(given, caller.csrf):
        raise Problem(
            403,
            "the request does not have the token of this session, so it may come from another "
            "site; load the page again and repeat what you did",
            title="The request may not be yours",
            type=problem_type("csrf"),
        )


async def _check_form(request: Request, caller: Caller) -> None:
    given: str | UploadFile | None = request.headers.get(CSRF_HEADER)
    if given is None:
        given = (await request.form()).get("csrf")
    check_csrf(caller, given if isinstance(given, str) else "")


def not_authenticated(detail: str = "") -> Problem:
    """Nobody is known to call."""
    return Problem(
        401,
        detail
        or "log in, or send an API key as `Authorization: Bearer wpk_...`; "
        "`waypost key add NAME` makes one",
        type=problem_type("not-authenticated"),
        headers={"WWW-Authenticate": 'Bearer realm="waypost"'},
    )


def _require(caller: Caller, permissions: Iterable[Permission]) -> None:
    missing = sorted(one for one in permissions if one not in caller.permissions)
    if not missing:
        return
    lacks = ", ".join(missing)
    if caller.kind == "key":
        detail = f"{caller.name} lacks {lacks}; `waypost key add NAME --scope` makes a key with it"
    else:
        able = " or ".join(
            role for role, given in ROLE_PERMISSIONS.items() if given.issuperset(missing)
        )
        detail = f"{caller.name} is {caller.role}; this needs {lacks}, which {able} has"
    raise Problem(403, detail, type=problem_type("not-permitted"), missing=missing)
