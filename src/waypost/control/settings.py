"""What a control room is made of."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from waypost.control.sessions import SessionLifetimes


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """What a control room is made of; the configuration builds it."""

    data: Path
    """The folder of `control.sqlite`."""
    address: str = "127.0.0.1:8025"
    """HOST:PORT where the panel and the API listen."""
    is_required: bool = False
    """Somebody asked for this address, so the relay does not start without it."""
    public_url: str = ""
    """Under which people reach it, such as https://mail.example.com; "": the address."""
    hosts: tuple[str, ...] = ()
    """Further names under which it answers."""
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """What these say about the client counts, and plain HTTP from there is taken."""
    tls: bool = False
    """It serves HTTPS itself, with the relay's certificate."""
    lifetimes: SessionLifetimes = SessionLifetimes()
    """When people have to log in again."""
    webhook_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Networks that webhooks are sent to although they are not public."""
