"""Idempotency-Key: the same request may come again, whatever happened to the first, and the mail
goes once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_room import WebRoom, web_room

from waypost.control import submissions
from waypost.control.permissions import Permission
from waypost.spool.contract import MessageFilter

MESSAGES = "/api/v1/messages"
SIMPLE: dict[str, Any] = {
    "from": "shop@here.example", "to": ["ann@there.example"], "text": "Hello", "tags": ["t"],
}  # fmt: skip
KEY = {"Idempotency-Key": "order-4711"}
RAW = {
    "Content-Type": "message/rfc822",
    "Waypost-From": "a@here.example",
    "Waypost-To": "b@x.example",
}


class Killed(BaseException):
    """The process ends here: nothing after it runs."""


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]]) -> None:
    async def run() -> None:
        async with web_room(folder) as room:
            await work(room)

    asyncio.run(run())


async def kept(room: WebRoom) -> list[str]:
    """Identifiers of the messages in the spool."""
    from waypost.spool.identifiers import identifier_text

    rows = await room.service.spool.messages(MessageFilter())
    return [identifier_text(row.identifier) for row in rows]


async def sender(room: WebRoom, name: str = "shop") -> httpx.AsyncClient:
    """The same key in each run: another one would be another owner."""
    from waypost.control import keys

    now = room.service.clock.now()

    def work(connection: Any) -> str:
        if any(one.name == name for one in keys.keys(connection)):
            keys.revoke(connection, name)
        return keys.add(connection, name, (Permission.SEND,), now, created_by="test")[1]

    secret = await room.room.database.run(work)
    return await room.client(headers={"Authorization": f"Bearer {secret}"})


@pytest.mark.parametrize("raw", [False, True], ids=["parts", "whole"])
def test_the_same_request_has_the_same_answer_and_sends_once(tmp_path: Path, raw: bool) -> None:
    async def send(client: httpx.AsyncClient) -> httpx.Response:
        if raw:
            return await client.post(MESSAGES, content=b"Subject: a\n\nb\n", headers=KEY | RAW)
        return await client.post(MESSAGES, json=SIMPLE, headers=KEY)

    async def work(room: WebRoom) -> None:
        client = await sender(room)
        first, second = await send(client), await send(client)
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json() == second.json()
        assert "idempotent-replayed" not in first.headers
        assert second.headers["idempotent-replayed"] == "true"
        assert await kept(room) == [first.json()["id"]]

    async def restarted(room: WebRoom) -> None:
        third = await send(await sender(room))
        assert third.headers["idempotent-replayed"] == "true"
        assert await kept(room) == [third.json()["id"]]

    in_room(tmp_path, work)
    in_room(tmp_path, restarted)


def test_a_key_is_its_owner_s_and_of_one_request_alone(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await sender(room)
        assert (await client.post(MESSAGES, json=SIMPLE, headers=KEY)).status_code == 202
        other = await client.post(MESSAGES, json=SIMPLE | {"text": "Bye"}, headers=KEY)
        assert other.status_code == 422
        assert other.json()["type"] == "urn:waypost:problem:key-reused"
        whole = await client.post(MESSAGES, content=b"Subject: a\n\nb\n", headers=KEY | RAW)
        assert whole.status_code == 422
        somebody = await sender(room, "somebody else")
        assert (await somebody.post(MESSAGES, json=SIMPLE, headers=KEY)).status_code == 202
        assert len(await kept(room)) == 2

    in_room(tmp_path, work)


def test_a_second_request_while_the_first_is_on_its_way_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(room: WebRoom) -> None:
        client = await sender(room)
        goes_on, begun = asyncio.Event(), asyncio.Event()
        claim = room.room.submissions.claim

        async def slow(*given: Any) -> None:
            begun.set()
            await goes_on.wait()
            await claim(*given)

        monkeypatch.setattr(room.room.submissions, "claim", slow)
        first = asyncio.create_task(client.post(MESSAGES, json=SIMPLE, headers=KEY))
        await begun.wait()
        second = await client.post(MESSAGES, json=SIMPLE, headers=KEY)
        assert (second.status_code, second.headers["retry-after"]) == (409, "1")
        goes_on.set()
        assert (await first).status_code == 202
        third = await client.post(MESSAGES, json=SIMPLE, headers=KEY)
        assert third.json() == (await first).json()
        assert len(await kept(room)) == 1

    in_room(tmp_path, work)


@pytest.mark.parametrize("raw", [False, True], ids=["parts", "whole"])
@pytest.mark.parametrize("durable", [False, True], ids=["before", "after"])
def test_a_crash_between_the_claim_and_its_end_leaves_neither_two_messages_nor_none(
    tmp_path: Path, raw: bool, durable: bool
) -> None:
    """Before the append: the repetition is the first to send. After it: it has the old answer."""

    async def send(client: httpx.AsyncClient) -> httpx.Response:
        if raw:
            return await client.post(MESSAGES, content=b"Subject: a\n\nb\n", headers=KEY | RAW)
        return await client.post(MESSAGES, json=SIMPLE, headers=KEY)

    before: list[str] = []

    async def crashes(room: WebRoom) -> None:
        records = room.room.submissions
        claim, done = records.claim, records.done

        async def claimed(*given: Any) -> None:
            await claim(*given)
            if not durable:
                raise Killed

        async def ended(*given: Any) -> None:
            raise Killed

        records.claim, records.done = claimed, ended  # type: ignore[method-assign]
        with pytest.raises(Killed):
            await send(await sender(room))
        before.extend(await kept(room))
        assert len(before) == durable
        records.claim, records.done = claim, done  # type: ignore[method-assign]

    async def restarted(room: WebRoom) -> None:
        client = await sender(room)
        answer = await send(client)
        if raw and not durable:
            # Its body was read to compare it, and the claim turned out to count for nothing.
            assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
            answer = await send(client)
        assert answer.status_code == 202, answer.text
        assert ("idempotent-replayed" in answer.headers) == durable
        assert await kept(room) == [answer.json()["id"]]
        if durable:
            assert before == [answer.json()["id"]]
        again = await send(client)
        assert again.json() == answer.json()
        assert len(await kept(room)) == 1

    in_room(tmp_path, crashes)
    in_room(tmp_path, restarted)


def test_what_was_refused_is_not_remembered(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await sender(room)
        await room.administration.suppress("ann@there.example", "bounced")
        assert (await client.post(MESSAGES, json=SIMPLE, headers=KEY)).status_code == 422
        await room.administration.unsuppress("ann@there.example")
        assert (await client.post(MESSAGES, json=SIMPLE, headers=KEY)).status_code == 202

    in_room(tmp_path, work)


def test_a_message_that_the_spool_refuses_leaves_no_claim_and_no_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from waypost.spool.contract import SpoolFailure

    async def work(room: WebRoom) -> None:
        client = await sender(room)

        def failing(message: Any, body: Any, done: Callable[[Exception], None]) -> Any:
            body.discard()
            asyncio.get_running_loop().call_soon(done, SpoolFailure("the disk is gone"))

        with monkeypatch.context() as patch:
            patch.setattr(room.service.spool, "append", failing)
            answer = await client.post(MESSAGES, json=SIMPLE, headers=KEY)
        assert answer.status_code == 503
        assert await room.room.submissions.tagged("t", None, 10) == []
        assert (await client.post(MESSAGES, json=SIMPLE, headers=KEY)).status_code == 202
        assert len(await room.room.submissions.tagged("t", None, 10)) == 1

    in_room(tmp_path, work)


def test_a_key_is_forgotten_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(room: WebRoom) -> None:
        client = await sender(room)
        assert (await client.post(MESSAGES, json=SIMPLE, headers=KEY)).status_code == 202
        with monkeypatch.context() as patch:
            patch.setattr(submissions, "KEPT_SECONDS", -1.0)
            again = await client.post(MESSAGES, json=SIMPLE | {"text": "Bye"}, headers=KEY)
        assert again.status_code == 202
        assert len(await kept(room)) == 2

    in_room(tmp_path, work)
