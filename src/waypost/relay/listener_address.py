"""Where to listen: what people write, and what it means.

127.0.0.1:2525   [::1]:587   localhost:25   *:25   unix:/run/waypost.sock?mode=0660
systemd:NAME (socket activation, FileDescriptorName=NAME)
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Final

MAXIMUM_PATH: Final = 107
"""Bytes; sockaddr_un of Linux has 108 with the final zero (unix(7))."""

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\[\]:/]*)):([0-9]{1,5})")
_NUMBERS = re.compile(r"[0-9.]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


class InvalidListenerAddress(ValueError):
    """The text is no address to listen on."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(
            f"{text[:100]!r} is no address to listen on: {reason}; "
            "write 127.0.0.1:2525, [::1]:587, *:25, unix:/path or systemd:NAME"
        )


@dataclass(frozen=True, slots=True)
class ListenerAddress:
    """One address. Exactly one of port, path and activation is meant."""

    text: str
    hosts: tuple[str, ...] = ()
    """Names or addresses; empty: all of both families."""
    port: int = 0
    path: str | None = None
    mode: int = 0o660
    activation: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Only programs of this machine can connect."""
        if self.path is not None:
            return True
        if self.activation is not None or not self.hosts:
            return False
        return all(_is_loopback(host) for host in self.hosts)

    @classmethod
    def parse(cls, text: str) -> ListenerAddress:
        """Read what people write. Raises InvalidListenerAddress."""
        wanted = text.strip()
        if wanted.startswith("unix:"):
            return cls._unix(wanted)
        if wanted.startswith("systemd:"):
            name = wanted.removeprefix("systemd:")
            if not name or not name.isprintable():
                raise InvalidListenerAddress(text, "systemd: needs the name of a socket")
            return cls(wanted, activation=name)
        found = _HOST_PORT.fullmatch(wanted)
        if found is None:
            raise InvalidListenerAddress(text, "it has no host and port")
        port = int(found[3])
        if port > 65535:
            raise InvalidListenerAddress(text, f"port {port} is above 65535")
        host = found[1] or found[2]
        if host in ("", "*"):
            return cls(wanted, (), port)
        if found[1]:
            try:
                ipaddress.IPv6Address(host)
            except ValueError as fault:
                raise InvalidListenerAddress(text, f"[{host}] is no IPv6 address") from fault
        elif _NUMBERS.fullmatch(host):
            try:
                ipaddress.IPv4Address(host)
            except ValueError as fault:
                raise InvalidListenerAddress(text, f"{host} is no IPv4 address") from fault
        elif not _HOST_NAME.fullmatch(host):
            raise InvalidListenerAddress(text, f"{host!r} is no host")
        return cls(wanted, (host,), port)

    @classmethod
    def _unix(cls, text: str) -> ListenerAddress:
        path, _, query = text.removeprefix("unix:").partition("?")
        mode = 0o660
        if query:
            name, _, value = query.partition("=")
            if name != "mode" or not re.fullmatch(r"0?[0-7]{3}", value):
                raise InvalidListenerAddress(text, "only ?mode=0660 may follow the path")
            mode = int(value, 8)
        if not path.startswith("/"):
            raise InvalidListenerAddress(text, "the path of a socket must be absolute")
        if not path.isprintable():
            raise InvalidListenerAddress(text, "the path of a socket must be printable")
        if len(os.fsencode(path)) > MAXIMUM_PATH:
            raise InvalidListenerAddress(
                text, f"the path of a socket has at most {MAXIMUM_PATH} bytes"
            )
        return cls(text, path=path, mode=mode)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
