"""The pages of accounts, keys and the audit log, used as a browser without scripts uses them."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from web_room import WebRoom, csrf_of, web_room

from waypost.control import accounts, keys
from waypost.control.audit import AuditFilter
from waypost.control.permissions import Permission, Role
from waypost.faces.http.panel.accounts_browser import browser_words

XSS = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]]) -> None:
    async def run() -> None:
        async with web_room(folder, public_url="https://mail.example.com") as room:
            await work(room)

    asyncio.run(run())


async def post(person: httpx.AsyncClient, path: str, **form: str | list[str]) -> httpx.Response:
    return await person.post(path, data={"csrf": csrf_of(person), **form}, follow_redirects=True)


async def actions(room: WebRoom) -> list[tuple[str, str, str]]:
    found = await room.room.audit.entries(AuditFilter())
    return [(one.who, one.action, one.subject) for one in found]


def test_who_is_invited_gets_a_link_and_no_password(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        page = await post(admin, "/accounts/add", name="Olga", role="operator")
        (link,) = re.findall(r"https://mail\.example\.com(/first-run/[\w-]{43})", page.text)
        assert "Olga" in page.text
        assert link not in (await admin.get("/accounts")).text, "it is shown once"
        visitor = await room.visitor()
        text = (await visitor.get(link)).text
        assert "Choose the password of <strong>Olga</strong>" in text
        form = {"password": "a long password", "again": "a long password", "name": "Eve"}
        answer = await visitor.post(link, data=form)
        assert answer.headers["location"] == "/"
        assert "You are operator" in (await visitor.get("/account")).text
        assert (await visitor.get("/accounts")).status_code == 403
        assert await actions(room) == [
            ("Olga", "password chosen", "Olga"), ("Ada", "operator added", "Olga"),
        ]  # fmt: skip

    in_room(tmp_path, work)


def test_a_role_is_changed_and_the_sessions_end(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        olga = await room.person(Role.OPERATOR, "Olga")
        page = await post(admin, "/accounts/role", name="Olga", role="viewer")
        assert "Olga is viewer now." in page.text
        assert (await olga.get("/account")).status_code == 303
        page = await post(admin, "/accounts/role", name="Olga", role="king")
        assert "&#39;king&#39; is no role" in page.text
        page = await post(admin, "/accounts/disable", name="Olga")
        assert "Olga can no longer log in." in page.text
        page = await post(admin, "/accounts/enable", name="Olga")
        assert "Olga can log in again." in page.text
        page = await post(admin, "/accounts/remove", name="Olga")
        assert "Olga is removed." in page.text
        page = await post(admin, "/accounts/remove", name="Olga")
        assert "There is no operator &#39;Olga&#39;." in page.text

    in_room(tmp_path, work)


@pytest.mark.parametrize(("path", "form"), [
    ("/accounts/remove", {}), ("/accounts/disable", {}), ("/accounts/role", {"role": "viewer"}),
])  # fmt: skip
def test_the_last_admin_stays(tmp_path: Path, path: str, form: dict[str, str]) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        page = await post(admin, path, name="Ada", **form)
        assert "Ada is the last admin who can log in and cannot be" in page.text
        assert (await admin.get("/accounts")).status_code == 200

    in_room(tmp_path, work)


def test_a_key_is_shown_once_works_and_is_revoked(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        page = await post(
            admin, "/keys/add", name="shop", scope=["messages:send", "messages:read"], days="30",
            user="shop",
        )  # fmt: skip
        (secret,) = set(re.findall(r"wpk_[\w-]{43}", page.text))
        later = (await admin.get("/keys")).text
        assert secret not in later
        assert secret[:10] in later
        assert "never" in later
        program = await room.client(headers={"Authorization": f"Bearer {secret}"})
        me = (await program.get("/api/v1/me")).json()
        assert me["permissions"] == ["messages:read", "messages:send"]
        assert me["user"] == "shop"
        assert "from 127.0.0.1" in (await admin.get("/keys")).text
        page = await post(admin, "/keys/revoke", name="shop")
        assert "The key shop is no longer good." in page.text
        assert (await program.get("/api/v1/me")).status_code == 401
        page = await post(admin, "/keys/revoke", name="shop")
        assert "There is no key" in page.text
        for form in (
            {"name": "x"}, {"name": "x", "scope": "moon:fly"}, {"name": "", "scope": "audit:read"},
            {"name": "x", "scope": "audit:read", "days": "7"},
        ):  # fmt: skip
            page = await post(admin, "/keys/add", **form)
            assert 'class="notice bad"' in page.text
            assert "wpk_" not in page.text.replace("wpk_…", "")

    in_room(tmp_path, work)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_an_admin_sees_and_changes_these(tmp_path: Path, role: Role) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(role)
        await room.person(Role.ADMIN, "Ada")
        room.room.database.now(
            lambda c: keys.add(c, "shop", [Permission.SEND], 1.0, created_by="Ada")
        )
        for path in ("/accounts", "/keys", "/audit"):
            assert (await person.get(path)).status_code == 403
        for path in (
            "/accounts/add", "/accounts/role", "/accounts/disable", "/accounts/remove",
            "/accounts/link", "/accounts/enable", "/keys/add", "/keys/revoke",
        ):  # fmt: skip
            answer = await post(person, path, name="shop" if "keys" in path else "Ada")
            assert answer.status_code == 403, path
        database = room.room.database
        assert accounts.known(database.now(lambda c: c), "Ada").is_active
        assert len(keys.keys(database.now(lambda c: c))) == 1
        assert (await person.get("/account")).status_code == 200

    in_room(tmp_path, work)


def test_forms_without_the_token_change_nothing(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        await room.person(Role.OPERATOR, "Olga")
        del admin.headers["X-CSRF-Token"]
        for path in ("/accounts/remove", "/accounts/link", "/keys/add", "/account/password"):
            answer = await admin.post(path, data={"name": "Olga", "scope": "messages:send"})
            assert answer.status_code == 403
            assert "may not be yours" in answer.text
        assert await actions(room) == []

    in_room(tmp_path, work)


def test_what_people_write_is_text_on_every_page(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        name = '"><img src=x onerror=alert(1)>'
        admin = await room.person(Role.ADMIN, "Ada")
        admin.headers["User-Agent"] = XSS
        await post(admin, "/accounts/add", name=name, role="viewer")
        await post(admin, "/keys/add", name=name, scope="messages:read", user=XSS)
        await post(admin, "/accounts/disable", name=name)
        token = room.room.database.now(lambda c: c.execute("SELECT count(*) FROM operator"))
        assert token.fetchone() == (2,)
        await room.room.audit.record(XSS, XSS, XSS, XSS)
        for path in (
            "/accounts", "/keys", "/audit", "/account",
            f"/audit?who={XSS}&action={XSS}&text={XSS}&day={XSS}", f"/login?next={XSS}",
        ):  # fmt: skip
            answer = await admin.get(path, follow_redirects=True)
            assert "<script>alert" not in answer.text, path
            assert "<img src=x" not in answer.text, path
        shown = html.unescape((await admin.get("/accounts")).text)
        assert name in shown

    in_room(tmp_path, work)


def test_the_audit_log_is_read_page_by_page_and_filtered(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        for number in range(105):
            await room.room.audit.record("Ada", "key added", f"key-{number:03}")
        await room.room.audit.record("", "login failed", "an unknown name")
        first = (await admin.get("/audit")).text
        assert "key-104" in first
        assert "key-005" not in first
        assert "nobody" in first
        (older,) = re.findall(r'href="(/audit\?[^"]*before=[^"]*)"', first)
        second = (await admin.get(html.unescape(older))).text
        assert "key-005" in second
        assert "key-104" not in second
        found = (await admin.get("/audit", params={"text": "key-050"})).text
        assert "key-050" in found
        assert "key-051" not in found
        assert "No entry matches" in (await admin.get("/audit", params={"who": "Eve"})).text
        for day, status in (("2026-11-24", 200), ("9999-12-31", 303), ("x", 303)):
            answer = await admin.get("/audit", params={"day": day})
            assert answer.status_code == status, day
        assert (await admin.get("/audit?before=99999999999999999999999999")).status_code == 200

    in_room(tmp_path, work)


def test_a_locked_out_person_gets_in_by_a_new_link(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "Ada")
        olga = await room.person(Role.VIEWER, "Olga")
        page = await post(admin, "/accounts/link", name="Olga")
        (link,) = re.findall(r"/first-run/[\w-]{43}", page.text)
        assert (await olga.get("/account")).status_code == 200, "nothing ends until it is used"
        visitor = await room.visitor()
        form = {"password": "a long password", "again": "a long password"}
        assert (await visitor.post(link, data=form)).status_code == 303
        assert (await olga.get("/account")).status_code == 303

    in_room(tmp_path, work)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
         "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605 Version/17 Safari/605.1",
         "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
         "Chrome on Android"),
        ("curl/8.0", "curl"),
        ("", "unknown"),
        ("x" * 500, "x" * 60),
    ],
)  # fmt: skip
def test_a_browser_is_told_in_words(says: str, words: str) -> None:
    assert browser_words(says) == words


def test_a_link_that_two_open_at_once_is_good_for_one(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        secret = await room.room.accounts.first_run_link()
        answers = []
        for name in ("Ada", "Eve", "Ina"):
            browser = await room.visitor()
            form = {"name": name, "password": "a long password", "again": "a long password"}
            answers.append(browser.post(f"/first-run/{secret}", data=form))
        codes = sorted(one.status_code for one in await asyncio.gather(*answers))
        assert codes == [303, 410, 410]
        people = await room.room.accounts.read(accounts.operators)
        assert len(people) == 1

    in_room(tmp_path, work)
