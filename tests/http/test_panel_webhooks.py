"""The pages about webhooks: to set one up, see what was sent, send it again; by forms alone."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from panel_room import ALL_HOSTILE, HOSTILE, assert_inert, queued
from web_room import WebRoom, csrf_of, web_room

from waypost.control.audit import AuditFilter
from waypost.control.permissions import Role
from waypost.control.webhooks_deliveries import Delivery
from waypost.control.webhooks_endpoint import EndpointSettings

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Endpoint:
    """Answers on loopback, with a text and a status that a test chooses."""

    def __init__(self) -> None:
        self.status = 200
        self.text = "ok"
        self.got: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.got.append(json.loads(await reader.readexactly(length))["type"])
                body = self.text.encode()
                lines = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(lines.encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


Story = Callable[[WebRoom, Endpoint, str], Awaitable[None]]


def in_room(folder: Path, story: Story) -> None:
    async def run() -> None:
        async with web_room(folder, webhook_networks=LOOPBACK) as room:
            endpoint = Endpoint()
            server = await asyncio.start_server(endpoint, "127.0.0.1", 0)
            try:
                port = server.sockets[0].getsockname()[1]
                await story(room, endpoint, f"http://127.0.0.1:{port}/hook")
                await room.room.webhooks.close()
            finally:
                server.close()

    asyncio.run(asyncio.wait_for(run(), 60))


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - it is not told when
        await asyncio.sleep(0.01)


async def delivered(room: WebRoom, webhook: str) -> list[Delivery]:
    while not (found := await room.room.webhooks.deliveries(webhook)):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return found


async def sent(client: httpx.AsyncClient, path: str, **fields: str | list[str]) -> httpx.Response:
    """A form; the page that it leads to."""
    answer = await client.post(path, data={"csrf": csrf_of(client), **fields})
    return await client.get(answer.headers["location"]) if answer.is_redirect else answer


async def only(room: WebRoom) -> str:
    (one,) = await room.room.webhooks.endpoints()
    return one.id


def test_a_webhook_is_added_and_its_secret_shown_once(tmp_path: Path) -> None:
    async def story(room: WebRoom, _endpoint: Endpoint, url: str) -> None:
        admin = await room.person(Role.ADMIN, "ada")
        assert "There is no webhook" in assert_inert(await admin.get("/webhooks")).words
        types = ["message.bounced", "message.delivered"]
        shown = await sent(admin, "/webhooks/add", url=url, description="shop", types=types)
        secret = re.search(r"whsec_[A-Za-z0-9+/=]+", assert_inert(shown).words)
        stored = await room.room.webhooks.endpoint(await only(room))
        assert secret is not None
        assert secret[0] == stored.secret
        assert stored.settings.types == set(types)
        for path in ("/webhooks", f"/webhooks/{stored.id}"):
            assert "whsec_" not in (await admin.get(path)).text
        entries = await room.room.audit.entries(AuditFilter(action="webhook"))
        assert [(one.who, one.action, one.detail) for one in entries] == [
            ("ada", "webhook added", url)
        ]

    in_room(tmp_path, story)


def test_what_cannot_be_a_webhook_is_told_in_words(tmp_path: Path) -> None:
    async def story(room: WebRoom, _endpoint: Endpoint, _url: str) -> None:
        admin = await room.person()
        for wrong in (*HOSTILE, "", "ftp://x.example/", "https://u:p@x.example/"):
            seen = assert_inert(await sent(admin, "/webhooks/add", url=wrong))
            assert "The URL" in seen.words or "0 characters" in seen.words
        assert await room.room.webhooks.endpoints() == []

    in_room(tmp_path, story)


def test_what_was_sent_is_seen_and_sent_again(tmp_path: Path) -> None:
    async def story(room: WebRoom, endpoint: Endpoint, url: str) -> None:
        admin = await room.person()
        await sent(admin, "/webhooks/add", url=url)
        path = f"/webhooks/{await only(room)}"
        await queued(room, "ann@there.example")
        room.room.events.wake()  # past the engine, which would tell
        await until(lambda: len(endpoint.got) == 1)
        found = await delivered(room, path.rpartition("/")[2])
        listed = assert_inert(await admin.get(path))
        assert "message.accepted" in listed.words
        assert "taken" in listed.words
        delivery = f"{path}/deliveries/{found[0].id}"
        assert delivery in listed.links
        shown = assert_inert(await admin.get(delivery))
        assert found[0].event in shown.words
        assert "sent again" in assert_inert(await sent(admin, f"{delivery}/replay")).words
        await until(lambda: len(endpoint.got) == 2)
        again = await sent(admin, f"{path}/replay", since="2020-01-01T00:00", until="")
        assert "being sent again" in assert_inert(again).words
        await until(lambda: len(endpoint.got) == 3)
        wrong = await sent(admin, f"{path}/replay", since="yesterday")
        assert "in UTC" in assert_inert(wrong).words

    in_room(tmp_path, story)


def test_a_test_a_new_secret_a_change_the_switch_and_the_end(tmp_path: Path) -> None:
    async def story(room: WebRoom, endpoint: Endpoint, url: str) -> None:
        admin = await room.person()
        await sent(admin, "/webhooks/add", url=url)
        name = await only(room)
        path = f"/webhooks/{name}"
        tested = assert_inert(await sent(admin, f"{path}/test"))
        assert "has taken the test event: 200" in tested.words
        endpoint.status = 500
        tested = assert_inert(await sent(admin, f"{path}/test"))
        assert "it answers 500" in tested.words
        before = (await room.room.webhooks.endpoint(name)).secret
        assert "whsec_" in assert_inert(await sent(admin, f"{path}/secret")).words
        assert (await room.room.webhooks.endpoint(name)).secret != before
        await sent(admin, f"{path}/change", url=url, route="bulk", types=["message.bounced"])
        changed = (await room.room.webhooks.endpoint(name)).settings
        assert (changed.route, changed.types) == ("bulk", {"message.bounced"})
        assert "disabled" in assert_inert(await sent(admin, f"{path}/switch")).words
        assert not (await room.room.webhooks.endpoint(name)).settings.enabled
        enabled = assert_inert(await sent(admin, f"{path}/switch", on="1", skip="1"))
        assert "sent there again" in enabled.words
        await sent(admin, f"{path}/remove")
        assert await room.room.webhooks.endpoints() == []
        assert (await admin.get(path)).status_code == 404

    in_room(tmp_path, story)


def test_an_endpoint_that_fails_is_seen_to_and_its_words_stay_words(tmp_path: Path) -> None:
    async def story(room: WebRoom, endpoint: Endpoint, url: str) -> None:
        endpoint.status, endpoint.text = 500, ALL_HOSTILE
        admin = await room.person()
        settings = EndpointSettings(url + "?x=<script>", "<img onerror=alert(1)>")
        made = await room.room.webhooks.add(settings)
        other = await room.room.webhooks.add(EndpointSettings(url, tag="'\"><b>", route="<b>"))
        assert_inert(await admin.get(f"/webhooks/{other.id}"))
        await queued(room, "ann@there.example", subject=ALL_HOSTILE)
        room.room.events.wake()
        await until(lambda: bool(endpoint.got))
        found = await delivered(room, made.id)
        path = f"/webhooks/{made.id}"
        for shown in ("/webhooks", path, f"{path}/deliveries/{found[0].id}"):
            seen = assert_inert(await admin.get(shown))
        assert "it answers 500" in seen.words
        assert "onerror=alert(1)" in seen.words
        assert "failing" in assert_inert(await admin.get("/webhooks")).words
        assert "tried again" in assert_inert(await admin.get(f"{path}?state=waiting")).words

    in_room(tmp_path, story)


def test_only_admins_see_webhooks(tmp_path: Path) -> None:
    async def story(room: WebRoom, _endpoint: Endpoint, url: str) -> None:
        made = await room.room.webhooks.add(EndpointSettings(url))
        operator = await room.person(Role.OPERATOR)
        for path in ("/webhooks", f"/webhooks/{made.id}"):
            assert (await operator.get(path)).status_code == 403
        assert (await sent(operator, f"/webhooks/{made.id}/remove")).status_code == 403
        admin = await room.person()
        forged = await admin.post(f"/webhooks/{made.id}/remove", headers={"X-CSRF-Token": "x"})
        assert forged.status_code == 403
        assert await only(room) == made.id

    in_room(tmp_path, story)
