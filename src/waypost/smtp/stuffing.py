"""Content on its way out: CRLF lines, dot-stuffing and the final dot (RFC 5321 4.5.2, 2.3.8).

A CR or LF that stands alone is an end of line to some servers and not to others. Whoever passes
one on lets the author of a message decide where it ends: SMTP smuggling. So nothing here lets
such a byte through: it is refused with its position, or, on request, becomes CRLF.

`stuff_whole` takes a message that is in memory, `DotStuffer` one that comes in pieces; `LineEnds`
and `whole_lines` give the same care without the dots, for BDAT (RFC 3030). All work is done by
the searches of `bytes`, none byte by byte.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.smtp.framing import DOT_LINE, has_bare_line_end, normalise_line_ends

FINAL_DOT: Final = b".\r\n"

_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


class BareLineEnd(ValueError):
    """A CR or LF that stands alone at `position` (bytes from the start of the content)."""

    def __init__(self, position: int) -> None:
        self.position = position
        super().__init__(
            f"a CR or LF stands alone at byte {position} of the content; lines end in CRLF"
        )


def check_line_ends(content: bytes, offset: int = 0) -> None:
    """Raise BareLineEnd where a CR or LF stands alone. `content` is not cut between CR and LF."""
    if not has_bare_line_end(content):
        return
    found = _BARE.search(content)
    raise BareLineEnd(offset + (found.start() if found is not None else 0))


def whole_lines(content: bytes, *, normalise: bool = False) -> bytes:
    """`content` with its last line ended, ready for BDAT. Raises BareLineEnd."""
    if normalise:
        content = normalise_line_ends(content)
    else:
        check_line_ends(content)
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"


def stuff_whole(content: bytes, *, normalise: bool = False) -> bytes:
    """`content` as DATA wants it, up to and with the final dot. Raises BareLineEnd."""
    if normalise:
        content = normalise_line_ends(content)
    else:
        check_line_ends(content)
    if DOT_LINE.search(content) is not None:
        content = content.replace(b"\r\n.", b"\r\n..")
    ending = FINAL_DOT if content.endswith(b"\r\n") or not content else b"\r\n.\r\n"
    if content.startswith(b"."):
        return b"".join((b".", content, ending))
    return content + ending


class LineEnds:
    """Checks or mends the line ends of content that comes in pieces.

    A CR at the end of a piece is held back until the next one shows what follows it.
    """

    __slots__ = ("_held", "_normalise", "_passed", "at_line_start")

    def __init__(self, *, normalise: bool = False) -> None:
        self._normalise = normalise
        self._held = False
        self._passed = 0
        self.at_line_start = True
        """What was given out so far ends in CRLF, or is nothing."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece, return what can go out. Raises BareLineEnd."""
        if self._held:
            data = b"\r" + data
            self._held = False
        if data.endswith(b"\r"):
            self._held = True
            data = data[:-1]
        if not data:
            return b""
        if self._normalise:
            passed = normalise_line_ends(data)
        else:
            check_line_ends(data, self._passed)
            passed = data
        self._passed += len(data)
        self.at_line_start = passed.endswith(b"\r\n")
        return passed

    def finish(self) -> bytes:
        """No more comes: what ends the last line. Raises BareLineEnd for a CR held back."""
        if self._held:
            if not self._normalise:
                raise BareLineEnd(self._passed)
            self._held = False
        elif self.at_line_start:
            return b""
        self.at_line_start = True
        return b"\r\n"


class DotStuffer:
    """Dot-stuffs content that comes in pieces, cut anywhere."""

    __slots__ = ("_lines",)

    def __init__(self, *, normalise: bool = False) -> None:
        self._lines = LineEnds(normalise=normalise)

    def feed(self, data: bytes) -> bytes:
        """Take a piece, return what can go out. Raises BareLineEnd."""
        opens_line = self._lines.at_line_start
        passed = self._lines.feed(data)
        # A piece cannot end between CR and LF here, so CRLF "." is whole in it or opens it.
        stuffed = passed
        if DOT_LINE.search(passed) is not None:
            stuffed = passed.replace(b"\r\n.", b"\r\n..")
        return b"." + stuffed if opens_line and passed.startswith(b".") else stuffed

    def finish(self) -> bytes:
        """No more comes: what ends the last line, and the final dot. Raises BareLineEnd."""
        return self._lines.finish() + FINAL_DOT
