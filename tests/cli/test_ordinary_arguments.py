"""What is read without Typer's parser is what Typer would have read; the rest is left to it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.core import TyperCommand

from waypost.faces.cli.check import check_command
from waypost.faces.cli.main import QUICK
from waypost.faces.cli.ordinary_arguments import NotOrdinary, read_ordinary
from waypost.faces.cli.ping import ping

COMMANDS: dict[str, Callable[..., None]] = {"check": check_command, "ping": ping}

ORDINARY = [
    "mail.example.com",
    "mail.example.com:587 --json",
    "--json mail.example.com",
    "mail.example.com --timeout 3",
    "mail.example.com --timeout=3.5 --json",
    "mail.example.com --user a@example.com --password-env PASSWORD",
]

OF_CHECK = [
    "example.com --selector one --selector=two --blocklist none --sender 192.0.2.1",
    "smtp://mail.example.com:587 --from a@b.example --to c@d.example --size 1000 --tls none",
    "mail.example.com --port 2525 --ca-file some/file.pem --insecure --dns 127.0.0.1:5353",
    "mail.example.com --from= --source ::1",
]

LEFT_TO_TYPER = [
    "",
    "--help",
    "mail.example.com -h",
    "mail.example.com another.example.com",
    "mail.example.com --bogus",
    "mail.example.com --timeout",
    "mail.example.com --timeout soon",
    "mail.example.com --json=yes",
    "mail.example.com --no-json",
    "mail.example.com --json --json",
    "mail.example.com --timeout 1 --timeout 2",
    "-- mail.example.com",
]


def by_typer(name: str, words: list[str]) -> dict[str, Any]:
    """What Typer gives the function; raises what Typer raises."""
    app = typer.Typer(add_completion=False)
    taken: dict[str, Any] = {}
    function = COMMANDS[name]

    def take(**values: Any) -> None:
        taken.update(values)

    app.command(name)(functools.wraps(function)(take))
    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand)
    command.main(words, standalone_mode=False)
    return taken


def test_the_quick_commands_are_tried_here() -> None:
    assert set(COMMANDS) == QUICK


@pytest.mark.parametrize(
    ("name", "line"),
    [(name, line) for name in COMMANDS for line in ORDINARY]
    + [("check", line) for line in OF_CHECK],
)
def test_ordinary_arguments_are_read_as_typer_reads_them(name: str, line: str) -> None:
    words = line.split()
    assert read_ordinary(COMMANDS[name], words) == by_typer(name, words)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("line", LEFT_TO_TYPER)
def test_all_others_are_left_to_typer(name: str, line: str) -> None:
    with pytest.raises(NotOrdinary):
        read_ordinary(COMMANDS[name], line.split())


def test_a_value_out_of_its_bounds_is_left_to_typer() -> None:
    for words in (["x", "--port", "0"], ["x", "--port", "65536"], ["x", "--size", "-1"]):
        with pytest.raises(NotOrdinary):
            read_ordinary(check_command, words)


def test_whatever_is_read_is_read_the_same() -> None:
    """Any order of many words: either both read it alike, or it is left to Typer."""
    chance = random.Random(5)
    words = [word for line in (*ORDINARY, *OF_CHECK, *LEFT_TO_TYPER) for word in line.split()]
    read = 0
    for _ in range(400):
        given = chance.sample(words, chance.randint(1, 5))
        try:
            values = read_ordinary(check_command, given)
        except NotOrdinary:
            continue
        read += 1
        assert values == by_typer("check", given), given
    assert read > 10
