"""The client that blocks.

    with waypost.api.Client("http://127.0.0.1:8025", key="wpk_...") as relay:
        accepted = relay.send(from_="shop@example.com", to="ann@example.org",
                              subject="Your order", text="Thank you.", tags=["receipt"])
        for message in relay.messages(tag="receipt", state="bounced"):
            print(message.id, message.recipients[0].reply)

A submission carries an idempotency key, a new one for each call unless one is given: where the
connection breaks before the answer, it is sent once more and cannot arrive twice. `http` gives a
client of your own (proxies, certificates, transports of tests).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self, TypeVar

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
from waypost.faces.http_client.errors import Unreachable, error_of

SECONDS: Final = 30.0
"""For an answer; checks of the doctor have twice as long and more."""

CHECK_SECONDS: Final = 75.0

_Answer = TypeVar("_Answer")
_Entry = TypeVar("_Entry")


def headers_of(key: str | None) -> dict[str, str]:
    """What every request carries."""
    told = {"User-Agent": "waypost", "Accept": "application/json, application/problem+json"}
    return told if key is None else {**told, "Authorization": f"Bearer {key}"}


def unreachable(base: str, fault: httpx.HTTPError) -> Unreachable:
    """No answer came."""
    return Unreachable(
        f"no answer from {base}",
        evidence=f"{type(fault).__name__}: {fault}",
        fix="is the relay running, and its panel on (waypost serve --panel)?",
        reason="unreachable",
        temporary=True,
    )


class Client:
    """See the module. Raises `waypost.api` errors; close it when done."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8025",
        key: str | None = None,
        *,
        seconds: float = SECONDS,
        http: httpx.Client | None = None,
    ) -> None:
        """`key`: an API key (`waypost key add NAME`). Raises ConfigurationError."""
        self._base = calls.address_of(url)
        self._http = http or httpx.Client(timeout=seconds)
        self._headers = headers_of(key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- mail -------------------------------------------------------------------------------

    def send(self, *, idempotency_key: str | None = None, **parts: Any) -> Accepted:
        """Submit a message; it is durable when this returns.

        Parts are those of POST /messages, with `from_` for `from`: to, cc, bcc, reply_to, subject,
        text, html, headers, attachments, template, tags, metadata, send_at, envelope_from, notify,
        ret, list_unsubscribe. Raises waypost.errors.InvalidMessage, ApiError.
        """
        return self._do(calls.send(parts, idempotency_key))

    def send_raw(
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
        return self._do(calls.send_raw(content, from_, to, idempotency_key, tags, send_at))

    def message(self, name: str) -> Message:
        """A message, with what each recipient waits for."""
        return self._do(calls.message(name))

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
    ) -> Iterator[Message]:
        """All that match, newest first; pages of `limit` are asked for as they are needed."""
        filters = {
            "sender": sender, "recipient": recipient, "state": state, "text": text, "tag": tag,
            "older_than": older_than.isoformat() if older_than else None, "limit": limit,
        }  # fmt: skip
        return self._all(lambda cursor: calls.messages(filters, cursor))

    def attempts(self, name: str) -> list[Attempt]:
        """The attempts of a message, with transcripts and explained replies."""
        return self._do(calls.attempts(name))

    def events(self, name: str) -> list[Document]:
        """What has happened to a message."""
        return self._do(calls.events(name))

    def source(self, name: str) -> bytes:
        """The content of a message, while it is kept."""
        return self._do(calls.source(name))

    # --- the queue --------------------------------------------------------------------------

    def retry(self, name: str) -> Changed:
        """Try it now."""
        return self._do(calls.steer(name, "retry"))

    def hold(self, name: str) -> Changed:
        """Let it wait."""
        return self._do(calls.steer(name, "hold"))

    def release(self, name: str) -> Changed:
        """Let it go on."""
        return self._do(calls.steer(name, "release"))

    def cancel(self, name: str) -> Changed:
        """Never send it."""
        return self._do(calls.steer(name, "cancel"))

    def steer(
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
            done = self._do(
                calls.steer_many(
                    action, chosen or Filter(), everything=everything, preview=preview,
                    cursor=cursor,
                )
            )  # fmt: skip
            changed += done.changed
            cursor = done.next
            if cursor is None:
                return changed

    def queues(self, text: str = "") -> Queues:
        """What waits by destination, and what is paused."""
        return self._do(calls.queues(text))

    def pause(self, route: str, destination: str | None = None, reason: str = "") -> QueueSteered:
        """Let nothing leave a route, or one destination of it."""
        return self._do(calls.pause(route, destination, reason))

    def resume(self, route: str, destination: str | None = None) -> QueueSteered:
        """Let it go on."""
        return self._do(calls.resume(route, destination))

    def routes(self) -> list[Route]:
        """The routes and their health."""
        return self._do(calls.routes())

    def status(self) -> Status:
        """The relay as a whole."""
        return self._do(calls.status())

    # --- suppressions, templates ------------------------------------------------------------

    def suppressions(self) -> Iterator[Suppression]:
        """All suppressed addresses."""
        return self._all(calls.suppressions)

    def suppress(self, *addresses: str, reason: str = "added by hand") -> int:
        """Send nothing to these any more; how many they are."""
        return self._do(calls.suppress(addresses, reason)).added

    def unsuppress(self, address: str) -> None:
        """Send to it again. Raises NotFound."""
        self._do(calls.unsuppress(address))

    def templates(self) -> Iterator[Template]:
        """All templates."""
        return self._all(calls.templates)

    def template(self, name: str) -> Template:
        """One template. Raises NotFound."""
        return self._do(calls.template(name))

    def store_template(
        self, name: str, *, subject: str, text: str | None = None, html: str | None = None
    ) -> Template:
        """Store a template, in place of the one of this name."""
        return self._do(calls.store_template(name, subject, text, html))

    def remove_template(self, name: str) -> None:
        """Remove a template. Raises NotFound."""
        self._do(calls.remove_template(name))

    def render(self, name: str, variables: Mapping[str, Any]) -> Rendered:
        """See what a template makes."""
        return self._do(calls.render(name, variables))

    # --- the doctor -------------------------------------------------------------------------

    def explain(self, text: str) -> Document:
        """What a server has said: docs/reference/explain.md."""
        return self._do(calls.explain(text))

    def check(self, target: str, **options: Any) -> Document:
        """What is wrong with a server or domain: docs/reference/check.md."""
        return self._do(calls.check(target, options), CHECK_SECONDS)

    def discover(self, subject: str) -> Document:
        """The server to send over."""
        return self._do(calls.discover(subject), CHECK_SECONDS)

    def ping(self, target: str, count: int = 3) -> Document:
        """How quick a server is."""
        return self._do(calls.ping(target, count), CHECK_SECONDS)

    # --- requests ---------------------------------------------------------------------------

    def _all(self, call: Callable[[str | None], Call[Page[_Entry]]]) -> Iterator[_Entry]:
        cursor: str | None = None
        while True:
            page = self._do(call(cursor))
            yield from page.items
            cursor = page.next
            if cursor is None:
                return

    def _do(self, call: Call[_Answer], seconds: float | None = None) -> _Answer:
        timeout = httpx.USE_CLIENT_DEFAULT if seconds is None else httpx.Timeout(seconds)
        tries = 2 if call.repeatable else 1
        while True:
            tries -= 1
            try:
                got = self._http.request(
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
