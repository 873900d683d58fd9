"""Content that is typed line by line, in the forms that SMTP takes it.

DATA goes out as it is typed. A line that begins with a dot is stuffed, as a line of DATA must be
(RFC 5321 4.5.2): what is typed is the message, not its transport; whoever wants to see what a
server makes of a dot switches to raw. A chunk of BDAT (RFC 3030) is kept until it is whole, since
the server answers only then, and since it can be taken back until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

END: Final = b"."
"""The line that ends content which has no size."""

MAXIMUM_CHUNK: Final = 64 * 1024 * 1024
"""Bytes of one chunk, which is held in memory."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a line comes to."""

    send: bytes
    ended: bool
    note: str = ""
    """What is worth saying about it."""


class Content(Protocol):
    """Takes the lines of one content, each without its line end."""

    size: int
    """Bytes of the content so far, with line ends."""
    on_its_way: bool
    """Part of it has been sent, so only the end of the connection takes it back."""

    @property
    def prompt(self) -> str:
        """What is asked for."""

    def line(self, line: bytes) -> Piece:
        """Take a line."""


class DotContent:
    """DATA: lines up to a lone dot, which goes out too."""

    on_its_way = True
    prompt = "data> "

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw
        self.size = 0

    def line(self, line: bytes) -> Piece:
        """Take a line."""
        if line == END:
            return Piece(b".\r\n", ended=True)
        self.size += len(line) + 2
        stuffing = b"." if line.startswith(b".") and not self._raw else b""
        return Piece(stuffing + line + b"\r\n", ended=False)


class SizedChunk:
    """BDAT with a size: exactly so many bytes, a line end counted as two."""

    on_its_way = False

    def __init__(self, command: str, wanted: int) -> None:
        self._command = command
        self._wanted = wanted
        self._kept: list[bytes] = []
        self.size = 0

    @property
    def prompt(self) -> str:
        """How much is due."""
        return f"{self._wanted - self.size} bytes> "

    def line(self, line: bytes) -> Piece:
        """Take a line; what is too much of it is cut off."""
        whole = line + b"\r\n"
        fitting = whole[: self._wanted - self.size]
        self._kept.append(fitting)
        self.size += len(fitting)
        if self.size < self._wanted:
            return Piece(b"", ended=False)
        over = len(whole) - len(fitting)
        note = f"the last {over} bytes are more than the size and are not sent" if over else ""
        return Piece(f"{self._command}\r\n".encode() + b"".join(self._kept), ended=True, note=note)


class CountedChunk:
    """BDAT without a size: lines up to a lone dot, which is not part of them, as the last chunk."""

    on_its_way = False
    prompt = "data> "

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self.size = 0

    def line(self, line: bytes) -> Piece:
        """Take a line."""
        if line != END and self.size < MAXIMUM_CHUNK:
            self._kept.append(line + b"\r\n")
            self.size += len(line) + 2
            return Piece(b"", ended=False)
        command = f"BDAT {self.size} LAST"
        return Piece(
            f"{command}\r\n".encode() + b"".join(self._kept), ended=True, note=f"sent as {command}"
        )


def chunk(words: tuple[str, ...]) -> Content | str:
    """The content that a BDAT command asks for, or what is wrong with the command."""
    arguments = [word.upper() for word in words[1:]]
    last = arguments[-1:] == ["LAST"]
    sizes = arguments[:-1] if last else arguments
    if not sizes:
        return CountedChunk()
    if len(sizes) > 1 or not (sizes[0].isascii() and sizes[0].isdigit() and len(sizes[0]) < 20):
        return "BDAT wants a size and LAST, as in BDAT 120 LAST; or neither, then it is counted"
    size = int(sizes[0])
    if size > MAXIMUM_CHUNK:
        return f"a chunk typed here may have {MAXIMUM_CHUNK} bytes"
    return SizedChunk(" ".join(words), size)
