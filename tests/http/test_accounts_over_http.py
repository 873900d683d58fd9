"""Accounts, keys and the audit log over the API; and that nobody makes themselves more by it."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from web_room import WebRoom, web_room

from waypost.control.permissions import Permission, Role
from waypost.faces.http.api.models_accounts import (
    AuditEntryTold,
    KeysTold,
    Me,
    NewKeyTold,
    OneTimeLinkTold,
    OperatorAccounts,
    PermissionName,
    RoleName,
)


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]]) -> None:
    async def run() -> None:
        async with web_room(folder) as room:
            await work(room)

    asyncio.run(run())


def test_the_forms_know_every_permission_and_role() -> None:
    assert set(typing.get_args(PermissionName)) == set(Permission)
    assert set(typing.get_args(RoleName)) == set(Role)


def test_a_caller_learns_who_it_is(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        program = await room.key(Permission.SEND, user="shop")
        me = Me.model_validate((await program.get("/api/v1/me")).json())
        assert (me.name, me.kind, me.role, me.user) == ("key:key 1", "key", None, "shop")
        person = await room.person(Role.VIEWER, "Olga")
        me = Me.model_validate((await person.get("/api/v1/me")).json())
        assert (me.name, me.kind, me.role) == ("Olga", "session", "viewer")

    in_room(tmp_path, work)


def test_operators_are_invited_changed_and_removed(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        made = await admin.post("/api/v1/operators", json={"name": "Olga", "role": "operator"})
        assert made.status_code == 201
        link = OneTimeLinkTold.model_validate(made.json())
        assert link.link.startswith("http://127.0.0.1:8025/first-run/")
        again = await admin.post("/api/v1/operators", json={"name": "olga"})
        assert (again.status_code, again.json()["type"]) == (409, "urn:waypost:problem:conflict")
        bad = await admin.post("/api/v1/operators", json={"name": "a:b"})
        assert bad.status_code == 422
        changed = await admin.patch("/api/v1/operators/Olga", json={"role": "viewer"})
        assert changed.json()["role"] == "viewer"
        changed = await admin.patch("/api/v1/operators/Olga", json={"disabled": True})
        assert (changed.json()["role"], changed.json()["state"]) == ("viewer", "disabled")
        people = OperatorAccounts.model_validate((await admin.get("/api/v1/operators")).json())
        assert [one.name for one in people.items] == ["Ada", "Olga"]
        assert (await admin.post("/api/v1/operators/Olga/link")).status_code == 201
        assert (await admin.delete("/api/v1/operators/Olga")).status_code == 204
        for call in (admin.delete, admin.get):
            assert (await call("/api/v1/operators/Olga")).status_code in (404, 405)
        last = await admin.delete("/api/v1/operators/Ada")
        assert (last.status_code, "last admin" in last.json()["detail"]) == (409, True)

    in_room(tmp_path, work)


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        made = await admin.post(
            "/api/v1/keys",
            json={"name": "shop", "permissions": ["messages:read"], "expires_in": 3600},
        )
        assert made.status_code == 201
        told = NewKeyTold.model_validate(made.json())
        assert told.expires is not None
        program = await room.client(headers={"Authorization": f"Bearer {told.secret}"})
        assert (await program.get("/api/v1/me")).status_code == 200
        listed = await admin.get("/api/v1/keys")
        assert told.secret not in listed.text
        (one,) = KeysTold.model_validate(listed.json()).items
        assert (one.name, one.begins, one.created_by) == ("shop", told.secret[:10], "Ada")
        twice = await admin.post("/api/v1/keys", json={"name": "shop"})
        assert twice.status_code == 409
        assert (await admin.delete("/api/v1/keys/shop")).status_code == 204
        assert (await admin.delete("/api/v1/keys/shop")).status_code == 404
        assert (await program.get("/api/v1/me")).status_code == 401
        for wrong in (
            {"name": "x", "permissions": ["moon:fly"]}, {"name": "x", "permissions": []},
            {"name": "x", "expires_in": 1}, {"name": "x", "expires_in": "1e400"}, {},
            {"name": "x", "more": 1}, {"name": "x" * 65},
        ):  # fmt: skip
            answer = await admin.post("/api/v1/keys", json=wrong)
            assert answer.status_code == 422, wrong
        kind = {"Content-Type": "application/json"}
        answer = await admin.post("/api/v1/keys", content=b'{"name":"x\\ud800"}', headers=kind)
        assert answer.status_code == 422

    in_room(tmp_path, work)


def test_the_audit_log_is_read_by_cursor(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        for number in range(7):
            await room.room.audit.record("Ada", "key added", str(number))
        auditor = await room.key(Permission.AUDIT)
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(9):
            query: dict[str, Any] = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = (await auditor.get("/api/v1/audit", params=query)).json()
            seen += [AuditEntryTold.model_validate(one).subject for one in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == list("6543210")
        whole = await auditor.get("/api/v1/audit", params={"limit": 500})
        assert len(whole.json()["items"]) == 7
        none = await auditor.get("/api/v1/audit", params={"until": "2001-01-01T00:00:00"})
        assert none.json() == {"items": [], "next": None}
        for query in (
            {"cursor": "x"}, {"cursor": "YXVkaXQ6eA"}, {"since": "soon"}, {"limit": 0},
            {"cursor": "YXVkaXQ6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk"},
        ):  # fmt: skip
            assert (await auditor.get("/api/v1/audit", params=query)).status_code == 422, query
        for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
            answer = await auditor.get("/api/v1/audit", params={"since": moment, "until": moment})
            assert answer.status_code == 200

    in_room(tmp_path, work)


def test_no_other_permission_opens_accounts(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        others = sorted(set(Permission) - {Permission.ACCOUNTS})
        program = await room.key(*others)
        for method, path, body in (
            ("GET", "/operators", None), ("POST", "/operators", {"name": "x"}),
            ("PATCH", "/operators/x", {}), ("DELETE", "/operators/x", None),
            ("POST", "/operators/x/link", None), ("GET", "/keys", None),
            ("POST", "/keys", {"name": "x"}), ("DELETE", "/keys/x", None),
        ):  # fmt: skip
            answer = await program.request(method, f"/api/v1{path}", json=body)
            assert answer.status_code == 403, path
        for permission in others:
            reading = await (await room.key(permission)).get("/api/v1/audit")
            assert reading.status_code == (200 if permission is Permission.AUDIT else 403)

    in_room(tmp_path, work)


def test_a_key_for_accounts_cannot_make_itself_more(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        await room.person(Role.ADMIN, "Ada")
        await room.person(Role.ADMIN, "Nina")
        await room.person(Role.VIEWER, "Vera")
        program = await room.key(Permission.ACCOUNTS, Permission.SEND)
        for method, path, body in (
            ("POST", "/keys", {"name": "x", "permissions": ["messages:send", "content:read"]}),
            ("POST", "/operators", {"name": "x", "role": "admin"}),
            ("POST", "/operators", {"name": "x", "role": "viewer"}),
            ("POST", "/operators/Ada/link", None),
            ("PATCH", "/operators/Vera", {"role": "admin"}),
            ("PATCH", "/operators/Ada", {"disabled": True}),
            ("DELETE", "/operators/Ada", None),
        ):
            answer = await program.request(method, f"/api/v1{path}", json=body)
            assert answer.status_code == 403, (path, answer.text)
            assert answer.json()["type"] == "urn:waypost:problem:not-permitted"
        given = {"name": "y", "permissions": ["messages:send"]}
        assert (await program.post("/api/v1/keys", json=given)).status_code == 201
        people = (await (await room.person()).get("/api/v1/operators")).json()["items"]
        assert [one["state"] for one in people] == ["active"] * 4

    in_room(tmp_path, work)


def test_a_key_of_one_user_makes_and_revokes_none_of_others(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        await room.key(Permission.SEND)
        program = await room.key(Permission.ACCOUNTS, user="shop")
        mine = {"permissions": ["accounts:write"], "user": "shop", "name": "mine"}
        for user in ({"user": None}, {"user": "other"}):
            answer = await program.post("/api/v1/keys", json=mine | user)
            assert answer.status_code == 403
        assert (await program.post("/api/v1/keys", json=mine)).status_code == 201
        assert (await program.delete("/api/v1/keys/key 1")).status_code == 403
        assert (await program.delete("/api/v1/keys/mine")).status_code == 204

    in_room(tmp_path, work)
