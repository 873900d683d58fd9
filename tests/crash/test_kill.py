"""kill -9 at random moments under load: nothing that was answered 250 is lost, and a message comes
twice only where its attempt was marked started when the relay died."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from submitters import Submitters

from relay_process import RelayProcess, content_of, wait_for
from sink import Sink

pytestmark = pytest.mark.crash

MakeRelay = Callable[..., RelayProcess]


def number_of(content: bytes) -> int:
    """The number of a message, from its Subject."""
    return int(content.partition(b"Subject: ")[2].partition(b"\r\n")[0])


def marked_started(spool: Path, scratch: Path) -> set[int]:
    """The numbers whose attempts were under way, from a copy of a dead relay's spool."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in ("spool.sqlite", "spool.sqlite-wal"):
        if (spool / name).exists():
            shutil.copy(spool / name, scratch / name)
    with closing(sqlite3.connect(scratch / "spool.sqlite")) as database:
        rows = database.execute(
            "SELECT subject FROM message JOIN recipient ON message.id = recipient.message "
            "WHERE started AND state = 0"
        ).fetchall()
    return {int(subject) for (subject,) in rows}


def kill_again_and_again(
    relay: RelayProcess, sink: Sink, clients: Submitters, kills: int, seed: int
) -> None:
    chance = random.Random(seed)
    marks: Counter[int] = Counter()
    started_before: set[int] = set()
    with clients.at_work():
        for kill in range(kills):
            if kill % 4 == 3:  # while it recovers from the kill before
                relay.launch()
            else:
                relay.start()
                (opened,) = relay.events("spool opened")
                assert opened["uncertain"] == len(started_before)
                accepted = len(clients.accepted)
                wait_for(
                    "clients are served",
                    lambda before=accepted: len(clients.accepted) > before,
                )
            time.sleep(chance.uniform(0, 0.5))
            relay.kill()
            started_before = marked_started(relay.data / "spool", relay.folder / "scratch")
            marks.update(started_before)
        relay.start()
    wait_for("all is delivered", lambda: not relay.queued())
    relay.stop()
    assert not clients.refused

    arrived = Counter(number_of(one.content) for one in sink.received)
    for one in sink.received:
        assert one.content.endswith(content_of(number_of(one.content))), "it is not what was sent"
    lost = clients.accepted.keys() - arrived.keys()
    assert not lost, f"answered 250 and never delivered: {sorted(lost)[:20]}"
    for number, times in arrived.items():
        assert times <= 1 + marks[number], f"message {number} came {times} times"
    assert len(clients.accepted) > 10 * kills, "hardly any load"


def test_five_kills_lose_nothing(make_relay: MakeRelay, sink: Sink, port: int) -> None:
    kill_again_and_again(make_relay(port, sink.port), sink, Submitters(port), 5, seed=2026)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_kills_lose_nothing(
    make_relay: MakeRelay, sink: Sink, port: int, seed: int
) -> None:
    kill_again_and_again(make_relay(port, sink.port), sink, Submitters(port), 25, seed)


def test_what_a_killed_relay_could_not_deliver_goes_out_after_the_next_start(
    make_relay: MakeRelay, tmp_path: Path, port: int
) -> None:
    nobody = Sink()
    nobody.close()
    relay = make_relay(port, nobody.port).start()
    clients = Submitters(port)
    with clients.at_work():
        wait_for("some are accepted", lambda: len(clients.accepted) >= 50)
    relay.kill()
    sink = Sink(port=nobody.port)
    try:
        relay.start()
        (opened,) = relay.events("spool opened")
        assert opened["messages"] >= len(clients.accepted)
        wait_for("all is delivered", lambda: not relay.queued())
        relay.stop()
        arrived = Counter(number_of(one.content) for one in sink.received)
        assert clients.accepted.keys() <= arrived.keys()
        assert set(arrived.values()) == {1}
    finally:
        sink.close()


def test_sigterm_under_load_loses_nothing_and_sends_nothing_twice(
    make_relay: MakeRelay, sink: Sink, port: int
) -> None:
    relay = make_relay(port, sink.port)
    clients = Submitters(port)
    with clients.at_work():
        for _ in range(2):
            relay.start()
            accepted = len(clients.accepted)
            wait_for(
                "clients are served",
                lambda before=accepted: len(clients.accepted) >= before + 50,
            )
            relay.stop()
        relay.start()
        (opened,) = relay.events("spool opened")
        assert opened["uncertain"] == 0
    wait_for("all is delivered", lambda: not relay.queued())
    relay.stop()
    assert not clients.refused
    arrived = Counter(number_of(one.content) for one in sink.received)
    assert clients.accepted.keys() <= arrived.keys()
    assert set(arrived.values()) == {1}
