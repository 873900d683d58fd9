"""Asks a running relay over its control socket. Synchronous and light, so that a command is quick.

See control_server.py for the lines that go over it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from waypost.faces.control_path import socket_address

CONNECT_SECONDS: Final = 5.0

REPLY_SECONDS: Final = 120.0
"""For the next line of an answer; a large spool may have to think."""

MAXIMUM_LINE: Final = 64 * 1024 * 1024
"""Bytes of one line of an answer."""


class NoRelay(Exception):
    """No relay answers on the socket."""


class Refused(Exception):
    """The relay answered with a fault; `code` is the exit code for the command."""

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)


class ControlClient:
    """Requests to the relay whose socket is at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The one reply to a request. Raises NoRelay, Refused."""
        replies = list(self.stream(do, **arguments))
        if len(replies) != 1:
            raise Refused(f"the relay gave {len(replies)} replies to {do!r} where one is due", 75)
        return replies[0]

    def stream(
        self, do: str, *, for_ever: bool = False, **arguments: Any
    ) -> Iterator[dict[str, Any]]:
        """The replies to a request as they come. Raises NoRelay, Refused."""
        request = {"do": do, **arguments}
        with self._connect() as connection:
            try:
                connection.sendall(json.dumps(request).encode() + b"\n")
                connection.settimeout(None if for_ever else REPLY_SECONDS)
                with connection.makefile("rb") as lines:
                    while True:
                        line = lines.readline(MAXIMUM_LINE)
                        answer = json.loads(line) if line.endswith(b"\n") else None
                        if answer is None:
                            raise Refused("the relay has ended the connection; is it stopping?", 75)
                        if "error" in answer:
                            raise Refused(str(answer["error"]), int(answer["exit"]))
                        if "end" in answer:
                            return
                        yield answer["reply"]
            except TimeoutError as fault:
                raise Refused(f"the relay gave no answer for {REPLY_SECONDS:g} s", 75) from fault
            except OSError as fault:
                raise Refused(f"the connection to the relay broke: {fault}", 75) from fault

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_SECONDS)
        try:
            with socket_address(self._path) as address:
                connection.connect(address)
        except OSError as fault:
            connection.close()
            if isinstance(fault, PermissionError):
                raise Refused(
                    f"the relay's socket {self._path} is for its own user and root; run this "
                    "command as one of them",
                    69,
                ) from fault
            raise NoRelay(str(fault)) from fault
        return connection
