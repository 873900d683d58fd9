"""Sockets that systemd has opened for us (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

FIRST_DESCRIPTOR: Final = 3


def activated_sockets(
    environment: Mapping[str, str], first: int = FIRST_DESCRIPTOR
) -> dict[str, list[socket.socket]]:
    """The sockets by name; none where the environment speaks of another process.

    Raises OSError where a descriptor is no socket.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = environment.get("LISTEN_FDS", "0")
    if not (count.isascii() and count.isdigit()) or int(count) > 1000:
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for number in range(int(count)):
        name = names[number] if number < len(names) and names[number] else "unknown"
        os.set_inheritable(first + number, False)
        found.setdefault(name, []).append(socket.socket(fileno=first + number))
    return found
