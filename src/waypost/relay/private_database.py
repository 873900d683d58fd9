"""Small SQLite files that hold secrets: nobody else may read them, from their first moment on."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def connect_private(
    path: Path, *, timeout: float = 10.0, check_same_thread: bool = True
) -> sqlite3.Connection:
    """Open or make one, with its folder; transactions are the caller's. `timeout` is in seconds.

    Raises OSError, sqlite3.Error.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)  # before SQLite makes it for everybody to read
    path.chmod(0o600)
    return sqlite3.connect(
        path, isolation_level=None, timeout=timeout, check_same_thread=check_same_thread
    )
