"""The manual pages: valid, and nothing that --help has is missing."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from waypost.config.keys import keys
from waypost.faces.cli.command_tree import tree

SCRIPT = Path(__file__).parents[2] / "packaging" / "man.py"

MANDOC = shutil.which("mandoc")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    made = runpy.run_path(str(SCRIPT))["pages"]()
    assert isinstance(made, dict)
    return made


def plain(page: str) -> str:
    """Without what roff needs."""
    for coded, text in (
        ("\\fB", ""), ("\\fI", ""), ("\\fR", ""), ("\\(dq", '"'), ("\\(aq", "'"), ("\\(ti", "~"),
        ("\\(ha", "^"), ("\\-", "-"), ("\\&", ""), ("\\e", "\\"),
    ):  # fmt: skip
        page = page.replace(coded, text)
    return page


def test_every_command_argument_and_option_is_in_its_page(pages: dict[str, str]) -> None:
    seen = 0
    for command in tree().all():
        name = "-".join(("waypost", *command.path[:1]))
        page = plain(pages[f"man1/{name}.1"])
        for option in command.options:
            seen += 1
            line = ", ".join(option.names) + (f" {option.value}" if option.value else "")
            assert f"\n{line}\n" in page, f"{command.path}: {line}"
            assert " ".join(option.help.replace("`", "").split()) in page
        for argument in command.arguments:
            assert argument.name in page, command.path
    assert seen > 150


def test_every_setting_is_in_the_page_of_the_file(pages: dict[str, str]) -> None:
    page = plain(pages["man5/waypost.toml.5"])
    for key in keys():
        assert f"\n.B {key.path[-1]} ({key.kind.name}; " in page, key.dotted
        assert " ".join((key.field.description or "").replace("`", "").split()) in page, key.dotted
    for heading in (".SH [[listener]]", ".SH [route.match]", ".SH [log]"):
        assert heading in page


def test_sendmail_has_a_page(pages: dict[str, str]) -> None:
    page = plain(pages["man1/waypost-sendmail.1"])
    assert "-bp, mailq    list the queue" in page


def test_the_date_can_be_fixed(pages: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    again = runpy.run_path(str(SCRIPT))["pages"]()
    assert again.keys() == pages.keys()
    assert all('"1970-01-01"' in page for page in again.values())


def test_no_text_can_be_taken_for_a_request() -> None:
    escaped = runpy.run_path(str(SCRIPT))["escaped"]
    assert escaped(".SH x\n'br\n\\fB") == "\\&.SH x\n\\(aqbr\n\\efB"


@pytest.mark.peer
@pytest.mark.skipif(MANDOC is None, reason="mandoc is not installed; make peers")
def test_mandoc_finds_no_fault(pages: dict[str, str], tmp_path: Path) -> None:
    assert MANDOC is not None
    files = []
    for name, page in pages.items():
        path = tmp_path / Path(name).name
        path.write_text(page, "utf-8")
        files.append(path)
    told = subprocess.run(
        [MANDOC, "-Tlint", "-Wwarning", *files], capture_output=True, text=True, timeout=60
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, "")
