"""The command `waypost` itself, as a process."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from conftest import WAIT, Place, Relay
from waypost.faces.cli.main import COMMANDS

RUN = [sys.executable, "-c", "from waypost.faces.cli.main import run; run()"]
HEAVY = ("asyncio", "pydantic", "sqlite3", "rich.table", "waypost.config", "waypost.service")


def waypost(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **place.environment}
    return subprocess.run(
        [*RUN, *arguments], capture_output=True, text=True, timeout=60, env=environment
    )


def loaded_by(place: Place, *arguments: str) -> set[str]:
    """Which heavy modules a command loads."""
    code = (
        "import sys\n"
        "from waypost.faces.cli.main import app\n"
        "try:\n    app()\nfinally:\n"
        f"    print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, **place.environment},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


def test_help_lists_the_commands_and_loads_none_of_them(place: Place) -> None:
    ended = waypost(place, "--help")
    assert ended.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in ended.stdout
    assert loaded_by(place, "--help") == set()


def test_asking_a_running_relay_loads_neither_server_nor_configuration(sandbox: Relay) -> None:
    assert loaded_by(sandbox.place, "queue", "list") <= {"pydantic"}, "which typer loads"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_explains_itself(place: Place, name: str) -> None:
    ended = waypost(place, name, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "Usage:" in ended.stdout


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("queue", "nonsense"), ("queue", "list", "-z")]
)
def test_wrong_usage_ends_with_2_and_no_traceback(place: Place, arguments: tuple[str, ...]) -> None:
    ended = waypost(place, *arguments)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_a_reader_that_has_gone_is_no_fault(sandbox: Relay) -> None:
    sandbox.submit("a@example.com", "b@example.org")
    environment = {**os.environ, **sandbox.place.environment}
    with subprocess.Popen(
        [*RUN, "log"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        fault = writer.stderr.read()
        writer.wait(WAIT)
    assert b"Traceback" not in fault


def test_on_a_terminal_a_person_is_asked(stuck: Relay) -> None:
    identifier = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(identifier)
    place = stuck.place
    for answer, state in (("n", "queued"), ("y", "cancelled")):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*RUN, "queue", "remove", "--sender", "a@example.com"],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, **place.environment, "TERM": "xterm"},
        ) as asking:  # fmt: skip
            os.close(theirs)
            os.write(ours, answer.encode() + b"\n")
            seen = b""
            while True:
                try:
                    piece = os.read(ours, 4096)
                except OSError:
                    break  # the terminal is closed on the other side
                if not piece:
                    break
                seen += piece
            asking.wait(WAIT)
        os.close(ours)
        assert b"Remove, without telling their senders: 1 recipients of 1 messages?" in seen
        story = place.run("queue", "show", identifier, "--json").json
        assert [one["state"] for one in story["recipients"]] == [state]


def test_a_command_that_there_is_not_is_told_with_the_one_that_was_meant(place: Place) -> None:
    ended = waypost(place, "sned")
    assert ended.returncode == 2
    assert "did you mean send?" in ended.stderr
    assert "queue" in waypost(place, "xyzzy").stderr
