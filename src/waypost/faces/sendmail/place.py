"""Where the relay is: what `waypost-sendmail` needs of the configuration, read without all of it.

Loading and checking a whole configuration takes longer than sending a message. A file that does
not say what is looked for here, or cannot be read by the user who sends, leaves the defaults.
"""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PORT: Final = 2525
SYSTEM_FILE: Final = Path("/etc/waypost/waypost.toml")
"""Read where WAYPOST_CONFIG names no other: a web server's environment is empty."""

_ANY_HOST: Final = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1", "": "127.0.0.1"}  # noqa: S104
_SUBMISSION: Final = "submission"


@dataclass(frozen=True, slots=True)
class Place:
    """Where mail goes."""

    hostname: str
    """For addresses without a domain."""
    host: str
    """An address, or unix:/path."""
    port: int
    drop: Path | None
    """Where mail is left while nobody listens; None: nowhere."""


def place(environment: Mapping[str, str]) -> Place:
    """Where the relay of this environment is."""
    document = _document(environment)
    host, port = _listener(environment, document)
    hostname = environment.get("WAYPOST_HOSTNAME") or document.get("hostname")
    if not isinstance(hostname, str) or not hostname:
        hostname = socket.gethostname() or "localhost"
    return Place(hostname, host, port, _drop(environment, document))


def _document(environment: Mapping[str, str]) -> Mapping[str, Any]:
    named = environment.get("WAYPOST_CONFIG")
    try:
        return tomllib.loads((Path(named) if named else SYSTEM_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _listener(environment: Mapping[str, str], document: Mapping[str, Any]) -> tuple[str, int]:
    """The first listener that takes mail in the clear from programs of this machine."""
    addresses = [one.strip() for one in environment.get("WAYPOST_LISTEN", "").split(",")]
    given = document.get("listener", [])
    addresses += [
        str(one.get("address", ""))
        for one in (given if isinstance(given, list) else [])
        if isinstance(one, dict) and one.get("kind", _SUBMISSION) == _SUBMISSION
    ]
    for address in addresses:
        if address.startswith("unix:"):
            return address.partition("?")[0], 0
        host, colon, port = address.rpartition(":")
        if colon and port.isdigit() and int(port) not in (0, 25, 465):
            return _ANY_HOST.get(host, host.strip("[]")), int(port)
    return "127.0.0.1", PORT


def _drop(environment: Mapping[str, str], document: Mapping[str, Any]) -> Path | None:
    given = environment.get("WAYPOST_DROP") or document.get("drop")
    if isinstance(given, str) and given.startswith("/"):
        return Path(given)
    data = environment.get("WAYPOST_DATA") or document.get("data")
    if isinstance(data, str) and data.startswith("/"):
        return Path(data) / "drop"
    base = environment.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "waypost" / "drop"
    home = environment.get("HOME")
    return Path(home) / ".local" / "share" / "waypost" / "drop" if home else None
