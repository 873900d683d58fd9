"""`waypost verbosity`: how much is kept of what servers say, switched while the relay runs."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from waypost.faces.cli.failure import WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.output import local_time, print_json, print_line, print_table, shown
from waypost.faces.cli.relay import ConfigOption, JsonOption, SpoolOption, open_relay

LEVELS: Final = ("brief", "normal", "full")

DEFAULT: Final = "1h"

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def verbosity(
    destination: Annotated[
        str | None,
        typer.Argument(
            metavar="[DESTINATION]", help="A domain, the host of a next hop, or a route's name."
        ),
    ] = None,
    level: Annotated[
        str | None, typer.Argument(metavar="[brief|normal|full]", help="How much is kept.")
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            "--for", help=f"For so long; {DEFAULT} for full, or always.", metavar="TIME|always"
        ),
    ] = None,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """How much is kept of what is said with a destination.

    full keeps long lines whole and shows every line in the relay's log as it is said; brief keeps
    only what was said in attempts that failed; normal is as usual. Content of messages and secrets
    are never kept. With nothing given it lists what is set.
    """
    with failures_shown():
        if (destination is None) != (level is None):
            fail("give a destination and a level: brief, normal or full", WRONG_USAGE)
        if level is not None and level not in LEVELS:
            fail(f"{level[:40]!r} is no level; levels are {', '.join(LEVELS)}", WRONG_USAGE)
        seconds = _seconds(span or (DEFAULT if level == "full" else "always"))
        with open_relay(config, spool) as relay:
            if destination is None:
                reply = relay.ask("verbosity")
            else:
                reply = relay.ask(
                    "set_verbosity", destination=destination, level=level, seconds=seconds
                )
        if json:
            print_json(reply)
        elif not reply["rules"]:
            print_line("all is normal")
        else:
            print_table(
                ("DESTINATION", "LEVEL", "UNTIL"),
                [
                    (
                        shown(one["destination"]),
                        one["level"],
                        local_time(one["until"]) or "the relay ends",
                    )
                    for one in reply["rules"]
                ],
            )


def _seconds(span: str) -> float | None:
    from waypost.config.units import parse_seconds

    if span == "always":
        return None
    try:
        return parse_seconds(span)
    except ValueError as fault:
        fail(f"--for: {fault}", WRONG_USAGE)
