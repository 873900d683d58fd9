"""The page of routes, and the test of a connection that it starts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from panel_room import (
    ALL_HOSTILE,
    HOSTILE,
    Seen,
    assert_inert,
    attempted,
    faults_of,
    in_room,
    queued,
)
from web_room import WebRoom, csrf_of

from sink import Sink
from waypost.control.audit import AuditFilter
from waypost.control.permissions import Role
from waypost.delivery.route import Smarthost
from waypost.faces.http.panel.routes import LINES
from waypost.spool.contract import RecipientState

SECRET = "s3cret-of-the-route"

ROUTES = f"""
[[route]]
name = "shop"
via = ["smtp://app:{SECRET}@one.example:587", "smtps://two.example"]
match = {{ senders = ["shop@here.example"] }}
quotas = {{ per_day = 100 }}
limits = {{ connections = 4, rate = "5/second" }}
overflow = "rest"

[[route]]
name = "direct"
via = "mx:"
match = {{ recipients = ["direct.example"] }}

[[route]]
name = "rest"
via = "sandbox:"
"""


def test_each_route_tells_where_it_leads_its_limits_and_their_use(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        service, now = room.service, room.service.clock.now()
        route = service.engine.routing.by_name["shop"]
        for second in range(3):
            assert service.slots.acquire(route, "", now) is None
            assert service.slots.message(route, "", now - 3 + second) is None
        seen = assert_inert(await (await room.person(Role.VIEWER)).get("/routes"))
        words = " ".join(seen.words.split())
        assert "from shop@here.example; when its quotas are used up, mail takes rest" in words
        assert "one.example:587 priority 0, weight 1 (failover) STARTTLS, required" in words
        assert "two.example:465" in words
        assert "3 of 4" in words
        assert "3 of 100" in words
        assert "at most 5/second" in words
        assert "nothing leaves the machine" in words
        assert SECRET not in words
        assert "Test this connection" not in words, "a viewer connects to nobody"

    in_room(tmp_path, test, ROUTES)


def test_what_is_left_alone_says_so_why_and_until_when(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        service = room.service
        shop, direct = (service.engine.routing.by_name[name] for name in ("shop", "direct"))
        hop = shop.via[0]
        assert isinstance(hop, Smarthost)
        service.circuits.suspend(hop, service.clock.monotonic() + 7200, "535 wrong password")
        service.slots.back_off(direct, "direct.example", service.clock.now(), "421 too busy")
        words = " ".join(assert_inert(await (await room.person()).get("/routes")).words.split())
        assert "shop ! warning" in words, "the other next hop is used"
        assert "535 wrong password" in words
        assert "tried again in 1 h 59 min" in words or "tried again in 2 h" in words
        assert "421 too busy" in words
        second = shop.via[1]
        assert isinstance(second, Smarthost)
        service.circuits.suspend(second, service.clock.monotonic() + 60, "down")
        words = " ".join(assert_inert(await (await room.person()).get("/routes")).words.split())
        assert "shop ✕ failed" in words

    in_room(tmp_path, test, ROUTES)


def test_how_the_last_day_went_is_told_of_each_route(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        for number in range(3):
            message = await queued(room, f"joe{number}@there.example")
            state = RecipientState.QUEUED if number == 0 else RecipientState.DELIVERED
            await attempted(room, message, state, route="shop")
        words = " ".join(assert_inert(await (await room.person()).get("/routes")).words.split())
        assert "within 1 s 100.0 % delivered 2 deferred 1 bounced 0" in words

    in_room(tmp_path, test, ROUTES)


def with_sink(
    folder: Path, test: Callable[[WebRoom], Coroutine[Any, Any, None]], **options: Any
) -> None:
    sink = Sink(**options)
    try:
        in_room(
            folder, test,
            f'[[route]]\nname = "mail"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
        )  # fmt: skip
    finally:
        sink.close()


def test_a_connection_is_tested_step_by_step_on_a_page_that_needs_no_script(
    tmp_path: Path,
) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "ada")
        form = {"route": "mail", "csrf": csrf_of(admin)}
        seen = assert_inert(await admin.post("/routes/test", data=form))
        words = " ".join(seen.words.split())
        for step in ("tcp", "greeting", "ehlo", "mail", "rcpt"):
            assert f" {step} " in words, words
        assert "sink.example" in words, "what the server said is the evidence"
        (entry,) = await room.room.audit.entries(AuditFilter(action="route tested"))
        assert (entry.who, entry.subject) == ("ada", "mail")

    with_sink(tmp_path, test)


def test_a_script_gets_the_same_steps_line_by_line(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        form = {"route": "mail", "csrf": csrf_of(admin)}
        answer = await admin.post("/routes/test", data=form, headers={"Accept": LINES})
        assert answer.headers["content-type"].startswith(LINES)
        fragments = [json.loads(line) for line in answer.text.splitlines()]
        assert len(fragments) > 4
        assert all(faults_of(one) == [] and Seen(one).elements[0][0] == "li" for one in fragments)
        assert "127.0.0.1:" in fragments[0]
        assert 'class="verdict"' in fragments[-1]

    with_sink(tmp_path, test)


def test_a_fault_is_told_with_its_cause_evidence_and_fix(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        form = {"route": "mail", "csrf": csrf_of(admin)}
        seen = assert_inert(await admin.post("/routes/test", data=form))
        words = " ".join(seen.words.split())
        assert "tcp.refused" in words
        assert "Connection refused" in words
        assert "What to do:" in words
        assert SECRET not in words

    in_room(
        tmp_path, test,
        f'[[route]]\nname = "mail"\nvia = "smtp://app:{SECRET}@127.0.0.1:1"\n',
    )  # fmt: skip


def test_one_route_has_one_test_at_a_time(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        form = {"route": "mail", "csrf": csrf_of(admin)}
        both = await asyncio.gather(*(admin.post("/routes/test", data=form) for _ in range(2)))
        words = [assert_inert(one).words for one in both]
        assert sum("being tested already" in one for one in words) == 1
        again = await admin.post("/routes/test", data=form)
        assert "being tested already" not in assert_inert(again).words

    with_sink(tmp_path, test)


def test_what_cannot_be_tested_is_told(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()

        async def said(**form: str) -> str:
            form["csrf"] = csrf_of(admin)
            return assert_inert(await admin.post("/routes/test", data=form)).words

        assert "there is no route 'gone'" in await said(route="gone")
        assert "no connection to test" in await said(route="rest")
        assert "is no domain or address" in await said(route="direct", target="")
        assert "say whose to test" in await said(route="direct", target="a b")
        viewer = await room.person(Role.VIEWER)
        form = {"route": "shop", "csrf": csrf_of(viewer)}
        assert (await viewer.post("/routes/test", data=form)).status_code == 403

    in_room(tmp_path, test, ROUTES)


def test_no_field_brings_anything_into_the_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        service, admin = room.service, await room.person()
        by_name = service.engine.routing.by_name
        hop = by_name["shop"].via[0]
        assert isinstance(hop, Smarthost)
        service.circuits.suspend(hop, service.clock.monotonic() + 60, ALL_HOSTILE)
        for one in HOSTILE:
            service.slots.back_off(by_name["direct"], one, service.clock.now(), one)
        assert_inert(await admin.get("/routes"))
        for one in HOSTILE:
            form = {"route": one, "target": one, "csrf": csrf_of(admin)}
            assert_inert(await admin.post("/routes/test", data=form))
            assert_inert(await admin.post("/routes/test", data=form | {"route": "direct"}))

    in_room(tmp_path, test, ROUTES)


def test_what_a_server_says_stays_a_text(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"220 {HOSTILE[0]} {HOSTILE[1]} {HOSTILE[6]}\r\n".encode())
            while await reader.readline():
                writer.write(f"554 5.7.1 {HOSTILE[0]} {HOSTILE[3]} \x1b[2J\r\n".encode())
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        mail = room.service.settings.routes[0]
        hop = Smarthost("127.0.0.1", port, tls=mail.via[0].tls)  # type: ignore[union-attr]
        room.service.reload(with_routes(room, hop))
        admin = await room.person()
        answer = await admin.post("/routes/test", data={"route": "mail", "csrf": csrf_of(admin)})
        assert HOSTILE[0] in assert_inert(answer).words
        server.close()

    in_room(tmp_path, test, '[[route]]\nname = "mail"\nvia = "smtp+plain://127.0.0.1:1"\n')


def with_routes(room: WebRoom, hop: Smarthost) -> Any:
    from dataclasses import replace

    settings = room.service.settings
    return replace(settings, routes=(replace(settings.routes[0], via=(hop,)),))
