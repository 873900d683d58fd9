"""What stands in the documents holds: commands parse, settings load, links lead somewhere."""

from __future__ import annotations

import datetime as dt
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from waypost.config import Flags, load
from waypost.faces.cli.main import COMMANDS
from waypost.mail.dkim_keys import generate_key, key_pem
from waypost.relay.certificates import self_signed

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ENDS: Final = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "(", ")"})


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def blocks(document: Path, language: str) -> Iterator[tuple[int, str]]:
    """The fenced blocks of a language, with the line where each begins."""
    found = re.finditer(
        r"^( *)```(\w*)\n(.*?)^ *```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for one in found:
        if one[2] == language:
            line = one.string.count("\n", 0, one.start(3)) + 1
            yield line, re.sub(f"^{one[1]}", "", one[3], flags=re.MULTILINE)


def commands_in(line: str) -> Iterator[list[str]]:
    """The calls of waypost in a line of shell, each as its arguments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in ENDS:
            words.append(word)
            continue
        for place, one in enumerate(words):
            if one.rpartition("/")[2] == "waypost" and (place == 0 or words[place - 1] == "sudo"):
                yield words[place + 1 :]
                break
        words = []


CALLS: Final = [
    pytest.param(arguments, id=f"{name_of(document)}:{line + number}")
    for document in DOCUMENTS
    for line, text in blocks(document, "console")
    for number, shell in enumerate(text.splitlines())
    if shell.startswith("$ ")
    for arguments in commands_in(shell[2:])
]

SETTINGS: Final = [
    pytest.param(text, id=f"{name_of(document)}:{line}")
    for document in DOCUMENTS
    for line, text in blocks(document, "toml")
]


def parse(arguments: list[str]) -> None:
    """As the command line would. Raises click's UsageError."""
    name, *rest = arguments
    assert name in COMMANDS, f"there is no command {name}"
    command: object = typer.main.get_command(importlib.import_module(COMMANDS[name][0]).app)
    while isinstance(command, TyperGroup):
        name, *rest = rest
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    assert isinstance(command, TyperCommand)
    command.make_context(name, rest)


def test_there_is_something_to_test() -> None:
    assert len(DOCUMENTS) > 15
    assert len(CALLS) > 40
    assert len(SETTINGS) > 8


@pytest.mark.parametrize("arguments", CALLS)
def test_a_command_in_a_document_is_one_that_there_is(arguments: list[str]) -> None:
    parse(arguments)


@pytest.mark.parametrize("text", SETTINGS)
def test_settings_in_a_document_are_right(text: str, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "relay.example", dt.datetime.now(dt.UTC))
    # The files that a document speaks of are not on this machine.
    text = re.sub(
        r'^certificate = ".*"', f'certificate = "{certificate}"', text, flags=re.MULTILINE
    )
    text = re.sub(
        r'^(selector = ".*"\n)key = ".*"', r'\1key = "env:DKIM"', text, flags=re.MULTILINE
    )
    text = re.sub(r'^key = "(?!env:).*"', f'key = "{key}"', text, flags=re.MULTILINE)
    text = re.sub(r"ca_file=[^&\"]+", f"ca_file={certificate}", text)
    file = tmp_path / "waypost.toml"
    file.write_text(text, "utf-8")
    environment = {"HOME": str(tmp_path)} | dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "x")
    environment["DKIM"] = key_pem(generate_key("ed25519")).decode()
    load(file, environment, Flags())


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(
        r"^ *```.*?^ *```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        led = (document.parent / path).resolve() if path else document
        assert led.exists(), f"{name_of(document)} links to {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", led.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
            assert heading in slugs, f"{name_of(document)} links to {target}"


def test_every_document_is_named_by_another() -> None:
    everything = "\n".join(one.read_text("utf-8") for one in DOCUMENTS)
    for document in (ROOT / "docs").rglob("*.md"):
        assert f"{document.name})" in everything, f"nothing links to {name_of(document)}"


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("echo x | waypost user add joe --json", [["user", "add", "joe", "--json"]]),
        ("sudo /opt/bin/waypost log > out", [["log"]]),
        ("mkdir waypost && waypost send --via 'mx:?a&b'", [["send", "--via", "mx:?a&b"]]),
        ("pip install waypost", []),
    ],
)  # fmt: skip
def test_commands_are_found_in_a_line_of_shell(line: str, calls: list[list[str]]) -> None:
    assert list(commands_in(line)) == calls
