"""Replies: the three digits, the enhanced status code and the text (RFC 5321 4.2, RFC 3463).

`Reply` is what a server says. `ReplyParser` reads replies from the bytes of a peer, in any
fragmentation, and holds no more memory than its limits allow: a peer that never ends a line or a
reply is reported as `MalformedReply`, not buffered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from waypost.values import unguarded

MAXIMUM_LINE: Final = 4096
"""Bytes of one reply line. RFC 5321 4.5.3.1.5 says 512; large providers exceed it."""

MAXIMUM_LINES: Final = 256
"""Lines of one reply. An EHLO reply has some twenty."""

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?:[ \t]+|$)")
_REPLY_LINE = re.compile(rb"([2-5]\d\d)([ -]?)(.*)", re.DOTALL)


class MalformedReply(ValueError):
    """What the peer sent is not an SMTP reply; `evidence` holds the start of it."""

    def __init__(self, reason: str, evidence: bytes) -> None:
        self.reason = reason
        self.evidence = evidence[:200]
        super().__init__(f"{reason}: the peer sent {self.evidence!r}")


@unguarded
@dataclass(frozen=True, slots=True)
class EnhancedStatus:
    """An enhanced status code, class.subject.detail (RFC 3463)."""

    class_: int
    subject: int
    detail: int

    @classmethod
    def parse(cls, text: str) -> EnhancedStatus | None:
        """Read a code at the start of `text`; None where there is none."""
        found = _ENHANCED.match(text)
        if found is None:
            return None
        return cls(int(found[1]), int(found[2]), int(found[3]))

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


@unguarded
@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its code, its enhanced status if it has one, and its lines without either."""

    code: int
    lines: tuple[str, ...]
    enhanced: EnhancedStatus | None = None

    @property
    def text(self) -> str:
        """The lines as one text, joined by single spaces."""
        return " ".join(self.lines)

    @property
    def is_positive(self) -> bool:
        """2yz (done) or 3yz (go on)."""
        return 200 <= self.code < 400

    @property
    def is_temporary(self) -> bool:
        """4yz: the same command may succeed later."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5yz: the same command will fail again."""
        return 500 <= self.code < 600

    def encode(self) -> bytes:
        """The reply as it goes over the wire, each line with code and enhanced status."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        last = len(self.lines) - 1
        return "".join(
            f"{self.code}{' ' if number == last else '-'}{prefix}{line}\r\n"
            for number, line in enumerate(self.lines)
        ).encode("utf-8", "replace")

    def __str__(self) -> str:
        prefix = f"{self.enhanced} " if self.enhanced else ""
        return f"{self.code} {prefix}{self.text}"


def reply(code: int, enhanced: str | None, *lines: str) -> Reply:
    """Make a reply from its parts: `reply(250, "2.1.0", "Sender ok")`."""
    status = EnhancedStatus.parse(enhanced) if enhanced else None
    return Reply(code, lines or ("",), status)


class ReplyParser:
    """Turns the bytes of a peer into replies, however they are cut.

    A reply ends with a line whose fourth byte is not a hyphen. Lines are ended by LF; a CR before
    it is dropped, as servers that forget it exist. Text is UTF-8, with what is not kept as
    backslash escapes, so that a transcript shows what was received.
    """

    def __init__(
        self, maximum_line: int = MAXIMUM_LINE, maximum_lines: int = MAXIMUM_LINES
    ) -> None:
        self._maximum_line = maximum_line
        self._maximum_lines = maximum_lines
        self._rest = b""
        self._code = 0
        self._lines: list[str] = []
        self._enhanced: EnhancedStatus | None = None

    @property
    def pending(self) -> bytes:
        """Bytes received that do not make a whole line yet."""
        return self._rest

    @property
    def inside_reply(self) -> bool:
        """Whether the peer owes the rest of a reply."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """Take bytes, return the replies they complete.

        Raises MalformedReply where a line is no reply line, the code changes within a reply, or a
        line or reply is longer than the limits.
        """
        if self._rest:
            data = self._rest + data
        pieces = data.split(b"\n")
        self._rest = pieces.pop()
        if len(self._rest) > self._maximum_line:
            raise MalformedReply(f"a reply line exceeds {self._maximum_line} bytes", self._rest)
        complete: list[Reply] = []
        for piece in pieces:
            line = piece[:-1] if piece.endswith(b"\r") else piece
            if len(line) > self._maximum_line:
                raise MalformedReply(f"a reply line exceeds {self._maximum_line} bytes", line)
            found = _REPLY_LINE.fullmatch(line)
            if found is None or (not found[2] and found[3]):
                raise MalformedReply("not a reply line", line)
            code = int(found[1])
            if self._lines and code != self._code:
                raise MalformedReply(f"the code changed from {self._code} within a reply", line)
            if len(self._lines) >= self._maximum_lines:
                raise MalformedReply(f"a reply exceeds {self._maximum_lines} lines", line)
            self._take(code, found[3].decode("utf-8", "backslashreplace"))
            if found[2] != b"-":
                complete.append(Reply(code, tuple(self._lines), self._enhanced))
                self._lines.clear()
        return complete

    def _take(self, code: int, text: str) -> None:
        """Add a line; the enhanced status stands on each line, we keep the first (RFC 2034 4)."""
        found = _ENHANCED.match(text)
        if found is not None and code // 100 == int(found[1]):
            if not self._lines:
                self._enhanced = EnhancedStatus(int(found[1]), int(found[2]), int(found[3]))
            text = text[found.end() :]
        elif not self._lines:
            self._enhanced = None
        self._code = code
        self._lines.append(text)
