"""The headers that tell browsers to be careful with what we send.

A response that sets one of these itself keeps its own: the preview of a message has a policy
stricter than this, static files may be cached. Pure ASGI, as it runs for every response.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

ALWAYS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Nothing is told to other places. Not `no-referrer`, with which a browser sends
    # `Origin: null` with our own forms too (Fetch, 3.1), and their origin could not be checked.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)

STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
"""RFC 6797; only over TLS, as browsers disregard it elsewhere."""


class SecurityHeaders:
    """See the module."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and its response back, with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                present = {name.lower() for name, _ in headers}
                added = [pair for pair in ALWAYS if pair[0] not in present]
                # Known only behind the perimeter, which sees what a proxy tells.
                if scope["scheme"] == "https" and STRICT_TRANSPORT[0] not in present:
                    added.append(STRICT_TRANSPORT)
                message["headers"] = [*headers, *added]
            await send(message)

        await self._app(scope, receive, with_headers)
