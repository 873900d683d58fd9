"""Pausing queues over the API, and what is told of queues, routes, limits and suppressions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from test_api_messages import API, out, refusing_port, send, until
from web_room import WebRoom, web_room

from sink import Sink
from waypost.control.permissions import Permission, Role
from waypost.faces.http.rate_limit import ApiRate, RateLimiter


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], text: str = "") -> None:
    async def run() -> None:
        async with web_room(folder, text) as room:
            await work(room)

    asyncio.run(run())


def test_nothing_leaves_a_paused_route_also_after_a_restart_and_all_of_it_when_resumed(
    tmp_path: Path,
) -> None:
    sink = Sink()

    async def paused(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN, "ann")
        await send(person, to="before@there.example")
        await asyncio.to_thread(sink.wait_for, "before@there.example")  # a connection is open
        done = await person.post(f"{API}/queues/out/pause", json={"reason": "they move house"})
        assert done.json() == {
            "route": "out", "destination": None, "paused": True, "changed": True,
        }  # fmt: skip
        name = await send(person)
        seen = (await person.get(f"{API}/messages/{name}")).json()["recipients"][0]
        assert seen["waits_for"] == "route out is paused by ann: they move house"
        assert (seen["attempts"], seen["under_way"]) == (0, False)
        queues = (await person.get(f"{API}/queues")).json()
        assert queues["paused"][0]["by"] == "ann"
        assert queues["items"][0]["destination"] == "there.example"
        assert queues["items"][0]["wait"]["text"].startswith("route out is paused")
        again = await person.post(f"{API}/queues/out/pause")
        assert again.json()["changed"] is False
        # Who asks for a retry does not ask for the pause to end.
        await person.post(f"{API}/messages/{name}/retry")
        assert (await person.get(f"{API}/routes")).json()["items"][0]["paused"] is True
        # What waits can be cancelled: it is not marked as begun.
        unwanted = await send(person, to="unwanted@there.example")
        cancelled = await person.post(f"{API}/messages/{unwanted}/cancel")
        assert cancelled.json()["changed"] == 1

    async def resumed(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        assert len((await person.get(f"{API}/queues")).json()["paused"]) == 1
        later = await send(person, to="later@there.example")
        assert sink.for_recipient("ann@there.example") == []
        done = await person.post(f"{API}/queues/out/resume")
        assert (done.json()["paused"], done.json()["changed"]) == (False, True)
        await asyncio.to_thread(sink.wait_for, "ann@there.example")
        await asyncio.to_thread(sink.wait_for, "later@there.example")
        await until(
            person, f"{API}/messages/{later}",
            lambda one: one["recipients"][0]["state"] == "delivered",
        )  # fmt: skip
        assert (await person.post(f"{API}/queues/out/resume")).json()["changed"] is False
        assert sink.for_recipient("unwanted@there.example") == []

    try:
        in_room(tmp_path, paused, out(sink.port))
        in_room(tmp_path, resumed, out(sink.port))
    finally:
        sink.close()


def test_a_pause_puts_down_what_waits_in_memory(tmp_path: Path) -> None:
    """Messages that are ready for a route that fails, and marked, go back to the disk."""

    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        sent = [await send(person, to=f"a{number}@there.example") for number in range(20)]
        await person.post(f"{API}/queues/out/pause")
        for name in sent:
            await until(
                person, f"{API}/messages/{name}",
                lambda one: not one["recipients"][0]["under_way"],
            )  # fmt: skip
        held = await person.post(f"{API}/queue/cancel", json={"all": True})
        assert (held.json()["changed"], held.json()["under_way"]) == (20, 0)

    in_room(tmp_path, work, out(refusing_port()))


def test_one_destination_of_direct_delivery_is_paused_alone(tmp_path: Path) -> None:
    route = '[[route]]\nname = "direct"\nvia = ["mx:"]\n'

    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        done = await person.post(f"{API}/queues/direct/Slow.Example/pause")
        assert done.json()["destination"] == "slow.example"
        name = await send(person, to="a@slow.example")
        seen = (await person.get(f"{API}/messages/{name}")).json()["recipients"][0]
        assert "to slow.example is paused" in seen["waits_for"]
        other = await send(person, to="a@quick.invalid")
        await until(
            person, f"{API}/messages/{other}", lambda one: one["recipients"][0]["attempts"] > 0
        )
        assert (await person.get(f"{API}/messages/{name}")).json()["recipients"][0]["attempts"] == 0

    in_room(tmp_path, work, route)


def test_queues_that_are_not_there_are_told_with_those_that_are(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        for path in (
            "/queues/none/pause",
            "/queues/none/resume",
            "/queues/default/x.example/pause",
        ):
            answer = await person.post(API + path)
            assert answer.status_code == 404, path
        assert "default" in (await person.post(f"{API}/queues/none/pause")).json()["detail"]
        viewer = await room.person(Role.VIEWER)
        assert (await viewer.post(f"{API}/queues/default/pause")).status_code == 403

    in_room(tmp_path, work)


def test_routes_tell_what_fails_and_until_when(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        await send(person)

        def has_failed(told: dict[str, list[dict[str, list[dict[str, object]]]]]) -> bool:
            return bool(told["items"][0]["left_alone"])

        (route,) = (await until(person, f"{API}/routes", has_failed))["items"]
        assert (route["name"], route["kind"]) == ("out", "smarthost")
        assert route["left_alone"][0]["failures"] == 1
        assert "refused" in route["left_alone"][0]["reason"]
        assert route["quotas_left"] == {"hour": 10}

    port = refusing_port()
    in_room(tmp_path, work, out(port) + "quotas.per_hour = 10\n")


def test_suppressions_are_imported_listed_and_taken_back(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        items = [{"address": f"User{n}@there.example", "reason": "bounced"} for n in range(250)]
        added = await person.post(f"{API}/suppressions", json={"items": items})
        assert added.json() == {"added": 250}
        found, cursor = [], None
        while True:
            params = {"limit": 100} | ({"cursor": cursor} if cursor else {})
            page = (await person.get(f"{API}/suppressions", params=params)).json()
            found += [one["address"] for one in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert found == sorted(f"user{n}@there.example" for n in range(250))
        assert (await person.delete(f"{API}/suppressions/USER1@there.example")).status_code == 204
        assert (await person.delete(f"{API}/suppressions/user1@there.example")).status_code == 404
        wrong = await person.post(
            f"{API}/suppressions", json={"items": [items[0], {"address": "no address"}]}
        )
        assert wrong.status_code == 422
        not_one = await person.post(
            f"{API}/suppressions",
            json={"items": [{"address": "new@x.example"}, {"address": "@x@"}]},
        )
        assert not_one.json()["errors"][0]["pointer"] == "#/items/1/address"
        assert room.service.spool.suppression_reason("new@x.example") is None
        viewer = await room.person(Role.VIEWER)
        assert (await viewer.post(f"{API}/suppressions", json={"items": items})).status_code == 403

    in_room(tmp_path, work)


def test_the_relay_as_a_whole_and_its_limits(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        viewer = await room.person(Role.VIEWER)
        status = (await viewer.get(f"{API}/status")).json()
        assert status["hostname"] == "relay.example"
        assert status["recipients"]["queued"] == 0
        assert status["listeners"][0]["kind"] == "submission"
        limits = (await viewer.get(f"{API}/limits")).json()
        assert limits["maximum_size"] == room.service.settings.maximum_size
        assert limits["api"] == {"per_second": 200.0, "burst": 1000}

    in_room(tmp_path, work)


# --- how much may be asked ------------------------------------------------------------------------


def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        room.application.state.rate_limiter.rate = ApiRate(per_second=0.001, burst=3)
        one, other = await room.key(Permission.READ), await room.key(Permission.READ)
        left = [
            (await one.get(f"{API}/messages")).headers["ratelimit"].split(";")[1] for _ in range(3)
        ]
        assert left == ["r=2", "r=1", "r=0"]
        refused = await one.get(f"{API}/messages")
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:waypost:problem:too-many-requests"
        assert int(refused.headers["retry-after"]) > 900
        assert "ratelimit-policy" in refused.headers
        assert (await other.get(f"{API}/messages")).status_code == 200
        assert (await (await room.visitor()).get(f"{API}/messages")).status_code == 401

    in_room(tmp_path, work)


def test_the_table_of_callers_is_bounded() -> None:
    now = 0.0
    limiter = RateLimiter(ApiRate(per_second=1, burst=2), lambda: now)
    assert [limiter.take("a")[1] for _ in range(3)] == [0.0, 0.0, 1.0]
    now = 1.0
    assert limiter.take("a") == (0.0, 0.0)
    for number in range(20_000):
        limiter.take(str(number))
    assert len(limiter._buckets) == 10_000


def test_a_large_body_of_any_route_is_refused(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        large = b'{"text": "' + b"x" * 2_000_000 + b'"}'
        headers = {"Content-Type": "application/json"}
        for path in ("/doctor/explain", "/queue/cancel", "/suppressions", "/sandbox/rules"):
            answer = await person.post(API + path, content=large, headers=headers)
            assert answer.status_code == 413, path
        assert (await person.put(f"{API}/templates/a", content=large, headers=headers)
                ).status_code == 413  # fmt: skip

    in_room(tmp_path, work)
