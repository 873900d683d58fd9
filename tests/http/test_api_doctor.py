"""The doctor over the API: it answers as the commands do, and reaches only what it may."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from test_api_messages import API, out
from web_room import WebRoom, web_room

from sink import Sink
from waypost.control.permissions import Permission, Role
from waypost.delivery.route import Route, Sandbox, Smarthost
from waypost.faces.http.api import doctor
from waypost.faces.http.api.doctor_network import ReachPolicy
from waypost.net.static_resolver import StaticResolver


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], text: str = "") -> None:
    async def run() -> None:
        async with web_room(folder, text) as room:
            await work(room)

    asyncio.run(run())


class Literals(StaticResolver):
    """Knows that an address is one, as the resolver of the relay does."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        try:
            return (str(ipaddress.ip_address(name)),)
        except ValueError:
            return tuple(await super().addresses(name))


class NoNetwork:
    """Nobody is there."""

    async def connect(self, *_: object, **__: object) -> Any:
        raise ConnectionRefusedError(111, "Connection refused")


def test_a_reply_is_explained_and_nonsense_is_told(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)  # any caller may ask: it connects to nobody
        told = await client.post(f"{API}/doctor/explain", json={"text": "550 5.1.1 no such user"})
        assert told.json()["cause"] == "recipient.unknown"
        nothing = await client.post(f"{API}/doctor/explain", json={"text": "hello"})
        assert nothing.status_code == 422
        assert nothing.json()["type"] == "urn:waypost:problem:nothing-known"

    in_room(tmp_path, work)


def test_a_next_hop_of_a_route_is_checked_and_measured_wherever_it_is(tmp_path: Path) -> None:
    sink = Sink()

    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        target = f"smtp+plain://127.0.0.1:{sink.port}"
        checked = await person.post(f"{API}/doctor/check", json={"target": target})
        assert checked.status_code == 200, checked.text
        assert {"tcp", "greeting"} <= {
            one["name"] for one in checked.json()["steps"] if one["status"] == "ok"
        }
        pinged = await person.post(f"{API}/doctor/ping", json={"target": target, "count": 2})
        assert (pinged.json()["count"], pinged.json()["losses"]) == (2, 0)
        assert sink.received == []

    try:
        in_room(tmp_path, work, out(sink.port))
    finally:
        sink.close()


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:25", "localhost:25", "10.0.0.1:25", "169.254.169.254:25", "[::1]:25",
        "[::ffff:127.0.0.1]:25", "smtp://192.168.1.1:587", "inside.example:25", "0.0.0.0:25",
        "203.0.113.7:22", "public.example:6379", "public.example:80",
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["check", "ping"])
def test_the_inside_of_the_network_and_other_ports_are_out_of_reach(
    tmp_path: Path, target: str, call: str
) -> None:
    async def work(room: WebRoom) -> None:
        room.service.network = NoNetwork()
        room.service.resolver = Literals(
            addresses={
                "inside.example": ["10.1.2.3"], "public.example": ["198.51.100.1"],
                "localhost": ["127.0.0.1"],
            }
        )  # fmt: skip
        person = await room.person(Role.ADMIN)
        answer = await person.post(f"{API}/doctor/{call}", json={"target": target, "seconds": 5})
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"] == "urn:waypost:problem:out-of-reach"

    in_room(tmp_path, work)


@pytest.mark.parametrize(
    "target",
    [
        "unix:/run/mail.sock", "smtp://mail.example.com?ca_file=/etc/shadow",
        "smtp://mail.example.com?password_file=/etc/shadow", "imap://mail.example.com",
        "smtp://user:${HOME}@mail.example.com", "http://mail.example.com", "", "a b c",
        "smtp://mail.example.com?source=127.0.0.1",
    ],
)  # fmt: skip
def test_a_target_names_no_file_no_variable_and_no_address_of_ours(
    tmp_path: Path, target: str
) -> None:
    async def work(room: WebRoom) -> None:
        room.service.network, room.service.resolver = NoNetwork(), Literals()
        person = await room.person(Role.ADMIN)
        answer = await person.post(f"{API}/doctor/check", json={"target": target})
        assert answer.status_code == 422, answer.text
        assert str(tmp_path) not in answer.text

    in_room(tmp_path, work)


def test_a_password_is_neither_told_nor_written_down(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        room.service.network, room.service.resolver = NoNetwork(), Literals()
        person = await room.person(Role.ADMIN)
        body = {"target": "mail.example.com", "user": "joe", "password": "hunter2-secret"}
        answer = await person.post(f"{API}/doctor/check", json=body)
        assert answer.status_code == 200, answer.text
        assert "hunter2" not in answer.text
        from waypost.control.audit import AuditFilter

        entries = await room.room.audit.entries(AuditFilter(action="server checked"))
        assert entries
        assert "hunter2" not in repr(entries)

    in_room(tmp_path, work)


def test_few_checks_run_at_a_time_and_each_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def stalls(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        monkeypatch.setattr(doctor, "check", stalls)
        monkeypatch.setattr(doctor, "AT_ONCE", 1)
        monkeypatch.setattr(doctor, "LONGEST", 1.0)
        body = {"target": "mail.example.com"}
        first = asyncio.create_task(person.post(f"{API}/doctor/check", json=body))
        await begun.wait()
        second = await person.post(f"{API}/doctor/check", json=body)
        assert (second.status_code, second.headers["retry-after"]) == (503, "5")
        assert (await first).status_code == 504
        assert room.application.state.checks == 0

    in_room(tmp_path, work)


def test_who_may_not_run_the_doctor_connects_to_nobody(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        viewer = await room.person(Role.VIEWER)
        for call, body in (
            ("check", {"target": "mail.example.com"}),
            ("ping", {"target": "mail.example.com"}),
            ("discover", {"subject": "example.com"}),
        ):
            assert (await viewer.post(f"{API}/doctor/{call}", json=body)).status_code == 403

    in_room(tmp_path, work)


def test_the_policy_follows_the_routes() -> None:
    hop = Smarthost("10.0.0.5", 2500)
    routes = (Route("out", (hop,)), Route("rest", (Sandbox(),)))
    assert ReachPolicy.of(routes, hop).refusal("10.0.0.5", 2500) is None
    assert ReachPolicy.of(routes, Smarthost("10.0.0.6", 2500)).refusal("10.0.0.6", 2500)
    assert ReachPolicy.of(routes, None).refusal("8.8.8.8", 2500) is None
    assert ReachPolicy.of(routes, None).refusal("8.8.8.8", 22)
    inside = (Route("mx", (Sandbox(),), allow_private_addresses=True),)
    assert ReachPolicy.of(inside, None).refusal("10.0.0.6", 25) is None
