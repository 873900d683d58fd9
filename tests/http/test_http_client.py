"""The typed client against the application itself, blocking and for asyncio."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_room import WebRoom, web_room

from waypost import api
from waypost.control.permissions import Permission
from waypost.errors import ConfigurationError, InvalidMessage
from waypost.faces.http.rate_limit import ApiRate
from waypost.faces.http_client import calls
from waypost.spool.contract import MessageFilter

ALL = tuple(Permission)
SIMPLE: dict[str, Any] = {
    "from_": "shop@here.example", "to": "ann@there.example", "subject": "Hi", "text": "Hello",
}  # fmt: skip


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]]) -> None:
    async def run() -> None:
        async with web_room(folder) as room:
            await work(room)

    asyncio.run(run())


async def client(room: WebRoom, *permissions: Permission, **options: Any) -> api.AsyncClient:
    made = await room.key(*(permissions or ALL), **options)
    key = made.headers.pop("Authorization").removeprefix("Bearer ")
    return api.AsyncClient("http://127.0.0.1:8025", key, http=made)


def test_mail_is_sent_found_followed_and_steered(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        async with await client(room) as relay:
            await relay.pause("default", reason="test")
            accepted = await relay.send(**SIMPLE, tags=["t"], metadata={"order": "1"})
            raw = await relay.send_raw(
                b"Subject: raw\n\nbody\n", from_="a@here.example", to=["b@there.example"],
                tags=["raw"], send_at=dt.datetime.now(dt.UTC) + dt.timedelta(days=1),
            )  # fmt: skip
            assert raw.send_at is not None
            assert (await relay.message(raw.id)).tags == ["raw"]
            message = await relay.message(accepted.id)
            assert message.sender == "shop@here.example"
            assert message.recipients[0].state == "queued"
            assert (message.tags, message.metadata) == (["t"], {"order": "1"})
            assert message.received.tzinfo is not None
            assert [one.id async for one in relay.messages(limit=1)] == [raw.id, accepted.id]
            assert [one.id async for one in relay.messages(tag="t", state="queued")] == [
                accepted.id
            ]
            assert b"Subject: raw" in await relay.source(raw.id)
            assert (await relay.hold(accepted.id)).changed == 1
            assert (await relay.release(accepted.id)).changed == 1
            assert (await relay.retry(accepted.id)).changed == 1
            assert (await relay.queues()).items[0].destination == "there.example"
            assert await relay.steer("cancel", api.Filter(recipient="b@"), preview=True) == 0
            assert await relay.steer("cancel", api.Filter(recipient="@there.example")) == 2
            assert (await relay.resume("default")).changed
            events = await relay.events(accepted.id)
            assert events[0]["event"] == "accepted"
            assert await relay.attempts(accepted.id) == []
            assert (await relay.status()).recipients["cancelled"] == 2
            assert (await relay.routes())[0].kind == "sandbox"

    in_room(tmp_path, work)


def test_templates_suppressions_and_the_doctor(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        async with await client(room) as relay:
            stored = await relay.store_template("hi", subject="Hi {{ name }}", text="{{ name }}!")
            assert stored.variables == ["name"]
            assert (await relay.render("hi", {"name": "Ann"})).subject == "Hi Ann"
            assert [one.name async for one in relay.templates()] == ["hi"]
            accepted = await relay.send(
                from_="a@here.example", to="b@there.example",
                template={"name": "hi", "variables": {"name": "Ann"}},
            )  # fmt: skip
            assert (await relay.message(accepted.id)).subject == "Hi Ann"
            await relay.remove_template("hi")
            with pytest.raises(api.NotFound):
                await relay.template("hi")
            assert await relay.suppress("x@there.example", "y@there.example", reason="test") == 2
            assert [one.address async for one in relay.suppressions()] == [
                "x@there.example", "y@there.example",
            ]  # fmt: skip
            await relay.unsuppress("x@there.example")
            told = await relay.explain("550 5.1.1 no such user")
            assert told["cause"] == "recipient.unknown"
            with pytest.raises(api.NotPermitted, match="not public"):
                await relay.check("127.0.0.1:25")

    in_room(tmp_path, work)


def test_what_goes_wrong_is_an_error_of_its_kind_that_says_what_to_do(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        relay = await client(room)
        with pytest.raises(api.NotFound) as missing:
            await relay.message("zzz")
        assert (missing.value.status, missing.value.temporary) == (404, False)
        with pytest.raises(InvalidMessage, match="nobody to send to"):
            await relay.send(from_="a@here.example")
        with pytest.raises(InvalidMessage, match="typo"):
            await relay.send(**SIMPLE, typo=1)
        with pytest.raises(api.InvalidRequest) as wrong:
            await relay.send(**SIMPLE | {"to": "no address"})
        assert wrong.value.problem is not None
        assert wrong.value.problem.errors[0]["pointer"] == "#/to"
        await room.administration.suppress("ann@there.example", "bounced")
        with pytest.raises(api.InvalidRequest) as refused:
            await relay.send(**SIMPLE)
        assert refused.value.problem is not None
        assert refused.value.problem.model_extra is not None
        assert refused.value.problem.model_extra["refused"][0]["address"] == "ann@there.example"
        some = await relay.send(**SIMPLE | {"to": ["ann@there.example", "bob@there.example"]})
        assert some.refused[0].fix
        with pytest.raises(api.NotPermitted):
            await (await client(room, Permission.READ)).send(**SIMPLE)
        with pytest.raises(api.NotAuthenticated):
            await api.AsyncClient(key="wpk_none", http=await room.visitor()).status()
        room.application.state.rate_limiter.rate = ApiRate(per_second=0.001, burst=1)
        last = await client(room)
        await last.status()
        with pytest.raises(api.NotNow) as later:
            await last.status()
        assert later.value.temporary
        assert later.value.after is not None

    in_room(tmp_path, work)


def test_an_answer_that_is_lost_is_asked_for_again_and_the_mail_goes_once(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        made = await room.key(*ALL)
        lost = 0

        class Losing(httpx.AsyncBaseTransport):
            """Lets the first request through and loses its answer."""

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                nonlocal lost
                answer = await made.send(
                    made.build_request(
                        request.method, request.url, content=await request.aread(),
                        headers={**request.headers, "Authorization": made.headers["Authorization"]},
                    )
                )  # fmt: skip
                if not lost:
                    lost += 1
                    raise httpx.RemoteProtocolError("the server disconnected")
                return httpx.Response(answer.status_code, content=answer.content)

        async with httpx.AsyncClient(transport=Losing()) as through:
            accepted = await api.AsyncClient(http=through).send(**SIMPLE)
        assert lost == 1
        rows = await room.service.spool.messages(MessageFilter())
        assert len(rows) == 1
        assert accepted.id

    in_room(tmp_path, work)


def test_nobody_there_is_told_with_what_to_look_at() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    with api.Client(http=httpx.Client(transport=httpx.MockTransport(gone))) as relay:
        with pytest.raises(api.Unreachable, match="is the relay running") as fault:
            relay.status()
        assert fault.value.status is None


def test_what_another_server_says_is_an_error_too() -> None:
    def other(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/status"
        return httpx.Response(502, content=b"<html>Bad gateway</html>")

    relay = api.Client(http=httpx.Client(transport=httpx.MockTransport(other)))
    with relay, pytest.raises(api.ServerFault, match="Bad gateway"):
        relay.status()


def test_the_blocking_client_reads_and_sends_the_same() -> None:
    seen: list[httpx.Request] = []

    def answers(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.method == "GET":
            return httpx.Response(200, json={"items": [], "next": None})
        return httpx.Response(202, json={"id": "1", "refused": [], "send_at": None})

    http = httpx.Client(transport=httpx.MockTransport(answers))
    with api.Client("https://mail.example.com/", "wpk_x", http=http) as relay:
        assert relay.send(**SIMPLE).id == "1"
        assert list(relay.messages(state=["queued", "held"])) == []
    assert seen[0].url == "https://mail.example.com/api/v1/messages"
    assert seen[0].headers["authorization"] == "Bearer wpk_x"
    assert seen[0].headers["idempotency-key"]
    assert seen[1].url.params.get_list("state") == ["queued", "held"]


def test_both_clients_have_the_same_methods() -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(kind).items()
            if callable(member) and not name.startswith("_")
        }

    assert surface(api.Client) == surface(api.AsyncClient)


def test_an_address_that_is_none_is_told() -> None:
    assert calls.address_of("http://127.0.0.1:8025/") == "http://127.0.0.1:8025/api/v1"
    with pytest.raises(ConfigurationError):
        api.Client("127.0.0.1:8025")


def test_the_client_needs_no_server_to_be_loaded() -> None:
    code = "import sys, waypost.api; print({'fastapi', 'starlette'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
