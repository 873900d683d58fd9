"""Sockets that systemd has opened for us (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

FIRST_DESCRIPTOR: Final = 3


def activated_sockets(environment: Mapping[str, str]) -> dict[str, list[socket.socket]]:
    """The sockets by name; none where the environment speaks of another process."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = environment.get("LISTEN_FDS", "0")
    if not count.isdigit() or int(count) > 1000:
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for number in range(int(count)):
        name = names[number] if number < len(names) and names[number] else "unknown"
        os.set_inheritable(FIRST_DESCRIPTOR + number, False)
        found.setdefault(name, []).append(socket.socket(fileno=FIRST_DESCRIPTOR + number))
    return found
