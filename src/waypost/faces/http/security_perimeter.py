"""What is asked of every request first: where it comes from, and under which name.

Behind it the scope tells the real client: `client` and `scheme` are what a trusted proxy says
(X-Forwarded-For, X-Forwarded-Proto), and what anybody else says there does not count. A plain
connection is taken from this machine and from trusted proxies only. Pure ASGI.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.control.audit import acting_from
from waypost.faces.http.problems import Problem, problem_type, respond
from waypost.faces.http.security_gate import HEALTH
from waypost.faces.http.security_hosts import AllowedHosts

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAXIMUM_FORWARDED: Final = 20
"""Addresses of X-Forwarded-For that are looked at."""


class Perimeter:
    """See the module."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts, proxies: Sequence[Network]) -> None:
        self._app = app
        self._hosts = hosts
        self._proxies = tuple(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        problem = self._admit(request)
        if problem is not None:
            await respond(request, problem)(scope, receive, send)
            return
        acting_from.set(scope["client"][0] if scope.get("client") else "")
        await self._app(scope, receive, send)

    def _admit(self, request: Request) -> Problem | None:
        """Put the real client into the scope; the problem of a request that may not pass."""
        if "content-length" in request.headers and "transfer-encoding" in request.headers:
            return _two_lengths()
        scope = request.scope
        peer = scope["client"][0] if scope.get("client") else ""
        trusted = self._is_proxy(peer)
        if scope["scheme"] == "http" and not trusted and not is_loopback(peer):
            if scope["path"] not in HEALTH:
                return _plain(peer)
        elif trusted:
            self._forwarded(request, peer)
        host = request.headers.get("host", "")
        if scope["path"] in HEALTH or self._hosts.allows(host):
            return None
        return Problem(
            421,
            f"this is no name of the panel: {host[:100]!r}; names that it shall answer to stand in "
            "web.public_url and web.hosts of the configuration",
            type=problem_type("unknown-host"),
        )

    def _forwarded(self, request: Request, peer: str) -> None:
        said = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        client = peer
        # From the right: each proxy adds the one that it saw; the first that is none is the client.
        for one in list(reversed(said))[:MAXIMUM_FORWARDED]:
            try:
                client = str(ipaddress.ip_address(one.strip()))
            except ValueError:
                break
            if not self._is_proxy(client):
                break
        request.scope["client"] = (client, 0)
        scheme = request.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        if scheme in ("http", "https"):
            request.scope["scheme"] = scheme

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._proxies)


def _two_lengths() -> Problem:
    """RFC 9112, 6.1: a proxy in front may have gone by the other one (request smuggling)."""
    return Problem(
        400,
        "the request has a Content-Length and a Transfer-Encoding; where it ends is not certain, "
        "so the connection is closed; send one of them",
        type=problem_type("two-lengths"),
        headers={"Connection": "close"},
    )


def _plain(peer: str) -> Problem:
    return Problem(
        403,
        f"{peer} has connected without TLS, which is taken from this machine and from "
        "web.trusted_proxies only; use https, or name the proxy there",
        type=problem_type("plain-connection"),
    )


def is_loopback(address: str) -> bool:
    """Whether a client is on this machine."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return not address  # no address at all: a Unix socket
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback
