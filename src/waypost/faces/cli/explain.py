"""`waypost explain`: what a code, a reply, a log line, an exception or a bounce message means.

It must answer at once, so nothing is imported that the input does not need: no event loop, no
configuration, and Rich only where a person at a terminal reads.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from waypost.doctor.explanation.answer import UNDERSTOOD, Answer, NothingKnown, explain
from waypost.faces.cli.output import on_terminal, print_json, print_line, shown

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

WRONG_USAGE = 2
MAXIMUM_INPUT = 8 << 20
"""Bytes that are read; of a message the first mebibyte is looked at."""


@app.command(context_settings={"ignore_unknown_options": True})
def explain_command(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="A code (550, 5.7.1), a reply, a log line, an exception, an event; or a file that "
            "holds any of these, such as a bounce message (.eml). Several words are one text. "
            "Without it, or with -, standard input is read.",
            metavar="TEXT|CODE|FILE",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Give one JSON object.")] = False,
) -> None:
    """What it means, who said it and at which step, what to do, and what Waypost would do."""
    code = _explained(text or [], json=json)
    if code:
        raise typer.Exit(code)


def explain_at_once(arguments: list[str]) -> None:
    """The same for ordinary arguments, and the end of the process; returns where they are others,
    as `--help` is, for Typer to read."""
    words = [one for one in arguments if one != "--json"]
    if any(one.startswith("-") and one != "-" for one in words):
        return
    sys.exit(_explained(words, json=len(words) < len(arguments)))


def _explained(words: list[str], *, json: bool) -> int:
    """Explain and print; the exit code."""
    try:
        answer = explain(_given(words))
    except NothingKnown as nothing:
        return _refused(str(nothing), json=json)
    except OSError as fault:
        return _refused(f"cannot read {fault.filename}: {fault.strerror}", json=json)
    if json:
        from waypost.doctor.explanation.document import document_of

        print_json(document_of(answer))
    else:
        show(answer)
    return 0


def _given(words: list[str]) -> str | bytes:
    """The text, or what the file or standard input holds. Raises OSError and NothingKnown."""
    if not words or words == ["-"]:
        if not words and sys.stdin.isatty():
            raise NothingKnown(
                f"there is nothing to explain; give {UNDERSTOOD}, as argument or on standard input"
            )
        return sys.stdin.buffer.read(MAXIMUM_INPUT)
    is_code = words[0].replace(".", "").isdigit()  # whatever file has such a name
    if (
        len(words) == 1
        and not is_code
        and len(words[0]) < 1024
        and "\n" not in words[0]
        and "\0" not in words[0]
    ):
        path = Path(words[0])
        try:
            is_file = path.is_file()
        except OSError:
            is_file = False
        if is_file:
            with path.open("rb") as file:
                return file.read(MAXIMUM_INPUT)
    return " ".join(words)


def _refused(text: str, *, json: bool) -> int:
    if json:
        print_json({"error": text})
    sys.stderr.write(f"waypost: {text}\n")
    return WRONG_USAGE


def show(answer: Answer) -> None:
    """For a person: what counts first, then the others."""
    from waypost.faces.cli.explain_words import blocks_of

    painted = _Painter() if on_terminal() else None
    for number, block in enumerate(blocks_of(answer)):
        if number:
            print_line()
        for label, value, style in block:
            line = shown(value)
            if painted is not None:
                painted.print(label, line, style)
            else:
                print_line(f"{label:<12} {line}" if label else line)


class _Painter:
    """Draws with Rich: labels dim, long lines folded under their value."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)

    def print(self, label: str, value: str, style: str) -> None:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        if not label:
            self._console.print(Text(value, style=style or "bold"))
            return
        row: Any = Table.grid(padding=(0, 1))
        row.add_column(width=11)
        row.add_column(overflow="fold")
        row.add_row(Text(label, style="dim"), Text(value, style=style))
        self._console.print(Padding(row, (0, 0, 0, 1)))
