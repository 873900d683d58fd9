"""A real relay on loopback in a thread of its own, and the commands of `waypost` against it."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import smtplib
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from typer.testing import CliRunner

from waypost.administration import Administration
from waypost.config import Flags, load
from waypost.faces.cli.main import COMMANDS
from waypost.faces.cli.relay import control_socket
from waypost.faces.control_server import ControlServer
from waypost.lab.simulated_peer import Fault, SimulatedPeer
from waypost.service import Service

Result = TypeVar("Result")
WAIT = 20.0


@dataclass(frozen=True)
class Ended:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT)
        self.loop.close()


@dataclass
class Place:
    """Where a relay has its data, and the commands that are for it."""

    folder: Path
    loop: Loop
    relay: Relay | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "XDG_DATA_HOME": str(self.folder),
            "WAYPOST_RECIPIENTS_DOMAIN": "false",
            "WAYPOST_HOSTNAME": "relay.example",
            "WAYPOST_LISTEN": "127.0.0.1:0",
        }

    @property
    def data(self) -> Path:
        return self.folder / "waypost"

    def run(self, *arguments: str, typed: str | None = None, **environment: str) -> Ended:
        """Run a command as `waypost` does."""
        name, *rest = arguments
        app = importlib.import_module(COMMANDS[name][0]).app
        ended = CliRunner().invoke(app, rest, input=typed, env={**self.environment, **environment})
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    def start(self, route: str = "sandbox:") -> Relay:
        """Start a relay here."""
        environment = {**os.environ, **self.environment, "WAYPOST_ROUTE": route}
        settings = load(None, environment, Flags()).service_settings()
        service = Service(settings)
        control = ControlServer(Administration(service), control_socket(settings.spool.directory))

        async def begin() -> None:
            await service.start()
            await control.start()

        self.loop.run(begin())
        self.relay = Relay(self, service, control)
        return self.relay

    def stop(self) -> None:
        if self.relay is not None:
            relay, self.relay = self.relay, None

            async def end() -> None:
                await relay.control.stop()
                await relay.service.stop(2)

            self.loop.run(end())


@dataclass
class Relay:
    """A running relay."""

    place: Place
    service: Service
    control: ControlServer

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.service.listeners[0].bound[0].rpartition(":")
        return host, int(port)

    def submit(
        self, sender: str, *recipients: str, subject: str = "Hello", text: str = "Hi"
    ) -> str:
        """Send a message as an application does; its identifier."""
        content = f"From: {sender}\r\nSubject: {subject}\r\n\r\n{text}\r\n"
        with smtplib.SMTP(*self.address, timeout=WAIT) as client:
            client.ehlo()
            client.mail(sender)
            for one in recipients:
                assert client.rcpt(one)[0] == 250
            code, words = client.data(content.encode())
            assert code == 250, words
        return words.decode().rpartition(" ")[2]

    def until_deferred(self, identifier: str, attempts: int = 1) -> None:
        """Wait for so many attempts of a message to have failed."""
        wait_for(lambda: self._is_deferred(identifier, attempts))

    def _is_deferred(self, identifier: str, attempts: int) -> bool:
        story = self.place.run("queue", "show", identifier, "--json").json
        return all(
            one["attempts"] >= attempts and not one["under_way"] for one in story["recipients"]
        )


def wait_for(true: Callable[[], bool]) -> None:
    """Until something is true; fails after WAIT seconds."""
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.05)


@pytest.fixture(scope="session", autouse=True)
def quiet_relay() -> Iterator[None]:
    """The relay's log must not stand among what a command prints."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path, loop: Loop) -> Iterator[Place]:
    """A data folder without a relay."""
    made = Place(tmp_path, loop)
    yield made
    made.stop()


@pytest.fixture
def sandbox(place: Place) -> Relay:
    """A relay that captures everything."""
    return place.start()


@pytest.fixture
def stuck(place: Place, closed_port: int) -> Relay:
    """A relay whose next hop is not there, so that mail waits."""
    return place.start(f"smtp+plain://127.0.0.1:{closed_port}")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, kept from others."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def peer(loop: Loop) -> Iterator[Callable[..., tuple[SimulatedPeer, int]]]:
    """Makes servers on loopback with faults on cue."""
    servers: list[asyncio.Server] = []

    def make(
        faults: Sequence[Fault | None] = (), settings: Any = None
    ) -> tuple[SimulatedPeer, int]:
        made = SimulatedPeer(faults, settings)

        async def listen() -> asyncio.Server:
            return await asyncio.get_running_loop().create_server(made.accept, "127.0.0.1", 0)

        server = loop.run(listen())
        servers.append(server)
        return made, server.sockets[0].getsockname()[1]

    yield make
    for server in servers:
        loop.loop.call_soon_threadsafe(server.close)
