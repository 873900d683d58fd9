"""Where the lines of a shell come from and go to: a terminal with its line editor, or a pipe."""

from __future__ import annotations

import getpass
import shutil
import sys
import textwrap
import threading
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol

import typer

from waypost.doctor.shell.commands import for_history
from waypost.doctor.shell.completion import completions
from waypost.doctor.shell.entries import Entry
from waypost.doctor.shell.session import ShellSession
from waypost.faces.cli.failure import say

MAXIMUM_HISTORY: Final = 500
"""Lines that are kept from one session to the next."""

_MARKS: Final = {
    "sent": "> ", "received": "< ", "note": "* ", "explanation": "  = ", "trouble": "! ",
}  # fmt: skip
_BESIDE: Final = 36
"""Where words beside a line begin."""


class Reader(Protocol):
    """Who types, and who is shown."""

    def attend(self, session: ShellSession) -> None:
        """The session that this is for."""

    def show(self, entry: Entry) -> None:
        """Show an entry; called from the session's thread as well."""

    def line(self, prompt: str) -> str | None:
        """The next line; None at the end. Raises KeyboardInterrupt."""

    def login(self, secret: str) -> tuple[str, str] | None:
        """A user name and a secret; None at the end. Raises KeyboardInterrupt."""

    def remember(self, line: str, session: ShellSession) -> None:
        """Keep a line for later, without what is secret."""

    def leave(self) -> None:
        """The session is over."""


class Script:
    """A pipe or a file: prompts are off, and what is sent is shown."""

    def attend(self, session: ShellSession) -> None:
        """The session tells all that a script needs by itself."""

    def show(self, entry: Entry) -> None:
        """Print an entry."""
        line = f"{_MARKS[entry.kind]}{entry.text}"
        if entry.beside:
            line = f"{line:<{_BESIDE}} = {entry.beside}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def line(self, prompt: str) -> str | None:
        """The next line of standard input."""
        del prompt
        raw = sys.stdin.buffer.readline()
        if not raw:
            return None
        line = raw.decode("utf-8", "surrogateescape")
        return line.removesuffix("\n").removesuffix("\r")

    def login(self, secret: str) -> tuple[str, str] | None:
        """The two lines that follow the command."""
        user, password = self.line(""), self.line(secret)
        return None if user is None or password is None else (user, password)

    def remember(self, line: str, session: ShellSession) -> None:
        """A script has no history."""

    def leave(self) -> None:
        """Nothing is to be put back."""


class Terminal:
    """A person: a prompt, a line editor with completion and history, secrets without echo."""

    def __init__(self, history: Path | None) -> None:
        """`history` is the file for it; None: it is not kept."""
        self._history = history
        self._session: ShellSession | None = None
        self._prompt: str | None = None
        self._asking = False
        self._lock = threading.Lock()
        self._found: list[str] = []
        self._readline = _readline()

    def attend(self, session: ShellSession) -> None:
        """Complete what this session knows; bring the history."""
        self._session = session
        readline = self._readline
        if readline is None:
            return
        readline.set_auto_history(False)
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t")
        libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
        if self._history is None:
            return
        try:
            readline.read_history_file(self._history)
        except FileNotFoundError:
            return  # the first session
        except OSError as fault:
            say(f"waypost: the history cannot be read: {fault}")

    def show(self, entry: Entry) -> None:
        """Print an entry; around the line that is being typed, if there is one."""
        if entry.typed:
            return
        with self._lock:
            prompt = self._prompt
            if prompt is not None:
                sys.stdout.write("\r\x1b[K")
            for line in _for_terminal(entry):
                sys.stdout.write(f"{line}\n")
            if prompt is not None:
                if self._session is not None and not self._asking:
                    prompt = self._session.prompt
                typed = self._readline.get_line_buffer() if self._readline is not None else ""
                sys.stdout.write(f"{prompt}{typed}")
            sys.stdout.flush()

    def line(self, prompt: str) -> str | None:
        """Let a line be typed."""
        self._prompt = prompt
        try:
            return input(prompt)
        except EOFError:
            sys.stdout.write("\n")
            return None
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            raise
        finally:
            self._prompt = None

    def login(self, secret: str) -> tuple[str, str] | None:
        """Ask for both."""
        self._asking = True
        try:
            user = self.line("User name: ")
        finally:
            self._asking = False
        if not user:
            return None
        try:
            return user, getpass.getpass(f"{secret}: ")
        except EOFError:
            return None

    def remember(self, line: str, session: ShellSession) -> None:
        """Put a command into the history."""
        if self._readline is not None and session.takes_command and line.strip():
            self._readline.add_history(for_history(line))

    def leave(self) -> None:
        """Write the history."""
        readline = self._readline
        if readline is None:
            return
        readline.set_completer(None)
        if self._history is None:
            return
        try:
            self._history.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(MAXIMUM_HISTORY)
            readline.write_history_file(self._history)
            self._history.chmod(0o600)
        except OSError as fault:
            say(f"waypost: the history cannot be kept: {fault}")

    def _complete(self, word: str, number: int) -> str | None:
        """Called by the line editor until it gets None."""
        if number == 0:
            self._found = []
            session, readline = self._session, self._readline
            if session is not None and readline is not None and session.takes_command:
                before = readline.get_line_buffer()[: readline.get_begidx()]
                self._found = completions(before, word, session.situation)
        return self._found[number] if number < len(self._found) else None


def _readline() -> ModuleType | None:
    """The line editor, where Python has one."""
    try:
        import readline
    except ImportError:
        return None
    return readline


def _for_terminal(entry: Entry) -> list[str]:
    """An entry in lines, with a little colour."""
    line = f"{_MARKS[entry.kind]}{entry.text}"
    if entry.kind == "trouble":
        return [_styled(line, "red")]
    if entry.kind in ("explanation", "note"):
        width = max(40, shutil.get_terminal_size().columns)
        folded = textwrap.wrap(
            line, width, subsequent_indent="    ", break_long_words=False, drop_whitespace=False
        )
        return [_styled(one, None) for one in folded]
    if entry.beside:
        return [f"{line:<{_BESIDE}} {_styled(f'= {entry.beside}', None)}"]
    return [line]


def _styled(text: str, colour: str | None) -> str:
    return typer.style(text, fg=colour, dim=colour is None)
