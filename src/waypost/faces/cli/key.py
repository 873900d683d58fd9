"""`waypost key`: API keys, for programs. Works whether or not the relay runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.faces.cli.failure import WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.operator_database import control_file
from waypost.faces.cli.output import print_json, print_line, print_table, shown
from waypost.faces.cli.relay import ConfigOption, JsonOption

if TYPE_CHECKING:
    from waypost.control.keys import ApiKey

app = typer.Typer(
    help="API keys, for programs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]


@app.command()
def add(
    name: NameArgument,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may: messages:send (when none is given), messages:read, ...; several "
            "times. `waypost key scopes` lists them.",
            metavar="SCOPE",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="After this it is no longer good: 90d.", metavar="TIME")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            help="A user of the relay: it sends as this one and sees that mail alone.",
            metavar="USER",
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key and print it. It is shown this once."""
    from waypost.control import keys
    from waypost.control.permissions import Permission

    with failures_shown(), control_file(config) as file:
        wanted = list(scope) if scope else [str(one) for one in keys.DEFAULT_SCOPES]
        unknown = sorted(set(wanted) - set(Permission))
        if unknown:
            known = ", ".join(Permission)
            fail(f"there is no scope {unknown[0][:60]!r}; there are {known}", WRONG_USAGE)
        until = None if expires is None else file.now + _seconds(expires)

        def work(connection: Any) -> tuple[ApiKey, str]:
            return keys.add(
                connection, name, map(Permission, wanted), file.now, created_by=file.who,
                expires_at=until, user=user,
            )  # fmt: skip

        made, secret = file.change("key added", name, work, " ".join(sorted(set(wanted))))
        if json:
            print_json(_document(made, file.now) | {"secret": secret})
            return
        print_line(secret)


@app.command("list")
def list_keys(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the keys. They are not stored, only what recognises them."""
    from waypost.control import keys

    with failures_shown(), control_file(config) as file:
        found = file.read(keys.keys)
        if json:
            print_json({"keys": [_document(one, file.now) for one in found]})
        elif not found:
            print_line("no keys; make one with `waypost key add NAME`")
        else:
            print_table(
                ("NAME", "BEGINS", "SCOPES", "USER", "EXPIRES", "LAST USED"),
                [_row(one, file.now) for one in found],
            )


@app.command()
def revoke(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Make an end of a key, at once."""
    from waypost.control import keys

    with failures_shown(), control_file(config) as file:
        file.change("key revoked", name, lambda c: keys.revoke(c, name))
        if json:
            print_json({"name": name, "done": "revoked"})
        else:
            print_line(f"{shown(name)}: revoked")


@app.command()
def scopes(json: JsonOption = False) -> None:
    """List what a key can be allowed."""
    from waypost.control.permissions import PERMISSION_MEANINGS

    if json:
        print_json({"scopes": {str(one): text for one, text in PERMISSION_MEANINGS.items()}})
    else:
        print_table(("SCOPE", "ALLOWS TO"), [(str(k), v) for k, v in PERMISSION_MEANINGS.items()])


def _seconds(text: str) -> float:
    from waypost.config.units import parse_seconds

    try:
        seconds = parse_seconds(text)
    except ValueError as fault:
        fail(f"--expires: {fault}", WRONG_USAGE)
    if seconds <= 0:
        fail("--expires: must be longer than 0 s", WRONG_USAGE)
    return seconds


def _document(one: ApiKey, now: float) -> dict[str, Any]:
    from waypost.faces.documents import time_text

    return {
        "name": one.name,
        "begins": one.hint,
        "scopes": sorted(map(str, one.permissions)),
        "user": one.user,
        "created": time_text(one.created_at),
        "created_by": one.created_by,
        "expires": time_text(one.expires_at),
        "expired": one.has_expired(now),
        "last_used": time_text(one.last_used_at),
        "last_used_from": one.last_used_from,
    }


def _row(one: ApiKey, now: float) -> tuple[str, ...]:
    from waypost.faces.documents import time_text

    def day(at: float | None, never: str) -> str:
        return (time_text(at) or never)[:16].replace("T", " ")

    expires = "expired" if one.has_expired(now) else day(one.expires_at, "never")
    return (
        shown(one.name), one.hint, " ".join(sorted(one.permissions)), shown(one.user or "any"),
        expires, day(one.last_used_at, "never"),
    )  # fmt: skip
