"""Events over the API: in pages, and as a stream that goes on where it broke off."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from event_room import Live, Told, follow, in_live_room, told, until

from waypost.control.event_log import BATCH, EventBatch
from waypost.control.event_log_places import BEGINNING, Place
from waypost.control.permissions import Permission
from waypost.faces.http.api import event_stream

STREAM = "/api/v1/events/stream"


async def page(client: httpx.AsyncClient, **wanted: Any) -> dict[str, Any]:
    answer = await client.get("/api/v1/events", params=wanted)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def everything(client: httpx.AsyncClient, count: int, **wanted: Any) -> list[dict[str, Any]]:
    """Until there are so many events, read by pages of three."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while len(found) < count:
        one = await page(client, limit=3, **after, **wanted)
        assert len(one["items"]) <= 3
        found += one["items"]
        after = {"after": one["after"]}
    return found


def test_pages_leave_nothing_out_and_tell_nothing_twice(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        await live.submit(*range(1, 11))
        events = await everything(client, 20)
        assert len({one["id"] for one in events}) == len(events) == 20
        of_each: dict[str, list[str]] = {}
        for one in events:
            of_each.setdefault(one["data"]["message"], []).append(one["type"])
        assert [*of_each.values()] == [["message.accepted", "message.captured"]] * 10
        subjects = [one["data"]["subject"] for one in events if one["type"] == "message.accepted"]
        assert subjects == [str(number) for number in range(1, 11)]
        last = await page(client, after=events[-1]["place"])
        assert (last["items"], last["more"], last["missed"]) == ([], False, False)

    in_live_room(tmp_path, story)


def test_pages_are_of_what_was_asked_for(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        await live.submit(1, 2)
        events = await everything(client, 4)
        message = events[0]["data"]["message"]
        wanted = await everything(client, 2, message=message)
        assert {one["data"]["message"] for one in wanted} == {message}
        captured = await everything(client, 2, type="message.captured")
        assert {one["type"] for one in captured} == {"message.captured"}
        assert {one["data"]["route"] for one in captured} == {"default"}

    in_live_room(tmp_path, story)


@pytest.mark.parametrize(
    "wanted",
    [{"after": "x"}, {"after": "1.2.3.4"}, {"type": "message.eaten"}, {"message": "!"},
     {"limit": "0"}],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_a_problem(
    tmp_path: Path, wanted: dict[str, str]
) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        answer = await client.get("/api/v1/events", params=wanted)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["in"] == "query"

    in_live_room(tmp_path, story)


def test_the_place_of_another_log_begins_anew_and_says_so(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        await live.submit(1)
        await everything(client, 2)
        again = await page(client, after="another.17")
        assert again["missed"]
        assert len(again["items"]) == 2

    in_live_room(tmp_path, story)


def test_a_key_of_a_user_sees_that_users_mail_alone(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        everybody = await live.program(Permission.EVENTS)
        one_user = await live.program(Permission.EVENTS, user="shop")
        await live.submit(1)
        assert len(await everything(everybody, 2)) == 2
        assert (await page(one_user))["items"] == []
        refused = await one_user.get("/api/v1/events", params={"user": "other"})
        assert refused.status_code == 403

    in_live_room(tmp_path, story)


def test_only_who_may_follow_events(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.SEND)
        for path in ("/api/v1/events", STREAM):
            assert (await client.get(path)).status_code == 403
        async with httpx.AsyncClient(base_url=live.base) as nobody:
            assert (await nobody.get(STREAM)).status_code == 401

    in_live_room(tmp_path, story)


# --- streams ------------------------------------------------------------------------------------


def test_a_stream_tells_what_happens_from_now_on(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        await live.submit(1)
        await everything(client, 2)
        listening = asyncio.ensure_future(told(client, 2))
        await until(lambda: event_stream.streams_of(live.web.application).count == 1)
        await live.submit(2)
        first, second = await listening
        assert (first.event, second.event) == ("message.accepted", "message.captured")
        assert first.document["data"]["subject"] == "2"
        assert first.document["place"] == first.id

    in_live_room(tmp_path, story)


def test_a_stream_goes_on_where_it_broke_off_without_a_gap_and_nothing_twice(
    tmp_path: Path,
) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        place = (await page(client))["after"]
        sending = asyncio.ensure_future(live.submit(*range(1, 61)))
        found: list[Told] = []
        while len(found) < 120:
            count = min(7, 120 - len(found))
            header = {"Last-Event-ID": found[-1].id if found else place}
            found += await told(client, count, **header)
        await sending
        assert [one.id for one in found] == [one["place"] for one in await everything(client, 120)]

    in_live_room(tmp_path, story)


def test_a_client_that_missed_something_is_told(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        await live.submit(1)
        await everything(client, 2)
        first, second = await told(client, 2, f"{STREAM}?after=another.17")
        assert (first.event, second.event) == ("missed", "message.accepted")

    in_live_room(tmp_path, story)


def test_a_stream_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.05)

    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        comments = 0
        async for one in follow(client, STREAM):
            comments += bool(one.comment)
            if comments == 3:
                break

    in_live_room(tmp_path, story)


def test_a_stream_of_what_never_happens_still_moves_its_place_on(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        start = (await page(client))["after"]
        await live.submit(*range(1, 11))
        await everything(client, 20)
        async for one in follow(client, f"{STREAM}?type=message.complained&after={start}"):
            if one.id:
                assert not one.data
                assert live.web.room.events.parse(one.id) > live.web.room.events.parse(start)
                break

    in_live_room(tmp_path, story)


def test_there_are_only_so_many_streams(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)
        streams = event_stream.streams_of(live.web.application)
        streams.most = 1
        listening = asyncio.ensure_future(told(client, 1))
        await until(lambda: streams.count == 1)
        refused = await client.get(STREAM)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        await live.submit(1)
        await listening
        await until(lambda: streams.count == 0)

    in_live_room(tmp_path, story)


def test_streams_end_when_the_relay_stops(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        client = await live.program(Permission.EVENTS)

        async def until_the_end() -> int:
            return len([one async for one in follow(client, STREAM)])

        listening = asyncio.ensure_future(until_the_end())
        await until(lambda: event_stream.streams_of(live.web.application).count == 1)
        live.web.room.events.close()
        assert await listening == 1, "the time after which to come again"

    in_live_room(tmp_path, story)


def test_a_client_that_does_not_keep_up_is_only_further_behind_in_the_log(tmp_path: Path) -> None:
    async def story(live: Live) -> None:
        room = live.web.room
        for _ in range(3 * BATCH):
            await room.events.append("complained", 0)
        reads = 0
        read = room.events.read

        async def counted(after: Place) -> EventBatch:
            nonlocal reads
            reads += 1
            return await read(after)

        async def documents(batch: EventBatch) -> list[dict[str, Any]]:
            return [{"place": str(one.place), "type": "x"} for one in batch.events]

        room.events.read = counted  # type: ignore[method-assign,assignment]
        source = event_stream.EventSource(
            room.events, room.clock, BEGINNING, documents, missed=False
        )
        pieces = source.pieces()
        assert await anext(pieces) == "retry: 2000\n\n"
        for _ in range(BATCH // event_stream.PIECE):
            assert (await anext(pieces)).count("data:") == event_stream.PIECE
            assert reads == 1, "nothing more is read before this is written"
        await anext(pieces)
        assert reads == 2
        await pieces.aclose()

    in_live_room(tmp_path, story)
