"""A relay on asyncio's own event loop, as on Windows: what comes right behind a TLS handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import waypost
from relay_process import free_port
from sink import Sink
from waypost.delivery.route import Route
from waypost.delivery.route_url import parse_route_url
from waypost.relay.listener import ListenerSettings
from waypost.relay.listener_address import ListenerAddress
from waypost.service import Service, ServiceSettings
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.sqlite import SqliteSettings


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def test_a_client_that_speaks_at_once_behind_the_handshake_is_heard(
    tmp_path: Path, sink: Sink
) -> None:
    """asyncio hands over what it says before `start_tls` has returned (uvloop: afterwards)."""
    port = free_port()
    settings = ServiceSettings(
        hostname="relay.example",
        data=tmp_path,
        spool=SqliteSettings(tmp_path / "spool", minimum_free=0),
        listeners=(
            ListenerSettings(
                ListenerAddress.parse(f"127.0.0.1:{port}"),
                "submission",
                ServerSettings("relay.example", starttls=True),
            ),
        ),
        routes=(Route("out", (parse_route_url(f"smtp+plain://127.0.0.1:{sink.port}"),)),),
    )

    async def story() -> None:
        service = Service(settings)
        await service.start()
        try:
            with waypost.Mailer(f"smtp://127.0.0.1:{port}?verify=false", timeout=20) as mailer:
                for number in range(5):
                    await asyncio.to_thread(
                        mailer.send, from_="a@example.com", to=f"b{number}@example.org", text="x"
                    )
        finally:
            await service.stop()

    asyncio.run(story())
    assert sink.wait_for("b4@example.org").content.endswith(b"\r\nx\r\n")
