"""The sandbox's inbox: what it lists of captured messages, and that it keeps in step with them."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from web_room import WebRoom, web_room

from waypost.administration import Action
from waypost.control import inbox as inbox_module
from waypost.control.inbox import Inbox
from waypost.delivery.route import Route, Sandbox
from waypost.spool.contract import MessageFilter


def message(
    subject: str, text: str = "Hello\n", sender: str = "App <app@here.example>"
) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, "joe@there.example", subject
    made.set_content(text)
    return made


async def send(room: WebRoom, *messages: EmailMessage) -> None:
    def work() -> None:
        with smtplib.SMTP("127.0.0.1", room.smtp_port, timeout=30) as client:
            for one in messages:
                client.send_message(one)

    await asyncio.to_thread(work)


async def settled(inbox: Inbox, count: int) -> None:
    """Until so many messages are listed."""
    async with asyncio.timeout(60):
        while (await inbox.counts()).all != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def run(test: Callable[[WebRoom], Awaitable[None]], folder: Path, configuration: str = "") -> None:
    async def main() -> None:
        async with web_room(folder, configuration) as room:
            await test(room)

    asyncio.run(main())


def test_a_row_tells_what_a_reader_looks_for(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        inbox = room.room.inbox
        one = message(
            "Grüße", "Open  https://example.com/x\n\nand   enjoy.\n", "Zoë <z@here.example>"
        )
        one.add_attachment(b"x" * 10, maintype="image", subtype="png", filename="a.png")
        await send(room, one)
        await settled(inbox, 1)
        (row,) = await inbox.rows(10)
        assert (row.sender, row.recipients) == ("Zoë <z@here.example>", ("joe@there.example",))
        assert (row.subject, row.snippet) == ("Grüße", "Open and enjoy.")
        assert (row.attachments, row.is_read) == (1, False)
        assert row.size == (await room.service.spool.captured(1))[0].size

    run(test, tmp_path)


def test_search_wants_every_word_somewhere(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        inbox = room.room.inbox
        await send(room, message("Invoice 1"), message("Invoice 2", "with DISCOUNT 20%\n"))
        await settled(inbox, 2)

        async def subjects(text: str) -> list[str]:
            return [row.subject for row in await inbox.rows(10, text=text)]

        assert await subjects("invoice") == ["Invoice 2", "Invoice 1"]
        assert await subjects("discount INVOICE") == ["Invoice 2"]
        assert await subjects("joe@there app@here") == ["Invoice 2", "Invoice 1"]
        assert await subjects("discount nothing") == []
        assert await subjects("20%") == ["Invoice 2"]
        assert await subjects("%") == ["Invoice 2"], "a percent sign is itself"

    run(test, tmp_path)


def test_what_was_looked_at_is_told_apart_and_kept(tmp_path: Path) -> None:
    async def first(room: WebRoom) -> None:
        inbox = room.room.inbox
        await send(room, message("1"), message("2"))
        await settled(inbox, 2)
        newest, oldest = await inbox.rows(10)
        await inbox.mark([oldest.identifier], is_read=True)
        assert (await inbox.counts()).unread == 1
        assert [row.subject for row in await inbox.rows(10, unread=True)] == ["2"]
        assert (await inbox.counts()).newest == newest.identifier

    async def again(room: WebRoom) -> None:
        inbox = room.room.inbox
        assert [row.is_read for row in await inbox.rows(10)] == [False, True]
        await inbox.mark_all_read()
        assert (await inbox.counts()).unread == 0

    run(first, tmp_path)
    run(again, tmp_path)


def test_removed_messages_go_from_list_and_spool_and_stay_in_the_log(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        inbox = room.room.inbox
        await send(room, message("1"), message("2"), message("3"))
        await settled(inbox, 3)
        middle = (await inbox.rows(10))[1]
        assert await inbox.remove([middle.identifier]) == 1
        assert [row.subject for row in await inbox.rows(10)] == ["3", "1"]
        assert await inbox.row(middle.identifier) is None
        assert len(await room.service.spool.captured(10)) == 2
        assert await inbox.remove_all() == 2
        assert await inbox.rows(10) == []
        assert await room.service.spool.captured(10) == []
        assert (await room.service.spool.counts()).delivered == 3
        await send(room, message("4"))
        await settled(inbox, 1)

    run(test, tmp_path)


def test_what_goes_while_nobody_looks_is_gone_at_the_next_start(tmp_path: Path) -> None:
    async def first(room: WebRoom) -> None:
        await send(room, message("1"), message("2"))
        await settled(room.room.inbox, 2)
        oldest = (await room.service.spool.captured(10))[1]
        await room.service.spool.remove_captured([oldest.identifier])

    async def again(room: WebRoom) -> None:
        assert [row.subject for row in await room.room.inbox.rows(10)] == ["2"]

    run(first, tmp_path)
    run(again, tmp_path)


def test_more_than_one_question_takes_up_are_taken_up_by_and_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "AT_ONCE", 2)
    monkeypatch.setattr(inbox_module, "PAGE", 3)

    async def test(room: WebRoom) -> None:
        await send(room, *(message(str(number)) for number in range(10)))
        async with asyncio.timeout(60):
            while len(await room.service.spool.captured(20)) < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        inbox = room.room.inbox
        assert len(await inbox.rows(20)) == 2, "a bounded number at a time"
        await settled(inbox, 10)
        assert [row.subject for row in await inbox.rows(20)] == [str(n) for n in range(9, -1, -1)]
        page = await inbox.rows(4)
        assert [row.subject for row in await inbox.rows(4, before=page[-1].identifier)] == list(
            "5432"
        )

    run(test, tmp_path)


def test_a_message_that_was_held_for_long_comes_when_it_is_captured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "PAGE", 2)

    async def test(room: WebRoom) -> None:
        inbox = room.room.inbox
        early = message("early")
        early.replace_header("To", "joe@late.example")
        await send(room, early)
        await send(room, *(message(str(number)) for number in range(5)))
        await settled(inbox, 5)
        # Its identifier is lower than those of what was captured meanwhile.
        all_of_it = (Route("all", (Sandbox(),)),)
        room.service.reload(replace(room.service.settings, routes=all_of_it))
        await room.administration.change(Action.RETRY, MessageFilter())
        await settled(inbox, 6)
        assert [row.subject for row in await inbox.rows(10)] == ["4", "3", "2", "1", "0", "early"]

    down = """
[[route]]
name = "down"
via = "smtp+plain://127.0.0.1:9"
match.recipients = ["late.example"]
[[route]]
name = "rest"
via = "sandbox:"
"""
    run(test, tmp_path, down)


def test_hostile_content_is_listed_and_raises_nothing(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        def work() -> None:
            with smtplib.SMTP("127.0.0.1", room.smtp_port, timeout=30) as client:
                for content in (
                    b"\r\nno header at all\r\n",
                    b"Subject: \xff\xfe=?x?q?=00?=\r\nContent-Type: multipart/mixed; boundary=a\r\n"
                    b"\r\n" + b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 500,
                    b"Content-Type: text/html; charset=base64\r\n\r\n" + b"<!--" * 50_000 + b"\r\n",
                ):
                    client.sendmail("a@here.example", ["b@there.example"], content)

        await asyncio.to_thread(work)
        await settled(room.room.inbox, 3)

    run(test, tmp_path)
