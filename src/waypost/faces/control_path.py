"""Addresses of unix sockets of any length.

The address of a unix socket holds 107 bytes, a path far more. On Linux a folder that is open has
the short name /proc/self/fd/N, so a socket in it can be bound and connected to however deep it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAXIMUM: Final = 107
"""Bytes of an address (unix(7))."""


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """The address under which the socket at `path` can be reached, meanwhile. Raises OSError."""
    if len(os.fsencode(path)) <= MAXIMUM or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
