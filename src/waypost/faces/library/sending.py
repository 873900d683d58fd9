"""`waypost.send`: one line, one message."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Final, Unpack

from waypost.faces.library.mailer import Mailer
from waypost.faces.library.prepared import Parts, Sendable
from waypost.faces.library.result import Result
from waypost.faces.library.settings import VARIABLE

KEPT: Final = 8
"""Mailers kept, by URL: their connections are used again by the next call."""

_mailers: dict[tuple[str, ...], Mailer] = {}
_lock = threading.Lock()


def send(
    message: Sendable | None = None,
    /,
    *,
    via: str | Sequence[str] | None = None,
    **parts: Unpack[Parts],
) -> Result:
    """Send a message, and wait until each recipient is accepted or refused.

        waypost.send(from_="app@example.com", to="ann@example.org", subject="Hello", text="Hi",
                     via="smtp://user:password@mail.example.com:587")

    Without `via` it goes by the environment's WAYPOST_URL, and without that to the relay of this
    machine (smtp+plain://127.0.0.1:2525). The connection is kept for a while, for the next call.
    Raises as `Mailer.send` does, and ConfigurationError.
    """
    return _mailer(via).send(message, **parts)


def _mailer(via: str | Sequence[str] | None) -> Mailer:
    if via is None:
        via = os.environ.get(VARIABLE, "").split() or None
    key = () if via is None else (via,) if isinstance(via, str) else tuple(via)
    with _lock:
        mailer = _mailers.pop(key, None)
        if mailer is None:
            mailer = Mailer(via)
        _mailers[key] = mailer  # the one used last is the last
        surplus = [_mailers.pop(next(iter(_mailers))) for _ in range(len(_mailers) - KEPT)]
    for one in surplus:
        one.close()
    return mailer


def _after_fork() -> None:
    """Another thread of the parent may have held the lock."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
