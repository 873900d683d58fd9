"""The layers that stand before every route, put around the application in their order."""

from __future__ import annotations

from fastapi import FastAPI

from waypost.control.room import ControlRoom
from waypost.faces.http.headers import SecurityHeaders
from waypost.faces.http.security_gate import Gate
from waypost.faces.http.security_hosts import AllowedHosts
from waypost.faces.http.security_perimeter import Perimeter
from waypost.relay.listener_address import ListenerAddress


def secure(application: FastAPI, room: ControlRoom) -> None:
    """Have every request pass headers, perimeter and gate, whatever else is added to it."""
    settings = room.settings
    names = (
        *settings.hosts, room.service.settings.hostname,
        *ListenerAddress.parse(settings.address).hosts,
    )  # fmt: skip
    hosts = AllowedHosts(settings.public_url, names)
    # The one added last is the first that a request meets.
    application.add_middleware(Gate, room=room, hosts=hosts)
    application.add_middleware(Perimeter, hosts=hosts, proxies=settings.trusted_proxies)
    application.add_middleware(SecurityHeaders)
