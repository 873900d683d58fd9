"""Names that this machine knows without the DNS: /etc/hosts and localhost (RFC 6761 6.3)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MAXIMUM_BYTES: Final = 4 * 1024 * 1024
"""Of the file; what is beyond is not read."""

LOCALHOST: Final = ("127.0.0.1", "::1")


def hosts_path() -> Path:
    """Where this system keeps the file."""
    if os.name == "nt":
        root = os.environ.get("SYSTEMROOT", r"C:\Windows")
        return Path(root, "System32", "drivers", "etc", "hosts")
    return Path("/etc/hosts")


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """The addresses by name, names in lower case. Lines that are no entries are passed over."""
    found: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            address = str(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            continue
        for name in names:
            found.setdefault(name.lower().rstrip("."), {})[address] = None
    return {name: tuple(addresses) for name, addresses in found.items()}


def read_hosts(path: Path | None = None) -> dict[str, tuple[str, ...]]:
    """The entries of the file; none where there is no file. Raises OSError otherwise."""
    try:
        with (path or hosts_path()).open("rb") as file:
            return parse_hosts(file.read(MAXIMUM_BYTES).decode("utf-8", "replace"))
    except FileNotFoundError:
        return {}


def local_addresses(name: str, hosts: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What is known of a name (in lower case) here; () where only the DNS may know."""
    known = hosts.get(name)
    if known:
        return known
    if name == "localhost" or name.endswith(".localhost"):
        return LOCALHOST
    return ()
