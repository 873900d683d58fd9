"""Where applications reach this relay, and what they need: facts of its listeners for the first
page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waypost.relay.access import LOOPBACK
from waypost.service import Service

_EVERYWHERE: Final = ("0.0.0.0", "[::]", "::")  # noqa: S104 - compared with, never bound

_ORDER: Final = {"submission": 0, "relay": 1, "submissions": 2}


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """One listener as an application sees it."""

    host: str
    """Without brackets."""
    port: int
    kind: str
    implicit_tls: bool
    starttls: bool
    needs_login: bool
    is_loopback: bool
    login_over_tls_only: bool

    @property
    def place(self) -> str:
        """host:port, as URLs have it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def tls_words(self) -> str:
        """What is to know of TLS."""
        if self.implicit_tls:
            return "TLS from the first byte"
        if not self.starttls:
            return "without TLS"
        return "STARTTLS offered" if not self.login_over_tls_only else "STARTTLS, before a login"


def listener_facts(service: Service, reached_as: str) -> Sequence[ListenerFacts]:
    """The listeners that take connections by TCP, the one to use first. `reached_as` is the host
    under which somebody looks at the panel, for those that listen on all addresses."""
    access = service.settings.access
    only_loopback = all(
        any(network.version == own.version and network.subnet_of(own) for own in LOOPBACK)  # type: ignore[arg-type]
        for network in access.trusted_networks
    )
    found = []
    for listener in service.listeners:
        for place in listener.bound:
            if place.startswith("unix:"):
                continue
            host, _, port = place.rpartition(":")
            loopback = host.startswith("127.") or host == "[::1]"
            shown = reached_as if host in _EVERYWHERE else host.strip("[]")
            server = listener.server_settings
            needs_login = listener.is_submission and (
                access.require_authentication or (not loopback and only_loopback)
            )
            found.append(
                ListenerFacts(
                    shown, int(port), listener.kind, listener.implicit_tls, server.starttls,
                    needs_login, loopback, not server.auth_in_clear,
                )
            )  # fmt: skip
    return sorted(
        dict.fromkeys(found), key=lambda one: (_ORDER.get(one.kind, 3), one.implicit_tls, one.port)
    )
