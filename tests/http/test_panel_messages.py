"""The list of messages and a message's page: found, understood, acted on, by whom it is allowed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from panel_world import Page, audited, in_room, letter, over, rows, send, send_bytes, tried
from web_room import WebRoom, csrf_of

from waypost.control.permissions import Permission, Role
from waypost.faces.http.panel import message_search
from waypost.spool.contract import MessageFilter, MessageRow, RecipientState
from waypost.spool.identifiers import identifier_text, parse_identifier
from waypost.testing import MailServer

HELD = "smtp+plain://127.0.0.1:9"
"""Nobody listens there, so what goes that way waits."""

WAITING = f'[[route]]\nname = "away"\nvia = "{HELD}"\n'


def shown(answer: httpx.Response) -> Page:
    assert answer.status_code == 200, answer.text[:500]
    return Page(answer.text)


def test_an_empty_relay_leads_to_the_first_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        page = shown(await (await room.person()).get("/messages"))
        assert "No message yet" in page.text
        assert "/start" in page.links()

    in_room(test, tmp_path)


def test_the_newest_stand_first_and_older_ones_on_further_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_search, "PAGE", 3)

    async def test(room: WebRoom) -> None:
        await send(room, *(letter(f"number {n}") for n in range(7)))
        await over(room, 7)
        viewer = await room.person(Role.VIEWER)
        found: list[str] = []
        path = "/messages"
        for _ in range(3):
            page = shown(await viewer.get(path))
            found += [n for n in "6543210" if f"number {n}" in page.text]
            older = [one for one in page.links() if "before=" in one]
            path = older[0] if older else ""
        assert found == list("6543210")
        assert not path, "the last page has no further one"

    in_room(test, tmp_path)


def test_a_message_is_found_by_address_subject_identifier_and_message_id(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        one = letter("Rechnung 4711", to="ann@one.example")
        one["Message-ID"] = "<wanted@here.example>"
        await send(room, one, letter("other", to="bob@two.example"))
        newest, wanted = await over(room, 2)
        viewer = await room.person(Role.VIEWER)
        for text in ("ann@one.example", "one.example", "Rechnung", "4711", "wanted@here", wanted):
            links = shown(await viewer.get("/messages", params={"q": text})).links()
            assert f"/messages/{wanted}" in links, text
            assert f"/messages/{newest}" not in links, text
        page = shown(await viewer.get("/messages", params={"q": "nobody has this"}))
        assert "Nothing matches" in page.text

    in_room(test, tmp_path)


def test_state_and_time_narrow_the_list(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter("caught"))
        (caught,) = await over(room, 1)
        viewer = await room.person(Role.VIEWER)

        async def found(**query: str) -> bool:
            page = shown(await viewer.get("/messages", params=query))
            return f"/messages/{caught}" in page.links()

        assert await found(state="delivered")
        assert await found(state="delivered", within="1h")
        assert not await found(state="queued")
        assert not await found(state="failed")
        assert not await found(state="waiting")
        assert await found(state="no such state", within="no such time", before="no such place")

    in_room(test, tmp_path)


def test_what_a_message_waits_for_stands_in_the_list_and_on_its_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter())
        (identifier,) = await tried(room, 1)
        viewer = await room.person(Role.VIEWER)
        for path in ("/messages", f"/messages/{identifier}", f"/messages/{identifier}/now"):
            page = shown(await viewer.get(path))
            assert "its next attempt" in page.text, path
            assert any(one.get("class") == "relative" for one in page.all("time")), path

    in_room(test, tmp_path, WAITING)


def test_chosen_messages_are_shown_before_anything_is_done_to_them(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter("first"))
        await tried(room, 1)
        await send(room, letter("second"), letter("third"))

        def is_still(found: list[MessageRow]) -> bool:
            return len(found) == 3 and not any(one.started for r in found for one in r.recipients)

        found = await rows(room, is_still)
        first, second, third = (identifier_text(row.identifier) for row in found)
        operator = await room.person(Role.OPERATOR, "olga")
        assert set(Page((await operator.get("/messages")).text).values("chosen")) == {
            first, second, third,
        }  # fmt: skip
        form = {"csrf": csrf_of(operator), "action": "hold", "chosen": [first, third, "!", "0"]}
        preview = shown(await operator.post("/messages/choose", data=form))
        assert "Hold these?" in preview.text
        assert preview.values("chosen") == [first, third]
        assert all(
            one.state is RecipientState.QUEUED
            for row in await room.administration.messages(MessageFilter())
            for one in row.recipients
        ), "nothing is done by looking"
        form["chosen"] = preview.values("chosen")
        done = await operator.post("/messages/act", data=form)
        assert done.status_code == 303
        assert (
            "2 recipients are held"
            in Page((await operator.get(done.headers["location"])).text).text
        )
        held = await room.administration.messages(MessageFilter(states=(RecipientState.HELD,)))
        assert {row.identifier for row in held} == set(map(parse_identifier, (first, third)))
        form |= {"action": "release"}
        assert "is no" not in (await operator.post("/messages/choose", data=form)).text
        log = await audited(room)
        assert any(one.who == "olga" and one.action == "queue held" for one in log)

    in_room(test, tmp_path, WAITING)


def test_choosing_nothing_changes_nothing(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR)
        for path in ("/messages/choose", "/messages/act"):
            answer = await operator.post(path, data={"csrf": csrf_of(operator), "action": "retry"})
            assert answer.status_code == 303
        wrong = await operator.post(
            "/messages/choose", data={"csrf": csrf_of(operator), "action": "delete everything"}
        )
        assert wrong.status_code == 422

    in_room(test, tmp_path)


def test_viewers_see_what_happens_and_neither_content_nor_buttons(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter("for Ann", "the secret is 42\n"))
        (identifier,) = await over(room, 1)
        viewer = await room.person(Role.VIEWER)
        page = shown(await viewer.get(f"/messages/{identifier}"))
        assert "for Ann" in page.text
        assert "secret" not in page.text
        assert "shown to operators and admins" in page.text
        assert not page.all("iframe")
        assert not Page((await viewer.get("/messages")).text).values("chosen")
        for path in ("html", "source", "message.eml", "parts/1"):
            answer = await viewer.get(f"/messages/{identifier}/{path}")
            assert answer.status_code == 403, path
            assert "secret" not in answer.text
        for path in ("/messages/choose", "/messages/act"):
            form = {"csrf": csrf_of(viewer), "action": "hold", "chosen": identifier}
            assert (await viewer.post(path, data=form)).status_code == 403
        nobody = await room.visitor()
        for path in ("/messages", f"/messages/{identifier}", f"/messages/{identifier}/html"):
            answer = await nobody.get(path)
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login")

    in_room(test, tmp_path)


def test_an_action_without_the_token_of_the_session_is_refused(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter())
        (identifier,) = await tried(room, 1)
        operator = await room.person(Role.OPERATOR)
        del operator.headers["X-CSRF-Token"]
        form = {"action": "remove", "chosen": identifier}
        assert (await operator.post("/messages/act", data=form)).status_code == 403
        (row,) = await room.administration.messages(MessageFilter())
        assert row.recipients[0].state is RecipientState.QUEUED

    in_room(test, tmp_path, WAITING)


def test_each_refusal_is_explained_beside_the_reply_and_leads_to_its_cause(tmp_path: Path) -> None:
    with MailServer() as server:
        server.fail(on="rcpt", recipient="full@*", reply="452 4.2.2 The mailbox is over quota")
        server.fail(on="rcpt", recipient="gone@*", reply="550 5.1.1 User unknown")

        async def test(room: WebRoom) -> None:
            names = ["full@there.example", "gone@there.example", "ok@there.example"]
            await send(room, letter("three answers"), to=names)

            def is_settled(found: list[MessageRow]) -> bool:
                return any(row.subject == "three answers" for row in found) and all(
                    one.attempts for row in found for one in row.recipients
                )

            found = await rows(room, is_settled)
            row = next(one for one in found if one.subject == "three answers")
            operator = await room.person(Role.OPERATOR)
            page = shown(await operator.get(f"/messages/{identifier_text(row.identifier)}"))
            words = page.text
            for reply, title, fix in (
                ("452 4.2.2 The mailbox is over quota", "mailbox is full", "Try again later"),
                ("550 5.1.1 User unknown", "no such recipient", "Check the spelling of gone@"),
            ):
                at = words.index(f"to RCPT TO:<{'full' if reply[0] == '4' else 'gone'}@")
                after = words[at : at + 700]
                assert after.index(reply) < after.index(title) < after.index(fix)
            assert "/causes/recipient.unknown" in page.links()
            cause = shown(await operator.get("/causes/recipient.unknown"))
            assert "What to do" in cause.text
            assert (await operator.get("/causes/no.such")).status_code == 404
            actions = [
                one["action"] for one in page.all("form") if "/queues/" in one.get("action", "")
            ]
            assert actions == ["/queues/retry", "/queues/hold"]

        in_room(test, tmp_path, f'[[route]]\nname = "all"\nvia = "{server.url}"\n')


def test_a_failure_without_a_reply_is_explained_as_well(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter())
        (identifier,) = await tried(room, 1)
        page = shown(await (await room.person()).get(f"/messages/{identifier}"))
        assert "The connection is refused" in page.text
        assert "/causes/tcp.refused" in page.links()

    in_room(test, tmp_path, WAITING)


def test_a_message_that_waits_is_watched_and_a_finished_one_is_not(tmp_path: Path) -> None:
    with MailServer() as server:

        async def test(room: WebRoom) -> None:
            await send(room, letter(to="a@away.example"), letter(to="a@there.example"))
            there, away = await tried(room, 2)
            operator = await room.person(Role.OPERATOR)
            for identifier, is_live in ((there, False), (away, True)):
                page = shown(await operator.get(f"/messages/{identifier}"))
                live = [given for _, given in page.elements if "data-live" in given]
                assert bool(live) is is_live
            retried = await operator.post(
                "/queues/retry", data={"csrf": csrf_of(operator), "id": away, "newest": away}
            )
            assert retried.status_code == 303
            assert retried.headers["location"].startswith(f"/messages/{away}?told=")

        away = f'[[route]]\nname = "away"\nvia = "{HELD}"\nmatch.recipients = ["away.example"]\n'
        in_room(test, tmp_path, f'{away}[[route]]\nname = "all"\nvia = "{server.url}"\n')


def test_what_is_delivered_keeps_its_story_and_says_that_the_content_is_gone(
    tmp_path: Path,
) -> None:
    with MailServer() as server:

        async def test(room: WebRoom) -> None:
            await send(room, letter())
            (identifier,) = await over(room, 1)
            operator = await room.person(Role.OPERATOR)
            page = shown(await operator.get(f"/messages/{identifier}"))
            assert "delivered" in page.text
            assert "its content is gone" in page.text
            for path in ("html", "source", "message.eml", "parts/1"):
                answer = await operator.get(f"/messages/{identifier}/{path}")
                assert answer.status_code == 404, path

        in_room(test, tmp_path, f'[[route]]\nname = "all"\nvia = "{server.url}"\n')


def test_an_unknown_identifier_is_no_fault(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        for identifier in ("1", "zzzz", "!", "1k115zzzzzz", "%00", "a" * 300):
            for below in ("", "/now", "/html", "/source", "/message.eml", "/parts/1"):
                answer = await admin.get(f"/messages/{identifier}{below}")
                assert answer.status_code == 404, (identifier, below)
            for below in ("", "/release"):
                assert (await admin.get(f"/sandbox/{identifier}{below}")).status_code == 404

    in_room(test, tmp_path)


def test_a_bounce_is_named_and_not_blank(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send_bytes(room, b"Subject: Undelivered\r\n\r\nx\r\n", sender="")
        (identifier,) = await over(room, 1)
        admin = await room.person()
        for path in ("/messages", f"/messages/{identifier}"):
            assert "bounce, from <>" in shown(await admin.get(path)).text

    in_room(test, tmp_path)


def test_tags_and_metadata_of_a_submission_stand_among_the_facts(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        key = await room.key(Permission.SEND)
        answer = await key.post(
            "/api/v1/messages",
            json={
                "from": "a@here.example", "to": ["b@there.example"], "text": "x",
                "tags": ["receipt"], "metadata": {"order": "<b>4711"},
            },
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        (identifier,) = await over(room, 1)
        viewer = await room.person(Role.VIEWER)
        words = shown(await viewer.get(f"/messages/{identifier}")).text
        assert "receipt" in words
        assert "<b>4711" in words

    in_room(test, tmp_path)
