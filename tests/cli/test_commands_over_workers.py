"""The commands over a relay of several workers: as if it were one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_process import COMMAND, RelayProcess, free_port, submit, wait_for

LISTENER = '[[listener]]\naddress = "127.0.0.1:{port}"\n'
ROUTE = '[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{port}"\n'
COUNT = 24


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    port = free_port()
    text = "workers = 2\n" + LISTENER.format(port=port) + ROUTE.format(port=free_port())
    made = RelayProcess(tmp_path / "relay", text)
    made.start()
    for number in range(COUNT):
        submit(port, f"n{number}", f"u{number}@there.example")
    wait_for("all are queued", lambda: len(rows(made)) == COUNT)
    yield made
    if made.runs:
        made.stop()


def ask(relay: RelayProcess, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [str(COMMAND), *arguments, "--config", str(relay.path)],
        capture_output=True, text=True, timeout=60, env=relay.environment, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def document(relay: RelayProcess, *arguments: str) -> Any:
    return json.loads(ask(relay, *arguments, "--json"))


def rows(relay: RelayProcess) -> list[dict[str, Any]]:
    return document(relay, "queue", "list", "--limit", "100")["messages"]


@pytest.mark.parametrize("running", [True, False])
def test_lists_pages_and_counts_are_those_of_all_workers(
    relay: RelayProcess, running: bool
) -> None:
    if not running:
        relay.stop()
    every = [row["id"] for row in rows(relay)]
    assert every == sorted(every, reverse=True)
    first = document(relay, "queue", "list", "--limit", "10")
    second = document(relay, "queue", "list", "--limit", "100", "--before", first["before"])
    assert [row["id"] for row in (*first["messages"], *second["messages"])] == every
    assert document(relay, "queue", "status")["recipients"]["queued"] == COUNT
    assert sum(path.name.startswith("worker-") for path in (relay.data / "spool").iterdir()) == 2


def test_a_message_is_found_wherever_it_is(relay: RelayProcess) -> None:
    for row in rows(relay)[:6]:
        assert document(relay, "queue", "show", row["id"])["id"] == row["id"]
        assert row["id"] in ask(relay, "log", row["id"])
    ask(relay, "queue", "show", "1k000000000", code=1)


@pytest.mark.parametrize("running", [True, False])
def test_changes_reach_all_workers(relay: RelayProcess, running: bool) -> None:
    if not running:
        relay.stop()
    wait_for(
        "nothing is under way",
        lambda: (
            document(relay, "queue", "hold", "--to", "@there.example", "--yes")["changed"] >= 0
            and document(relay, "queue", "status")["recipients"]["held"] == COUNT
        ),
    )
    released = document(relay, "queue", "release", "--to", "@there.example", "--yes")
    assert released["changed"] == COUNT


def test_a_suppressed_address_is_refused_by_every_worker(relay: RelayProcess) -> None:
    ask(relay, "suppress", "add", "gone@there.example")
    listed = document(relay, "suppress", "list")["suppressions"]
    assert [one["address"] for one in listed] == ["gone@there.example"]
    ask(relay, "suppress", "remove", "gone@there.example")
    assert not document(relay, "suppress", "list")["suppressions"]
    ask(relay, "suppress", "remove", "gone@there.example", code=1)


def test_send_finds_the_listener_that_the_workers_share(relay: RelayProcess) -> None:
    ask(relay, "send", "--from", "a@example.com", "--to", "b@there.example", "--text", "Hi")


def test_the_log_is_cut_to_the_newest_messages_of_all_workers(relay: RelayProcess) -> None:
    newest = {row["id"] for row in rows(relay)[:5]}
    events = document(relay, "log", "--limit", "5")["events"]
    assert {event["id"] for event in events} == newest
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_nothing_is_followed_while_no_worker_runs(relay: RelayProcess) -> None:
    relay.stop()
    ask(relay, "log", "--follow", code=69)
