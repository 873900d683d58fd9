"""`waypost config`: check a configuration, show what is in force and why, begin a new one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from waypost.config import Configuration, ConfigurationError

app = typer.Typer(
    help="Check, show and begin a configuration.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

WRONG = 2
"""The exit code for a wrong configuration or usage."""

File = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration, a TOML file.", metavar="FILE"),
]
Json = Annotated[bool, typer.Option("--json", help="Give one JSON object.")]


@app.command()
def check(config: File = None, as_json: Json = False) -> None:
    """Tell everything that is wrong with the configuration: exit 0 when nothing is, else 2."""
    configuration = _loaded(config, as_json=as_json)
    routes = [route.name for route in configuration.service_settings().routes]
    listeners = [one.address.text for one in configuration.service_settings().listeners]
    if as_json:
        _say_json({"ok": True, "problems": [], "listeners": listeners, "routes": routes})
        return
    typer.echo(f"The configuration is right: listens on {', '.join(listeners)}")
    typer.echo(f"Routes: {', '.join(routes)}")


@app.command()
def show(
    config: File = None,
    recipient: Annotated[
        str | None,
        typer.Option("--for", help="Which route this recipient takes.", metavar="ADDRESS"),
    ] = None,
    sender: Annotated[
        str, typer.Option("--from", help="The sender of --for.", metavar="ADDRESS")
    ] = "",
    user: Annotated[
        str | None, typer.Option(help="Who has logged in to send to --for.", metavar="NAME")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every setting with its value and where it comes from. Passwords are left out."""
    if recipient is None and (sender or user):
        typer.echo("--from and --user belong to --for ADDRESS", err=True)
        raise typer.Exit(WRONG)
    configuration = _loaded(config, as_json=as_json)
    if recipient is not None:
        _show_way(configuration, recipient, sender, user, as_json=as_json)
        return
    from waypost.config.explanation import settings_shown

    rows = settings_shown(configuration)
    if as_json:
        _say_json(
            {"settings": [{"key": r.key, "value": r.value, "origin": r.origin} for r in rows]}
        )
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for row in rows:
        style = "dim" if row.origin == "default" else ""
        table.add_row(Text(row.key), Text(row.value), Text(row.origin), style=style)
    Console(highlight=False).print(table)


def _show_way(
    configuration: Configuration, recipient: str, sender: str, user: str | None, *, as_json: bool
) -> None:
    from waypost.config.explanation import way_of
    from waypost.mail.address import InvalidAddress, parse_address

    sender = "" if sender == "<>" else sender
    for address in (recipient, sender):
        try:
            if address:
                parse_address(address, smtputf8=True)
        except InvalidAddress as fault:
            typer.echo(f"{address}: not an address: {fault.reason}", err=True)
            raise typer.Exit(WRONG) from fault
    if not recipient:
        typer.echo("--for needs an address", err=True)
        raise typer.Exit(WRONG)
    way = way_of(configuration, recipient, sender, user)
    if as_json:
        _say_json(
            {
                "recipient": recipient, "sender": sender, "user": user, "route": way.route.name,
                "origin": way.origin, "why": way.why, "via": way.hops, "limits": way.limits,
            }
        )  # fmt: skip
        return
    origin = "built in" if way.origin == "default" else way.origin
    typer.echo(f"{recipient} takes the route {way.route.name} ({origin}): {way.why}.")
    for hop in way.hops:
        typer.echo(f"  leads to {hop}")
    for limit in way.limits:
        typer.echo(f"  {limit}")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]")] = Path("waypost.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a commented configuration with all defaults, readable by its owner alone."""
    from waypost.config.reference import commented_file

    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        handle = os.open(path, flags, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            if os.name == "posix":
                os.fchmod(handle, 0o600)  # of a file that is replaced, too
            file.write(commented_file(str(path)))
    except FileExistsError as fault:
        typer.echo(f"{path} is there already; --force replaces it", err=True)
        raise typer.Exit(WRONG) from fault
    except OSError as fault:
        typer.echo(f"{path} cannot be written: {fault.strerror}", err=True)
        raise typer.Exit(WRONG) from fault
    if as_json:
        _say_json({"written": str(path)})
        return
    typer.echo(f"{path} is written. Change it, then:")
    typer.echo(f"  waypost config check --config {path}")
    typer.echo(f"  waypost serve --config {path}")


def _loaded(path: Path | None, *, as_json: bool) -> Configuration:
    """The configuration; where it is wrong, all that is wrong, and exit 2."""
    from waypost.config import ConfigurationError, Flags, load

    try:
        return load(path, os.environ, Flags())
    except ConfigurationError as fault:
        if as_json:
            _say_json({"ok": False, "problems": _problems(fault)})
        else:
            typer.echo(str(fault), err=True)
        raise typer.Exit(WRONG) from fault


def _problems(fault: ConfigurationError) -> list[dict[str, object]]:
    return [
        {
            "source": one.source, "line": one.line, "column": one.column, "key": one.key,
            "reason": one.reason, "suggestion": one.suggestion,
        }
        for one in fault.problems
    ]  # fmt: skip


def _say_json(answer: object) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
