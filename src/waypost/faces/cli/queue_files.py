"""`waypost queue export` and `waypost queue salvage`: mail out of the spool, into files."""

from __future__ import annotations

import base64
import json as jsons
from pathlib import Path
from typing import Annotated, Any

import typer

from waypost.faces.cli.failure import (
    CHECKED_BAD,
    TEMPORARY,
    WRONG_USAGE,
    Failure,
    fail,
    failures_shown,
)
from waypost.faces.cli.filters import (
    OlderOption,
    SenderOption,
    StateOption,
    TextOption,
    ToOption,
    Wanted,
)
from waypost.faces.cli.output import print_json, print_line, progress, shown
from waypost.faces.cli.relay import ConfigOption, JsonOption, Relay, SpoolOption, open_relay
from waypost.faces.control_client import Refused

BATCH = 100


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export)
    app.command("salvage")(salvage)


def export(
    arguments: Annotated[
        list[str], typer.Argument(metavar="[ID]... DIR", help="Messages, then a folder.")
    ],
    sender: SenderOption = "",
    to: ToOption = "",
    older_than: OlderOption = None,
    text: TextOption = "",
    state: StateOption = None,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Write messages into a folder: ID.eml as stored, with its envelope beside it as ID.json.

    Without IDs and filters, all messages that wait. Existing files are not overwritten.
    """
    with failures_shown():
        *ids, directory = arguments
        folder = Path(directory)
        wanted = Wanted(tuple(ids), sender, to, older_than, text, tuple(state or ()))
        if not ids and not state:
            wanted = Wanted((), sender, to, older_than, text, ("queued", "held"))
        chosen = wanted.document()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            fail(f"{folder} cannot be a folder for the messages: {fault.strerror}", WRONG_USAGE)
        with open_relay(config, spool) as relay:
            written, failed = _export(relay, chosen, folder)
        if json:
            print_json({"folder": str(folder), "exported": written, "failed": failed})
        else:
            print_line(f"{len(written)} messages written to {folder}")
            for one in failed:
                print_line(f"{one['id']}: {one['error']}")
        missing = len(ids) - len(written) - len(failed)
        if missing > 0:
            fail(f"{missing} of the messages are not in the spool", CHECKED_BAD)
        if failed:
            raise Failure(f"{len(failed)} messages could not be written", CHECKED_BAD)


def _export(
    relay: Relay, chosen: dict[str, Any], folder: Path
) -> tuple[list[str], list[dict[str, str]]]:
    written: list[str] = []
    failed: list[dict[str, str]] = []
    before = None
    with progress("exporting", None) as advance:
        while True:
            page = relay.ask("messages", filter={**chosen, "limit": BATCH, "before": before})
            for message in page["messages"]:
                try:
                    _write(relay, message, folder)
                    written.append(message["id"])
                except (Refused, Failure, OSError) as fault:
                    failed.append({"id": message["id"], "error": str(fault)})
                advance(1)
            before = page["before"]
            if before is None:
                return written, failed


def _write(relay: Relay, message: dict[str, Any], folder: Path) -> None:
    """Both files; the content file gets its name when it is whole."""
    name = message["id"]
    target, part = folder / f"{name}.eml", folder / f"{name}.eml.part"
    if target.exists():
        raise FileExistsError(f"{target} is there already; it was not overwritten")
    try:
        with part.open("wb") as file:
            for piece in relay.stream("source", id=name):
                file.write(base64.b64decode(piece["content"]))
        (folder / f"{name}.json").write_text(
            jsons.dumps(message, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def salvage(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The damaged spool's folder.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="An empty or new folder.")],
    json: JsonOption = False,
) -> None:
    """Take what can still be read out of a damaged spool. The spool itself is not changed."""
    with failures_shown():
        import sqlite3

        from waypost.spool.identifiers import identifier_text
        from waypost.spool.salvage import NothingToSalvage
        from waypost.spool.salvage import salvage as run

        try:
            found = run(directory, target)
        except (NothingToSalvage, OSError) as fault:
            fail(str(fault), WRONG_USAGE)
        except sqlite3.Error as fault:
            fail(f"the new spool {target} cannot be written: {fault}", TEMPORARY)
        damaged = [{"id": identifier_text(number), "error": why} for number, why in found.damaged]
        if json:
            print_json({"messages": found.messages, "waiting": found.waiting, "damaged": damaged})
        else:
            print_line(
                f"{found.messages} messages came over; {found.waiting} recipients will be tried "
                "again"
            )
            for one in damaged:
                print_line(f"{one['id']}: {shown(one['error'])}")
            print_line(f"use it with: waypost serve --spool sqlite:{target}")
        if damaged:
            raise Failure(f"of {len(damaged)} messages something is lost", CHECKED_BAD)
