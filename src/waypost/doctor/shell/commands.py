"""What can be typed: SMTP's commands, and the shell's own, which begin with a slash or a dot."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

from waypost.smtp.client_replies import REDACTED

IN_CLEAR: Final = "in-clear"
"""The word that lets a login go without TLS. It is no base64, so it cannot be a response."""


@dataclass(frozen=True, slots=True)
class Described:
    """A command with its form and its use."""

    form: str
    use: str


OWN: Final = {
    "help": Described("/help [COMMAND]", "this list, or one command"),
    "hello": Described("/hello [NAME]", "EHLO with this machine's name"),
    "tls": Described("/tls", "STARTTLS, the handshake and EHLO; under TLS: its facts"),
    "auth": Described(
        f"/auth [MECHANISM] [{IN_CLEAR}]", "ask for user and password, and log in with them"
    ),
    "raw": Described("/raw on|off", "send all as typed: no dot-stuffing, no help with AUTH"),
    "timing": Described("/timing", "how long each reply took"),
    "save": Described("/save FILE", "the transcript, without secrets, into a new file"),
    "reconnect": Described("/reconnect", "a new connection to the same server"),
    "quit": Described("/quit", "QUIT, and leave the shell"),
}  # fmt: skip
"""The shell's own commands."""

SMTP: Final = {
    "EHLO": Described("EHLO NAME", "greet, and learn what the server offers"),
    "HELO": Described("HELO NAME", "greet in the old way, without extensions"),
    "STARTTLS": Described("STARTTLS", "encrypt this connection; then greet again"),
    "AUTH": Described(f"AUTH MECHANISM [RESPONSE] [{IN_CLEAR}]", "log in"),
    "MAIL": Described("MAIL FROM:<ADDRESS> [PARAMETERS]", "begin a message from this sender"),
    "RCPT": Described("RCPT TO:<ADDRESS> [PARAMETERS]", "add a recipient"),
    "DATA": Described("DATA", "send the content: lines, and a lone dot as the last one"),
    "BDAT": Described(
        "BDAT [SIZE] [LAST]",
        "send the content as a chunk; without SIZE: lines up to a lone dot, and they are counted",
    ),
    "RSET": Described("RSET", "forget the message that was begun"),
    "NOOP": Described("NOOP", "a sign of life"),
    "VRFY": Described("VRFY ADDRESS", "ask whether an address exists; most servers do not say"),
    "EXPN": Described("EXPN LIST", "ask for the members of a list; most servers do not say"),
    "HELP": Described("HELP", "ask the server for help"),
    "QUIT": Described("QUIT", "end the connection, and leave the shell"),
}  # fmt: skip
"""SMTP's commands (RFC 5321 4.1.1 and extensions)."""


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """A command to the shell."""

    name: str
    """In lower case; it need not be one that there is."""
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A line for the server."""

    line: str
    verb: str
    """Its first word, in upper case."""
    words: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The line as it may be shown and kept: the response behind AUTH is not in it."""
        if self.verb == "AUTH" and len(self.words) > 2:
            return f"{self.words[0]} {self.words[1]} {REDACTED}"
        return self.line


def read_input(line: str) -> OwnCommand | Said:
    """What a line means that was typed where a command is due."""
    words = tuple(line.split())
    if words and words[0][0] in "/." and words[0] != ".":
        return OwnCommand(words[0][1:].lower(), words[1:])
    return Said(line, words[0].upper() if words else "", words)


def for_history(line: str) -> str:
    """A command as it may be offered again: without its secret."""
    said = read_input(line)
    if isinstance(said, Said) and said.verb == "AUTH":
        return " ".join(said.words[:2])
    return line


def resembling(name: str) -> str:
    """The shell's own command that was probably meant; "" for none."""
    near = difflib.get_close_matches(name[:40], OWN, 1, 0.5)
    return near[0] if near else ""
