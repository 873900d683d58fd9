"""Under which names the panel answers, so that a page elsewhere cannot rebind its name to us.

DNS rebinding lets a browser take our address for a host of somebody else, and that somebody's page
for ours. It needs a name: an address in the Host header is always right, a name must be known.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

ALWAYS: Final = frozenset({"localhost"})


class AllowedHosts:
    """See the module."""

    def __init__(self, public_url: str, names: Iterable[str]) -> None:
        self._public_url = public_url.lower().rstrip("/")
        self._names = ALWAYS | {name.lower().rstrip(".") for name in names if name}
        name = urlsplit(public_url).hostname
        if name:
            self._names |= {name}

    def allows(self, host: str) -> bool:
        """Whether a Host header is one of ours."""
        name = host_name(host)
        if name is None:
            return False
        return name in self._names or name.endswith(".localhost") or _is_address(name)

    def is_own_origin(self, origin: str, request: HTTPConnection) -> bool:
        """Whether an Origin header is that of the page's own address. Compared as text: an origin
        has one form only (RFC 6454, 6.2), and the default port is in neither header."""
        host = request.headers.get("host", "").lower()
        ours = {f"http://{host}", f"https://{host}", self._public_url}
        return bool(host) and origin.lower() in ours


def host_name(host: str) -> str | None:
    """The name or address of a Host header, without its port; None where it is none."""
    if len(host) > 300 or any(one in host for one in "/@?#\\ "):
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname.rstrip(".") if parts.hostname else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
