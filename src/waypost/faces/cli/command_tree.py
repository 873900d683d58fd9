"""All commands with their options, as plain values: what --help is made of, for completions and
manual pages. Everything is read from the commands themselves, so nothing is said twice."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import typer

from waypost.faces.cli.main import COMMANDS, waypost

_FILES: Final = ("FILE", "DIR", "FOLDER", "TARGET-FILE")
"""Names of values that are paths."""

_CHOICE: Final = re.compile(r"\[?([a-zA-Z0-9_.:-]+(?:\|[a-zA-Z0-9_.:-]+)+)\]?")


@dataclass(frozen=True, slots=True)
class Option:
    """One option."""

    names: tuple[str, ...]
    """--sender, or -f and --follow."""
    value: str
    """What stands behind it, such as ADDRESS; "" for a flag."""
    help: str
    default: str
    repeats: bool

    @property
    def values(self) -> tuple[str, ...]:
        """Those that there are, where they are few and fixed."""
        return choices(self.value)

    @property
    def takes_path(self) -> bool:
        """Its value is a file or a folder."""
        return self.value in _FILES


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument."""

    name: str
    """TARGET, [ID]..., as the usage line has it."""
    help: str

    @property
    def values(self) -> tuple[str, ...]:
        """Those that there are, where they are few and fixed."""
        return choices(self.name)

    @property
    def takes_path(self) -> bool:
        """It is a file or a folder."""
        return self.name.strip("[].") in _FILES


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or a group of them."""

    path: tuple[str, ...]
    """("queue", "list"); () is `waypost` itself."""
    line: str
    """What it does, in a line."""
    text: str
    """What it does, in paragraphs."""
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    commands: tuple[Command, ...] = ()

    def all(self) -> Iterator[Command]:
        """Itself and everything below it."""
        yield self
        for one in self.commands:
            yield from one.all()


_HELP: Final = Option(("-h", "--help"), "", "Show this message and exit.", "", False)


def tree() -> Command:
    """`waypost` with everything below it. Loads every command."""
    commands = []
    for name, (module, line) in COMMANDS.items():
        found: Any = typer.main.get_command(importlib.import_module(module).app)
        commands.append(_command((name,), found, line))
    version = Option(("--version",), "", "Show the version.", "", False)
    summary = waypost.__doc__ or ""
    return Command((), summary, summary, (version, _HELP), (), tuple(commands))


def choices(value: str) -> tuple[str, ...]:
    """The words of `brief|normal|full`, and of `HOST:PORT|off` the one that is a word."""
    found = _CHOICE.fullmatch(value)
    if found is None:
        return ()
    return tuple(one for one in found[1].split("|") if one.islower())


def _command(path: tuple[str, ...], found: Any, line: str = "") -> Command:
    below = getattr(found, "commands", {})
    text = (found.help or line).partition("\f")[0].strip()
    options, arguments = [], []
    for parameter in found.params:
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "option":
            options.append(_option(parameter))
        else:
            arguments.append(
                Argument(parameter.metavar or parameter.name.upper(), parameter.help or "")
            )
    return Command(
        path,
        line or text.partition("\n")[0],
        text,
        (*options, _HELP),
        tuple(arguments),
        tuple(_command((*path, name), one) for name, one in below.items() if not one.hidden),
    )


def _option(parameter: Any) -> Option:
    names = tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    value = "" if parameter.is_flag else (parameter.metavar or parameter.name.upper())
    default = parameter.default
    shown = not parameter.is_flag and parameter.show_default and default not in (None, "", (), [])
    repeats = bool(parameter.multiple)
    text = str(default) if shown and not callable(default) else ""
    return Option(names, value, (parameter.help or "").strip(), text, repeats)
