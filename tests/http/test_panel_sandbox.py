"""The sandbox's pages: the inbox as Mailpit users know it, sending on, fault rules."""

from __future__ import annotations

import smtplib
from pathlib import Path

import httpx
import pytest
from panel_world import Page, audited, in_room, letter, over, send
from web_room import WebRoom, csrf_of

from waypost.control.permissions import Role
from waypost.faces.http.panel import inbox
from waypost.faces.http.panel.sandbox_rules import EXAMPLES, Entered, described
from waypost.testing import MailServer


def shown(answer: httpx.Response) -> Page:
    assert answer.status_code == 200, answer.text[:500]
    return Page(answer.text)


async def done(client: httpx.AsyncClient, path: str, **form: str) -> str:
    """Send a form; the words of the page that follows."""
    answer = await client.post(path, data={"csrf": csrf_of(client), **form})
    assert answer.status_code == 303, (path, answer.status_code, answer.text[:500])
    return Page((await client.get(answer.headers["location"])).text).text


def test_an_empty_inbox_says_how_it_fills(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        page = shown(await (await room.person()).get("/sandbox"))
        assert "Nothing caught yet" in page.text
        assert "/start" in page.links()

    in_room(test, tmp_path)


def test_a_message_that_arrives_is_in_the_list_that_is_fetched_anew(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR)
        page = shown(await operator.get("/sandbox"))
        (live,) = [given["data-live"] for _, given in page.elements if "data-live" in given]
        assert (await operator.get("/sandbox/newest")).json() == {"id": None, "unread": 0}
        await send(room, letter("It came", "by itself\n", "ann@there.example"))
        (identifier,) = await over(room, 1)
        words = shown(await operator.get(live)).text
        for part in ("It came", "by itself", "App <app@here.example>", "to ann@there.example"):
            assert part in words
        assert "1 message, 1 unread" in words
        assert (await operator.get("/sandbox/newest")).json() == {"id": identifier, "unread": 1}

    in_room(test, tmp_path)


def test_what_was_opened_is_read_and_can_be_unread_again(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter("first"), letter("second"))
        second, first = await over(room, 2)
        operator = await room.person(Role.OPERATOR)
        opened = shown(await operator.get(f"/sandbox/{first}"))
        assert "2 messages, 1 unread" in opened.text
        (current,) = [one for one in opened.all("a") if one.get("aria-current") == "true"]
        assert current["href"] == f"/sandbox/{first}"
        unread = shown(await operator.get("/sandbox?unread=true")).links()
        assert f"/sandbox/{second}?unread=true" in unread
        assert not any(one.startswith(f"/sandbox/{first}") for one in unread)
        assert "2 unread" in await done(operator, f"/sandbox/{first}/unread")
        assert "unread:" not in await done(operator, "/sandbox/read")

    in_room(test, tmp_path)


def test_search_and_pages_keep_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PAGE", 2)

    async def test(room: WebRoom) -> None:
        await send(room, *(letter(f"Invoice {n}", "yes\n") for n in range(3)), letter("Other"))
        await over(room, 4)
        operator = await room.person(Role.OPERATOR)
        page = shown(await operator.get("/sandbox?q=invoice"))
        assert "Invoice 2" in page.text
        assert "Invoice 0" not in page.text
        (older,) = [one for one in page.links() if "before=" in one]
        assert "q=invoice" in older
        page = shown(await operator.get(older))
        assert "Invoice 0" in page.text
        assert "Other" not in page.text
        assert "Nothing matches" in shown(await operator.get("/sandbox?q=nothing+of+this")).text

    in_room(test, tmp_path)


def test_one_message_or_all_are_removed_and_their_story_stays(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, *(letter(str(n)) for n in range(3)))
        found = await over(room, 3)
        operator = await room.person(Role.OPERATOR)
        words = await done(operator, "/sandbox/remove", id=found[1])
        assert "The message is removed." in words
        assert "2 messages" in words
        assert (await operator.get(f"/sandbox/{found[1]}")).status_code == 404
        assert "gone already" in await done(operator, "/sandbox/remove", id=found[1])
        assert "Remove all 2 captured" in shown(await operator.get("/sandbox/all/remove")).text
        assert "2 messages are removed." in await done(operator, "/sandbox/all/remove")
        assert await room.service.spool.captured(10) == []
        for identifier in found:
            words = shown(await operator.get(f"/messages/{identifier}")).text
            assert "its content is gone" in words
        actions = [one.action for one in await audited(room)]
        assert actions.count("sandbox message removed") == 1
        assert actions.count("sandbox emptied") == 1

    in_room(test, tmp_path)


def test_viewers_see_the_list_and_open_and_change_nothing(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter("for Ann", "the secret is 42\n"))
        (identifier,) = await over(room, 1)
        viewer = await room.person(Role.VIEWER)
        page = shown(await viewer.get("/sandbox"))
        assert "for Ann" in page.text
        assert "secret" not in page.text
        assert "secret" not in (await viewer.get("/sandbox/now")).text
        assert (await viewer.get(f"/sandbox/{identifier}")).status_code == 403
        assert (await viewer.get(f"/sandbox/{identifier}/release")).status_code == 403
        form = {"csrf": csrf_of(viewer), "id": identifier, "on": "rcpt", "number": "1"}
        for path in (
            "remove", "all/remove", "read", f"{identifier}/unread", f"{identifier}/release",
            "rules", "rules/remove", "rules/clear", "rules/reset",
        ):  # fmt: skip
            answer = await viewer.post(f"/sandbox/{path}", data=form)
            assert answer.status_code == 403, path
        assert len(await room.service.spool.captured(10)) == 1

    in_room(test, tmp_path)


# --- sending on ---------------------------------------------------------------------------------


def test_a_message_is_sent_on_as_it_was_caught_and_what_was_said_is_shown(tmp_path: Path) -> None:
    with MailServer() as server:

        async def test(room: WebRoom) -> None:
            await send(room, letter("Send me on", "Grüße\n"))
            (identifier,) = await over(room, 1)
            operator = await room.person(Role.OPERATOR)
            form = shown(await operator.get(f"/sandbox/{identifier}/release"))
            assert "joe@there.example" in form.text, "the recipients that it had"
            sent = shown(
                await operator.post(
                    f"/sandbox/{identifier}/release",
                    data={
                        "csrf": csrf_of(operator), "url": server.url,
                        "recipients": "ann@real.example,bob@real.example",
                    },
                )
            )  # fmt: skip
            assert "RCPT TO:<ann@real.example>" in sent.text
            assert sent.text.count("delivered") == 2
            came = server.wait_for(to="ann@real.example")
            assert list(came.recipients) == ["ann@real.example", "bob@real.example"]
            assert came.sender == "app@here.example"
            original = await operator.get(f"/messages/{identifier}/message.eml")
            assert came.content == original.content
            (entry,) = [
                one for one in await audited(room)
                if one.action == "sandbox message sent on"
            ]  # fmt: skip
            assert "ann@real.example" in entry.detail
            assert len(await room.service.spool.captured(10)) == 1, "it stays in the sandbox"

        in_room(test, tmp_path)


def test_a_refusal_of_what_was_sent_on_is_explained(tmp_path: Path) -> None:
    with MailServer() as server:
        server.fail(on="rcpt", reply="550 5.1.1 User unknown")

        async def test(room: WebRoom) -> None:
            await send(room, letter())
            (identifier,) = await over(room, 1)
            operator = await room.person(Role.OPERATOR)
            form = {"csrf": csrf_of(operator), "recipients": "ann@real.example", "url": server.url}
            page = shown(await operator.post(f"/sandbox/{identifier}/release", data=form))
            assert "no such recipient" in page.text
            assert "Check the spelling of ann@real.example" in page.text

        in_room(test, tmp_path)


@pytest.mark.parametrize(
    ("recipients", "url", "words"),
    [
        ("", "smtp+plain://127.0.0.1:9", "at least one recipient"),
        ("not an address", "smtp+plain://127.0.0.1:9", "is no address"),
        ("a@b.example\r\nRCPT TO:<c@d.example>", "smtp+plain://127.0.0.1:9", "is no address"),
        ("a@b.example", "", "Choose a route"),
        ("a@b.example", "sandbox:", "in the sandbox already"),
        ("a@b.example", "unix:/run/docker.sock", "cannot be named here"),
        ("a@b.example", "smtp://evil.example?user=u&password_file=/etc/passwd", "password_file"),
        ("a@b.example", "smtp://u:${HOME}@evil.example", "HOME"),
        ("a@b.example", "no url at all", "no URL"),
        (" ".join(f"a{n}@b.example" for n in range(50)), "smtp+plain://127.0.0.1:9", "at most"),
    ],
)
def test_what_cannot_be_sent_on_says_why_and_sends_nothing(
    recipients: str, url: str, words: str, tmp_path: Path
) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter())
        (identifier,) = await over(room, 1)
        operator = await room.person(Role.OPERATOR)
        form = {"csrf": csrf_of(operator), "recipients": recipients, "url": url}
        page = shown(await operator.post(f"/sandbox/{identifier}/release", data=form))
        assert "Not sent" in page.text
        assert words in page.text
        assert "root:" not in page.text
        assert not [one for one in await audited(room) if one.action.endswith("sent on")]

    in_room(test, tmp_path)


def test_a_password_in_the_url_is_not_given_back(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, letter())
        (identifier,) = await over(room, 1)
        operator = await room.person(Role.OPERATOR)
        form = {
            "csrf": csrf_of(operator), "recipients": "a@b.example",
            "url": "smtps://user:hunter2@127.0.0.1:9",
        }  # fmt: skip
        answer = await operator.post(f"/sandbox/{identifier}/release", data=form)
        assert answer.status_code == 200
        assert "hunter2" not in answer.text
        assert Page(answer.text).values("url") == ["smtps://user@127.0.0.1:9"]
        assert not [one for one in await audited(room) if "hunter2" in one.detail]

    in_room(test, tmp_path)


# --- fault rules --------------------------------------------------------------------------------


def test_a_rule_is_added_strikes_and_goes(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR)
        assert "No rules" in shown(await operator.get("/sandbox/rules")).text
        words = await done(
            operator, "/sandbox/rules", on="rcpt", reply="450 4.7.1 Slow down", times="1"
        )
        assert "at RCPT, a recipient, once: answer 450 4.7.1 Slow down" in words
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            await send(room, letter())
        assert list(refused.value.recipients.values()) == [(450, b"4.7.1 Slow down")]
        await send(room, letter())
        await over(room, 1)
        page = shown(await operator.get("/sandbox/rules"))
        (number,) = page.values("number")
        assert "is removed" in await done(operator, "/sandbox/rules/remove", number=number)
        assert "no rule" in await done(operator, "/sandbox/rules/remove", number=number)
        await done(operator, "/sandbox/rules", on="mail", reply="451 4.3.0 No")
        await done(operator, "/sandbox/rules/reset")
        assert "No rules" in await done(operator, "/sandbox/rules/clear")

    in_room(test, tmp_path)


MEANINGLESS: tuple[dict[str, str], ...] = (
    {"on": "lunch", "reply": "450 4.7.1 x"},
    {"on": "rcpt"},
    {"on": "rcpt", "reply": "hello"},
    {"on": "rcpt", "reply": "450 4.7.1 x", "delay": "soon"},
    {"on": "rcpt", "reply": "450 4.7.1 x", "delay": "-1"},
    {"on": "rcpt", "reply": "450 4.7.1 x", "times": "nan"},
    {"on": "rcpt", "reply": "450 4.7.1 x", "share": "0"},
    {"on": "rcpt", "reply": "450 4.7.1 x", "share": "1000"},
    {"on": "rcpt", "reply": "450 4.7.1 x", "rate": "often"},
)


def test_a_rule_that_means_nothing_is_refused_and_the_form_kept(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR)
        for form in MEANINGLESS:
            answer = await operator.post("/sandbox/rules", data={"csrf": csrf_of(operator), **form})
            assert answer.status_code == 422, form
            page = Page(answer.text)
            assert "The rule is not set" in page.text
            for name, value in form.items():
                if name != "on":
                    assert page.values(name) == [value]
            assert room.service.sandbox_rules.states == (), form

    in_room(test, tmp_path)


def test_rules_of_the_configuration_are_shown_and_stay(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR)
        page = shown(await operator.get("/sandbox/rules"))
        assert "configuration" in page.text
        assert not page.values("number")
        words = await done(operator, "/sandbox/rules/remove", number="1")
        assert "configuration" in words

    in_room(
        test,
        tmp_path,
        '[[sandbox.rule]]\non = "rcpt"\nrecipient = "full@*"\nreply = "452 4.2.2 Full"\n',
    )


def test_each_example_is_a_rule(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR)
        for number, (_, values) in enumerate(EXAMPLES, 1):
            page = shown(await operator.get(f"/sandbox/rules?example={number}"))
            for name, value in values.items():
                if name not in ("on", "drop"):
                    assert page.values(name) == [value]
            made = room.service.sandbox_rules.add(Entered(**values).rule())
            assert described(made.rule) in shown(await operator.get("/sandbox/rules")).text

    in_room(test, tmp_path)


def test_beside_a_real_route_no_rule_is_taken(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        operator = await room.person(Role.OPERATOR)
        assert "Rules are not followed now" in shown(await operator.get("/sandbox/rules")).text
        form = {"csrf": csrf_of(operator), "on": "rcpt", "reply": "450 4.7.1 x"}
        answer = await operator.post("/sandbox/rules", data=form)
        assert answer.status_code == 422
        assert "real mail would fail by it" in Page(answer.text).text

    in_room(test, tmp_path, '[[route]]\nname = "all"\nvia = "smtp+plain://127.0.0.1:9"\n')
