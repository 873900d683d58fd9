"""Logging in, out and for the first time, as a browser does it without scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_room import WebRoom, csrf_of, web_room

from waypost.control import accounts, accounts_links
from waypost.control.accounts_passwords import Passwords
from waypost.control.audit import AuditEntry, AuditFilter
from waypost.control.permissions import Role

PASSWORD = "correct horse battery"
GOOD = {"name": "Olga", "password": PASSWORD}


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], **changes: Any) -> None:
    async def run() -> None:
        async with web_room(folder, **changes) as room:
            hashed = await room.room.accounts.passwords.hash(PASSWORD)
            room.operator("Olga", Role.OPERATOR, hashed)
            await work(room)

    asyncio.run(run())


async def audited(room: WebRoom, **wanted: Any) -> list[AuditEntry]:
    return await room.room.audit.entries(AuditFilter(**wanted))


def cookie_of(answer: httpx.Response) -> str:
    (one,) = answer.headers.get_list("set-cookie")
    return one


def test_who_logs_in_comes_to_the_page_that_was_wanted(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        browser = await room.visitor(headers={"User-Agent": "Firefox"})
        form = await browser.get("/login", params={"next": "/queues?q=1"})
        assert form.status_code == 200
        assert 'name="next" value="/queues?q=1"' in form.text
        answer = await browser.post("/login", data=GOOD | {"next": "/queues?q=1"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/queues?q=1")
        page = await browser.get("/account")
        assert page.status_code == 200
        assert "Olga" in page.text
        assert "Firefox" in page.text
        again = await browser.get("/login", params={"next": "/account"})
        assert again.headers["location"] == "/account"
        (entry,) = await audited(room, action="login")
        assert (entry.who, entry.address, entry.action) == ("Olga", "127.0.0.1", "login")

    in_room(tmp_path, work)


ELSEWHERE = (
    "//evil.example", "/\\evil.example", "https://evil.example", "x", "/a\r\nb", "/ä", "/\t/evil",
)  # fmt: skip


def test_a_login_leads_nowhere_else(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        for target in ELSEWHERE:
            browser = await room.visitor()
            assert 'value="/"' in (await browser.get("/login", params={"next": target})).text
            answer = await browser.post("/login", data=GOOD | {"next": target})
            assert answer.headers["location"] == "/", target

    in_room(tmp_path, work)


def test_the_cookie_is_for_this_host_and_not_for_scripts(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        here = await room.visitor()
        plain = cookie_of(await here.post("/login", data=GOOD))
        assert plain.startswith("waypost_session=")
        assert "secure" not in plain.lower()
        away = await room.visitor(
            address="10.0.0.1", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "::2"}
        )
        secure = cookie_of(await away.post("/login", data=GOOD))
        assert secure.startswith("__Host-waypost_session=")
        assert "; Secure" in secure
        for one in (plain, secure):
            assert "; HttpOnly" in one
            assert "; SameSite=lax" in one
            assert "; Path=/" in one
            assert "domain" not in one.lower()
        (entry, _) = await audited(room, action="login")
        assert entry.address == "::2"

    in_room(tmp_path, work, trusted_proxies=(ip_network("10.0.0.0/8"),))


def test_a_session_is_a_new_one_after_each_login(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        browser = await room.visitor()
        tokens = []
        for _ in range(2):
            await browser.post("/login", data=GOOD)
            tokens.append(browser.cookies["waypost_session"])
        assert tokens[0] != tokens[1]
        old = await room.browser(tokens[0])
        assert (await old.get("/account")).status_code == 303, "the old one has ended"
        planted = await room.client(cookies={"waypost_session": "planted"})
        await planted.post("/login", data=GOOD)
        values = {one.value for one in planted.cookies.jar if one.domain}
        assert "planted" not in values

    in_room(tmp_path, work)


def test_the_token_itself_is_kept_nowhere(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        browser = await room.visitor()
        await browser.post("/login", data=GOOD)
        token = browser.cookies["waypost_session"]
        link = await room.room.database.run(lambda c: accounts_links.make(c, "Olga", 1e12))
        # With the write-ahead log, which holds what is not in the database yet.
        kept = b"".join(one.read_bytes() for one in (tmp_path / "data").glob("control.sqlite*"))
        assert b"argon2id" in kept
        for secret in (token, link, PASSWORD):
            assert secret.encode() not in kept

    in_room(tmp_path, work)


def test_a_wrong_password_and_an_unknown_name_are_told_the_same(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        browser = await room.visitor()
        checked = []
        verify = Passwords.verify

        async def watched(self: Passwords, stored: str, password: str) -> bool:
            checked.append(password)
            return await verify(self, stored, password)

        Passwords.verify = watched  # type: ignore[method-assign]
        try:
            texts = []
            for name in ("Olga", "nobody at all"):
                answer = await browser.post("/login", data={"name": name, "password": "wrong"})
                assert answer.status_code == 403
                assert "set-cookie" not in answer.headers
                texts.append(answer.text.replace(name, "NAME"))
        finally:
            Passwords.verify = verify  # type: ignore[method-assign]
        assert texts[0] == texts[1]
        assert checked == ["wrong", "wrong"], "a hash is checked for an unknown name as well"
        failed = await audited(room, action="login failed")
        assert [one.subject for one in failed] == ["an unknown name", "Olga"]

    in_room(tmp_path, work)


@pytest.mark.parametrize("state", ["disabled", "without a password"])
def test_who_may_not_log_in_is_told_no_more(tmp_path: Path, state: str) -> None:
    async def work(room: WebRoom) -> None:
        def change(connection: Any) -> None:
            if state == "disabled":
                accounts.set_disabled(connection, "Olga", disabled=True)
            else:
                accounts.set_password(connection, "Olga", "")

        room.room.database.now(change)
        browser = await room.visitor()
        answer = await browser.post("/login", data=GOOD)
        assert answer.status_code == 403
        assert "Name or password is wrong." in answer.text

    in_room(tmp_path, work)


def test_guesses_have_to_wait(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        browser = await room.visitor()
        wrong = {"name": "Olga", "password": "wrong"}
        codes = [(await browser.post("/login", data=wrong)).status_code for _ in range(7)]
        assert codes == [403] * 6 + [429]
        answer = await browser.post("/login", data=GOOD)
        assert answer.status_code == 429, "the right one has to wait too"
        assert 1 <= int(answer.headers["retry-after"]) <= 2
        elsewhere = await room.visitor(address="::1")
        assert (await elsewhere.post("/login", data=GOOD)).status_code == 429, "for this name"
        other = await elsewhere.post("/login", data={"name": "Nina", "password": "x"})
        assert other.status_code == 403, "another name, from elsewhere, does not wait"

    in_room(tmp_path, work)


def test_logging_out_ends_the_session(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person, other = await room.browser(room.session_of("Olga")), room.session_of("Olga")
        answer = await person.post("/logout")
        assert answer.headers["location"] == "/login"
        assert 'waypost_session=""' in cookie_of(answer)
        assert "Max-Age=0" in cookie_of(answer)
        assert (await person.get("/account")).status_code == 303
        again = await room.browser(other)
        assert (await again.get("/account")).status_code == 200, "the other one goes on"
        third = await room.browser(room.session_of("Olga"))
        assert (await third.post("/account/sessions")).status_code == 303
        assert (await again.get("/account")).status_code == 303, "all have ended"
        foreign = await room.browser(room.session_of("Olga"))
        del foreign.headers["X-CSRF-Token"]
        assert (await foreign.post("/logout")).status_code == 403, "only by our own form"

    in_room(tmp_path, work)


# --- the first run ------------------------------------------------------------------------------


def empty_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]]) -> None:
    async def run() -> None:
        async with web_room(folder) as room:
            await work(room)

    asyncio.run(run())


def test_the_first_person_becomes_admin_by_a_link_that_works_once(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        secret = await room.room.accounts.first_run_link()
        assert secret is not None
        browser = await room.visitor()
        assert "Nobody has an account yet" in (await browser.get("/login")).text
        path = f"/first-run/{secret}"
        for _ in range(2):
            assert (await browser.get(path)).status_code == 200, "looking uses nothing up"
        form = {"name": "Ada", "password": PASSWORD, "again": PASSWORD}
        answer = await browser.post(path, data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/start")
        page = await browser.get("/account")
        assert "You are admin" in page.text
        for again in (await browser.get(path), await browser.post(path, data=form)):
            assert again.status_code == 410
            assert "no longer good" in again.text
        assert await room.room.accounts.first_run_link() is None
        assert "Nobody has an account yet" not in (await (await room.visitor()).get("/login")).text

    empty_room(tmp_path, work)


REFUSED = (
    ({"again": "another one, longer"}, "The two passwords differ."),
    ({"password": "short", "again": "short"}, "it must have at least 12"),
    ({"password": "aaaaaaaaaaaaaaa", "again": "aaaaaaaaaaaaaaa"}, "too easy to guess"),
    ({"name": "a:b"}, "is no name for an operator"),
    ({"name": "  "}, "is no name for an operator"),
)


def test_what_cannot_be_is_told_and_the_link_stays(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        secret = await room.room.accounts.first_run_link()
        browser = await room.visitor()
        path = f"/first-run/{secret}"
        whole = {"name": "Ada", "password": PASSWORD, "again": PASSWORD}
        for form, words in REFUSED:
            answer = await browser.post(path, data=whole | form)
            assert answer.status_code == 422
            assert words in answer.text
            assert PASSWORD not in answer.text
        assert (await browser.post(path, data=whole)).status_code == 303

    empty_room(tmp_path, work)


def test_a_link_is_good_for_an_hour_and_the_last_one_counts(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        browser = await room.visitor()
        first = await room.room.accounts.first_run_link()
        second = await room.room.accounts.first_run_link()
        assert (await browser.get(f"/first-run/{first}")).status_code == 410
        assert (await browser.get(f"/first-run/{second}")).status_code == 200
        room.room.database.now(
            lambda c: c.execute("UPDATE one_time_link SET expires_at = expires_at - 3600")
        )
        assert (await browser.get(f"/first-run/{second}")).status_code == 410
        for wrong in ("x", "x" * 500, "%00"):
            assert (await browser.get(f"/first-run/{wrong}")).status_code in (404, 410)

    empty_room(tmp_path, work)


def test_a_first_run_link_ends_when_somebody_has_an_account(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        secret = await room.room.accounts.first_run_link()
        room.operator("Ada", Role.ADMIN, "(a hash)")
        answer = await (await room.visitor()).get(f"/first-run/{secret}")
        assert answer.status_code == 410

    empty_room(tmp_path, work)


def test_a_new_password_ends_the_other_sessions(tmp_path: Path) -> None:
    new = "five unrelated words now"

    async def work(room: WebRoom) -> None:
        here, there = [await room.browser(room.session_of("Olga")) for _ in range(2)]
        form = {"current": PASSWORD, "password": new, "again": new}
        wrong = await here.post("/account/password", data=form | {"current": "wrong"})
        assert wrong.status_code == 403
        assert "The current password is wrong." in wrong.text
        short = await here.post("/account/password", data=form | {"password": "x", "again": "x"})
        assert short.status_code == 422
        answer = await here.post("/account/password", data=form)
        assert answer.status_code == 303
        assert (await here.get("/account")).status_code == 200
        assert (await there.get("/account")).status_code == 303
        browser = await room.visitor()
        assert (await browser.post("/login", data=GOOD)).status_code == 403
        good = await browser.post("/login", data=GOOD | {"password": new})
        assert good.status_code == 303

    in_room(tmp_path, work)


def fields(text: str) -> Iterable[str]:
    return [one for one in text.split("<") if one.startswith(("input", "form", "button", "select"))]


def test_the_login_needs_no_script(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        text = (await (await room.visitor()).get("/login")).text
        assert 'method="post" action="/login"' in text
        assert any('type="password"' in one for one in fields(text))
        assert "onclick" not in text
        assert "<style" not in text
        assert "style=" not in text

    in_room(tmp_path, work)


def test_the_form_of_a_session_has_its_token(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.browser(room.session_of("Olga"))
        text = (await person.get("/account")).text
        assert f'name="csrf" value="{csrf_of(person)}"' in text

    in_room(tmp_path, work)
