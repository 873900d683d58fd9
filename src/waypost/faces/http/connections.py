"""Connections of the web server that say nothing, or not enough, come to an end.

uvicorn waits for the head of a first request without end, and opens every connection that comes.
File descriptors are what the mail needs too, and strangers must not hold them: a head has to come
within HEAD_SECONDS, and where there are many connections, the one that has been without a request
the longest gives way to the newest.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 20.0
"""For the whole head of a request, from the connection or from its first byte on."""

MARGIN: Final = 50
"""Connections below the bound of the server from which on quiet ones give way; and as many above
it are taken to be told 503."""


class BoundedConnection(H11Protocol):
    """See the module."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head_due: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0

    @property
    def awaits_request(self) -> bool:
        """Nothing is under way on it."""
        return self.conn.their_state is h11.IDLE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or have another one give way, or none of both."""
        bound = self.limit_concurrency
        if bound is not None and len(self.connections) >= bound - MARGIN:
            self._make_place()
        super().connection_made(transport)
        if bound is not None and len(self.connections) > bound + MARGIN:
            transport.abort()
            return
        self._quiet_since = self.loop.time()
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if not self.awaits_request:
            self._cancel_head()
        elif self._head_due is None:
            self._quiet_since = self.loop.time()
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._cancel_head()
        super().connection_lost(exc)

    def _make_place(self) -> None:
        quiet = [
            one
            for one in self.connections
            if isinstance(one, BoundedConnection)
            and one.awaits_request
            and not one.transport.is_closing()
        ]
        if quiet:
            min(quiet, key=lambda one: one._quiet_since).transport.abort()

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(HEAD_SECONDS, self._overdue)

    def _overdue(self) -> None:
        self._head_due = None
        if self.awaits_request and not self.transport.is_closing():
            self.transport.abort()

    def _cancel_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
