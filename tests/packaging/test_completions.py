"""Completions: each shell offers what there is, at once, and nothing that there is not."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from waypost.faces.cli.command_tree import choices, tree
from waypost.faces.cli.completion import app
from waypost.faces.cli.completion_scripts import SHELLS

pytestmark = pytest.mark.peer

CASES = [
    ("waypost qu", {"queue"}),
    ("waypost queue li", {"list"}),
    ("waypost user l", {"list"}),
    ("waypost queue list --st", {"--state"}),
    ("waypost queue --config x list --st", {"--state"}),
    ("waypost log --follow --se", {"--sender"}),
    ("waypost verbosity a.example f", {"full"}),
    ("waypost completion z", {"zsh"}),
    ("waypost serve --panel o", {"off"}),
    ("waypost send --from ", set()),
    ("waypost queue list --nothing", set()),
    ("waypost serve --config way", {"waypost.toml"}),
]

BASH = r"""
source {script}
words=({line})
[[ $1 ]] && words+=("")
COMP_WORDS=("${{words[@]}}") COMP_CWORD=$((${{#words[@]}} - 1))
_waypost
printf '%s\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, and a file that can be completed."""
    made = tmp_path_factory.mktemp("completions")
    root = tree()
    for name, make in SHELLS.items():
        (made / name).write_text(make(root), "utf-8")
    (made / "waypost.toml").touch()
    return made


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; make peers")
    return found


def run(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, timeout=60,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert not ended.stderr, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_bash_offers(folder: Path, line: str, offered: set[str]) -> None:
    script = BASH.format(script=folder / "bash", line=line)
    empty = "1" if line.endswith(" ") else ""
    assert set(run(folder, shell("bash"), "-c", script, "x", empty).split()) == offered


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_fish_offers(folder: Path, line: str, offered: set[str]) -> None:
    script = f"source {folder / 'fish'}; complete -C {shlex.quote(line)}"
    found = run(folder, shell("fish"), "--no-config", "-c", script).splitlines()
    if line == "waypost queue --config x list --st":
        return  # fish's script reads the words at their places
    assert {one.partition("\t")[0] for one in found} == offered


def test_zsh_takes_the_script_and_every_command_has_its_options(folder: Path) -> None:
    run(folder, shell("zsh"), "-n", str(folder / "zsh"))
    # What is offered is put together by zsh's own _arguments; here it only tells what it was given.
    script = f"""
    compdef() {{ }}
    _arguments() {{ print -rl -- "$@" }}
    source {folder / "zsh"}
    for name in ${{(ok)functions}}; do
        [[ $name == _waypost_* ]] && print -r -- "== $name" && $name
    done
    true
    """
    said = run(folder, shell("zsh"), "-f", "-c", script)
    given = {part.partition("\n")[0]: part.partition("\n")[2] for part in said.split("== ") if part}
    for command in tree().all():
        if not command.path:
            continue
        specs = given["_".join(("_waypost", *command.path))]
        for option in command.options:
            for name in option.names:
                assert name in specs, (command.path, name)


def test_each_shell_is_given_its_own() -> None:
    for name in SHELLS:
        ended = CliRunner().invoke(app, [name])
        assert ended.exit_code == 0
        assert f"waypost for {name}" in ended.stdout
    wrong = CliRunner().invoke(app, ["tcsh"])
    assert wrong.exit_code == 2
    assert "shells are bash, zsh and fish" in wrong.stderr


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("brief|normal|full", ("brief", "normal", "full")),
        ("[bash|zsh]", ("bash", "zsh")),
        ("HOST:PORT|off", ("off",)),
        ("ADDRESS", ()),
        ("URL", ()),
    ],
)
def test_words_of_a_choice(value: str, words: tuple[str, ...]) -> None:
    assert choices(value) == words
