"""Fault rules over the API, and what a client of the relay meets then."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from web_room import WebRoom, web_room

from waypost.control.audit import AuditFilter
from waypost.control.permissions import Permission, Role

RULES = "/api/v1/sandbox/rules"
GREYLISTED = {"on": "rcpt", "recipient": "*@slow.example", "reply": "450 4.7.1 Greylisted"}


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], text: str = "") -> None:
    async def run() -> None:
        async with web_room(folder, text) as room:
            await work(room)

    asyncio.run(run())


async def rcpt(room: WebRoom, recipient: str = "joe@slow.example") -> int:
    """What the relay says to a recipient."""

    def ask() -> int:
        with smtplib.SMTP("127.0.0.1", room.smtp_port, timeout=30) as client:
            client.ehlo()
            client.mail("app@here.example")
            return client.rcpt(recipient)[0]

    return await asyncio.to_thread(ask)


def test_a_rule_is_added_met_counted_replaced_reset_and_removed(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        added = await person.post(RULES, json=GREYLISTED)
        assert added.status_code == 201
        place = f"{RULES}/{added.json()['number']}"
        assert (await rcpt(room), await rcpt(room, "joe@quick.example")) == (450, 250)
        seen = (await person.get(place)).json()
        assert (seen["origin"], seen["seen"], seen["struck"]) == ("api", 1, 1)
        replaced = await person.put(place, json=GREYLISTED | {"reply": "550 No", "times": 1})
        assert replaced.json()["struck"] == 0
        assert [await rcpt(room), await rcpt(room)] == [550, 250]
        assert (await person.post(f"{place}/reset")).json()["seen"] == 0
        assert await rcpt(room) == 550
        assert (await person.post(f"{RULES}/reset")).json()["items"][0]["struck"] == 0
        assert (await person.delete(place)).status_code == 204
        assert await rcpt(room) == 250
        assert (await person.get(RULES)).json() == {"items": [], "followed": True}
        assert (await person.delete(place)).status_code == 404
        actions = [entry.action for entry in await room.room.audit.entries(AuditFilter())]
        assert {"fault rule added", "fault rule replaced", "fault rule removed"} <= set(actions)

    in_room(tmp_path, work)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"on": "rcpt"}, "does nothing"),
        ({"on": "rcpt", "reply": "hello"}, "450 4.7.1"),
        ({"on": "rcpt", "reply": "450 a\rb"}, "control character"),
        ({"on": "mail", "recipient": "a@b.example", "drop": True}, "no recipient is known"),
        ({"on": "rcpt", "rate": "often", "drop": True}, "no rate"),
        ({"on": "rcpt", "share": 0, "drop": True}, "greater than 0"),
        ({"on": "rcpt", "delay": 1e9}, "less than"),
        ({"on": "noon", "drop": True}, "'connect'"),
        ({"on": "rcpt", "dorp": True, "drop": True}, "not permitted"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(
    tmp_path: Path, body: dict[str, object], words: str
) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        answer = await person.post(RULES, json=body)
        assert answer.status_code == 422
        assert words in answer.json()["detail"]
        assert (await person.get(RULES)).json()["items"] == []

    in_room(tmp_path, work)


def test_rules_of_the_configuration_are_seen_and_stay(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        (rule,) = (await person.get(RULES)).json()["items"]
        assert (rule["origin"], rule["reply"], rule["rate"]) == (
            "configuration", "421 4.7.0 Too many", "10/minute",
        )  # fmt: skip
        assert (await person.delete(f"{RULES}/{rule['number']}")).status_code == 409
        await person.post(RULES, json=GREYLISTED)
        assert (await person.delete(RULES)).status_code == 204
        assert [one["number"] for one in (await person.get(RULES)).json()["items"]] == [
            rule["number"]
        ]

    in_room(
        tmp_path, work,
        '[[sandbox.rule]]\non = "mail"\nreply = "421 4.7.0 Too many"\nrate = "10/minute"\n',
    )  # fmt: skip


def test_where_mail_leaves_the_machine_no_rule_is_taken(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        answer = await person.post(RULES, json=GREYLISTED)
        assert answer.status_code == 409
        assert "allow_beside_real_routes" in answer.json()["detail"]
        assert (await person.get(RULES)).json() == {"items": [], "followed": False}

    in_room(tmp_path, work, '[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:9"\n')


def test_who_may_see_rules_and_who_may_set_them(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        assert (await (await room.visitor()).get(RULES)).status_code == 401
        viewer = await room.person(Role.VIEWER)
        assert (await viewer.get(RULES)).status_code == 200
        assert (await viewer.post(RULES, json=GREYLISTED)).status_code == 403
        program = await room.key(Permission.SANDBOX)
        assert (await program.post(RULES, json=GREYLISTED)).status_code == 201

    in_room(tmp_path, work)
