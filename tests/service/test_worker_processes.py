"""A relay of several processes: they share ports and limits, and none takes mail with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_process import RelayProcess, free_port, submit, wait_for
from sink import Sink

LISTENER = '[[listener]]\naddress = "127.0.0.1:{port}"\n'
ROUTE = '[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{port}"\n'
SOON = '[route.retry]\ndelays = "1 s"\nafterwards = "1 s"\n'
TO = "someone@there.example"


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    made = RelayProcess(tmp_path / "relay", "")
    yield made
    for pid in workers_of(made) if made.runs else []:
        os.kill(pid, signal.SIGKILL)
    made.kill()


def configuration(workers: int, port: int, next_hop: int) -> str:
    return (
        f"workers = {workers}\n"
        + LISTENER.format(port=port)
        + ROUTE.format(port=next_hop)
        + SOON
    )  # fmt: skip


def workers_of(relay: RelayProcess) -> list[int]:
    """The process ids of the workers, the oldest first."""
    children = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text()
    return sorted(int(word) for word in children.split())


def subjects(sink: Sink) -> Counter[str]:
    return Counter(
        one.content.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()
        for one in list(sink.received)
    )


def test_each_takes_connections_and_all_of_their_mail_arrives(
    relay: RelayProcess, sink: Sink
) -> None:
    port = free_port()
    relay.configure(configuration(2, port, sink.port))
    relay.start()
    assert len(workers_of(relay)) == 2
    for number in range(40):
        submit(port, f"n{number}", TO)
    wait_for("all have arrived", lambda: len(subjects(sink)) == 40)
    assert set(subjects(sink).values()) == {1}
    shards = sorted(path.name for path in (relay.data / "spool").glob("worker-*"))
    assert shards == ["worker-1", "worker-2"]
    relay.stop()


def test_one_that_is_killed_comes_back_with_what_it_had_accepted(
    relay: RelayProcess, sink: Sink
) -> None:
    port, later = free_port(), free_port()
    relay.configure(configuration(2, port, later))  # nothing listens there yet: mail waits
    relay.start()
    for number in range(30):
        submit(port, f"n{number}", TO)
    before = workers_of(relay)
    for victim in before:
        os.kill(victim, signal.SIGKILL)
    wait_for(
        "both are there again",
        lambda: len(workers_of(relay)) == 2 and not set(workers_of(relay)) & set(before),
    )
    assert len(relay.events("a worker has died; starting it again")) == 2
    behind = Sink(port=later)
    try:
        wait_for("all have arrived", lambda: len(subjects(behind)) == 30)
    finally:
        behind.close()
    relay.stop()


def test_the_workers_end_when_their_supervisor_is_killed(relay: RelayProcess, sink: Sink) -> None:
    port = free_port()
    relay.configure(configuration(2, port, sink.port))
    relay.start()
    workers = workers_of(relay)
    os.kill(relay.pid, signal.SIGKILL)

    def gone() -> bool:
        return not any(_runs(pid) for pid in workers)

    wait_for("the workers are gone", gone)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 5)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_mail_in_the_shard_of_a_worker_that_is_no_more_is_delivered(
    relay: RelayProcess, sink: Sink
) -> None:
    port = free_port()
    relay.configure(configuration(3, port, free_port()))
    relay.start()
    for number in range(30):
        submit(port, f"n{number}", TO)
    relay.stop()
    relay.configure(configuration(1, port, sink.port))
    relay.start()
    submit(port, "new", TO)
    wait_for("all have arrived", lambda: len(subjects(sink)) == 31)
    relay.stop()


def test_a_limit_that_cannot_be_divided_is_refused_at_the_start(
    relay: RelayProcess, sink: Sink
) -> None:
    relay.configure(configuration(4, free_port(), sink.port) + "[route.limits]\nconnections = 3\n")
    process = relay.launch()
    assert process.wait(20) == 2
    assert "route out: limits.connections is 3" in relay.log_text
    assert "waypost.toml:3" in relay.log_text


def test_a_port_that_is_taken_ends_the_start_with_its_reason(
    relay: RelayProcess, sink: Sink
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        relay.configure(configuration(2, taken.getsockname()[1], sink.port))
        process = relay.launch()
        try:
            assert process.wait(20) == 1
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert "waypost cannot start" in relay.log_text
