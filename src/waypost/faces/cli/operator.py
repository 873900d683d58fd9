"""`waypost operator`: who may open the web panel. Works whether or not the relay runs.

No password is ever given here: whoever is added or has forgotten theirs gets a link, which works
once and for an hour.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.faces.cli.failure import failures_shown
from waypost.faces.cli.operator_database import ControlFile, control_file
from waypost.faces.cli.output import print_json, print_line, print_table, shown
from waypost.faces.cli.relay import ConfigOption, JsonOption

if TYPE_CHECKING:
    from waypost.control.accounts import Operator

app = typer.Typer(
    help="Who may open the web panel.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]


class RoleName(StrEnum):
    """As `control.permissions.Role`, which is loaded with the command alone."""

    viewer = "viewer"
    operator = "operator"
    admin = "admin"


@app.command()
def add(
    name: NameArgument,
    role: Annotated[
        RoleName,
        typer.Option(
            help="viewer sees, operator also reads content and steers, admin may do everything."
        ),
    ] = RoleName.viewer,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Add a person and print the link with which they choose a password."""
    from waypost.control import accounts, accounts_links
    from waypost.control.permissions import Role

    with failures_shown(), control_file(config) as file:

        def work(connection: Any) -> tuple[Operator, str]:
            made = accounts.add(connection, name, Role(role.value), file.now)
            return made, accounts_links.make(connection, made.name, file.now)

        made, secret = file.change("operator added", name, work, role.value)
        _show_link(file, made, secret, json)


@app.command()
def reset(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Print a link with which a person chooses another password; the old one is good until then."""
    from waypost.control import accounts, accounts_links

    with failures_shown(), control_file(config) as file:

        def work(connection: Any) -> tuple[Operator, str]:
            found = accounts.known(connection, name)
            return found, accounts_links.make(connection, found.name, file.now)

        found, secret = file.change("operator link made", name, work)
        _show_link(file, found, secret, json)


@app.command("list")
def list_operators(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the people."""
    from waypost.control import accounts
    from waypost.faces.documents import time_text

    with failures_shown(), control_file(config) as file:
        found = file.read(accounts.operators)
        if json:
            documents = [
                {
                    "name": one.name,
                    "role": str(one.role),
                    "state": one.state,
                    "created": time_text(one.created_at),
                    "last_login": time_text(one.last_login_at),
                    "last_login_from": one.last_login_from,
                }
                for one in found
            ]
            print_json({"operators": documents})
        elif not found:
            print_line("nobody yet; add somebody with `waypost operator add NAME --role admin`")
        else:
            print_table(
                ("NAME", "ROLE", "STATE", "LAST LOGIN", "FROM"),
                [
                    (
                        shown(one.name),
                        str(one.role),
                        one.state,
                        (time_text(one.last_login_at) or "never")[:19].replace("T", " "),
                        shown(one.last_login_from),
                    )
                    for one in found
                ],
            )


@app.command()
def role(
    name: NameArgument,
    role: Annotated[RoleName, typer.Argument(metavar="viewer|operator|admin")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Change what a person may do; their sessions end."""
    from waypost.control import accounts
    from waypost.control.permissions import Role

    with failures_shown(), control_file(config) as file:
        file.change(
            "operator role set", name,
            lambda c: accounts.set_role(c, name, Role(role.value)), role.value,
        )  # fmt: skip
        _done(json, name, f"is {role.value} now")


@app.command()
def disable(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Keep a person out until enabled again; their sessions end."""
    _set_disabled(name, config, json, disabled=True)


@app.command()
def enable(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let a person in again."""
    _set_disabled(name, config, json, disabled=False)


@app.command()
def remove(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Remove a person; their sessions end."""
    from waypost.control import accounts

    with failures_shown(), control_file(config) as file:
        file.change("operator removed", name, lambda c: accounts.remove(c, name))
        _done(json, name, "removed")


def _set_disabled(name: str, config: Any, json: bool, *, disabled: bool) -> None:
    from waypost.control import accounts

    what = "disabled" if disabled else "enabled"
    with failures_shown(), control_file(config) as file:
        file.change(
            f"operator {what}", name, lambda c: accounts.set_disabled(c, name, disabled=disabled)
        )
        _done(json, name, what)


def _show_link(file: ControlFile, operator: Operator, secret: str, json: bool) -> None:
    from waypost.control.accounts_links import LINK_SECONDS
    from waypost.faces.documents import time_text

    link = file.link(secret)
    if json:
        expires = time_text(file.now + LINK_SECONDS)
        print_json(
            {
                "name": operator.name, "role": str(operator.role), "link": link,
                "expires": expires,
            }
        )  # fmt: skip
        return
    print_line(f"{shown(operator.name)} is {operator.role} and chooses a password here, once and")
    print_line("within an hour, while the relay runs:")
    print_line()
    print_line(f"    {link}")
    print_line()


def _done(json: bool, name: str, text: str) -> None:
    if json:
        print_json({"name": name, "done": text})
    else:
        print_line(f"{shown(name)}: {text}")
