"""kill -9 while programs submit over HTTP with idempotency keys: whoever repeats a request gets the
answer of the first, and each message is there once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from relay_process import RelayProcess, free_port, wait_for
from sink import Sink
from waypost import api
from waypost.control import keys
from waypost.control.database import NAME, ControlDatabase
from waypost.control.permissions import Permission

pytestmark = pytest.mark.crash

MakeRelay = Callable[..., RelayProcess]

ROUNDS = 4
SUBMITTERS = 4
ANSWERED = 15
"""In each round, before the relay is killed."""


def made_key(data: Path) -> str:
    database = ControlDatabase(data / NAME)
    try:
        database.add_tables(keys.SCHEMA)
        scopes = (Permission.SEND, Permission.READ)
        return database.now(
            lambda c: keys.add(c, "shop", scopes, time.time(), created_by="test")[1]
        )
    finally:
        database.close()


class Orders:
    """Programs that send one message for each order, and know of each whether it was answered."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._lock = threading.Lock()
        self._next = 0
        self.answers: dict[int, str] = {}
        """By order: the message that 202 has named."""
        self.open: set[int] = set()
        """Orders whose request had no answer."""

    def submit(self, relay: api.Client, order: int) -> str:
        while True:
            try:
                raw = order % 3 == 0
                name = f"order-{order}"
                if raw:
                    content = f"Subject: {name}\r\n\r\n{'x' * (order * 1000)}\r\n".encode()
                    done = relay.send_raw(
                        content, from_="shop@here.example", to=["ann@there.example"],
                        idempotency_key=name,
                    )  # fmt: skip
                else:
                    done = relay.send(
                        from_="shop@here.example", to="ann@there.example", subject=name,
                        text="x" * 100, tags=["order"], idempotency_key=name,
                    )  # fmt: skip
            except (api.NotNow, api.Conflict) as later:
                time.sleep(later.after or 0.1)
            else:
                return done.id

    def run(self) -> None:
        """One order after the other, until the relay is gone."""
        with api.Client(self._url, self._key) as relay:
            while True:
                with self._lock:
                    order, self._next = self._next, self._next + 1
                try:
                    answer = self.submit(relay, order)
                except api.Unreachable:
                    with self._lock:
                        self.open.add(order)
                    return
                with self._lock:
                    self.answers[order] = answer

    def repeat_all(self) -> None:
        """Every request again, answered or not."""
        with api.Client(self._url, self._key) as relay:
            for order in range(self._next):
                answer = self.submit(relay, order)
                assert self.answers.setdefault(order, answer) == answer, f"order {order}"
        self.open.clear()

    @property
    def count(self) -> int:
        return self._next


@pytest.mark.timeout(300)
def test_each_order_is_there_once_however_often_the_relay_dies(
    make_relay: MakeRelay, port: int, sink: Sink
) -> None:
    relay = make_relay(port, sink.port)
    relay.panel = f"127.0.0.1:{free_port()}"
    relay.start()
    orders = Orders(f"http://{relay.panel}", made_key(relay.data))
    chance = random.Random(20261124)
    unanswered = 0
    for _ in range(ROUNDS):
        before = len(orders.answers)
        threads = [threading.Thread(target=orders.run) for _ in range(SUBMITTERS)]
        for thread in threads:
            thread.start()
        wait_for("some are answered", lambda: len(orders.answers) >= before + ANSWERED)  # noqa: B023
        time.sleep(chance.random() * 0.05)
        relay.kill()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        unanswered += len(orders.open)
        relay.start()
        orders.repeat_all()
    assert unanswered, "the relay was never killed while somebody waited"
    orders.repeat_all()
    with api.Client(f"http://{relay.panel}", orders._key) as reader:
        found = Counter(one.subject for one in reader.messages())
        tagged = {one.id for one in reader.messages(tag="order")}
    assert found == Counter({f"order-{order}": 1 for order in range(orders.count)})
    assert tagged == {name for order, name in orders.answers.items() if order % 3}
