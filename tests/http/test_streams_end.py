"""A live view ends soon after its caller has lost the right to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from web_room import WebRoom, web_room

from waypost.control import accounts, keys, sessions
from waypost.control.permissions import Permission, Role
from waypost.faces.http import security_streams
from waypost.faces.http.security import Caller, api_caller

ticks = APIRouter()


@ticks.get("/api/ticks")
async def tick(
    request: Request, _: Annotated[Caller, api_caller(Permission.EVENTS)], media: str
) -> StreamingResponse:
    state = request.app.state

    async def written() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick\n"
                await asyncio.wait_for(state.ticks.get(), 30)
        finally:
            state.ended.set()

    return StreamingResponse(written(), media_type=media)


class Client:
    """One client of the stream, over ASGI itself: httpx's transport waits for the end."""

    def __init__(self, room: WebRoom, headers: dict[str, str], media: str) -> None:
        self.said: list[bytes] = []
        self.whole = asyncio.Event()
        self._heard = asyncio.Event()
        self._away = asyncio.Event()
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET",
            "http_version": "1.1", "scheme": "http", "path": "/api/ticks", "root_path": "",
            "raw_path": b"/api/ticks", "query_string": f"media={media}".encode(),
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in {"Host": "127.0.0.1", **headers}.items()
            ],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
        }  # fmt: skip
        self.task = asyncio.ensure_future(room.application(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._away.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            if message.get("body"):
                self.said.append(message["body"])
            self._heard.set()
            if not message.get("more_body"):
                self.whole.set()

    async def next(self) -> None:
        """Until something more, or the end, has come."""
        self._heard.clear()
        await asyncio.wait_for(self._heard.wait(), 30)

    async def close(self) -> None:
        self._away.set()
        await asyncio.wait_for(self.task, 30)


def end_session(connection: Any) -> None:
    sessions.end_all(connection, "Olga")


def disable(connection: Any) -> None:
    accounts.set_disabled(connection, "Olga", disabled=True)


def revoke(connection: Any) -> None:
    keys.revoke(connection, "key 1")


@pytest.mark.parametrize("change", [end_session, disable, revoke])
def test_it_ends_when_the_caller_is_no_longer_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]
) -> None:
    monkeypatch.setattr(security_streams, "ASK_SECONDS", 0.0)

    async def run() -> None:
        async with web_room(tmp_path) as room:
            state = room.application.state
            state.ticks, state.ended = asyncio.Queue(), asyncio.Event()
            room.application.include_router(ticks)
            if change is revoke:
                key = await room.key(Permission.EVENTS)
                headers = {"Authorization": key.headers["Authorization"]}
            else:
                room.operator("Olga", Role.VIEWER)
                headers = {"Cookie": f"waypost_session={room.session_of('Olga')}"}
            client = Client(room, headers, "text/event-stream")
            await client.next()
            state.ticks.put_nowait(None)
            await client.next()
            assert client.said == [b"tick\n"] * 2
            room.room.database.now(change)
            state.ticks.put_nowait(None)
            await asyncio.wait_for(client.whole.wait(), 30)
            await asyncio.wait_for(client.task, 30)
            assert client.said == [b"tick\n"] * 2, "nothing more was told"
            assert state.ended.is_set(), "and nothing works on for nobody"

    asyncio.run(run())


def test_a_client_that_goes_ends_it_as_ever(tmp_path: Path) -> None:
    async def run() -> None:
        async with web_room(tmp_path) as room:
            state = room.application.state
            state.ticks, state.ended = asyncio.Queue(), asyncio.Event()
            room.application.include_router(ticks)
            key = await room.key(Permission.EVENTS)
            headers = {"Authorization": key.headers["Authorization"]}
            client = Client(room, headers, "text/event-stream")
            await client.next()
            await client.close()
            assert state.ended.is_set()

    asyncio.run(run())


def test_a_download_is_not_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_streams, "ASK_SECONDS", 0.0)

    async def run() -> None:
        async with web_room(tmp_path) as room:
            state = room.application.state
            state.ticks, state.ended = asyncio.Queue(), asyncio.Event()
            room.application.include_router(ticks)
            key = await room.key(Permission.EVENTS)
            headers = {"Authorization": key.headers["Authorization"]}
            client = Client(room, headers, "text/csv")
            await client.next()
            room.room.database.now(revoke)
            state.ticks.put_nowait(None)
            await client.next()
            assert client.said == [b"tick\n"] * 2
            await client.close()

    asyncio.run(run())


def test_a_stream_does_not_keep_a_session_from_being_idle(tmp_path: Path) -> None:
    async def run() -> None:
        async with web_room(tmp_path) as room:
            room.operator("Olga", Role.VIEWER)
            token = room.session_of("Olga")
            database, found = room.room.database, room.room.accounts
            database.now(lambda c: c.execute("UPDATE session SET seen_at = seen_at - 600"))
            (before,) = database.now(lambda c: c.execute("SELECT seen_at FROM session").fetchone())
            assert await found.session(token, is_request=False) is not None
            (after,) = database.now(lambda c: c.execute("SELECT seen_at FROM session").fetchone())
            assert after == before
            assert await found.session(token) is not None
            (after,) = database.now(lambda c: c.execute("SELECT seen_at FROM session").fetchone())
            assert after > before

    asyncio.run(run())
