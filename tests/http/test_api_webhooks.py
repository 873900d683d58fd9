"""Webhooks over the API, with an endpoint on loopback that checks signatures as receivers do."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import standardwebhooks
from event_room import Live, in_live_room, until

from waypost.control.permissions import Permission, Role

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
HOOKS = "/api/v1/webhooks"


class Receiver:
    """An endpoint on loopback that verifies what it gets with the package `standardwebhooks`."""

    def __init__(self) -> None:
        self.secret = ""
        self.status = 200
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.refused: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = [line.partition(":") for line in head.splitlines()[1:]]
                fields = {name.lower(): value.strip() for name, _, value in lines}
                body = await reader.readexactly(int(fields["content-length"]))
                status = self.status
                if self.secret:
                    try:
                        standardwebhooks.Webhook(self.secret).verify(body.decode(), fields)
                    except standardwebhooks.WebhookVerificationError as fault:
                        self.refused.append(str(fault))
                        status = 401
                self.got.append((fields, json.loads(body)))
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def types(self) -> list[str]:
        return [str(document["type"]) for _, document in self.got]


Story = Callable[[Live, Receiver, str], Awaitable[None]]


def with_receiver(folder: Path, story: Story) -> None:
    """A live room, an endpoint, and the URL of that."""

    async def work(live: Live) -> None:
        receiver = Receiver()
        server = await asyncio.start_server(receiver, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            await story(live, receiver, f"http://127.0.0.1:{port}/hook")
        finally:
            await live.web.room.webhooks.close()
            server.close()

    in_live_room(folder, work, webhook_networks=LOOPBACK)


async def added(client: httpx.AsyncClient, url: str, **more: Any) -> dict[str, Any]:
    answer = await client.post(HOOKS, json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_what_happens_is_sent_signed_and_verified(tmp_path: Path) -> None:
    async def story(live: Live, receiver: Receiver, url: str) -> None:
        client = await live.program(Permission.WEBHOOKS)
        made = await added(client, url)
        receiver.secret = made["secret"]
        await live.submit("One")
        await until(lambda: len(receiver.got) == 2)
        assert not receiver.refused
        assert receiver.types() == ["message.accepted", "message.captured"]
        fields, document = receiver.got[0]
        assert fields["content-type"] == "application/json"
        assert document["data"]["subject"] == "One"
        assert document["data"]["recipients"] == ["ann@there.example"]
        shown = (await client.get(f"{HOOKS}/{made['id']}")).json()
        assert "secret" not in shown
        assert (shown["url"], shown["enabled"], shown["failures"]) == (url, True, 0)

    with_receiver(tmp_path, story)


def test_a_receiver_can_change_over_to_a_new_secret(tmp_path: Path) -> None:
    async def story(live: Live, receiver: Receiver, url: str) -> None:
        client = await live.program(Permission.WEBHOOKS)
        made = await added(client, url)
        rotated = (await client.post(f"{HOOKS}/{made['id']}/secret")).json()
        assert rotated["secret"] != made["secret"]
        for secret in (made["secret"], rotated["secret"]):
            receiver.secret = secret
            before = len(receiver.got)
            await live.submit(secret[-6:])
            await until(lambda before=before: len(receiver.got) == before + 2)
        assert not receiver.refused

    with_receiver(tmp_path, story)


def test_deliveries_are_listed_and_sent_again(tmp_path: Path) -> None:
    async def story(live: Live, receiver: Receiver, url: str) -> None:
        client = await live.program(Permission.WEBHOOKS)
        made = await added(client, url, types=["message.captured"])
        place = f"{HOOKS}/{made['id']}"
        await live.submit(1, 2, 3)
        await until(lambda: len(receiver.got) == 3)

        async def listed(**wanted: Any) -> dict[str, Any]:
            document: dict[str, Any] = (
                await client.get(f"{place}/deliveries", params=wanted)
            ).json()
            return document

        while len((await listed(state="delivered"))["items"]) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        first = await listed(limit=2)
        rest = await listed(limit=2, cursor=first["next"])
        found = first["items"] + rest["items"]
        assert ([one["state"] for one in found], rest["next"]) == (["delivered"] * 3, None)
        assert {one["attempts"][0]["answer"] for one in found} == {"ok"}
        number = found[-1]["id"]
        assert (await client.post(f"{place}/deliveries/{number}/replay")).status_code == 202
        await until(lambda: len(receiver.got) == 4)
        assert receiver.got[3][0]["webhook-id"] == receiver.got[0][0]["webhook-id"]
        assert receiver.got[3][1] == receiver.got[0][1]
        since = found[-1]["timestamp"]
        assert (await client.post(f"{place}/replay", json={"since": since})).status_code == 202
        await until(lambda: len(receiver.got) == 7)
        assert len({fields["webhook-id"] for fields, _ in receiver.got}) == 3

    with_receiver(tmp_path, story)


def test_a_test_event_tells_what_came_of_it(tmp_path: Path) -> None:
    async def story(live: Live, receiver: Receiver, url: str) -> None:
        client = await live.program(Permission.WEBHOOKS)
        made = await added(client, url)
        receiver.secret = made["secret"]
        tested = (await client.post(f"{HOOKS}/{made['id']}/test")).json()
        assert (tested["status"], tested["error"], tested["answer"]) == (200, "", "ok")
        receiver.status = 503
        tested = (await client.post(f"{HOOKS}/{made['id']}/test")).json()
        assert (tested["status"], tested["error"]) == (503, "it answers 503")
        assert receiver.types() == ["webhook.test"] * 2
        assert not receiver.refused

    with_receiver(tmp_path, story)


def test_a_webhook_is_changed_in_part_and_removed(tmp_path: Path) -> None:
    async def story(live: Live, receiver: Receiver, url: str) -> None:
        client = await live.program(Permission.WEBHOOKS)
        made = await added(client, url, description="shop", types=["message.bounced"])
        place = f"{HOOKS}/{made['id']}"
        changed = (await client.patch(place, json={"enabled": False})).json()
        assert (changed["enabled"], changed["description"]) == (False, "shop")
        assert changed["types"] == ["message.bounced"]
        changed = (await client.patch(place, json={"types": [], "enabled": True})).json()
        assert (changed["enabled"], changed["types"]) == (True, [])
        await live.submit(1)
        await until(lambda: len(receiver.got) == 2)
        assert [one["id"] for one in (await client.get(HOOKS)).json()["items"]] == [made["id"]]
        assert (await client.delete(place)).status_code == 204
        for answer in (await client.get(place), await client.delete(place)):
            assert answer.status_code == 404
        actions = live.web.room.database.now(
            lambda c: c.execute("SELECT action FROM audit ORDER BY id").fetchall()
        )
        assert [one for (one,) in actions if "webhook" in one] == [
            "webhook added", "webhook changed", "webhook changed", "webhook removed",
        ]  # fmt: skip

    with_receiver(tmp_path, story)


def test_tags_and_metadata_of_a_submission_are_told(tmp_path: Path) -> None:
    async def story(live: Live, receiver: Receiver, url: str) -> None:
        client = await live.program(Permission.WEBHOOKS, Permission.SEND)
        await added(client, url, tag="receipt")
        await live.submit("without a tag")
        sent = await client.post(
            "/api/v1/messages",
            json={
                "from": "shop@here.example", "to": ["ann@there.example"], "subject": "Bill",
                "text": "7 euros", "tags": ["receipt"], "metadata": {"order": "7"},
            },
        )  # fmt: skip
        assert sent.status_code == 202, sent.text
        await until(lambda: len(receiver.got) == 2)
        assert receiver.types() == ["message.accepted", "message.captured"]
        for _, document in receiver.got:
            data = document["data"]
            assert (data["tags"], data["metadata"]) == (["receipt"], {"order": "7"})
            assert data["message"] == sent.json()["id"]

    with_receiver(tmp_path, story)


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ({"url": "ftp://x.example/"}, "#/url"),
        ({"url": "https://u:p@x.example/"}, "#/url"),
        ({"url": "https://x.example/", "secret": "hunter2"}, "#/secret"),
        ({"url": "https://x.example/", "types": ["message.eaten"]}, "#/types/0"),
        ({"url": "https://x.example/", "colour": "red"}, "#/colour"),
        ({}, "#/url"),
    ],
)
def test_what_cannot_be_a_webhook_is_a_problem_that_says_where(
    tmp_path: Path, form: dict[str, Any], where: str
) -> None:
    async def story(live: Live, _receiver: Receiver, _url: str) -> None:
        client = await live.program(Permission.WEBHOOKS)
        answer = await client.post(HOOKS, json=form)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == where
        assert "hunter2" not in answer.text

    with_receiver(tmp_path, story)


def test_only_who_may_change_webhooks(tmp_path: Path) -> None:
    async def story(live: Live, _receiver: Receiver, url: str) -> None:
        admin = await live.program(Permission.WEBHOOKS)
        made = await added(admin, url)
        place = f"{HOOKS}/{made['id']}"
        reader = await live.program(Permission.EVENTS, Permission.READ)
        bound = await live.program(Permission.WEBHOOKS, user="shop")
        operator = await live.web.person(Role.OPERATOR)
        for client in (reader, bound, operator):
            for answer in (
                await client.get(HOOKS),
                await client.post(HOOKS, json={"url": url}),
                await client.get(place),
                await client.patch(place, json={"enabled": False}),
                await client.delete(place),
                await client.post(f"{place}/secret"),
                await client.post(f"{place}/test"),
                await client.get(f"{place}/deliveries"),
                await client.post(f"{place}/deliveries/1/replay"),
                await client.post(f"{place}/replay", json={"since": "2026-01-01T00:00:00Z"}),
            ):
                assert answer.status_code == 403, answer.text

    with_receiver(tmp_path, story)
