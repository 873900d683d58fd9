"""Message content on the wire: where it ends, and what stands inside (RFC 5321 4.1.1.4, 4.5.2).

Only CRLF "." CRLF ends DATA. A CR or LF that stands alone is an end of line for some programs and
not for others; that difference is SMTP smuggling (CVE-2023-51764 and its kin). So such bytes are
never taken for an end, and are either refused or turned into CRLF before anything passes them on.
"""

from __future__ import annotations

import re
from io import IncrementalNewlineDecoder
from typing import Final

END_OF_DATA: Final = b"\r\n.\r\n"

DOT_LINE: Final = re.compile(rb"\r\n\.")
"""A line that begins with a dot. As an expression: its search is twice as fast as that of bytes."""

_CRLF_ALONE: Final = (None, "\r\n")

_BARE_END = re.compile(rb"(?:(?<!\r)\n\.\r?\n|\r\n\.\n|\r\.\r)\Z")
_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")


def has_bare_line_end(content: bytes) -> bool:
    """Whether a CR or LF stands alone. `content` must not be cut between CR and LF."""
    # The decoder of text files tells which kinds of line ends it has met, in one pass: a third of
    # what counting and searching take.
    decoder = IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(content.decode("latin-1"), True)
    return decoder.newlines not in _CRLF_ALONE


def normalise_line_ends(content: bytes) -> bytes:
    """Every CR, LF or CRLF as CRLF. `content` must not be cut between CR and LF."""
    return _ANY_LINE_END.sub(b"\r\n", content)


class DataDecoder:
    """Takes the bytes after 354, gives the content without dot-stuffing, and finds its end.

    Holds back at most four bytes between calls: those that may be the start of the end.
    `bare_line_end` becomes True with the first CR or LF that stands alone; with `normalise` such
    bytes come out as CRLF, otherwise as they are, for the caller to refuse the message.
    """

    __slots__ = ("_held", "_normalise", "_seen", "_virtual", "bare_line_end", "looks_ended")

    def __init__(self, *, normalise: bool = False) -> None:
        # Content starts at the beginning of a line: as if CRLF had just been read. The two bytes
        # that never were are taken off again from the first output.
        self._held = b"\r\n"
        self._virtual = 2
        self._normalise = normalise
        self._seen = b""
        self.bare_line_end = False
        self.looks_ended = False
        """The last bytes look like an end to a program that takes bare LF or CR for one."""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take bytes; return content, and what followed the end, or None before the end."""
        new, data = data, self._held + data
        dot = DOT_LINE.search(data)
        end = -1 if dot is None else data.find(END_OF_DATA, dot.start())
        if end >= 0:
            raw = data[: end + 2]
            rest: bytes | None = data[end + 5 :]
        else:
            keep = _held_back(data)
            raw = data[: len(data) - keep] if keep else data
            self._held = data[len(data) - keep :] if keep else b""
            rest = None
        bare = has_bare_line_end(raw)
        if bare:
            self.bare_line_end = True
        if rest is None and self.bare_line_end:
            self._seen = (self._seen + new if self._seen else data)[-8:]
            self.looks_ended = _BARE_END.search(self._seen) is not None
        stuffed = dot is not None and dot.end() <= len(raw)
        content = raw.replace(b"\r\n.", b"\r\n") if stuffed else raw
        if bare and self._normalise:
            content = normalise_line_ends(content)
        if self._virtual and content:
            content = content[self._virtual :]
            self._virtual = 0
        return content, rest


def _held_back(data: bytes) -> int:
    """How many last bytes of `data` may begin the end of data: the longest of CRLF.CR and its
    beginnings that `data` ends with."""
    last = data[-1:]
    if last == b"\r":
        return 4 if data.endswith(b"\r\n.\r") else 1
    if last == b"\n":
        return 2 if data.endswith(b"\r\n") else 0
    if last == b"." and data.endswith(b"\r\n."):
        return 3
    return 0


class ChunkDecoder:
    """Takes the bytes of BDAT chunks (RFC 3030) and gives the content.

    Nothing is stuffed and nothing marks the end, so the only care is for a CR at the end of one
    piece whose LF opens the next.
    """

    __slots__ = ("_held", "_normalise", "bare_line_end")

    def __init__(self, *, normalise: bool = False) -> None:
        self._held = b""
        self._normalise = normalise
        self.bare_line_end = False

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """Take bytes, return content; `last` says that no more will come."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not last and data.endswith(b"\r"):
            self._held = b"\r"
            data = data[:-1]
        if has_bare_line_end(data):
            self.bare_line_end = True
            if self._normalise:
                return normalise_line_ends(data)
        return data
