"""`waypost suppress`: addresses that nothing is sent to."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from waypost.faces.cli.failure import CHECKED_BAD, WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.output import (
    local_time,
    print_json,
    print_line,
    print_table,
    progress,
    shown,
)
from waypost.faces.cli.relay import ConfigOption, JsonOption, Relay, SpoolOption, open_relay

BATCH: Final = 200

MAXIMUM_REASON: Final = 200

app = typer.Typer(
    help="Addresses that nothing is sent to.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_suppressions(
    text: Annotated[
        str, typer.Option(help="Only addresses or reasons with this.", metavar="TEXT")
    ] = "",
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """List the suppressed addresses with their reasons."""
    with failures_shown():
        wanted = text.lower()
        with open_relay(config, spool) as relay:
            found = [
                one
                for one in _all(relay)
                if wanted in one["address"].lower() or wanted in one["reason"].lower()
            ]
        if json:
            print_json({"suppressions": found})
        elif not found:
            print_line("no address is suppressed" + (f" with {shown(text)!r}" if text else ""))
        else:
            print_table(
                ("ADDRESS", "SINCE", "REASON"),
                [
                    (shown(one["address"]), local_time(one["added"]), shown(one["reason"]))
                    for one in found
                ],
            )


@app.command()
def add(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...")],
    reason: Annotated[
        str, typer.Option(help="Why; shown to who sends there.", metavar="TEXT")
    ] = "suppressed by the operator",
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Send nothing to these addresses any more; RCPT refuses them."""
    with failures_shown():
        entries = [{"address": _address(one), "reason": _reason(reason)} for one in addresses]
        with open_relay(config, spool) as relay:
            _add(relay, entries, len(entries))
        _told(json, len(entries), "suppressed")


@app.command()
def remove(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...")],
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Send to these addresses again."""
    with failures_shown():
        wanted = [_address(one) for one in addresses]
        with open_relay(config, spool) as relay:
            reply = relay.ask("unsuppress", addresses=wanted)
        if json:
            print_json(reply)
        else:
            print_line(f"{reply['changed']} addresses removed")
        if reply["unknown"]:
            names = ", ".join(shown(one) for one in reply["unknown"])
            fail(f"not suppressed: {names}", CHECKED_BAD)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or text; - for input.")],
    reason: Annotated[
        str, typer.Option(help="For lines without one.", metavar="TEXT")
    ] = "imported",
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Suppress the addresses of a file: one on each line, with a reason after a comma.

    Nothing is changed unless every line can be read.
    """
    with failures_shown():
        entries = list(_read(_lines(file), reason, str(file)))
        with open_relay(config, spool) as relay:
            _add(relay, entries, len(entries))
        _told(json, len(entries), "suppressed")


@app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; - for output.")],
    config: ConfigOption = None,
    spool: SpoolOption = None,
) -> None:
    """Write all suppressed addresses as CSV: address, reason, since when. import reads it."""
    with failures_shown():
        with open_relay(config, spool) as relay:
            rows = [(one["address"], one["reason"], one["added"]) for one in _all(relay)]
        if str(file) == "-":
            csv.writer(sys.stdout).writerows(rows)
            return
        try:
            with file.open("x", encoding="utf-8", newline="") as target:
                csv.writer(target).writerows(rows)
        except OSError as fault:
            fail(f"{file} cannot be written: {fault.strerror}", WRONG_USAGE)
        print_line(f"{len(rows)} addresses written to {file}")


def _all(relay: Relay) -> Iterator[dict[str, Any]]:
    after: str | None = ""
    while after is not None:
        page = relay.ask("suppressions", after=after)
        yield from page["suppressions"]
        after = page["after"]


def _add(relay: Relay, entries: list[dict[str, str]], total: int) -> None:
    with progress("suppressing", total) as advance:
        for start in range(0, total, BATCH):
            part = entries[start : start + BATCH]
            relay.ask("suppress", addresses=part)
            advance(len(part))


def _told(json: bool, count: int, what: str) -> None:
    if json:
        print_json({"changed": count})
    else:
        print_line(f"{count} address{'es' if count != 1 else ''} {what}")


def _address(text: str) -> str:
    from waypost.mail.address import InvalidAddress, parse_address

    try:
        return str(parse_address(text.strip(), smtputf8=True)).lower()
    except InvalidAddress as fault:
        fail(f"no address: {fault}", WRONG_USAGE)


def _reason(text: str) -> str:
    return shown(text, MAXIMUM_REASON) or "suppressed"


def _lines(file: Path) -> list[str]:
    try:
        if str(file) == "-":
            return sys.stdin.read().splitlines()
        return file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        fail(f"{file} cannot be read: {fault}", WRONG_USAGE)


def _read(lines: Iterable[str], reason: str, name: str) -> Iterator[dict[str, str]]:
    """Addresses with reasons. Empty lines, comments and a heading are left out."""
    from waypost.mail.address import InvalidAddress, parse_address

    for number, row in enumerate(csv.reader(lines), 1):
        first = row[0].strip() if row else ""
        if not first or first.startswith("#") or (number == 1 and "@" not in first):
            continue
        try:
            address = str(parse_address(first, smtputf8=True)).lower()
        except InvalidAddress as fault:
            fail(f"{name}:{number}: no address: {fault}", WRONG_USAGE)
        given = row[1] if len(row) > 1 else ""
        yield {"address": address, "reason": _reason(given or reason)}
