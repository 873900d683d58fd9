"""What commands print: tables for people on a terminal, aligned text in a pipe, JSON for programs.

Words of peers and senders go through `shown`: a control character never reaches a terminal.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from waypost.mail.encoded_words import decode_encoded_words, displayable

Progress = Callable[[int], None]


def on_terminal() -> bool:
    """Whether a person reads."""
    return sys.stdout.isatty()


def shown(text: object, longest: int = 0) -> str:
    """Text from outside, fit for one line of a terminal."""
    line = displayable(str(text))
    if longest and len(line) > longest:
        return line[: longest - 1] + "…"
    return line


def shown_subject(raw: str, longest: int = 60) -> str:
    """A Subject field as a person reads it."""
    return shown(decode_encoded_words(raw), longest)


def print_line(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def print_json(document: dict[str, Any]) -> None:
    """One object; on a terminal indented."""
    indent = 2 if on_terminal() else None
    print_line(json.dumps(document, indent=indent, ensure_ascii=False))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; in a pipe, columns aligned by spaces."""
    if on_terminal():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console(highlight=False).print(table)
        return
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print_line("  ".join(cells).rstrip())


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Progress]:
    """A bar on standard error where a person sees it; the function advances it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def moment(text: str | None) -> dt.datetime | None:
    """The time that a document gives."""
    return None if text is None else dt.datetime.fromisoformat(text)


def local_time(text: str | None) -> str:
    """A time of a document as the clock on the wall shows it: 11-24 09:14:25."""
    when = moment(text)
    return "" if when is None else when.astimezone().strftime("%m-%d %H:%M:%S")


def ago(text: str | None, now: dt.datetime) -> str:
    """How long ago: 3m, 5h, 2d."""
    when = moment(text)
    return "" if when is None else span(abs((now - when).total_seconds()))


def span(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "m")):
        if seconds >= unit:
            return f"{seconds / unit:.0f}{name}"
    return f"{seconds:.0f}s"


def size(count: int) -> str:
    """Bytes in their largest unit: 4.1 KiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError
