"""The overview: figures and charts, what fails and why, how quickly the servers answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from panel_room import ALL_HOSTILE, HOSTILE, Seen, assert_inert, attempted, in_room, queued
from web_room import WebRoom

from waypost.control.permissions import Role
from waypost.spool.contract import RecipientState

ROUTES = """
[[route]]
name = "mail"
via = "smtp://127.0.0.1:1"
"""


async def counted(client: httpx.AsyncClient) -> str:
    """The words of the page once what waits has been counted."""
    async with asyncio.timeout(60):
        while True:
            words = Seen((await client.get("/")).text).words
            if "is being counted" not in words and "Next attempt" in words:
                return words
            await asyncio.sleep(0.05)


def test_an_empty_system_leads_to_the_first_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.VIEWER)
        seen = assert_inert(await admin.get("/"))
        assert "No mail has come yet" in seen.words
        assert "How to connect an application" in seen.words
        assert "/start" in seen.links
        await queued(room, "joe@there.example")
        assert "No mail has come yet" not in assert_inert(await admin.get("/")).words

    in_room(tmp_path, test)


def test_the_flow_of_mail_is_told_now_and_over_time(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        for number in range(4):
            message = await queued(room, f"joe{number}@there.example")
            state = RecipientState.BOUNCED if number == 0 else RecipientState.DELIVERED
            reply = "550 5.1.1 no such user" if number == 0 else "250 2.0.0 OK"
            reason = "unknown-recipient" if number == 0 else ""
            await attempted(room, message, state, reply=reply, reason=reason, route="mail")
        for span in ("hour", "day", "week", "month"):
            seen = assert_inert(await admin.get(f"/?span={span}"))
            words = " ".join(seen.words.split())
            assert "Accepted recipients of messages taken in minute 4 hour 4 day 4" in words
            assert "Delivered taken by the next server minute 3 hour 3 day 3" in words
            assert "Bounced refused for good, or given up minute 1 hour 1 day 1" in words
            drawn = [given for tag, given in seen.elements if tag == "svg" and "role" in given]
            assert len(drawn) == 5, "four of the flow, one of response times"
            labelled = {given.get("id") for _, given in seen.elements}
            for one in drawn:
                assert set(one["aria-labelledby"].split()) <= labelled
            assert "The numbers as a table" in words
            assert "4 3 0 0 1 0" in words, "the same as numbers"

    in_room(tmp_path, test, ROUTES)


def test_what_fails_is_told_with_its_reason_its_fix_and_a_test(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        message = await queued(room, "joe@there.example")
        await attempted(
            room, message, RecipientState.QUEUED, route="mail",
            reply="connect to there.example[192.0.2.1]:25: Connection refused",
            reason="connection-refused",
        )  # fmt: skip
        admin, viewer = await room.person(), await room.person(Role.VIEWER)
        seen = assert_inert(await admin.get("/"))
        words = " ".join(seen.words.split())
        assert "The connection is refused: Check the port" in words
        assert "Connection refused" in words
        assert seen.fields("target") == ["there.example"]
        await queued(room, "joe@other.example")
        (link,) = {one for one in seen.links if one.startswith("/messages?")}
        listed = Seen((await admin.get(link)).text).words
        assert "joe@there.example" in listed
        assert "joe@other.example" not in listed
        assert seen.fields("route") == ["mail"]
        assert assert_inert(await viewer.get("/")).fields("target") == []

    in_room(tmp_path, test, ROUTES)


def test_response_times_stand_against_one_second(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        for number, seconds in enumerate((0.2, 0.3, 4.0)):
            message = await queued(room, f"joe@slow{number}.example")
            await attempted(room, message, RecipientState.DELIVERED, seconds=seconds, route="mail")
        seen = assert_inert(await (await room.person()).get("/?span=hour"))
        words = " ".join(seen.words.split())
        assert "1 s: good" in words
        assert "mail 3" in words
        assert [given for _, given in seen.elements if given.get("class") == "limit"]
        order = [words.rindex(f"slow{number}.example") for number in (2, 1, 0)]
        assert order == sorted(order), "the slowest comes first"

    in_room(tmp_path, test, ROUTES)


def test_what_waits_longest_is_named_once_it_is_counted(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await queued(room, "joe@old.example", age=7200)
        await queued(room, "joe@young.example", age=60)
        admin = await room.person()
        words = await counted(admin)
        assert words.index("old.example") < words.index("young.example")
        assert "2 h ago" in words

    in_room(tmp_path, test, ROUTES)


def test_the_part_that_changes_is_fetched_alone_and_is_what_the_page_has(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        await queued(room, "joe@there.example")
        seen = assert_inert(await admin.get("/?span=week"))
        (live,) = [given["data-live"] for _, given in seen.elements if "data-live" in given]
        part = assert_inert(await admin.get(live))
        assert not [tag for tag, _ in part.elements if tag in ("html", "main", "script")]
        assert "over the last 7 days" in part.words

    in_room(tmp_path, test, ROUTES)


@pytest.mark.parametrize("span", ["year", "minute", "<script>", ""])
def test_an_unknown_time_is_refused_or_taken_for_a_day(span: str, tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        answer = await (await room.person()).get("/", params={"span": span})
        assert answer.status_code in (200, 422)
        assert "<script>alert" not in answer.text

    in_room(tmp_path, test, ROUTES)


def test_no_field_brings_anything_into_the_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        for one in HOSTILE:
            message = await queued(room, f"joe@{one}", sender=one)
            await attempted(
                room, message, RecipientState.QUEUED, reply=one + ALL_HOSTILE, reason=one,
                route=one, next_hop=one, seconds=3.0,
            )  # fmt: skip
        admin = await room.person()
        for span in ("hour", "month"):
            assert_inert(await admin.get(f"/?span={span}"))
        await counted(admin)
        assert_inert(await admin.get("/"))

    in_room(tmp_path, test, ROUTES)
