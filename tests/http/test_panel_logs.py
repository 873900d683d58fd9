"""The log: what happened, and what happens without a reload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

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
from web_room import WebRoom

from waypost.control.permissions import Role
from waypost.faces.http.panel import logs
from waypost.faces.http.panel.logs import LogFilter
from waypost.message_events import Event, Follower
from waypost.spool.contract import RecipientState


def test_the_newest_events_come_first_with_what_was_said(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        first = await queued(room, "joe@there.example", age=60, client="192.0.2.9", user="app")
        await attempted(
            room, first, RecipientState.QUEUED, reply="451 4.7.1 Try again", reason="greylisted"
        )
        seen = assert_inert(await (await room.person(Role.VIEWER)).get("/logs"))
        words = " ".join(seen.words.split())
        assert words.index("451 4.7.1 Try again") < words.index("from 192.0.2.9 (app)")
        assert "mx.there.example[192.0.2.1]:25 in 300 ms: 451 4.7.1 Try again again in" in words

    in_room(tmp_path, test)


def test_events_can_be_narrowed(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        one = await queued(room, "joe@there.example")
        await queued(room, "ann@here.example")
        await attempted(room, one, RecipientState.DELIVERED)
        admin = await room.person()
        delivered = Seen((await admin.get("/logs?kind=delivered")).text).words
        assert "joe@there.example" in delivered
        assert "ann@here.example" not in delivered
        named = Seen((await admin.get("/logs?q=ANN")).text).words
        assert "ann@here.example" in named
        assert "joe@there.example" not in named
        nothing = Seen((await admin.get("/logs?q=nobody")).text).words
        assert "Nothing has happened that matches" in nothing

    in_room(tmp_path, test)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (LogFilter(), True), (LogFilter("joe@"), True), (LogFilter("550"), True),
        (LogFilter("mx.there"), True), (LogFilter("ann"), False), (LogFilter("", "bounced"), True),
        (LogFilter("", "delivered"), False), (LogFilter("joe", "bounced"), True),
    ],
)  # fmt: skip
def test_a_filter_looks_at_all_that_is_shown(wanted: LogFilter, taken: bool) -> None:
    event = Event(
        1.0, "bounced", 1, sender="app@here.example", recipients=("Joe@There.example",),
        reply="550 No such user", next_hop="MX.there.example",
    )  # fmt: skip
    assert wanted.takes(event) is taken
    assert wanted.takes(Event(0.0, "missed", 0, count=3)), (
        "that something is missing is always told"
    )


class Stream:
    """The rows that a page would get, without the end that httpx waits for."""

    def __init__(self, room: WebRoom, wanted: LogFilter) -> None:
        self._parcels: AsyncIterator[tuple[list[Event], int]] = logs._parcels(
            room.administration, room.service.clock, wanted
        )

    async def first(self) -> asyncio.Task[tuple[list[Event], int]]:
        """The next parcel, being waited for."""

        async def following() -> tuple[list[Event], int]:
            return await anext(self._parcels)

        task = asyncio.create_task(following())
        await asyncio.sleep(0)
        return task

    async def close(self) -> None:
        await self._parcels.aclose()  # type: ignore[attr-defined]


def test_what_happens_is_sent_at_once_and_what_is_too_much_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr(logs, "ROWS_A_BEAT", 3)
        stream = Stream(room, LogFilter("joe"))
        waiting = await stream.first()
        one = await queued(room, "joe@there.example")
        for _ in range(5):
            await attempted(room, one, RecipientState.QUEUED, reply="451 later")
        async with asyncio.timeout(60):
            events, skipped = await waiting
        assert [event.event for event in events] == ["deferred"] * 3
        assert skipped == 2
        await stream.close()
        assert not room.administration._watchers or all(
            not isinstance(getattr(one, "__self__", None), Follower)
            for one in room.administration._watchers
        ), "nobody follows any more"

    in_room(tmp_path, test)


def test_what_came_between_the_page_and_its_stream_is_sent_first(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        begun = room.service.clock.now()
        await queued(room, "gap@example.net")
        parcels = logs._parcels(room.administration, room.service.clock, LogFilter(), begun - 10)
        async with asyncio.timeout(60):
            events, skipped = await anext(parcels)
        await parcels.aclose()
        assert skipped == 0
        assert [one.event for one in events][-1] == "accepted"
        assert events[-1].recipients == ("gap@example.net",)

    in_room(tmp_path, test)


def test_a_stream_shows_that_it_lives_while_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr(logs, "SILENCE_SECONDS", 0.01)
        stream = Stream(room, LogFilter())
        async with asyncio.timeout(60):
            assert await (await stream.first()) == ([], 0)
        await stream.close()

    in_room(tmp_path, test)


def test_only_so_many_pages_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr(logs, "LISTENERS", 0)
        answer = await (await room.person()).get("/logs/stream")
        assert answer.status_code == 503
        assert "close one" in Seen(answer.text).words

    in_room(tmp_path, test)


def test_no_field_brings_anything_into_the_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        for one in HOSTILE:
            message = await queued(
                room, f"{one}@there.example", sender=one, client=one, user=one, subject=one
            )
            await attempted(
                room, message, RecipientState.QUEUED, reply=one, reason=one, next_hop=one, route=one
            )
        seen = assert_inert(await admin.get("/logs"))
        assert "<script>alert(1)</script>" in seen.words
        for one in HOSTILE:
            answer = await admin.get("/logs", params={"q": one, "kind": one})
            assert faults_of(answer.text) == []
        event = Event(
            1.0, "deferred", 1, sender=ALL_HOSTILE, recipients=HOSTILE, reply=ALL_HOSTILE,
            next_hop=ALL_HOSTILE,
        )  # fmt: skip
        rows = room.application.state.panel.templates.get_template("log_rows.html").render(
            events=[event], skipped=3, relative=lambda at: at
        )
        assert faults_of(rows) == []
        assert json.loads(json.dumps(rows)) == rows, "one line of a stream"

    in_room(tmp_path, test)
