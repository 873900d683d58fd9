"""/health: alive, ready, and why not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from web_room import WebRoom, web_room

from waypost.faces.http import health
from waypost.spool.contract import SpoolFailure, SpoolFull, SpoolRefusal


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]]) -> None:
    async def run() -> None:
        async with web_room(folder) as room:
            await work(room)

    asyncio.run(run())


def test_anybody_may_ask(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        for address in ("127.0.0.1", "203.0.113.9"):
            asking = await room.client(address)
            live = await asking.get("/health/live")
            assert (live.status_code, live.json()) == (200, {"status": "live"})
            for path in ("/health", "/health/ready"):
                ready = await asking.get(path)
                assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
                assert ready.headers["cache-control"] == "no-store"

    in_room(tmp_path, work)


def test_only_this_machine_is_told_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(room: WebRoom) -> None:
        full = SpoolFull("the spool has no room; try again later")
        monkeypatch.setattr(room.service.spool, "admission", lambda _size: full)
        near = await (await room.client()).get("/health/ready")
        assert near.status_code == 503
        assert near.json() == {"status": "unavailable", "problems": [full.text]}
        far = await (await room.client("203.0.113.9")).get("/health/ready")
        assert (far.status_code, far.json()) == (503, {"status": "unavailable"})
        assert (await (await room.client()).get("/health/live")).status_code == 200

    in_room(tmp_path, work)


def test_a_spool_that_cannot_write_is_not_ready_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(room: WebRoom) -> None:
        asking = await room.client()
        fault: list[SpoolRefusal] = [SpoolFailure("disk I/O error")]
        written = []

        async def remember(_name: str, _value: str) -> None:
            if fault:
                raise fault[0]
            written.append(1)

        monkeypatch.setattr(room.service.spool, "remember", remember)
        for _ in range(2):
            answer = await asking.get("/health/ready")
            assert answer.status_code == 503
            assert "the spool cannot be written: disk I/O error" in answer.json()["problems"]
        fault.clear()
        for _ in range(5):
            assert (await asking.get("/health/ready")).status_code == 200
        assert len(written) == 1  # however often it is asked

    in_room(tmp_path, work)


def test_a_disk_that_hangs_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(room: WebRoom) -> None:
        monkeypatch.setattr(health, "WRITE_SECONDS", 0.01)
        hung = asyncio.Event()

        async def remember(_name: str, _value: str) -> None:
            await hung.wait()

        monkeypatch.setattr(room.service.spool, "remember", remember)
        asking = await room.client()
        for _ in range(3):
            answer = await asking.get("/health/ready")
            assert answer.status_code == 503
            assert "has not written anything" in answer.json()["problems"][0]
        hung.set()
        for _ in range(600):
            if (await asking.get("/health/ready")).status_code == 200:
                return
            await asyncio.sleep(0.05)
        pytest.fail("it did not become ready again")

    in_room(tmp_path, work)


def test_a_listener_that_is_closed_is_told(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        room.service.listeners[0].stop_accepting()
        answer = await (await room.client()).get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["problems"] == ["listener 127.0.0.1:0 is not open"]

    in_room(tmp_path, work)
