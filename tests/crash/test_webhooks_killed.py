"""kill -9 under load with a webhook: of every message that was answered 250 the endpoint gets each
event at least once, under the same name each time, and of nothing that never was."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import standardwebhooks
from submitters import Submitters

from relay_process import RelayProcess, free_port, wait_for
from sink import Sink
from waypost.control import keys
from waypost.control.database import NAME, ControlDatabase
from waypost.control.permissions import Permission
from waypost.spool.identifiers import parse_identifier

pytestmark = pytest.mark.crash

MakeRelay = Callable[..., RelayProcess]

ALLOW = '[webhooks]\nallow = ["127.0.0.1"]\n'


class Endpoint:
    """Counts what it is sent; refuses some of it once, so that something is to be tried again."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.secret = ""
        self.taken: dict[str, set[str]] = defaultdict(set)
        """By message: the types of events that were answered 200."""
        self.names: dict[tuple[str, str], set[str]] = defaultdict(set)
        """By message and type: the identifiers under which they came."""
        self.forged = 0
        self._refused: set[tuple[str, str]] = set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the relay was killed in the middle of it
                status = endpoint.take(dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A relay that is killed breaks its connections."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """The status to answer with."""
        fields = {name.lower(): value for name, value in headers.items()}
        try:
            standardwebhooks.Webhook(self.secret).verify(body.decode(), fields)
        except standardwebhooks.WebhookVerificationError:
            self.forged += 1
            return 401
        document = json.loads(body)
        message, kind = document["data"]["message"], document["type"]
        with self._lock:
            self.names[message, kind].add(fields["webhook-id"])
            if self._chance.random() < 0.05 and (message, kind) not in self._refused:
                self._refused.add((message, kind))
                return 500
            self.taken[message].add(kind)
        return 200

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@contextmanager
def endpoint_for(seed: int) -> Iterator[Endpoint]:
    made = Endpoint(seed)
    try:
        yield made
    finally:
        made.close()


def api_of(relay: RelayProcess) -> httpx.Client:
    """A client of the relay's API, with a key."""
    database = ControlDatabase(relay.data / NAME)
    try:
        _, secret = database.now(
            lambda c: keys.add(c, "hooks", [Permission.WEBHOOKS], time.time(), created_by="test")
        )
    finally:
        database.close()
    return httpx.Client(
        base_url=f"http://{relay.panel}/api/v1",
        headers={"Authorization": f"Bearer {secret}"},
        timeout=60,
    )


def test_kills_lose_no_event_and_invent_none(
    make_relay: MakeRelay, sink: Sink, port: int, tmp_path: Path
) -> None:
    chance = random.Random(2026)
    with endpoint_for(7) as endpoint:
        relay = make_relay(port, sink.port, ALLOW)
        relay.panel = f"127.0.0.1:{free_port()}"
        relay.start()
        with api_of(relay) as api:
            made = api.post("/webhooks", json={"url": endpoint.url})
            assert made.status_code == 201, made.text
            endpoint.secret = made.json()["secret"]
            place = f"/webhooks/{made.json()['id']}"

            clients = Submitters(port, clients=2)
            with clients.at_work():
                for _ in range(3):
                    before = len(clients.accepted)
                    wait_for(
                        "clients are served",
                        lambda before=before: len(clients.accepted) >= before + 30,
                    )
                    time.sleep(chance.uniform(0, 0.4))
                    relay.kill()
                    relay.start()
            wait_for("all is delivered", lambda: not relay.queued())
            expected = {"message.accepted", "message.delivered"}
            wait_for(
                "the endpoint has heard of every message",
                lambda: all(expected <= endpoint.taken[one] for one in clients.accepted.values()),
            )
            wait_for("nothing waits any more", lambda: api.get(place).json()["waiting"] == 0)
        relay.stop()
    there = {row for (row,) in relay.query("SELECT id FROM message")}
    assert {parse_identifier(one) for one in endpoint.taken} <= there, "invented"
    assert endpoint.forged == 0
    for (message, kind), names in endpoint.names.items():
        assert len(names) == 1, f"{kind} of {message} came under several names"
