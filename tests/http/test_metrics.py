"""/metrics: the figures are right, bounded in number, and nobody reads them without a key."""

from __future__ import annotations

import asyncio
import smtplib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
from metric_names import Samples, samples, value
from web_room import WebRoom, web_room

from waypost.control.counters import MAXIMUM_NAMES, OTHER, Counters
from waypost.control.permissions import Permission, Role
from waypost.control.statistics_counting import Gathered
from waypost.control.statistics_rows import DELIVERED, ROUTE_WIDTH
from waypost.testing import MailServer


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], text: str = "") -> None:
    async def run() -> None:
        async with web_room(folder, text) as room:
            await work(room)

    asyncio.run(run())


async def send(room: WebRoom, *recipients: str) -> None:
    def speak() -> None:
        with (
            smtplib.SMTP("127.0.0.1", room.smtp_port, timeout=60) as client,
            suppress(smtplib.SMTPRecipientsRefused),
        ):
            client.sendmail("app@here.example", recipients, b"Subject: x\r\n\r\nhello\r\n")

    await asyncio.to_thread(speak)


async def read(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


async def read_until(client: httpx.AsyncClient, true: Callable[[Samples], bool]) -> Samples:
    for _ in range(600):
        found = await read(client)
        if true(found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


def test_a_key_is_asked_for_also_on_this_machine(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        assert (await (await room.visitor()).get("/metrics")).status_code == 401
        assert (await (await room.key(Permission.SEND)).get("/metrics")).status_code == 403
        assert (await (await room.key(Permission.READ)).get("/metrics")).status_code == 200
        assert (await (await room.person(Role.VIEWER)).get("/metrics")).status_code == 200

    in_room(tmp_path, work)


def test_what_has_happened_is_counted(tmp_path: Path) -> None:
    with MailServer() as server:
        server.fail(on="rcpt", recipient="gone@*", reply="550 5.1.1 No such user")
        server.fail(on="rcpt", recipient="later@*", reply="451 4.7.1 Greylisted")

        async def work(room: WebRoom) -> None:
            program = await room.key(Permission.READ)
            await room.administration.suppress("never@there.example", "asked not to")
            for recipient in ("a", "b", "gone", "later", "never"):
                await send(room, f"{recipient}@there.example")

            def settled(found: Samples) -> bool:
                return (
                    value(found, "waypost_outcomes_total", route="default", outcome="delivered")
                    + value(found, "waypost_outcomes_total", route="default", outcome="deferred")
                ) >= 4 and ("waypost_queue_recipients", (("state", "queued"),)) in found

            found = await read_until(program, settled)  # the notice about gone@ is delivered, too
            for outcome, count in {
                "delivered": 3,
                "bounced": 1,
                "deferred": 1,
                "expired": 0,
            }.items():
                labels = {"route": "default", "outcome": outcome}
                assert value(found, "waypost_outcomes_total", **labels) == count, outcome
            assert value(found, "waypost_messages_accepted_total") == 5
            assert value(found, "waypost_refusals_total", command="rcpt", reply="5xx") == 1
            assert value(found, "waypost_attempts_total", route="default") == 5
            seconds = {
                labels: number
                for (name, labels), number in found.items()
                if name == "waypost_attempt_seconds_bucket"
            }
            assert seconds[("le", "+Inf"), ("route", "default")] == 5
            assert list(seconds.values()) == sorted(seconds.values())
            failed = {
                dict(labels)["outcome"]: dict(labels)["reason"]
                for (name, labels) in found
                if name == "waypost_failures_total"
            }
            assert set(failed) == {"bounced", "deferred"}
            assert all(failed.values())

            def counted(found: Samples) -> bool:
                queued = found.get(("waypost_queue_recipients", (("state", "queued"),)))
                there = (
                    "waypost_destination_queue_recipients",
                    (("destination", "there.example"),),
                )
                return queued == 1 and found.get(there) == 1

            found = await read_until(program, counted)
            assert value(found, "waypost_queue_oldest_age_seconds") > 0
            assert value(found, "waypost_queue_destinations") == 1
            assert value(found, "waypost_spool_bytes") > 0
            assert value(found, "waypost_spool_accepts") == 1
            assert value(found, "process_open_fds") > 3

        route = f'[[route]]\nname = "default"\nvia = "smtp+plain://127.0.0.1:{server.port}"\n'
        in_room(tmp_path, work, route)


def test_routes_and_listeners_are_there_before_anything_happens(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        found = await read(await room.key(Permission.READ))
        for outcome in ("delivered", "captured", "deferred", "bounced", "expired"):
            labels = {"route": "slow", "outcome": outcome}
            assert value(found, "waypost_outcomes_total", **labels) == 0
        assert value(found, "waypost_quota_left", route="slow", window="hour") == 100
        hops = {dict(labels)["next_hop"] for name, labels in found if "suspended" in name}
        assert len(hops) == 2
        sessions = [labels for name, labels in found if name == "waypost_sessions"]
        assert len(sessions) == 1
        assert value(found, "waypost_connections", route="slow") == 0

    text = """
    [[route]]
    name = "slow"
    via = ["smtp+plain://127.0.0.1:1", "smtp+plain://127.0.0.1:2"]
    [route.quotas]
    per_hour = 100
    """
    in_room(tmp_path, work, text)


def test_however_much_happens_the_number_of_lines_is_bounded(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        program = await room.key(Permission.READ)
        for number in range(40):
            await send(room, *(f"x@d{number}-{n}.example" for n in range(5)))

        def all_wait(found: Samples) -> bool:
            return found.get(("waypost_queue_destinations", ())) == 200

        found = await read_until(program, all_wait)
        names = Counter(name for name, _ in found)
        assert names["waypost_destination_queue_recipients"] == 20
        assert names["waypost_destination_oldest_age_seconds"] == 20
        assert len(found) < 300

    text = '[[route]]\nname = "default"\nvia = "smtp+plain://127.0.0.1:1"\n'
    in_room(tmp_path, work, text)


def test_names_beyond_the_bound_count_together() -> None:
    counters = Counters()
    for number in range(MAXIMUM_NAMES + 10):
        gathered = Gathered()
        row = [0] * ROUTE_WIDTH
        row[DELIVERED] = 1
        gathered.routes[f"route{number}"] = row
        counters.add(gathered)
        counters.add(gathered)
    assert len(counters.routes) == MAXIMUM_NAMES + 1
    assert counters.routes["route0"][DELIVERED] == 2
    assert counters.routes[OTHER][DELIVERED] == 20
