"""The cookie of a session.

HttpOnly, and SameSite=Lax: a link from elsewhere may open a page of somebody who is logged in, no
form from elsewhere may act. Over TLS it is Secure and has the __Host- prefix, with which browsers
take it from this host alone (RFC 6265bis 4.1.3.2); a plain connection is taken on loopback and from
named networks only.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

PLAIN: Final = "waypost_session"
SECURE: Final = "__Host-waypost_session"


def is_secure(request: HTTPConnection) -> bool:
    """Whether the client came over TLS, to us or to a trusted proxy."""
    return str(request.scope["scheme"]) == "https"


def session_token(request: HTTPConnection) -> str:
    """The token that a request brings; ""."""
    return request.cookies.get(SECURE if is_secure(request) else PLAIN, "")


def set_session(request: HTTPConnection, response: Response, token: str, seconds: float) -> None:
    """Give the browser a session."""
    secure = is_secure(request)
    response.set_cookie(
        SECURE if secure else PLAIN, token, max_age=int(seconds), path="/", secure=secure,
        httponly=True, samesite="lax",
    )  # fmt: skip


def clear_session(request: HTTPConnection, response: Response) -> None:
    """Take it away."""
    secure = is_secure(request)
    response.delete_cookie(
        SECURE if secure else PLAIN, path="/", secure=secure, httponly=True, samesite="lax"
    )
