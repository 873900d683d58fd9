"""What the service manager is told, and that nothing happens without one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from waypost.net.service_manager import ServiceManager


class Manager:
    """systemd's side of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(60)

    def told(self) -> list[str]:
        return self._socket.recv(1000).decode().split("\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Manager, str]]:
    name = f"waypost-test-{os.getpid()}"
    path = str(tmp_path / "notify")
    made = Manager(path if request.param == "path" else f"\0{name}")
    yield made, path if request.param == "path" else f"@{name}"
    made.close()


def complaints_of(environment: dict[str, str]) -> tuple[ServiceManager, list[str]]:
    complaints: list[str] = []
    return ServiceManager(environment, lambda: 12.5, complaints.append), complaints


def test_the_life_of_a_relay(named: tuple[Manager, str]) -> None:
    manager, name = named
    relay, complaints = complaints_of({"NOTIFY_SOCKET": name})
    relay.ready("3 messages\nREADY=0")
    assert manager.told() == ["READY=1", "STATUS=3 messages READY=0"]
    relay.reloading()
    assert manager.told() == ["RELOADING=1", "MONOTONIC_USEC=12500000"]
    relay.alive("x" * 1000)
    assert manager.told() == ["WATCHDOG=1", f"STATUS={'x' * 200}"]
    relay.stopping()
    assert manager.told()[0] == "STOPPING=1"
    assert complaints == []


@pytest.mark.parametrize("name", ["", "@", "relative", "vsock:2:1"])
def test_without_a_manager_nothing_is_told(name: str) -> None:
    relay, complaints = complaints_of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"})
    relay.ready("ready")
    relay.stopping()
    assert complaints == []
    assert relay.watchdog_seconds is None


def test_one_that_is_gone_is_told_of_once(tmp_path: Path) -> None:
    relay, complaints = complaints_of({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    for _ in range(3):
        relay.alive("at work")
    (complaint,) = complaints
    assert "cannot be told WATCHDOG=1" in complaint


@pytest.mark.parametrize(
    ("microseconds", "process", "seconds"),
    [
        ("30000000", None, 15.0),
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        ("", None, None),
    ],
)
def test_how_often_it_says_that_it_lives(
    microseconds: str, process: str | None, seconds: float | None
) -> None:
    environment = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": microseconds}
    if process is not None:
        environment["WATCHDOG_PID"] = process
    assert complaints_of(environment)[0].watchdog_seconds == seconds
