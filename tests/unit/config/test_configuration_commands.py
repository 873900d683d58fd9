"""`waypost config` as a person or a script uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from waypost.faces.cli.config_commands import app

ROUTES = """
[[route]]
name = "shop"
via = "smtp://ada:geheim@smart.example:587"
overflow = "rest"
match.senders = "shop.example"
limits.rate = "5/second"
quotas.per_day = 100

[[route]]
name = "rest"
via = "mx:"
[limits]
user_messages_per_hour = 60
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def configured(text: str) -> str:
    Path("waypost.toml").write_text(text)
    return "waypost.toml"


def test_check_says_that_nothing_is_wrong() -> None:
    result = run("check", "--config", configured(ROUTES))
    assert result.exit_code == 0
    assert "127.0.0.1:2525" in result.stdout
    assert "shop, rest" in result.stdout


def test_check_tells_every_problem_and_exits_with_2() -> None:
    result = run("check", "--config", configured("hostnam = 'x'\n[limits]\nban = 'x'"))
    assert result.exit_code == 2
    assert "waypost.toml:1: hostnam: unknown setting; did you mean hostname?" in result.stderr
    assert "waypost.toml:3: limits.ban: 'x' is no time" in result.stderr


def test_check_answers_programs() -> None:
    good = json.loads(run("check", "--json").stdout)
    assert good == {"ok": True, "problems": [], "listeners": ["127.0.0.1:2525"],
                    "routes": ["default"]}  # fmt: skip
    result = run("check", "--json", "--config", configured("\n hostnam = 'x'"))
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {"source": "waypost.toml", "line": 2, "column": 2, "key": "hostnam",
             "reason": "unknown setting", "suggestion": "hostname"}
        ],
    }  # fmt: skip


def test_show_tells_each_value_and_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYPOST_LIMITS_CONNECTIONS", "7")
    result = run("show", "--json", "--config", configured(ROUTES))
    rows = {
        row["key"]: (row["value"], row["origin"]) for row in json.loads(result.stdout)["settings"]
    }
    assert rows["route[0].limits.rate"] == ('"5/second"', "waypost.toml:7")
    assert rows["limits.connections"] == ("7", "environment WAYPOST_LIMITS_CONNECTIONS")
    assert rows["listener[0].starttls"] == ("false", "default")
    assert rows["route[1].expire_after"] == ('"5 days"', "default")
    assert rows["route[0].via"][0] == '"smtp://ada:***@smart.example:587"'


def test_a_password_is_shown_nowhere() -> None:
    file = configured(ROUTES)
    for arguments in (["show"], ["show", "--json"], ["show", "--for", "a@b.example"], ["check"]):
        result = run(*arguments, "--config", file)
        assert result.exit_code == 0
        assert "geheim" not in result.output


def test_show_for_a_recipient_tells_the_route_and_what_binds() -> None:
    file = configured(ROUTES)
    result = run("show", "--config", file, "--for", "bob@b.example", "--from", "x@shop.example",
                 "--user", "ada")  # fmt: skip
    assert "bob@b.example takes the route shop (waypost.toml:4)" in result.stdout
    assert "senders shop.example" in result.stdout
    assert "ada at smart.example:587, TLS required, certificate verified" in result.stdout
    assert "at most 5/second on the route" in result.stdout
    assert "a quota of 100 in a day; then mail takes the route rest" in result.stdout
    assert "at most 60 messages an hour from ada" in result.stdout
    other = json.loads(run("show", "--config", file, "--for", "bob@b.example", "--json").stdout)
    assert other["route"] == "rest"
    assert "at most 10 connections to b.example" in other["limits"][0]


@pytest.mark.parametrize(
    "arguments",
    [["--for", "nobody"], ["--for", ""], ["--for", "a@b.c", "--from", "@"], ["--user", "ada"]],
)
def test_a_question_that_makes_no_sense_is_wrong_usage(arguments: list[str]) -> None:
    result = run("show", *arguments)
    assert result.exit_code == 2
    assert result.stderr


def test_init_writes_a_file_that_is_right_and_private() -> None:
    assert run("init").exit_code == 0
    assert Path("waypost.toml").stat().st_mode & 0o777 == 0o600
    assert run("check", "--config", "waypost.toml").exit_code == 0


def test_init_replaces_nothing_unless_told_to() -> None:
    file = Path(configured("# mine"))
    file.chmod(0o644)
    result = run("init")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert file.read_text() == "# mine"
    assert run("init", "--force").exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("check", "--config", "waypost.toml").exit_code == 0


def test_init_into_a_folder_that_is_not_there_is_told() -> None:
    result = run("init", "none/waypost.toml")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_naming_the_commands_does_not_load_the_configuration() -> None:
    code = (
        "import sys, waypost.faces.cli.config_commands\n"
        "print([name for name in sys.modules if name.startswith(('waypost.config', 'pydantic'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
