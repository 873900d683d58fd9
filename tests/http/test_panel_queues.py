"""The page of queues: what waits and why, and what can be done about it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
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

from waypost.administration import Action
from waypost.control.audit import AuditFilter
from waypost.control.permissions import Role
from waypost.faces.http.panel import queues
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.identifiers import identifier_text

ROUTES = """
[[route]]
name = "mail"
via = "smtp://127.0.0.1:1"
"""


async def states(room: WebRoom) -> dict[str, str]:
    rows = await room.service.spool.messages(MessageFilter(limit=0))
    return {one.address: one.state.name for row in rows for one in row.recipients}


def test_each_destination_tells_how_much_waits_since_when_and_for_what(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await queued(room, "a@one.example", "b@one.example", age=7200, due=1800)
        await queued(room, "c@two.example", due=60)
        await room.administration.change(Action.HOLD, MessageFilter(recipient="@two.example"))
        seen = assert_inert(await (await room.person(Role.VIEWER)).get("/queues"))
        words = " ".join(seen.words.split())
        assert "one.example 2 0 2 h ago its first attempt in 29 min mail" in words
        assert "two.example 0 1" in words
        assert "held until it is released" in words
        assert not [link for link in seen.links if link.startswith("/queues/")], "a viewer looks on"

    in_room(tmp_path, test, ROUTES)


def test_what_the_last_attempt_came_to_is_told_beside_the_wait(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        message = await queued(room, "a@one.example")
        await attempted(
            room, message, RecipientState.QUEUED, reply="451 4.7.1 Come later", reason="greylisted"
        )
        words = " ".join(assert_inert(await (await room.person()).get("/queues")).words.split())
        assert "its next attempt 451 4.7.1 Come later in 14 min" in words

    in_room(tmp_path, test, ROUTES)


def test_what_is_left_alone_is_told_with_the_reason_and_the_time(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        service = room.service
        (route,) = service.engine.routing.routes
        service.slots.back_off(route, "", service.clock.now(), "421 4.3.2 too busy")
        seen = assert_inert(await (await room.person()).get("/queues"))
        assert "421 4.3.2 too busy" in seen.words
        assert "Left alone after failures" in seen.words

    in_room(tmp_path, test, ROUTES)


def test_a_destination_leads_to_its_messages_that_wait(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        await queued(room, "a@one.example", subject="The first")
        await queued(room, "a@two.example", subject="The second")
        links = assert_inert(await admin.get("/queues")).links
        (link,) = [one for one in links if one.startswith("/messages?") and "one.example" in one]
        words = assert_inert(await admin.get(link)).words
        assert "The first" in words
        assert "The second" not in words

    in_room(tmp_path, test, ROUTES)


def test_a_search_narrows_and_an_empty_queue_says_so(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        assert "Nothing waits" in Seen((await admin.get("/queues")).text).words
        await queued(room, "a@one.example")
        await queued(room, "a@two.example")
        words = Seen((await admin.get("/queues?q=ONE")).text).words
        assert "one.example" in words
        assert "two.example" not in words
        assert "with “three”" in Seen((await admin.get("/queues?q=three")).text).words

    in_room(tmp_path, test, ROUTES)


def test_who_looks_on_has_the_queues_counted_now_and_then_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr(queues, "REST", 1e9)
        admin = await room.person()
        assert "Nothing waits" in assert_inert(await admin.get("/queues/now")).words
        await queued(room, "a@one.example")
        assert "Nothing waits" in assert_inert(await admin.get("/queues/now")).words
        assert "one.example" in assert_inert(await admin.get("/queues")).words, "a page is fresh"
        assert "one.example" in assert_inert(await admin.get("/queues/now?q=one")).words
        for number in range(2 * queues.KEPT_SEARCHES):
            await admin.get(f"/queues/now?q={number}")
        assert len(room.application.state.recent_queues) <= queues.KEPT_SEARCHES

    in_room(tmp_path, test, ROUTES)


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("hold", None, "HELD"), ("release", Action.HOLD, "QUEUED"), ("remove", None, "CANCELLED")],
)
def test_an_action_is_shown_first_then_done_and_written_down(
    action: str, before: Action | None, after: str, tmp_path: Path
) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "ada")
        await queued(room, "a@one.example", "x@two.example")
        await queued(room, "b@one.example")
        if before is not None:
            await room.administration.change(before, MessageFilter())
        unchanged = await states(room)
        shown = assert_inert(await admin.get(f"/queues/{action}?to=@one.example"))
        assert "a@one.example" in shown.words
        assert "x@two.example" not in shown.words
        assert await states(room) == unchanged, "a look changes nothing"

        await queued(room, "late@one.example")
        form = {
            "to": "@one.example", "newest": shown.fields("newest")[0], "csrf": csrf_of(admin),
        }  # fmt: skip
        answer = await admin.post(f"/queues/{action}", data=form)
        assert answer.status_code == 303
        now = await states(room)
        assert (now["a@one.example"], now["b@one.example"]) == (after, after)
        assert now["x@two.example"] == unchanged["x@two.example"]
        assert now["late@one.example"] == "QUEUED", "it came after it was shown"
        told = assert_inert(await admin.get(answer.headers["location"]))
        assert "2 recipients" in told.words
        (entry,) = await room.room.audit.entries(AuditFilter(action="queue"))
        assert (entry.who, entry.subject, entry.detail) == ("ada", "one.example", "2 recipients")

    in_room(tmp_path, test, ROUTES)


def test_one_message_can_be_meant_alone(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        wanted = identifier_text(await queued(room, "a@one.example"))
        await queued(room, "b@one.example")
        shown = assert_inert(await admin.get(f"/queues/hold?id={wanted}"))
        form = {"id": wanted, "newest": shown.fields("newest")[0], "csrf": csrf_of(admin)}
        answer = await admin.post("/queues/hold", data=form)
        assert answer.headers["location"].startswith(f"/messages/{wanted}?told=")
        assert await states(room) == {"a@one.example": "HELD", "b@one.example": "QUEUED"}

    in_room(tmp_path, test, ROUTES)


def test_a_retry_makes_mail_due_and_ends_the_back_off(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin, service = await room.person(), room.service
        message = await queued(room, "a@one.example", due=3600)
        form = {"newest": identifier_text(message), "csrf": csrf_of(admin)}
        await admin.post("/queues/retry", data=form)
        (row,) = await service.spool.messages(MessageFilter())
        assert row.recipients[0].due_at <= service.clock.now() + 900

    in_room(tmp_path, test, ROUTES)


def test_a_route_is_paused_and_goes_on(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "ada")
        await queued(room, "joe@there.example", due=0)
        form = {"route": "mail", "destination": "", "reason": HOSTILE[0], "csrf": csrf_of(admin)}
        answer = await admin.post("/pauses/add", data=form)
        told = assert_inert(await admin.get(answer.headers["location"])).words
        assert "Route mail is paused; its mail waits." in told
        words = " ".join(told.split())
        assert f"route mail is paused by ada: {HOSTILE[0]}" in words, "what the mail waits for"
        assert "mail ‖ paused" in " ".join(assert_inert(await admin.get("/routes")).words.split())
        assert "was paused already" in await said(admin, "/pauses/add", form)
        assert "goes on" in await said(admin, "/pauses/remove", form)
        assert "was not paused" in await said(admin, "/pauses/remove", form)
        wrong = form | {"destination": "there.example"}
        assert "pause the route" in await said(admin, "/pauses/add", wrong)
        assert "there is no route" in await said(admin, "/pauses/add", form | {"route": HOSTILE[1]})
        entries = await room.room.audit.entries(AuditFilter(action="queue"))
        assert [(one.action, one.subject) for one in entries] == [
            ("queue resumed", "mail"), ("queue paused", "mail"),
        ]  # fmt: skip
        viewer = await room.person(Role.VIEWER)
        form["csrf"] = csrf_of(viewer)
        assert (await viewer.post("/pauses/add", data=form)).status_code == 403

    in_room(tmp_path, test, ROUTES)


async def said(client: httpx.AsyncClient, path: str, form: dict[str, str]) -> str:
    """What the page after an action tells."""
    answer = await client.post(path, data=form)
    return assert_inert(await client.get(answer.headers["location"])).words


def test_more_than_one_confirmation_changes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr(queues, "BATCHES", 1)
        monkeypatch.setattr("waypost.administration.ACTION_BATCH", 2)
        admin = await room.person()
        for number in range(3):
            await queued(room, f"a{number}@one.example")
        shown = assert_inert(await admin.get("/queues/hold"))
        form = {"newest": shown.fields("newest")[0], "csrf": csrf_of(admin)}
        answer = await admin.post("/queues/hold", data=form)
        told = Seen((await admin.get(answer.headers["location"])).text).words
        assert "2 recipients are held until they are released; more are left" in told

    in_room(tmp_path, test, ROUTES)


def test_wrong_requests_are_answered_with_what_to_do(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        assert (await admin.get("/queues/explode")).status_code == 422
        assert (await admin.get("/queues/hold?id=!")).status_code == 404
        form = {"newest": "", "csrf": csrf_of(admin)}
        assert (await admin.post("/queues/hold", data=form)).status_code == 422
        assert "nothing to do" in Seen((await admin.get("/queues/hold")).text).words
        viewer = await room.person(Role.VIEWER)
        assert (await viewer.get("/queues/hold")).status_code == 403
        form["csrf"] = csrf_of(viewer)
        assert (await viewer.post("/queues/hold", data=form)).status_code == 403

    in_room(tmp_path, test, ROUTES)


def test_no_field_brings_anything_into_the_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin, service = await room.person(), room.service
        for one in HOSTILE:
            # The relay takes no such address; a page must not rely on that.
            message = await queued(room, f"{one}@{one}.example".replace("\x00", ""), sender=one)
            await attempted(room, message, RecipientState.QUEUED, reply=one, told=False)
        (route,) = service.engine.routing.routes
        service.slots.back_off(route, ALL_HOSTILE, service.clock.now(), ALL_HOSTILE)
        seen = assert_inert(await admin.get("/queues"))
        assert "<script>alert(1)</script>" in seen.words, "it is shown as what it is"
        assert_inert(await admin.get("/queues/hold"))
        for one in HOSTILE:
            for path in ("/queues", "/queues/now", "/queues/hold"):
                answer = await admin.get(path, params={"q": one, "to": one, "id": ""})
                assert faults_of(answer.text) == [], (path, one)
            assert faults_of((await admin.get("/queues/hold", params={"id": one})).text) == []

    in_room(tmp_path, test, ROUTES)
