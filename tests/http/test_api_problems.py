"""What is told where a request cannot be answered: to programs as JSON, to people as a page, and of
faults of ours no more than an identifier that is in the log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from web_room import WebRoom, web_room

from waypost.control.permissions import Permission, Role
from waypost.spool.contract import SpoolFailure

API = "/api/v1"


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]]) -> None:
    async def run() -> None:
        async with web_room(folder) as room:
            await work(room)

    asyncio.run(run())


def failing(fault: Exception) -> Callable[..., Awaitable[Any]]:
    async def fails(*_: object, **__: object) -> Any:
        raise fault

    return fails


@pytest.mark.parametrize("where", ["route", "gate"])
def test_a_fault_of_ours_is_told_as_an_identifier_that_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.READ)
        fault = sqlite3.OperationalError("secret-table is locked at /var/lib/secret")
        target = room.room.accounts if where == "gate" else room.administration
        monkeypatch.setattr(target, "key" if where == "gate" else "status", failing(fault))
        with capture_logs() as logged:
            answer = await client.get(f"{API}/status")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert "secret" not in answer.text
        (entry,) = [one for one in logged if one.get("id") == told["id"]]
        assert "secret-table is locked" in entry["why"]
        assert entry["path"] == f"{API}/status"
        assert entry["log_level"] == "error"

    in_room(tmp_path, work)


def test_a_spool_that_cannot_be_asked_is_told_with_the_time_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.READ)
        fault = SpoolFailure("the storage reported an error")
        monkeypatch.setattr(room.administration, "status", failing(fault))
        answer = await client.get(f"{API}/status")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert answer.json()["type"] == "urn:waypost:problem:spool-unavailable"

    in_room(tmp_path, work)


def test_what_is_not_there_and_what_is_not_taken(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(*Permission)
        nothing = await client.get(f"{API}/nothing")
        assert (nothing.status_code, nothing.json()["title"]) == (404, "Not Found")
        wrong = await client.patch(f"{API}/messages")
        assert wrong.status_code == 405
        assert wrong.headers["allow"]
        assert "PATCH" in wrong.json()["detail"]
        for path in (
            "/messages/%2e%2e",
            "/messages/%00",
            "/templates/%0d%0aX: y",
            "/queues/%ff/pause",
        ):
            answer = await client.get(API + path)
            assert answer.status_code in (404, 405, 422), path
            assert answer.headers["content-type"] == "application/problem+json"

    in_room(tmp_path, work)


def test_the_faults_of_a_request_are_told_with_their_places_and_not_repeated(
    tmp_path: Path,
) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(*Permission)
        body = {
            "from": 5, "to": ["a@b.example"], "secret-word": "hunter2", "text": {"a": "hunter2"},
            "attachments": [{"name": "a", "content": "hunter2!"}],
        }  # fmt: skip
        answer = await client.post(f"{API}/messages", json=body)
        assert answer.status_code == 422
        pointers = {one["pointer"] for one in answer.json()["errors"]}
        assert pointers == {"#/from", "#/secret-word", "#/text", "#/attachments/0/content"}
        assert "hunter2" not in answer.text
        odd = await client.post(
            f"{API}/messages", json={"a/b~c": 1, "from": "x@y.z", "to": "x@y.z"}
        )
        assert odd.json()["errors"][0]["pointer"] == "#/a~1b~0c"
        query = await client.get(f"{API}/messages", params={"limit": "x", "state": "lost"})
        told = {(one["in"], one["parameter"].partition(".")[0]) for one in query.json()["errors"]}
        assert told == {("query", "limit"), ("query", "state")}

    in_room(tmp_path, work)


def test_people_get_a_page(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.VIEWER)
        answer = await person.get("/nothing<script>alert(1)</script>")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "<script>alert" not in answer.text

    in_room(tmp_path, work)
