"""How a client reads: lines out of bytes, replies out of lines, with a memory for the usual ones.

One line is handed to the reply parser at a time, so that the replies before a malformed one count
and are told, however the peer's bytes were cut. A server answers MAIL, RCPT and DATA in the same
words all day; such a line is parsed once and known again afterwards. The memory is bounded in
entries and in bytes, and emptied when full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from waypost.smtp.reply import MalformedReply, Reply, ReplyParser

Record = Callable[[str, str], None]
"""Takes a direction, ">" sent or "<" received, and a line, or several joined by LF: commands that
are sent together, or whole replies of one line each that have come together."""

_REMEMBERED: Final = 64
"""Lines kept per connection."""

_MEMORABLE: Final = 128
"""Bytes of the longest line kept."""


_CHALLENGE: Final = b"334"
"""The reply that goes on with AUTH (RFC 4954 4)."""

REDACTED: Final = "[redacted]"
"""Stands in the record for what may hold a secret."""


def readable(line: bytes) -> str:
    """A line for the record: text, with control characters escaped so that it shows no tricks."""
    text = line.rstrip(b"\r").decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


class ReplyReader:
    """Reads the replies of one connection."""

    __slots__ = ("_inside", "_known", "_maximum_line", "_parser", "_record", "_texts", "rest")

    def __init__(self, maximum_line: int, maximum_lines: int, record: Record | None) -> None:
        self._parser = ReplyParser(maximum_line, maximum_lines)
        self._maximum_line = maximum_line
        self._record = record
        self._known: dict[bytes, Reply] = {}
        self._texts: dict[bytes, str] = {}
        """The same lines as they are recorded."""
        self._inside = False
        self.rest = b""
        """What was received of a line that has not ended."""

    def lines(self, data: bytes) -> list[bytes]:
        """Take bytes, return the lines they complete, without their LF."""
        if self.rest:
            data = self.rest + data
        lines = data.split(b"\n")
        self.rest = lines.pop()
        return lines

    def read_known(self, lines: list[bytes]) -> list[Reply] | None:
        """Take lines that are all known, each a whole reply, and nothing behind them; return the
        replies. None: they have to be taken one by one."""
        if self._inside or self.rest or not lines:
            return None
        replies = list(map(self._known.get, lines))
        if None in replies:
            return None
        if self._record is not None:
            self._record("<", "\n".join(map(self._texts.__getitem__, lines)))
        return cast("list[Reply]", replies)

    def read(self, line: bytes) -> Reply | None:
        """Take a line, return the reply that it completes. Raises MalformedReply."""
        if not self._inside:
            known = self._known.get(line)
            if known is not None:
                if self._record is not None:
                    self._record("<", self._texts[line])
                return known
        text = ""
        if self._record is not None:
            text = readable(line[: self._maximum_line])
            if line.startswith(_CHALLENGE) and len(text) > 4:
                # A challenge of SCRAM or CRAM-MD5 beside the response to it lets a reader try
                # passwords at leisure.
                text = f"{text[:4]}{REDACTED}"
            self._record("<", text)
        complete = self._parser.feed(line + b"\n")
        if not complete:
            self._inside = True
            return None
        if not self._inside and len(line) <= _MEMORABLE:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
                self._texts.clear()
            self._known[line] = complete[0]
            self._texts[line] = text
        self._inside = False
        return complete[0]

    def check_rest(self) -> None:
        """Raise MalformedReply where the line that has not ended is too long already."""
        # One byte more is borne, as it may be the CR of a line that just fits.
        if len(self.rest) > self._maximum_line + 1:
            raise MalformedReply(f"a reply line exceeds {self._maximum_line} bytes", self.rest)
