"""The gate and the perimeter: who is let in, from where, under which name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from web_room import WebRoom, csrf_of, web_room

from waypost.control import keys
from waypost.control.permissions import Permission, Role
from waypost.control.sessions import SessionLifetimes
from waypost.faces.http.security import Caller, api_caller, page_caller

probe = APIRouter()


@probe.get("/api/probe")
@probe.post("/api/probe")
async def probe_api(caller: Annotated[Caller, api_caller(Permission.STEER)]) -> dict[str, Any]:
    return {"name": caller.name, "role": caller.role, "user": caller.user}


@probe.get("/probe")
@probe.post("/probe")
async def probe_page(
    request: Request, caller: Annotated[Caller, page_caller(Permission.STEER)]
) -> PlainTextResponse:
    form = await request.form() if request.method == "POST" else {}
    return PlainTextResponse(f"{caller.name} {form.get('word', '')} {request.client}")


@probe.get("/forgotten")
@probe.get("/api/forgotten")
async def forgotten() -> PlainTextResponse:
    return PlainTextResponse("a route that nobody protects")


def paths_of(routes: Iterable[Any], prefix: str = "") -> set[str]:
    """The paths of routes, also of those in routers that FastAPI has included."""
    paths = set()
    for one in routes:
        inner = getattr(one, "original_router", None)
        if inner is None:
            paths.add(prefix + one.path)
        else:
            paths |= paths_of(inner.routes, prefix + one.include_context.prefix)
    return paths


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], **changes: Any) -> None:
    async def run() -> None:
        async with web_room(folder, **changes) as room:
            room.application.include_router(probe)
            await work(room)

    asyncio.run(run())


def test_nobody_is_let_in_without_saying_who(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        nobody = await room.visitor()
        for path in ("/api/probe", "/api/forgotten", "/api/v1/openapi.json", "/api/nothing"):
            answer = await nobody.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
        for path in ("/probe", "/forgotten", "/nothing"):
            answer = await nobody.get(path, params={"a": "b"})
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/login?next={path}%3Fa%3Db"
        assert (await nobody.post("/probe")).headers["location"] == "/login"
        for mode, status in (("navigate", 303), ("cors", 401), ("same-origin", 401)):
            answer = await nobody.get("/probe", headers={"Sec-Fetch-Mode": mode})
            assert answer.status_code == status, "a script gets no login page for a part of one"

    in_room(tmp_path, work)


def test_every_route_but_the_public_ones_is_behind_the_gate(tmp_path: Path) -> None:
    public = {"/login", "/theme", "/first-run/{secret}", "/static/{version}/{name}"}

    async def work(room: WebRoom) -> None:
        nobody = await room.visitor()
        paths = paths_of(room.application.routes)
        assert {"/probe", "/api/probe", "/api/v1/openapi.json"} <= paths
        for path in sorted(paths - public):
            if path.startswith("/health"):
                continue
            answer = await nobody.get(path.replace("{", "").replace("}", ""))
            assert answer.status_code in (303, 401), path
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/login")

    in_room(tmp_path, work)


def test_a_session_may_what_its_role_may(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR, "Olga")
        assert (await operator.get("/api/probe")).json()["name"] == "Olga"
        assert (await operator.get("/probe")).text.startswith("Olga")
        viewer = await room.person(Role.VIEWER)
        answer = await viewer.get("/api/probe")
        assert answer.status_code == 403
        assert answer.json()["missing"] == ["queue:write"]
        assert "operator or admin" in answer.json()["detail"]
        assert (await viewer.get("/probe")).status_code == 403

    in_room(tmp_path, work)


def test_an_unsafe_request_of_a_session_needs_its_token(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        token = csrf_of(person)
        assert (await person.post("/api/probe")).status_code == 200
        other = csrf_of(await room.person(Role.OPERATOR))
        del person.headers["X-CSRF-Token"]
        for form, status in (
            ({}, 403), ({"csrf": ""}, 403), ({"csrf": other}, 403), ({"csrf": token[:-1]}, 403),
            ({"csrf": token, "word": "taken"}, 200),
        ):  # fmt: skip
            answer = await person.post("/probe", data=form)
            assert answer.status_code == status, form
        assert "taken" in answer.text
        # The API takes the header alone: a form could not send it from elsewhere.
        assert (await person.post("/api/probe", data={"csrf": token})).status_code == 403

    in_room(tmp_path, work)


OWN_PAGES = (
    {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
    {"Origin": "http://127.0.0.1:8025"}, {"Origin": "https://mail.example.com"},
)  # fmt: skip

FOREIGN_PAGES = (
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8025"},
    {"Origin": "http://127.0.0.1:9000"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
    {"Origin": "https://127.0.0.1:8025.evil.example"},
)  # fmt: skip


def test_an_unsafe_request_comes_from_our_own_pages(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person, nobody = await room.person(Role.OPERATOR), await room.visitor()
        for headers in OWN_PAGES:
            assert (await person.post("/api/probe", headers=headers)).status_code == 200, headers
        for headers in FOREIGN_PAGES:
            answer = await person.post("/api/probe", headers=headers)
            assert answer.status_code == 403, headers
            assert answer.json()["type"] == "urn:waypost:problem:foreign-origin"
            login = await nobody.post("/login", headers=headers)
            assert "from another site" in login.text, "nor does a stranger log somebody in"

    in_room(tmp_path, work, public_url="https://mail.example.com")


def test_a_key_needs_no_token_and_may_what_it_was_given(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        program = await room.key(Permission.STEER, user="shop")
        answer = await program.post("/api/probe", headers={"Origin": "http://elsewhere.example"})
        assert answer.json() == {"name": "key:key 1", "role": None, "user": "shop"}
        lacking = await room.key(Permission.READ)
        answer = await lacking.get("/api/probe")
        assert answer.status_code == 403
        assert "--scope" in answer.json()["detail"]
        assert (await program.get("/probe")).status_code == 401, "pages are for people"

    in_room(tmp_path, work)


def test_a_key_that_is_wrong_revoked_or_expired_is_refused(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        now = room.service.clock.now()
        _, secret = room.room.database.now(
            lambda c: keys.add(c, "old", [Permission.STEER], now, created_by="t",
                               expires_at=now + 0.001)
        )  # fmt: skip
        while room.service.clock.now() < now + 0.001:
            pass
        client = await room.visitor()
        for value in (
            f"Bearer {secret}", "Bearer wpk_wrong", "Bearer ", "Basic d29yZDp3b3Jk",
            "Bearer " + "w" * 5000, "Bearer wpk_\udce4",
        ):  # fmt: skip
            answer = await client.get(
                "/api/probe", headers={"Authorization": value.encode("utf-8", "surrogateescape")}
            )
            assert answer.status_code == 401, value
            assert "wpk_wrong" not in answer.text, "what was sent is not repeated"
        good = await room.key(Permission.STEER)
        assert (await good.get("/api/probe")).status_code == 200
        room.room.database.now(lambda c: keys.revoke(c, "key 1"))
        assert (await good.get("/api/probe")).status_code == 401

    in_room(tmp_path, work)


def test_a_session_ends_by_itself(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR, "Olga")
        assert (await person.get("/probe")).status_code == 200
        database = room.room.database
        for column, seconds in (("seen_at", 3601), ("created_at", 86401)):
            database.now(
                lambda c, column=column, seconds=seconds: c.execute(
                    f"UPDATE session SET {column} = {column} - ?", (seconds,)
                )
            )
            assert (await person.get("/probe")).status_code == 303
            person = await room.browser(room.session_of("Olga"))
            assert (await person.get("/probe")).status_code == 200

    in_room(tmp_path, work, lifetimes=SessionLifetimes(3600, 86400))


OWN_HOSTS = (
    "127.0.0.1:8025", "localhost", "localhost:9", "[::1]:8025", "192.0.2.7",
    "panel.localhost:8025", "mail.example.com", "MAIL.example.com.", "relay.example", "inside:8025",
)  # fmt: skip

FOREIGN_HOSTS = (
    "evil.example", "evil.example:8025", "localhost.evil.example", "",
    "mail.example.com@evil.example", "127.0.0.1.evil.example", "[::1", "localhost:99999999",
)  # fmt: skip


def test_a_foreign_name_is_not_answered(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        for hosts, status in ((OWN_HOSTS, 200), (FOREIGN_HOSTS, 421)):
            for host in hosts:
                answer = await person.get("/api/probe", headers={"Host": host})
                assert answer.status_code == status, host

    in_room(tmp_path, work, public_url="https://mail.example.com", hosts=("inside",))


def test_a_page_that_refreshes_itself_keeps_no_session_alive(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        database = room.room.database

        def seen() -> float:
            (at,) = database.now(lambda c: c.execute("SELECT seen_at FROM session").fetchone())
            return float(at)

        database.now(lambda c: c.execute("UPDATE session SET seen_at = seen_at - 600"))
        before = seen()
        script = {"Sec-Fetch-Mode": "cors"}
        assert (await person.get("/probe", headers=script)).status_code == 200
        assert seen() == before
        assert (await person.post("/probe", headers=script)).status_code == 200
        assert seen() > before, "an action of a person is one, also by a script"

    in_room(tmp_path, work)


def test_plain_http_is_taken_from_this_machine_and_from_named_proxies(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        for address, base, status in (
            ("192.0.2.1", "http://192.0.2.9", 403),
            ("192.0.2.1", "https://192.0.2.9", 401),
            ("172.17.0.1", "http://192.0.2.9", 401),
            ("::ffff:172.17.0.1", "http://192.0.2.9", 401),
            ("::1", "http://192.0.2.9", 401),
        ):
            client = await room.visitor(address=address, base=base)
            answer = await client.get("/api/probe")
            assert answer.status_code == status, address
            secure = "strict-transport-security" in answer.headers
            assert secure is base.startswith("https")

    in_room(tmp_path, work, trusted_proxies=(ip_network("172.17.0.0/16"),))


FORWARDED = (
    ("127.0.0.1", "198.51.100.7", "127.0.0.1"),  # no proxy: what it says does not count
    ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
    ("10.0.0.1", "203.0.113.1, 198.51.100.7", "198.51.100.7"),
    ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
    ("10.0.0.1", "nonsense", "10.0.0.1"),
    ("10.0.0.1", "", "10.0.0.1"),
)


def test_the_client_is_who_a_trusted_proxy_says(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        room.operator("Olga", Role.OPERATOR)
        token = room.session_of("Olga")
        for peer, forwarded, client in FORWARDED:
            browser = await room.client(
                peer, cookies={"waypost_session": token, "__Host-waypost_session": token}
            )
            answer = await browser.get(
                "/probe", headers={"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
            )
            assert answer.status_code == 200
            assert f"'{client}'" in answer.text, (peer, forwarded)
            assert ("strict-transport-security" in answer.headers) is (peer == "10.0.0.1")

    in_room(tmp_path, work, trusted_proxies=(ip_network("10.0.0.0/8"),))


def test_a_form_has_a_largest_size(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)

        async def pieces(count: int) -> Any:
            for _ in range(count):
                yield b"word=" + b"x" * 65536 + b"&"

        nobody = await room.visitor()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        for client, large, small in ((nobody, 2, 0), (person, 300, 2)):
            answer = await client.post("/theme", content=pieces(large), headers=kind)
            assert answer.status_code == 413
            answer = await client.post("/theme", content=pieces(small), headers=kind)
            assert answer.status_code in (303, 422)

    in_room(tmp_path, work)


def test_every_answer_has_the_security_headers(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        for path in ("/probe", "/api/probe", "/nothing", "/api/nothing"):
            headers = (await person.get(path)).headers
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"
            assert "strict-transport-security" not in headers
        refused = await person.get("/probe", headers={"Host": "evil.example"})
        assert refused.headers["x-frame-options"] == "DENY"

    in_room(tmp_path, work)
