"""How a command ends when it cannot do what was asked: one message, one exit code, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import typer

CHECKED_BAD: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 69
TEMPORARY: Final = 75


class Failure(Exception):
    """What happened, the evidence, what to do next; `code` is the exit code."""

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)


def fail(text: str, code: int) -> NoReturn:
    """End the command."""
    raise Failure(text, code)


@contextmanager
def failures_shown() -> Iterator[None]:
    """Around a command: shows a failure on standard error and ends with its code."""
    from waypost.faces.control_client import Refused

    try:
        yield
    except (Failure, Refused) as failure:
        typer.echo(f"waypost: {failure}", err=True)
        raise typer.Exit(failure.code) from None
    except KeyboardInterrupt:
        typer.echo(err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise
    except OSError as fault:
        typer.echo(f"waypost: {fault}", err=True)
        raise typer.Exit(TEMPORARY) from None


def say(text: str) -> None:
    """A remark beside the result, on standard error."""
    print(text, file=sys.stderr)
