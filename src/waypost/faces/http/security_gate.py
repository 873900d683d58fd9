"""The gate: finds out who calls, before any route runs, and turns away who does not say.

What is open to everybody is a short list here; all else, also what somebody forgets to protect, is
behind a login. A page leads to /login, the API answers 401.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import HTTPException, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waypost.control.accounts_secrets import token_bound_to
from waypost.control.permissions import ROLE_PERMISSIONS
from waypost.control.room import ControlRoom
from waypost.faces.http.problems import Problem, problem_type, respond
from waypost.faces.http.security import CALLER, SAFE_METHODS, Caller, not_authenticated
from waypost.faces.http.security_cookies import session_token
from waypost.faces.http.security_hosts import AllowedHosts
from waypost.faces.http.security_streams import StreamWatch

PUBLIC: Final = frozenset({"/login", "/theme", "/favicon.ico", "/robots.txt"})

HEALTH: Final = frozenset({"/health", "/health/live", "/health/ready"})
"""What supervisors ask, who have no account; the answers tell nothing else."""

PUBLIC_BELOW: Final = ("/static/", "/first-run/")

KEY_ONLY_PAGES: Final = frozenset({"/metrics"})
"""Outside the API, and for programs: they answer 401 and lead nobody to a login."""


STRANGERS_BODY: Final = 64 * 1024
PERSONS_BODY: Final = 16 * 1024 * 1024
"""Bytes that a form may bring, of somebody unknown and of somebody who has logged in. The API has
bounds of its own."""


def is_public(path: str) -> bool:
    """Whether a path is open to everybody."""
    return path in PUBLIC or path in HEALTH or path.startswith(PUBLIC_BELOW)


class Gate:
    """See the module. It stands behind the perimeter, which knows the client's address."""

    def __init__(self, app: ASGIApp, room: ControlRoom, hosts: AllowedHosts) -> None:
        self._app = app
        self._room = room
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = await self._refusal(request)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        caller: Caller | None = scope[CALLER]
        if not scope["path"].startswith("/api/"):
            receive = bounded(receive, STRANGERS_BODY if caller is None else PERSONS_BODY)
        if caller is not None and scope["method"] == "GET":
            watch = StreamWatch(
                receive, send, lambda: self._still(request, caller), self._room.clock.monotonic
            )
            receive, send = watch.receive, watch.send
        await self._app(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        path = request.url.path
        is_static = path.startswith("/static/") or path in HEALTH
        try:
            caller = None if is_static else await self._caller(request)
        except Problem as problem:
            return respond(request, problem)
        request.scope[CALLER] = caller
        unsafe = request.method not in SAFE_METHODS
        if unsafe and (caller is None or caller.kind == "session"):
            foreign = self._foreign(request)
            if foreign is not None:
                return respond(request, foreign)
        if caller is not None or is_public(path):
            return None
        # A script that asks for a part of a page must not take the login page for it.
        if _by_script(request) or path.startswith("/api/") or path in KEY_ONLY_PAGES:
            return respond(request, not_authenticated())
        return to_login(request)

    async def _caller(self, request: Request) -> Caller | None:
        """Raises Problem where a key is given and not good."""
        given = request.headers.get("authorization")
        if given is not None:
            return await self._by_key(request, given)
        token = session_token(request)
        if not token:
            return None
        # A page that refreshes itself is nobody at work: it keeps no session from being idle.
        at_work = request.method not in SAFE_METHODS or not _by_script(request)
        session = await self._room.accounts.session(token, is_request=at_work)
        if session is None:
            return None
        return Caller(
            session.operator, session.role, ROLE_PERMISSIONS[session.role], "session",
            token_bound_to(token, "csrf"), token=token,
        )  # fmt: skip

    async def _still(self, request: Request, before: Caller) -> bool:
        """Whether a caller of a while ago would be the same now."""
        if before.kind == "key":
            try:
                now = await self._by_key(request, request.headers.get("authorization", ""))
            except Problem:
                return False
            return now.permissions == before.permissions
        session = await self._room.accounts.session(before.token, is_request=False)
        return session is not None and session.role is before.role

    async def _by_key(self, request: Request, given: str) -> Caller:
        scheme, _, secret = given.partition(" ")
        address = request.client.host if request.client else ""
        key = None
        if scheme.lower() == "bearer":
            key = await self._room.accounts.key(secret.strip(), address)
        if key is None:
            raise not_authenticated(
                "the Authorization header has no key that is good: it must be "
                "`Bearer wpk_...`, and the key may have been revoked or have expired; "
                "`waypost key list` shows which there are"
            )
        return Caller(f"key:{key.name}", None, key.permissions, "key", "", key.user)

    def _foreign(self, request: Request) -> Problem | None:
        """The problem of an unsafe request that a page of another site has made.

        Sec-Fetch-Site is set by the browser itself and cannot be set by scripts (Fetch Metadata).
        Where it is missing, Origin counts; where both are, no browser is at work.
        """
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if site is not None:
            ours = site in ("same-origin", "none")
        else:
            ours = origin is None or self._hosts.is_own_origin(origin, request)
        if ours:
            return None
        return Problem(
            403,
            "a page of another site has made this request, and only our own may; if a proxy in "
            "front changes the Host header, set web.public_url to the address in the browser",
            title="The request comes from another site",
            type=problem_type("foreign-origin"),
        )


def _by_script(request: Request) -> bool:
    """Whether a script in a page asks, where the browser says so (Fetch Metadata)."""
    return request.headers.get("sec-fetch-mode", "navigate") != "navigate"


def bounded(receive: Receive, most: int) -> Receive:
    """A body that is refused (413) where it becomes larger."""
    left = most

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"what a form brings has {most} bytes at most")
        return message

    return counted


def to_login(request: Request) -> Response:
    """To the login page, and from there back to a page that can be shown by GET."""
    wanted = request.url.path
    if request.url.query:
        wanted += f"?{request.url.query}"
    if request.method not in ("GET", "HEAD") or wanted == "/":
        return RedirectResponse("/login", 303)
    return RedirectResponse(f"/login?next={quote(wanted[:1000], safe='/')}", 303)
