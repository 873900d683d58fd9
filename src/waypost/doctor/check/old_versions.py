"""Whether a server with current TLS makes old versions of it as well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from waypost.doctor.check.connection import ProbeConnection
from waypost.doctor.check.second_look import second_look
from waypost.net.tls import old_versions_context

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session

OLD_SECONDS: Final = 2.0
"""The longest that a look for old versions is waited for when everything else is done."""


class OldVersions:
    """Whether the server makes old TLS as well: asked beside the walk, told when that is done.

    It is asked where passwords go. Between servers old TLS is better than none, which would be the
    choice there (RFC 7435).
    """

    def __init__(self, session: Session) -> None:
        self._task: asyncio.Task[ProbeConnection | None] | None = None
        offered = session.capabilities is not None and session.capabilities.auth
        if session.tls and offered and not session.server.hop.is_unix:
            self._task = asyncio.ensure_future(
                second_look(session, old_versions_context(), OLD_SECONDS)
            )

    async def record(self, session: Session) -> None:
        """Wait for it a moment, and record a step where there are old versions."""
        if self._task is None:
            return
        # As long as the server takes for a step or two: one that serves nobody else meanwhile never
        # comes to it.
        slowest = max((one.seconds for one in session.recorder.steps), default=0.0)
        seconds = min(OLD_SECONDS, 0.02 + 2 * slowest)
        done, _ = await asyncio.wait((self._task,), timeout=seconds)
        opened = self._task.result() if done else None
        if opened is None or opened.encrypted is None:
            return
        version = opened.encrypted.version()
        opened.abort()
        with session.recorder.step("tls") as step:
            step.note(f"asked for old versions alone, it makes {version}")
            step.warn("tls:old-versions", **session.facts)

    def cancel(self) -> None:
        """Ask no longer."""
        if self._task is not None:
            self._task.cancel()
