"""Every Python block of a document is Python, and takes from waypost only what is there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PLACES: Final = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def examples() -> list[tuple[str, str]]:
    """Where each block begins, and its text."""
    found = []
    for document in sorted(PLACES):
        text = document.read_text("utf-8")
        for one in re.finditer(
            r"^( *)```python\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL
        ):
            line = text.count("\n", 0, one.start(2)) + 1
            block = re.sub(f"^{one[1]}", "", one[2], flags=re.MULTILINE)
            found.append((f"{document.relative_to(ROOT)}:{line}", block))
    return found


EXAMPLES: Final = [pytest.param(block, id=place) for place, block in examples()]


def absent(program: str) -> list[str]:
    """What a program takes from waypost that is not there."""
    wanted: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(program)):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if top(module):
                wanted += [(module, name.name) for name in names]
            case ast.Import(names=names):
                wanted += [(name.name, "") for name in names if top(name.name)]
            case ast.Attribute(value=ast.Name(id="waypost"), attr=name):
                wanted.append(("waypost", name))
    return [f"{module}.{name}" for module, name in wanted if not there(module, name)]


def top(module: str) -> bool:
    return module.partition(".")[0] == "waypost"


def there(module: str, name: str) -> bool:
    try:
        if not name or hasattr(importlib.import_module(module), name):
            importlib.import_module(module)
        else:
            importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError as fault:
        if not top(fault.name or ""):
            raise
        return False
    return True


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 30


@pytest.mark.parametrize("program", EXAMPLES)
def test_an_example_uses_what_there_is(program: str) -> None:
    assert absent(program) == []


@pytest.mark.parametrize(
    ("program", "missing"),
    [
        ("import waypost\nwaypost.sendd()", ["waypost.sendd"]),
        ("from waypost.testing import MailServer, Nothing", ["waypost.testing.Nothing"]),
        ("import waypost.nowhere", ["waypost.nowhere."]),
        ("from waypost import oauth\nfrom waypost.compat import smtplib", []),
    ],
)
def test_what_is_not_there_is_found(program: str, missing: list[str]) -> None:
    assert absent(program) == missing
