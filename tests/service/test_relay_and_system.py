"""A real relay tells its service manager how it is, and a collector what it does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from relay_process import RelayProcess, free_port, submit, wait_for


class Manager:
    """systemd's side of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            packet = self._socket.recv(1000)
            if not packet:
                return
            self.told.append(packet.decode().split("\n"))

    def firsts(self) -> list[str]:
        """The first line of each, watchdogs left out."""
        return [one[0] for one in list(self.told) if one[0] != "WATCHDOG=1"]

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join(60)
        self._socket.close()


class ManagedRelay(RelayProcess):
    """As systemd starts it."""

    manager: Manager
    watchdog = "400000"
    more: dict[str, str] = {}  # noqa: RUF012 - set by each test

    @property
    def environment(self) -> dict[str, str]:
        told = {"NOTIFY_SOCKET": str(self.manager.path), "WATCHDOG_USEC": self.watchdog}
        return super().environment | told | self.more


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def relay_in(folder: Path, manager: Manager, text: str = "") -> tuple[ManagedRelay, int]:
    port = free_port()
    listener = f'[[listener]]\naddress = "127.0.0.1:{port}"\n'
    relay = ManagedRelay(folder / "relay", f"{text}\n{listener}")
    relay.manager = manager
    return relay, port


@pytest.mark.parametrize("workers", [1, 2])
def test_it_says_that_it_is_ready_alive_reloading_and_stopping(
    tmp_path: Path, manager: Manager, workers: int
) -> None:
    relay, _ = relay_in(tmp_path, manager, f"workers = {workers}")
    relay.start()
    try:
        wait_for("ready", lambda: manager.firsts() == ["READY=1"])
        wait_for("alive", lambda: sum(one[0] == "WATCHDOG=1" for one in list(manager.told)) >= 2)
        alive = next(one for one in manager.told if one[0] == "WATCHDOG=1")
        assert "connections" in alive[1] or alive[1] == "STATUS=2 of 2 workers run"
        relay.reload()
        wait_for("reloaded", lambda: manager.firsts() == ["READY=1", "RELOADING=1", "READY=1"])
    finally:
        relay.stop()
    assert manager.firsts()[-1] == "STOPPING=1"
    assert manager.firsts().count("READY=1") == 2


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, bytes]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                assert self.path == "/v1/traces"
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += [(one.name, one.trace_id) for one in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


def test_a_collector_gets_the_trace_of_a_message_at_the_latest_when_it_ends(
    tmp_path: Path, manager: Manager
) -> None:
    collector = Collector()
    try:
        relay, port = relay_in(tmp_path, manager)
        relay.more = {"WAYPOST_TELEMETRY_ENDPOINT": f"http://127.0.0.1:{collector.port}"}
        relay.start()
        try:
            submit(port, 1)
        finally:
            relay.stop()
    finally:
        collector.close()
    assert sorted(name for name, _ in collector.spans) == ["accept", "deliver"]
    assert len({trace for _, trace in collector.spans}) == 1
