"""Finding messages over the API, seeing what became of them, and steering what waits."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_room import WebRoom, web_room

from sink import Sink
from waypost.control.audit import AuditFilter
from waypost.control.permissions import Permission, Role
from waypost.lab.simulated_peer import Fault
from waypost.smtp.reply import reply

API = "/api/v1"


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], text: str = "") -> None:
    async def run() -> None:
        async with web_room(folder, text) as room:
            await work(room)

    asyncio.run(run())


def out(port: int) -> str:
    return f'[[route]]\nname = "out"\nvia = ["smtp+plain://127.0.0.1:{port}"]\n'


def refusing_port() -> int:
    """Where nobody listens."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


async def send(client: httpx.AsyncClient, **parts: Any) -> str:
    given = {"from": "shop@here.example", "to": "ann@there.example", "subject": "Hi", "text": "x"}
    answer = await client.post(f"{API}/messages", json=given | parts)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def until(
    client: httpx.AsyncClient, path: str, holds: Callable[[Any], bool], seconds: float = 60
) -> Any:
    """What a path gives once something holds of it."""
    end = time.monotonic() + seconds
    while True:
        found = (await client.get(path)).json()
        if holds(found):
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.02)


async def names(client: httpx.AsyncClient, **params: Any) -> list[str]:
    answer = await client.get(f"{API}/messages", params=params)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["items"]]


def test_filters_find_what_they_say(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        await person.post(f"{API}/queues/default/pause")
        a = await send(person, subject="Invoice", to="ann@one.example", tags=["bill", "eu"])
        b = await send(person, subject="Grüße", to="bob@two.example", tags=["eu"])
        c = await send(person, subject="News", to="ann@two.example",
                       **{"from": "news@other.example"})  # fmt: skip
        await person.post(f"{API}/messages/{c}/hold")
        assert await names(person) == [c, b, a]
        assert await names(person, sender="@other.example") == [c]
        assert await names(person, recipient="ANN@one.example") == [a]
        assert await names(person, recipient="@two.example") == [c, b]
        assert await names(person, text="invo") == [a]
        assert await names(person, state="held") == [c]
        assert await names(person, state=["held", "queued"]) == [c, b, a]
        assert await names(person, tag="eu") == [b, a]
        assert await names(person, tag="eu", recipient="@two.example") == [b]
        assert await names(person, tag="none") == []
        assert await names(person, older_than="2020-01-01T00:00:00Z") == []
        seen = (await person.get(f"{API}/messages/{b}")).json()
        assert (seen["subject"], seen["tags"], seen["metadata"]) == ("Grüße", ["eu"], {})

    in_room(tmp_path, work)


@pytest.mark.parametrize("tag", [None, "t"])
def test_pages_have_everything_once_while_more_comes_in(tmp_path: Path, tag: str | None) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        await person.post(f"{API}/queues/default/pause")
        sent = [await send(person, tags=["t"] if number % 2 == 0 else []) for number in range(9)]
        wanted = sent[::2] if tag else sent
        found: list[str] = []
        cursor = None
        while True:
            params = {"limit": 2, "tag": tag, "cursor": cursor}
            given = {name: value for name, value in params.items() if value is not None}
            page = (await person.get(f"{API}/messages", params=given)).json()
            assert len(page["items"]) <= 2
            found += [one["id"] for one in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
            await send(person, tags=["t"])
        assert found == wanted[::-1]

    in_room(tmp_path, work)


def test_a_cursor_of_another_list_or_of_nobody_is_told(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        await room.administration.suppress("a@b.example", "x")
        await room.administration.suppress("c@b.example", "x")
        theirs = (await person.get(f"{API}/suppressions?limit=1")).json()["next"]
        for cursor in (theirs, "%%%", "bWVzc2FnZXM6", "bWVzc2FnZXM6w7w", "ü", "A" * 999):
            answer = await person.get(f"{API}/messages", params={"cursor": cursor})
            assert answer.status_code == 422, cursor
            assert answer.json()["errors"][0]["parameter"] == "cursor"
        for limit in ("0", "501", "x", "-1", "1e3"):
            answer = await person.get(f"{API}/messages", params={"limit": limit})
            assert answer.status_code == 422, limit

    in_room(tmp_path, work)


def test_attempts_tell_what_was_said_and_what_it_means(tmp_path: Path) -> None:
    sink = Sink(
        [Fault("rcpt", "reply", reply(550, "5.1.1", "<ann@there.example>: no such user here"))] * 9
    )

    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        name = await send(person)
        found = await until(person, f"{API}/messages/{name}/attempts", lambda one: one["items"])
        (attempt,) = found["items"]
        (result,) = attempt["results"]
        assert result["state"] == "bounced"
        assert result["explanation"]["reason"] == "no-such-mailbox"
        assert "spelling" in result["explanation"]["fix"]
        assert any("RCPT TO" in line for line in attempt["transcript"])
        viewer = await room.person(Role.VIEWER)
        seen = (await viewer.get(f"{API}/messages/{name}/attempts")).json()["items"][0]
        assert seen["transcript"] is None
        assert seen["results"] == attempt["results"]
        events = (await person.get(f"{API}/messages/{name}/events")).json()["items"]
        assert [one["event"] for one in events] == ["accepted", "bounced"]

    try:
        in_room(tmp_path, work, out(sink.port))
    finally:
        sink.close()


def test_the_source_is_for_who_may_read_content_and_never_a_page(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        await (await room.person(Role.ADMIN)).post(f"{API}/queues/default/pause")
        name = await send(person, html="<script>alert(1)</script>")
        source = await person.get(f"{API}/messages/{name}/source")
        assert source.headers["content-type"].startswith("message/rfc822")
        assert source.headers["content-disposition"] == f'attachment; filename="{name}.eml"'
        assert source.headers["x-content-type-options"] == "nosniff"
        assert source.content.startswith(b"Received: ")
        viewer = await room.person(Role.VIEWER)
        assert (await viewer.get(f"{API}/messages/{name}/source")).status_code == 403
        await person.post(f"{API}/messages/{name}/cancel")
        gone = await person.get(f"{API}/messages/{name}/source")
        assert gone.status_code == 410
        assert (await person.get(f"{API}/messages/zzz/source")).status_code == 404

    in_room(tmp_path, work)


def test_a_key_of_a_user_sees_and_steers_that_user_s_mail_alone(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN)
        await admin.post(f"{API}/queues/default/pause")
        for user in ("shop", "news"):
            room.service.credentials.add(user, "a-password-of-theirs")
            room.service.credentials.find(user)
        scopes = (Permission.SEND, Permission.READ, Permission.CONTENT, Permission.STEER)
        shop, news = await room.key(*scopes, user="shop"), await room.key(*scopes, user="news")
        mine, theirs = await send(shop, tags=["x"]), await send(news, tags=["x"])
        operators = await send(admin, tags=["x"])
        assert await names(shop) == [mine]
        assert await names(shop, tag="x") == [mine]
        for name in (theirs, operators):
            for path in ("", "/attempts", "/events", "/source"):
                assert (await shop.get(f"{API}/messages/{name}{path}")).status_code == 404
            assert (await shop.post(f"{API}/messages/{name}/cancel")).status_code == 404
        preview = await shop.post(f"{API}/queue/cancel", json={"all": True, "preview": True})
        assert [one["id"] for one in preview.json()["recipients"]] == [mine]
        done = await shop.post(
            f"{API}/queue/cancel", json={"filter": {"ids": [mine, theirs, operators]}}
        )
        assert done.json()["changed"] == 1
        for path in ("/queues", "/routes", "/status", "/suppressions"):
            assert (await shop.get(API + path)).status_code == 403
        assert (await shop.post(f"{API}/queues/default/resume")).status_code == 403
        assert len(await names(admin, state="queued")) == 2

    in_room(tmp_path, work)


def test_one_message_is_held_released_retried_and_cancelled(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        name = await send(person)
        path = f"{API}/messages/{name}"
        deferred = await until(person, path, lambda one: one["recipients"][0]["attempts"] == 1)
        assert deferred["recipients"][0]["waits_until"] is not None
        assert (await person.post(f"{path}/hold")).json()["changed"] == 1
        held = (await person.get(path)).json()["recipients"][0]
        assert (held["state"], held["waits_for"]) == ("held", "held until it is released")
        assert (await person.post(f"{path}/retry")).json()["changed"] == 0
        assert (await person.post(f"{path}/release")).json()["changed"] == 1
        await until(person, path, lambda one: one["recipients"][0]["attempts"] >= 2)
        await until(person, path, lambda one: not one["recipients"][0]["under_way"])
        assert (await person.post(f"{path}/cancel")).json()["changed"] == 1
        assert (await person.get(path)).json()["recipients"][0]["state"] == "cancelled"
        assert (await person.post(f"{path}/eat")).status_code == 422
        assert (await person.post(f"{API}/messages/zzz/retry")).status_code == 404
        reader = await room.person(Role.VIEWER)
        assert (await reader.post(f"{path}/retry")).status_code == 403
        entries = await room.room.audit.entries(AuditFilter(action="queue"))
        assert {"queue held", "queue released", "queue cancelled"} <= {
            one.action for one in entries
        }
        assert all(one.subject == name for one in entries)

    in_room(tmp_path, work, out(refusing_port()))


@pytest.mark.parametrize("by_tag", [False, True])
def test_many_are_previewed_and_then_changed_a_batch_at_a_time(
    tmp_path: Path, by_tag: bool
) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        await person.post(f"{API}/queues/default/pause")
        sent = [await send(person, tags=["t"]) for _ in range(7)]
        others = [await send(person, to="x@other.example") for _ in range(2)]
        chosen = {"tag": "t"} if by_tag else {"recipient": "@there.example"}
        preview = (
            await person.post(f"{API}/queue/hold", json={"filter": chosen, "preview": True})
        ).json()
        assert (preview["preview"], preview["changed"], preview["next"]) == (True, 7, None)
        assert {one["id"] for one in preview["recipients"]} == set(sent)
        assert await names(person, state="held") == []
        changed, cursor, batches = 0, None, 0
        while True:
            done = (
                await person.post(
                    f"{API}/queue/hold", json={"filter": chosen, "limit": 3, "cursor": cursor}
                )
            ).json()
            changed += done["changed"]
            batches += 1
            cursor = done["next"]
            if cursor is None:
                break
        assert (changed, batches) == (7, 3)
        assert set(await names(person, state="held")) == set(sent)
        assert set(await names(person, state="queued")) == set(others)

    in_room(tmp_path, work)


def test_every_message_has_to_be_meant(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        await person.post(f"{API}/queues/default/pause")
        await send(person)
        for body in ({}, {"filter": {}}, {"all": False}):
            answer = await person.post(f"{API}/queue/cancel", json=body)
            assert answer.json()["type"] == "urn:waypost:problem:empty-filter"
        done = await person.post(f"{API}/queue/cancel", json={"all": True})
        assert done.json()["changed"] == 1
        bad = await person.post(f"{API}/queue/cancel", json={"filter": {"ids": ["uuuu"]}})
        assert bad.status_code == 422

    in_room(tmp_path, work)


def test_routes_of_waiting_mail_are_told(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        await person.post(f"{API}/queues/default/pause")
        name = await send(person)
        told = (await person.post(f"{API}/queue/routes", json={"all": True})).json()
        assert told["routes"] == [{"route": "default", "recipients": 1}]
        assert told["items"][0]["id"] == name

    in_room(tmp_path, work)
