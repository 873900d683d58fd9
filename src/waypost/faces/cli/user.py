"""`waypost user`: who may log in to the relay. Works whether or not the relay runs."""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.faces.cli.failure import CHECKED_BAD, WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.output import print_json, print_line, print_table, shown
from waypost.faces.cli.relay import ConfigOption, JsonOption, data_folder, load_configuration

if TYPE_CHECKING:
    from waypost.relay.credentials import CredentialStore

app = typer.Typer(
    help="Who may log in to the relay.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="The first line of standard input.")
]


@contextmanager
def _store(config: Path | None) -> Iterator[CredentialStore]:
    from waypost.net.clock import SystemClock
    from waypost.relay.credentials import CredentialStore, NoSuchUser, UserExists

    folder = data_folder(config, os.environ) or load_configuration(config).data
    clock = SystemClock()
    try:
        store = CredentialStore(
            folder / "users.sqlite", secrets.token_bytes, clock.monotonic, clock.now
        )
        try:
            yield store
        finally:
            store.close()
    except NoSuchUser as fault:
        fail(f"{fault}; `waypost user list` shows them", CHECKED_BAD)
    except UserExists as fault:
        fail(f"{fault}; `waypost user password` changes the password", CHECKED_BAD)
    except ValueError as fault:
        fail(str(fault), WRONG_USAGE)
    except sqlite3.Error as fault:
        fail(f"the users in {folder} cannot be read or written: {fault}", CHECKED_BAD)


def _password(from_input: bool) -> str:
    """From standard input, or asked for twice. Raises Failure."""
    if from_input:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            fail("standard input gave no password", WRONG_USAGE)
        return password
    if not sys.stdin.isatty():
        fail("nobody can be asked for the password; give it with --password-stdin", WRONG_USAGE)
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True))


def _done(json: bool, name: str, text: str) -> None:
    if json:
        print_json({"user": name, "done": text})
    else:
        print_line(f"{shown(name)}: {text}")


@app.command()
def add(
    name: NameArgument,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            help="A sender it may use: example.com, joe@example.com; several times.",
            metavar="PATTERN",
        ),
    ] = None,
    password_stdin: PasswordOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Add a user. Without --sender it may use any sender."""
    with failures_shown(), _store(config) as store:
        store.add(name, _password(password_stdin), tuple(sender or ()))
        _done(json, name, "added")


@app.command()
def password(
    name: NameArgument,
    password_stdin: PasswordOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Change a user's password."""
    with failures_shown(), _store(config) as store:
        _known(store, name)
        store.set_password(name, _password(password_stdin))
        _done(json, name, "password changed")


@app.command("list")
def list_users(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the users. Passwords are not stored, only what checks them; neither is shown."""
    with failures_shown(), _store(config) as store:
        users = store.users()
        if json:
            from waypost.faces.documents import time_text

            print_json(
                {
                    "users": [
                        {
                            "name": user.name,
                            "senders": list(user.senders),
                            "created": time_text(user.created_at),
                            "disabled": user.disabled,
                        }
                        for user in users
                    ]
                }
            )
        elif not users:
            print_line("no users; add one with `waypost user add NAME`")
        else:
            print_table(
                ("NAME", "SENDERS", "STATE"),
                [
                    (
                        shown(user.name),
                        shown(", ".join(user.senders) or "any"),
                        "disabled" if user.disabled else "enabled",
                    )
                    for user in users
                ],
            )


@app.command()
def remove(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Remove a user."""
    with failures_shown(), _store(config) as store:
        store.remove(name)
        _done(json, name, "removed")


@app.command()
def disable(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Refuse a user's logins until it is enabled again."""
    with failures_shown(), _store(config) as store:
        store.set_disabled(name, True)
        _done(json, name, "disabled")


@app.command()
def enable(name: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let a user log in again."""
    with failures_shown(), _store(config) as store:
        store.set_disabled(name, False)
        _done(json, name, "enabled")


def _known(store: CredentialStore, name: str) -> None:
    """Before anybody is asked for a password. Raises NoSuchUser."""
    if all(user.name != name for user in store.users()):
        from waypost.relay.credentials import NoSuchUser

        raise NoSuchUser(f"there is no user {name!r}")
