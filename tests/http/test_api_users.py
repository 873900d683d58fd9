"""The relay's users over the API: they log in with what they were given, and with nothing else."""

from __future__ import annotations

import asyncio
import smtplib
from pathlib import Path

import pytest
from web_room import WebRoom, web_room

from waypost.control.permissions import Permission, Role

NEW = {"name": "shop", "password": "correct horse", "senders": ["shop@example.com"]}


def in_room(folder: Path, test: object) -> None:
    async def main() -> None:
        async with web_room(folder) as room:
            await asyncio.wait_for(test(room), 60)  # type: ignore[operator]

    asyncio.run(main())


async def can_log_in(room: WebRoom, name: str, password: str) -> bool:
    def attempt() -> bool:
        with smtplib.SMTP("127.0.0.1", room.smtp_port, timeout=30) as client:
            try:
                client.login(name, password)
            except smtplib.SMTPAuthenticationError:
                return False
            return True

    return await asyncio.to_thread(attempt)


def test_a_user_comes_changes_and_goes(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN)
        made = await admin.post("/api/v1/users", json=NEW)
        assert made.status_code == 201
        assert (made.json()["name"], made.json()["senders"]) == ("shop", ["shop@example.com"])
        assert "horse" not in made.text
        assert await can_log_in(room, "shop", "correct horse")

        changed = await admin.patch("/api/v1/users/shop", json={"password": "battery staple"})
        assert changed.status_code == 200
        assert not await can_log_in(room, "shop", "correct horse")
        assert await can_log_in(room, "shop", "battery staple")

        await admin.patch("/api/v1/users/shop", json={"disabled": True})
        assert not await can_log_in(room, "shop", "battery staple")
        assert [one["disabled"] for one in (await admin.get("/api/v1/users")).json()["items"]] == [
            True
        ]
        assert (await admin.delete("/api/v1/users/shop")).status_code == 204
        assert (await admin.get("/api/v1/users")).json() == {"items": []}
        written = (await admin.get("/api/v1/audit")).text
        assert "user added" in written
        assert "user removed" in written
        assert "staple" not in written

    in_room(tmp_path, test)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/users", NEW | {"name": " "}, 422),
        ("POST", "/users", NEW | {"password": ""}, 422),
        ("POST", "/users", NEW | {"senders": [""]}, 422),
        ("PATCH", "/users/nobody", {"disabled": True}, 404),
        ("DELETE", "/users/nobody", None, 404),
    ],
)
def test_what_cannot_be_is_told(
    tmp_path: Path, method: str, path: str, body: object, status: int
) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN)
        answer = await admin.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    in_room(tmp_path, test)


def test_a_name_is_there_once_and_only_admins_see_them(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        key = await room.key(Permission.ACCOUNTS)
        assert (await key.post("/api/v1/users", json=NEW)).status_code == 201
        assert (await key.post("/api/v1/users", json=NEW)).status_code == 409
        viewer = await room.person(Role.VIEWER)
        assert (await viewer.get("/api/v1/users")).status_code == 403

    in_room(tmp_path, test)
