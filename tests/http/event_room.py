"""A web room with a socket of its own, for what lasts: streams of events, endpoints of webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from web_room import WebRoom, web_room

from relay_process import content_of
from waypost.control import keys
from waypost.control.permissions import Permission
from waypost.faces.http.server import HttpServer
from waypost.relay.listener_address import ListenerAddress

WAIT = 60.0


@dataclass(slots=True)
class Told:
    """One server-sent event."""

    id: str = ""
    event: str = ""
    data: str = ""
    comment: str = ""

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.data)
        return document


@dataclass(slots=True)
class Live:
    """A room that is served on a socket."""

    web: WebRoom
    base: str
    server: HttpServer
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def program(self, *permissions: Permission, user: str | None = None) -> httpx.AsyncClient:
        """A client with an API key, over the socket."""
        name = f"live {len(self.clients)}"
        now = self.web.service.clock.now()
        _, secret = self.web.room.database.now(
            lambda c: keys.add(c, name, permissions, now, created_by="test", user=user)
        )
        client = httpx.AsyncClient(
            base_url=self.base, headers={"Authorization": f"Bearer {secret}"}, timeout=WAIT
        )
        self.clients.append(client)
        return client

    async def submit(self, *subjects: str | int) -> None:
        """Messages over SMTP, to the sandbox."""

        def work() -> None:
            import smtplib

            with smtplib.SMTP("127.0.0.1", self.web.smtp_port, timeout=WAIT) as client:
                for subject in subjects:
                    client.sendmail("app@here.example", ["ann@there.example"], content_of(subject))

        await asyncio.to_thread(work)


@asynccontextmanager
async def live_room(folder: Path, configuration: str = "", **changes: Any) -> AsyncIterator[Live]:
    """See the module."""
    async with web_room(folder, configuration, **changes) as web:
        server = HttpServer(web.application, ListenerAddress.parse("127.0.0.1:0"))
        await server.start()
        live = Live(web, f"http://{server.bound[0]}", server)
        try:
            yield live
        finally:
            for client in live.clients:
                await client.aclose()
            web.room.events.close()
            await server.stop()


def in_live_room(
    folder: Path, work: Callable[[Live], Awaitable[None]], configuration: str = "", **changes: Any
) -> None:
    """Run an async test in a room of its own."""

    async def run() -> None:
        async with live_room(folder, configuration, **changes) as live:
            await work(live)

    asyncio.run(asyncio.wait_for(run(), WAIT))


async def told(
    client: httpx.AsyncClient, count: int, path: str = "/api/v1/events/stream", **headers: str
) -> list[Told]:
    """So many events of a stream, without comments; then the connection is cut."""
    found: list[Told] = []
    async with aclosing(follow(client, path, **headers)) as stream:
        async for one in stream:
            if one.event:
                found.append(one)
            if len(found) == count:
                break
    return found


async def follow(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Told]:
    """Everything that a stream says."""
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        one = Told()
        async for line in answer.aiter_lines():
            if not line:
                yield one
                one = Told()
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not name:
                one.comment = value
            elif name in ("id", "event", "data"):
                setattr(one, name, value)


async def until(true: Callable[[], bool]) -> None:
    """Until something is true; `in_live_room` bounds it."""
    while not true():  # noqa: ASYNC110 - it is not told when
        await asyncio.sleep(0.01)
