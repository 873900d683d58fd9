"""`waypost shell`: talk to a server by hand, in a terminal or from a script.

The session lives in an event loop of its own thread, the terminal in the main one: so what the
server says unasked is shown at once, while a line is being typed, and Ctrl-C reaches whoever
waits.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

import typer

from waypost.doctor.shell.commands import OwnCommand, read_input
from waypost.doctor.shell.logins import LoginWanted
from waypost.doctor.shell.session import ShellSession
from waypost.faces.cli.dns_option import DnsOption
from waypost.faces.cli.failure import (
    CHECKED_BAD,
    UNREACHABLE,
    WRONG_USAGE,
    Failure,
    fail,
    failures_shown,
)
from waypost.faces.cli.relay import data_folder, own_name
from waypost.faces.cli.server_target import (
    AuthoritiesOption,
    InsecureOption,
    PasswordOption,
    TargetArgument,
    UserOption,
    named_target,
    real_world,
)
from waypost.faces.cli.shell_terminal import Reader, Script, Terminal

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Result = TypeVar("Result")

ENDING_SECONDS = 5.0
"""For the session to end when it was told to."""


@app.command()
def shell(
    target: TargetArgument,
    port: Annotated[
        int | None,
        typer.Argument(help="As telnet takes it.", metavar="[PORT]", min=1, max=65535),
    ] = None,
    user: UserOption = None,
    password_env: PasswordOption = None,
    ca_file: AuthoritiesOption = None,
    insecure: InsecureOption = False,
    dns: DnsOption = None,
    transcript: Annotated[
        Path | None,
        typer.Option(help="Keep what is said, without secrets, in a new file.", metavar="FILE"),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for each reply.", metavar="S")
    ] = 60.0,
) -> None:
    """Talk to an SMTP server by hand: as with telnet or openssl s_client, with explanations.

    STARTTLS and AUTH are done for you; /help lists what else there is. Commands may also come from
    a pipe. Then it ends with 0, or with 1 where the last reply but that to QUIT was a refusal or
    the connection was lost; in any case with 69 where no server was reached.
    """
    with failures_shown():
        if not 0 < timeout <= 3600:
            fail("--timeout is a number of seconds above 0, up to 3600", WRONG_USAGE)
        text = target if port is None else f"{target} {port}"
        named = named_target(text, user, password_env, insecure=insecure, ca_file=ca_file)
        hostname, data = own_name(), data_folder(None, os.environ)
        interactive = sys.stdin.isatty() and sys.stdout.isatty()
        with _opened(transcript) as file, _loop() as loop:
            reader: Reader = Script()
            if interactive:
                reader = Terminal(data / "shell_history" if data is not None else None)

            async def make() -> ShellSession:
                return ShellSession(
                    named.hop, named.place, hostname, real_world(dns),
                    reader.show, lambda: secrets.token_urlsafe(18),
                    seconds=timeout, script=not interactive,
                )  # fmt: skip

            session = loop.run(make())
            if file is not None:
                _follow(session, file)
            reader.attend(session)
            code = _converse(session, reader, loop, interactive=interactive)
    raise typer.Exit(code)


def _converse(session: ShellSession, reader: Reader, loop: _Loop, *, interactive: bool) -> int:
    """Connect, and take lines until there is an end of them; returns the exit code."""
    try:
        connected = loop.attempt(session.connect())
        if not connected and not session.connected:
            return UNREACHABLE
        while not session.over and (interactive or session.connected):
            try:
                line = reader.line(session.prompt)
            except KeyboardInterrupt:
                loop.attempt(session.interrupt())
                continue
            if line is None:
                loop.attempt(session.end_of_input())
                break
            reader.remember(line, session)
            _take(line, session, reader, loop)
    finally:
        loop.run(_close(session))
        reader.leave()
    if not session.reached:
        return UNREACHABLE
    return CHECKED_BAD if session.failed and not interactive else 0


def _take(line: str, session: ShellSession, reader: Reader, loop: _Loop) -> None:
    """One line, with the login that it may ask for."""
    given = read_input(line) if session.takes_command else None
    if isinstance(given, OwnCommand) and given.name == "save":
        _save(session, given.arguments)
        return
    wanted = loop.attempt(session.take(line))
    if not isinstance(wanted, LoginWanted):
        return
    try:
        login = reader.login(wanted.secret)
    except KeyboardInterrupt:
        login = None
    if login is None or not all(login):
        session.say("note", "no login was made")
        return
    loop.attempt(session.log_in(wanted, *login))


async def _close(session: ShellSession) -> None:
    session.close()


def _save(session: ShellSession, arguments: tuple[str, ...]) -> None:
    if len(arguments) != 1:
        session.say("trouble", "write /save FILE")
        return
    try:
        with _opened(Path(arguments[0])) as file:
            assert file is not None, "there is a path"
            file.write(session.transcript.text())
    except (Failure, OSError) as fault:
        session.say("trouble", str(fault))
    else:
        session.say("note", f"saved to {arguments[0]}")


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[str] | None]:
    """A new file for a transcript. Raises Failure."""
    if path is None:
        yield None
        return
    try:
        file = path.open("x", encoding="utf-8", errors="backslashreplace")
    except FileExistsError as fault:
        text = f"{path} is there already; name a new file for the transcript"
        raise Failure(text, WRONG_USAGE) from fault
    except OSError as fault:
        text = f"the transcript cannot be written to {path}: {fault.strerror}"
        raise Failure(text, WRONG_USAGE) from fault
    with file:
        path.chmod(0o600)
        yield file


def _follow(session: ShellSession, file: IO[str]) -> None:
    """Write the transcript as it grows, so that it is there whatever happens."""
    for line in session.transcript.lines:
        file.write(line + "\n")

    def write(line: str) -> None:
        file.write(line + "\n")
        file.flush()

    session.transcript.follow = write


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do something in the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def attempt(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """The same; Ctrl-C gives up the waiting, and only that."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            sys.stdout.write("\n")
            return None

    def end(self) -> None:
        """Stop the thread."""

        async def call_off() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=ENDING_SECONDS) if tasks else None

        self.run(call_off())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ENDING_SECONDS)
        self._loop.close()


@contextmanager
def _loop() -> Iterator[_Loop]:
    made = _Loop()
    try:
        yield made
    finally:
        made.end()
