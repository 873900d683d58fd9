"""Ends a stream of events soon after its caller has lost the right to it.

Callers are known when a request begins; a live view goes on for an hour. So while one goes on, it
is asked again whether the session or the key is still good, before more is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import Message, Receive, Send

ASK_SECONDS: Final = 15.0
"""What was revoked hears on for so long, at most; streams write something as often (heartbeats)."""

EVENT_STREAM: Final = b"text/event-stream"


class StreamWatch:
    """Stands between an application and the client of one request."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        still_known: Callable[[], Awaitable[bool]],
        monotonic: Callable[[], float],
    ) -> None:
        self._receive = receive
        self._send = send
        self._still_known = still_known
        self._monotonic = monotonic
        self._is_stream = False
        self._asked_at = 0.0
        self._over = asyncio.Event()

    async def send(self, message: Message) -> None:
        """Pass a part of the response on; nothing once it is over."""
        if self._over.is_set():
            return
        if message["type"] == "http.response.start":
            headers = dict(message.get("headers", ()))
            self._is_stream = headers.get(b"content-type", b"").startswith(EVENT_STREAM)
            self._asked_at = self._monotonic()
        elif self._is_stream and self._monotonic() - self._asked_at >= ASK_SECONDS:
            self._asked_at = self._monotonic()
            if not await self._still_known():
                message = {"type": "http.response.body", "body": b"", "more_body": False}
                self._over.set()
        await self._send(message)

    async def receive(self) -> Message:
        """What the client sends; when it is over, that it has gone, which ends the application's
        work on it."""
        over = asyncio.ensure_future(self._over.wait())
        heard = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait((over, heard), return_when=asyncio.FIRST_COMPLETED)
            if heard.done():
                return heard.result()
            return {"type": "http.disconnect"}
        finally:
            over.cancel()
            heard.cancel()
