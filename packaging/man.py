"""Writes the manual pages: `python packaging/man.py FOLDER` makes man1/ and man5/ in it.

They are made of what --help and the reference are made of (the commands themselves, the model of
the configuration), so they say what is so. SOURCE_DATE_EPOCH fixes their date, for builds that are
to be the same each time.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from waypost.config.keys import Key, section_of
from waypost.config.model import Settings
from waypost.config.reference import default_of, documented
from waypost.config.section import Section
from waypost.faces.cli.command_tree import Command, Option, tree
from waypost.faces.sendmail.main import HELP as SENDMAIL_HELP

EXIT_STATUS = (
    ("0", "Done."),
    ("1", "The thing checked is bad; a message was refused."),
    ("2", "Wrong usage or configuration."),
    ("69", "The relay or the server cannot be reached."),
    ("75", "A temporary failure; try again later."),
)

ENVIRONMENT = (
    ("WAYPOST_CONFIG", "The configuration, where --config is not given."),
    (
        "WAYPOST_SECTION_KEY",
        "Any setting, such as WAYPOST_LOG_LEVEL; counts more than the file, less than a flag.",
    ),
)

FILES = (
    ("/etc/waypost/waypost.toml", "The configuration of the packaged service."),
    ("/var/lib/waypost", "Its mail, users, certificates and accounts."),
)


def escaped(text: str) -> str:
    """Text that roff shows as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "").replace("~", "\\(ti")
    text = text.replace("^", "\\(ha").replace("'", "\\(aq").replace('"', "\\(dq")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in text.split("\n"))


def paragraphs(text: str) -> Iterator[str]:
    """Each paragraph on one line, with what parts them; indented ones keep their lines."""
    for number, one in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        if all(line.startswith(" ") for line in one.splitlines()):
            yield from (".nf", escaped(one), ".fi")
        else:
            yield escaped(" ".join(one.split()))


def tagged(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A list of terms and their meanings."""
    for term, meaning in rows:
        yield ".TP"
        yield f".B {escaped(term)}"
        yield escaped(" ".join(meaning.split())) or "\\&"


def head(name: str, section: int, line: str) -> Iterator[str]:
    """The title and the name."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    now = (
        dt.datetime.now(dt.UTC)
        if seconds is None
        else dt.datetime.fromtimestamp(int(seconds), dt.UTC)
    )
    title = name.upper().replace("-", "\\-")
    yield f'.TH {title} {section} "{now:%Y-%m-%d}" "waypost {version("waypost")}" "Waypost"'
    yield ".nh"
    yield ".SH NAME"
    yield f"{escaped(name)} \\- {escaped(line.rstrip('.'))}"


def synopsis(command: Command) -> str:
    """How it is called."""
    words = " ".join(("waypost", *command.path))
    arguments = "".join(f" \\fI{escaped(one.name)}\\fR" for one in command.arguments)
    below = " \\fICOMMAND\\fR" if command.commands else ""
    return f"\\fB{escaped(words)}\\fR [\\fIOPTIONS\\fR]{below}{arguments}"


def described(command: Command) -> Iterator[str]:
    """Arguments and options."""
    for argument in command.arguments:
        yield ".TP"
        yield f".I {escaped(argument.name)}"
        yield escaped(argument.help) or "\\&"
    for option in command.options:
        yield ".TP"
        yield term(option)
        default = f" Default: {option.default}." if option.default else ""
        repeats = " May be given several times." if option.repeats else ""
        yield escaped(f"{option.help}{default}{repeats}") or "\\&"


def term(option: Option) -> str:
    """The names of an option and its value."""
    names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in option.names)
    return f"{names} \\fI{escaped(option.value)}\\fR" if option.value else names


def see_also(names: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Other pages."""
    yield ".SH SEE ALSO"
    rows = [f".BR {escaped(name)} ({section})" for name, section in names]
    yield " ,\n".join(rows)


def page_of_root(root: Command) -> Iterator[str]:
    """waypost.1"""
    yield from head("waypost", 1, root.line)
    yield ".SH SYNOPSIS"
    yield "\\fBwaypost\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]"
    yield ".SH DESCRIPTION"
    yield from paragraphs(root.text)
    yield ".SH OPTIONS"
    yield from described(root)
    yield ".SH COMMANDS"
    yield from tagged((f"waypost {one.path[0]}", one.line) for one in root.commands)
    yield from endings()
    yield from see_also(
        [
            *((f"waypost-{one.path[0]}", 1) for one in root.commands),
            ("waypost-sendmail", 1), ("waypost.toml", 5),
        ]
    )  # fmt: skip


def page_of_command(command: Command) -> Iterator[str]:
    """waypost-COMMAND.1"""
    name = "-".join(("waypost", *command.path))
    yield from head(name, 1, command.line)
    yield ".SH SYNOPSIS"
    callable_ones = [one for one in command.all() if not one.commands]
    for number, one in enumerate(callable_ones):
        if number:
            yield ".br"
        yield synopsis(one)
    yield ".SH DESCRIPTION"
    yield from paragraphs(command.text)
    if command.commands:
        yield ".SH COMMANDS"
        for one in command.commands:
            yield f".SS {escaped(' '.join(('waypost', *one.path)))}"
            yield from paragraphs(one.text)
            yield from described(one)
    else:
        yield ".SH OPTIONS"
        yield from described(command)
    yield from endings()
    yield from see_also([("waypost", 1), ("waypost.toml", 5)])


def endings() -> Iterator[str]:
    """What all pages have."""
    yield ".SH EXIT STATUS"
    yield from tagged(EXIT_STATUS)
    yield ".SH ENVIRONMENT"
    yield from tagged(ENVIRONMENT)
    yield ".SH FILES"
    yield from tagged(FILES)


def page_of_sendmail() -> Iterator[str]:
    """waypost-sendmail.1"""
    yield from head("waypost-sendmail", 1, "hand a message to the relay as sendmail does")
    yield ".SH SYNOPSIS"
    yield "\\fBwaypost\\-sendmail\\fR [\\fIOPTIONS\\fR] [\\fIRECIPIENT\\fR...]"
    yield ".SH DESCRIPTION"
    yield ".nf"
    yield escaped(SENDMAIL_HELP.strip())
    yield ".fi"
    yield from see_also([("waypost", 1), ("waypost-serve", 1)])


def page_of_configuration() -> Iterator[str]:
    """waypost.toml.5"""
    yield from head("waypost.toml", 5, "the configuration of the relay")
    yield ".SH DESCRIPTION"
    yield from paragraphs(
        "The file is TOML. Every setting has a default, which is shown here; what is not in the "
        "file has it. Unknown settings and wrong values are refused, with the line and the nearest "
        "right name. Sizes have a unit (64 MiB), times too (10 min). Relative paths begin at the "
        "folder of the file. Every setting outside of lists can come from the environment as well: "
        "WAYPOST_LOG_LEVEL is log.level.\n\nCheck a file with: waypost config check --config FILE"
    )
    for section, meaning, keys in documented():
        yield f".SH {escaped(heading(section))}"
        if meaning:
            yield from paragraphs(meaning)
        yield from tagged((key_line(key), key.field.description or "") for key in keys)
    yield from see_also([("waypost", 1), ("waypost-serve", 1), ("waypost-config", 1)])


def heading(section: str) -> str:
    """As the file has it."""
    if not section:
        return "TOP OF THE FILE"
    return f"[[{section}]]" if section in lists(Settings) else f"[{section}]"


def lists(section: type[Section], path: str = "") -> Iterator[str]:
    """The sections of which there may be several."""
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            here = f"{path}{name}"
            if inner[1]:
                yield here
            yield from lists(inner[0], f"{here}.")


def key_line(key: Key) -> str:
    """The key, its kind and its default."""
    return f"{key.path[-1]} ({key.kind.name}; {default_of(key).strip('`')})"


def pages() -> dict[str, str]:
    """All of them by file name."""
    root = tree()
    made = {"man1/waypost.1": page_of_root(root)}
    made |= {f"man1/waypost-{one.path[0]}.1": page_of_command(one) for one in root.commands}
    made["man1/waypost-sendmail.1"] = page_of_sendmail()
    made["man5/waypost.toml.5"] = page_of_configuration()
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def main() -> int:
    """Write them."""
    if len(sys.argv) != 2:
        print("usage: man.py FOLDER", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    for name, text in pages().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
