"""`waypost queue pause|resume`: hold back a route or a destination of it, and let it go on."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from waypost.faces.cli.failure import UNREACHABLE, fail, failures_shown
from waypost.faces.cli.output import print_json, print_line, shown
from waypost.faces.cli.relay import ConfigOption, JsonOption, SpoolOption, open_relay

RouteArgument = Annotated[str, typer.Argument(help="Its name.", metavar="ROUTE")]
DestinationArgument = Annotated[
    str | None,
    typer.Argument(
        help="A domain, of a route that delivers directly (mx:); else the whole route is meant.",
        metavar="[DOMAIN]",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)


def pause(
    route: RouteArgument,
    destination: DestinationArgument = None,
    reason: Annotated[str, typer.Option(help="Why, for others to read.", metavar="TEXT")] = "",
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Let nothing leave a route, or one destination of it, until it is resumed.

    Mail for it is accepted and waits, also over a restart, and expires in its time. What is under
    way comes to its end.
    """
    with failures_shown():
        with open_relay(config, spool) as relay:
            if not relay.is_running:
                fail("no relay is running, so there is nothing to pause", UNREACHABLE)
            by = f"command:{getpass.getuser()}"
            done = relay.ask("pause", route=route, destination=destination, by=by, reason=reason)
        _tell(route, destination, paused=True, changed=bool(done["changed"]), json=json)


def resume(
    route: RouteArgument,
    destination: DestinationArgument = None,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Let a paused route, or a destination of it, go on."""
    with failures_shown():
        with open_relay(config, spool) as relay:
            if not relay.is_running:
                fail("no relay is running; start it, and then resume", UNREACHABLE)
            done = relay.ask("resume", route=route, destination=destination)
        _tell(route, destination, paused=False, changed=bool(done["changed"]), json=json)


def _tell(route: str, destination: str | None, *, paused: bool, changed: bool, json: bool) -> None:
    if json:
        print_json(
            {"route": route, "destination": destination, "paused": paused, "changed": changed}
        )
        return
    what = f"{shown(route)} to {shown(destination)}" if destination else shown(route)
    state = "paused" if paused else "going on"
    print_line(f"{what} is {state}" if changed else f"{what} was {state} already")
