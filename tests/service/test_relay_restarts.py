"""What a relay knows across a restart: quotas that are used up, contents that were damaged."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from relay_process import free_port
from sink import Sink
from waypost.delivery.route import Quotas, Route
from waypost.delivery.route_url import parse_route_url
from waypost.relay.listener import ListenerSettings
from waypost.relay.listener_address import ListenerAddress
from waypost.service import Service, ServiceSettings
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.sqlite import SqliteSettings

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 40_000


def settings_in(folder: Path, sink_port: int, port: int, quotas: Quotas) -> ServiceSettings:
    via = parse_route_url(f"smtp+plain://127.0.0.1:{sink_port}")
    server = ServerSettings("relay.example")
    return ServiceSettings(
        hostname="relay.example",
        data=folder,
        spool=SqliteSettings(folder / "spool", minimum_free=0),
        listeners=(
            ListenerSettings(ListenerAddress.parse(f"127.0.0.1:{port}"), "submission", server),
        ),
        routes=(Route("out", (via,), quotas=quotas),),
    )


async def submit(port: int, content: bytes) -> None:
    def speak() -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.sendmail("a@example.com", ["b@example.org"], content)

    await asyncio.to_thread(speak)


async def until(what: str, true: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(1000):
        if await true():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"it did not come true: {what}")


@pytest.fixture
def sink() -> object:
    made = Sink()
    yield made
    made.close()


def test_a_quota_that_is_used_up_stays_so(tmp_path: Path, sink: Sink) -> None:
    async def story() -> None:
        settings = settings_in(tmp_path, sink.port, free_port(), Quotas(per_day=3))
        port = settings.listeners[0].address.port
        first = Service(settings)
        await first.start()
        await submit(port, b"Subject: 1\r\n\r\n.\r\n")
        await submit(port, b"Subject: 2\r\n\r\n.\r\n")

        async def both() -> bool:
            return len(sink.received) == 2

        await until("two are delivered", both)
        await first.stop()

        second = Service(settings)
        await second.start()
        assert second.slots.quotas_left(settings.routes[0], second.clock.now()) == {"day": 1}
        for number in (3, 4):
            await submit(port, b"Subject: %d\r\n\r\n.\r\n" % number)

        async def waits() -> bool:
            lane = second.engine.lanes.get(("out", ""))
            return len(sink.received) == 3 and lane is not None and "quota" in lane.blocked_reason

        await until("the fourth waits for the quota", waits)
        await second.stop()

    asyncio.run(story())


def test_a_content_that_is_damaged_on_disk_is_set_aside_and_never_completed(
    tmp_path: Path, sink: Sink
) -> None:
    async def story() -> None:
        nowhere = settings_in(tmp_path, free_port(), free_port(), Quotas())
        first = Service(nowhere)
        await first.start()
        await submit(nowhere.listeners[0].address.port, LARGE)
        await first.stop()
        (body,) = (tmp_path / "spool" / "bodies").glob("*.eml")
        content = bytearray(body.read_bytes())
        content[-10] ^= 1
        body.write_bytes(content)

        there = settings_in(tmp_path, sink.port, free_port(), Quotas())
        second = Service(replace(there, routes=there.routes))
        await second.start()
        await second.spool.retry(MessageFilter(), second.clock.now())
        second.engine.retry_now("example.org")
        second.engine.wake("example.org", second.clock.now())

        async def set_aside() -> bool:
            (row,) = await second.spool.messages(MessageFilter())
            return row.recipients[0].state is RecipientState.DAMAGED

        await until("the message is set aside", set_aside)
        assert not sink.received
        assert second.engine.in_flight() == frozenset()
        await second.stop()

    asyncio.run(story())
