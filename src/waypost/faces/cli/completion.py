"""`waypost completion`: the script by which a shell completes commands and options."""

from __future__ import annotations

from typing import Annotated

import typer

from waypost.faces.cli.failure import WRONG_USAGE, fail, failures_shown

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def completion(
    shell: Annotated[
        str, typer.Argument(metavar="bash|zsh|fish", help="For which shell.", show_default=False)
    ],
) -> None:
    """Print the completions for a shell.

    bash: waypost completion bash > ~/.local/share/bash-completion/completions/waypost

    zsh: waypost completion zsh > a folder of $fpath, as _waypost

    fish: waypost completion fish > ~/.config/fish/completions/waypost.fish
    """
    with failures_shown():
        from waypost.faces.cli.command_tree import tree
        from waypost.faces.cli.completion_scripts import SHELLS

        script = SHELLS.get(shell)
        if script is None:
            fail(
                f"{shell[:40]!r} is no shell known here; shells are bash, zsh and fish", WRONG_USAGE
            )
        typer.echo(script(tree()), nl=False)
