"""The command `waypost`: finds the command that was asked for and loads only that.

`waypost --help` must not load the server, so commands are named here with their one line and are
imported when they are called. Faults that a person can mend are shown without a traceback, with
the exit code of the command contract: 0 done, 1 the thing checked is bad, 2 wrong usage or
configuration, 69 unreachable, 75 temporary failure.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Final = {
    "serve": ("waypost.faces.cli.serve", "Accept mail, keep it, deliver it."),
    "send": ("waypost.faces.cli.send", "Send a message."),
    "check": ("waypost.faces.cli.check", "What is wrong with a server, and how to mend it."),
    "explain": ("waypost.faces.cli.explain", "What a code, reply, log line or bounce means."),
    "ping": ("waypost.faces.cli.ping", "How long a server takes, stage by stage."),
    "shell": ("waypost.faces.cli.shell", "Talk to a server by hand, with explanations."),
    "discover": ("waypost.faces.cli.discover", "Find the server to send over for an address."),
    "queue": ("waypost.faces.cli.queue", "See and steer the mail that waits."),
    "log": ("waypost.faces.cli.log", "What happened to each message, with its transcripts."),
    "verbosity": ("waypost.faces.cli.verbosity", "How much is kept of what servers say."),
    "suppress": ("waypost.faces.cli.suppress", "Addresses that nothing is sent to."),
    "user": ("waypost.faces.cli.user", "Who may log in to the relay."),
    "domain": ("waypost.faces.cli.domain", "Domains that mail is sent for: DKIM and DNS."),
    "operator": ("waypost.faces.cli.operator", "Who may open the web panel."),
    "key": ("waypost.faces.cli.key", "API keys, for programs."),
    "config": ("waypost.faces.cli.config_commands", "Check, show and begin a configuration."),
    "completion": ("waypost.faces.cli.completion", "Completions for bash, zsh and fish."),
}
"""Each module has a Typer application `app`."""

QUICK: Final = frozenset({"check", "ping"})
"""Commands of one function whose ordinary arguments are read without Typer's parser."""


class LazyGroup(TyperGroup):
    """Names all commands and imports one of them when it is called."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - the base's signature
        """In the order in which a newcomer needs them."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Of an unknown command, the one that was probably meant."""
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1, 0.5)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command {args[0]!r}; {meant}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:  # noqa: ARG002
        """The command itself where it is called, a mere name where it is only listed."""
        if cmd_name not in COMMANDS:
            return None
        module, line = COMMANDS[cmd_name]
        if not _is_called(cmd_name):
            return TyperCommand(cmd_name, help=line, short_help=line)
        command = typer.main.get_command(importlib.import_module(module).app)
        assert isinstance(command, TyperCommand | TyperGroup)
        command.name = cmd_name
        command.help = command.help or line
        return command


def _is_called(name: str) -> bool:
    return name in sys.argv[1:]


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"waypost {version('waypost')}")
        raise typer.Exit


@app.callback()
def waypost(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Mail from an application to the recipient's server, reliably, over SMTP."""


def _run_quickly(name: str, arguments: list[str]) -> None:
    """Run a command, and end the process; returns where Typer has to read the arguments."""
    from waypost.faces.cli.ordinary_arguments import NotOrdinary, call_with_ordinary

    (command,) = importlib.import_module(COMMANDS[name][0]).app.registered_commands
    try:
        code = call_with_ordinary(command.callback, arguments)
    except NotOrdinary:
        return
    sys.exit(code)


def run() -> None:
    """The entry point. Ends the process."""
    try:
        if sys.argv[1:2] == ["explain"]:
            # Typer builds every parameter with pydantic, whose import alone takes longer than an
            # answer may; the command reads its few arguments itself where they are as usual.
            from waypost.faces.cli.explain import explain_at_once

            explain_at_once(sys.argv[2:])
        if sys.argv[1:2] and sys.argv[1] in QUICK:
            _run_quickly(sys.argv[1], sys.argv[2:])
        app()
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone, as in `waypost log | head`
        sys.exit(0)
