"""The client for asyncio; see client.py, of which this is the twin.

async with waypost.api.AsyncClient("http://127.0.0.1:8025", key="wpk_...") as relay:
    accepted = await relay.send(from_="shop@example.com", to="ann@example.org",
                                subject="Your order", text="Thank you.")
    async for message in relay.messages(state="bounced"):
        print(message.id, message.recipients[0].reply)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx

from waypost.faces.http.api.models import Attempt, Changed, Filter, Message, Page
from waypost.faces.http.api.models_queues import (
    Queues,
    QueueSteered,
    Route,
    Status,
    Suppression,
)
from waypost.faces.http.api.models_sending import Accepted
from waypost.faces.http.api.models_templates import Rendered, Template
from waypost.faces.http_client import calls
from waypost.faces.http_client.calls import ActionName, Call, Document
from waypost.faces.http_client.client import (
    CHECK_SECONDS,
    SECONDS,
    headers_of,
    unreachable,
)
from waypost.faces.http_client.errors import error_of

_Answer = TypeVar("_Answer")
_Entry = TypeVar("_Entry")


class AsyncClient:
    """As Client, for asyncio."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8025",
        key: str | None = None,
        *,
        seconds: float = SECONDS,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """`key`: an API key (`waypost key add NAME`). Raises ConfigurationError."""
        self._base = calls.address_of(url)
        self._http = http or httpx.AsyncClient(timeout=seconds)
        self._headers = headers_of(key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # --- mail -------------------------------------------------------------------------------

    async def send(self, *, idempotency_key: str | None = None, **parts: Any) -> Accepted:
        """Submit a message; it is durable when this returns.

        Parts are those of POST /messages, with `from_` for `from`: to, cc, bcc, reply_to, subject,
        text, html, headers, attachments, template, tags, metadata, send_at, envelope_from, notify,
        ret, list_unsubscribe. Raises waypost.errors.InvalidMessage, ApiError.
        """
        return await self._do(calls.send(parts, idempotency_key))

    async def send_raw(
        self,
        content: bytes,
        *,
        from_: str,
        to: Sequence[str],
        tags: Sequence[str] = (),
        send_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Submit a whole message with its envelope; `send_at` has a time zone."""
        return await self._do(calls.send_raw(content, from_, to, idempotency_key, tags, send_at))

    async def message(self, name: str) -> Message:
        """A message, with what each recipient waits for."""
        return await self._do(calls.message(name))

    def messages(
        self,
        *,
        sender: str = "",
        recipient: str = "",
        state: str | Sequence[str] = (),
        text: str = "",
        tag: str = "",
        older_than: datetime | None = None,
        limit: int = 100,
    ) -> AsyncIterator[Message]:
        """All that match, newest first; pages of `limit` are asked for as they are needed."""
        filters = {
            "sender": sender, "recipient": recipient, "state": state, "text": text, "tag": tag,
            "older_than": older_than.isoformat() if older_than else None, "limit": limit,
        }  # fmt: skip
        return self._all(lambda cursor: calls.messages(filters, cursor))

    async def attempts(self, name: str) -> list[Attempt]:
        """The attempts of a message, with transcripts and explained replies."""
        return await self._do(calls.attempts(name))

    async def events(self, name: str) -> list[Document]:
        """What has happened to a message."""
        return await self._do(calls.events(name))

    async def source(self, name: str) -> bytes:
        """The content of a message, while it is kept."""
        return await self._do(calls.source(name))

    # --- the queue --------------------------------------------------------------------------

    async def retry(self, name: str) -> Changed:
        """Try it now."""
        return await self._do(calls.steer(name, "retry"))

    async def hold(self, name: str) -> Changed:
        """Let it wait."""
        return await self._do(calls.steer(name, "hold"))

    async def release(self, name: str) -> Changed:
        """Let it go on."""
        return await self._do(calls.steer(name, "release"))

    async def cancel(self, name: str) -> Changed:
        """Never send it."""
        return await self._do(calls.steer(name, "cancel"))

    async def steer(
        self,
        action: ActionName,
        chosen: Filter | None = None,
        *,
        everything: bool = False,
        preview: bool = False,
    ) -> int:
        """Do it to all that a filter finds; how many recipients. `everything` is for no filter."""
        changed = 0
        cursor: str | None = None
        while True:
            done = await self._do(
                calls.steer_many(
                    action, chosen or Filter(), everything=everything, preview=preview,
                    cursor=cursor,
                )
            )  # fmt: skip
            changed += done.changed
            cursor = done.next
            if cursor is None:
                return changed

    async def queues(self, text: str = "") -> Queues:
        """What waits by destination, and what is paused."""
        return await self._do(calls.queues(text))

    async def pause(
        self, route: str, destination: str | None = None, reason: str = ""
    ) -> QueueSteered:
        """Let nothing leave a route, or one destination of it."""
        return await self._do(calls.pause(route, destination, reason))

    async def resume(self, route: str, destination: str | None = None) -> QueueSteered:
        """Let it go on."""
        return await self._do(calls.resume(route, destination))

    async def routes(self) -> list[Route]:
        """The routes and their health."""
        return await self._do(calls.routes())

    async def status(self) -> Status:
        """The relay as a whole."""
        return await self._do(calls.status())

    # --- suppressions, templates ------------------------------------------------------------

    def suppressions(self) -> AsyncIterator[Suppression]:
        """All suppressed addresses."""
        return self._all(calls.suppressions)

    async def suppress(self, *addresses: str, reason: str = "added by hand") -> int:
        """Send nothing to these any more; how many they are."""
        return (await self._do(calls.suppress(addresses, reason))).added

    async def unsuppress(self, address: str) -> None:
        """Send to it again. Raises NotFound."""
        await self._do(calls.unsuppress(address))

    def templates(self) -> AsyncIterator[Template]:
        """All templates."""
        return self._all(calls.templates)

    async def template(self, name: str) -> Template:
        """One template. Raises NotFound."""
        return await self._do(calls.template(name))

    async def store_template(
        self, name: str, *, subject: str, text: str | None = None, html: str | None = None
    ) -> Template:
        """Store a template, in place of the one of this name."""
        return await self._do(calls.store_template(name, subject, text, html))

    async def remove_template(self, name: str) -> None:
        """Remove a template. Raises NotFound."""
        await self._do(calls.remove_template(name))

    async def render(self, name: str, variables: Mapping[str, Any]) -> Rendered:
        """See what a template makes."""
        return await self._do(calls.render(name, variables))

    # --- the doctor -------------------------------------------------------------------------

    async def explain(self, text: str) -> Document:
        """What a server has said: docs/reference/explain.md."""
        return await self._do(calls.explain(text))

    async def check(self, target: str, **options: Any) -> Document:
        """What is wrong with a server or domain: docs/reference/check.md."""
        return await self._do(calls.check(target, options), CHECK_SECONDS)

    async def discover(self, subject: str) -> Document:
        """The server to send over."""
        return await self._do(calls.discover(subject), CHECK_SECONDS)

    async def ping(self, target: str, count: int = 3) -> Document:
        """How quick a server is."""
        return await self._do(calls.ping(target, count), CHECK_SECONDS)

    # --- requests ---------------------------------------------------------------------------

    async def _all(self, call: Callable[[str | None], Call[Page[_Entry]]]) -> AsyncIterator[_Entry]:
        cursor: str | None = None
        while True:
            page = await self._do(call(cursor))
            for entry in page.items:
                yield entry
            cursor = page.next
            if cursor is None:
                return

    async def _do(self, call: Call[_Answer], seconds: float | None = None) -> _Answer:
        timeout = httpx.USE_CLIENT_DEFAULT if seconds is None else httpx.Timeout(seconds)
        tries = 2 if call.repeatable else 1
        while True:
            tries -= 1
            try:
                got = await self._http.request(
                    call.method, self._base + call.path, params=call.params, content=call.content,
                    headers={**self._headers, **call.headers}, timeout=timeout,
                )  # fmt: skip
                break
            except httpx.HTTPError as fault:
                if not tries or isinstance(fault, httpx.ConnectError | httpx.TimeoutException):
                    raise unreachable(self._base, fault) from fault
        if got.is_success:
            return call.read(got.content)
        raise error_of(got.status_code, got.content, got.headers.get("retry-after"))
