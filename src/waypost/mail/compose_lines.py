"""Header fields as lines (RFC 5322 2.1.1, 2.2.3): folded at spaces, never within a word.

The standard library's folding makes encoded words of a word that is too long for a line, which
breaks every address in List-Unsubscribe and every identifier in References. What is US-ASCII is
folded here; what has other letters goes through the policy of the message.
"""

from __future__ import annotations

import re
from email.header import Header
from email.policy import Policy
from typing import Any, Final

from waypost.mail.compose_faults import InvalidMessage

MAXIMUM_LINE: Final = 998
"""Octets of a line without its CRLF (RFC 5322 2.1.1)."""

_FOLDED_LINE: Final = 78

_PLAIN: Final = re.compile(r"[\t -~]*(?:\r?\n[ \t]+[!-~][\t -~]*)*")
"""US-ASCII, with folds that leave no line of white space (RFC 5322 3.2.2)."""

_BREAK: Final = re.compile(r"[\r\n](?![ \t\n])|\r(?!\n)|\n[ \t]*(?:\n|\Z)|\x00")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_LINE_END_OCTETS: Final = re.compile(rb"\r\n|\r|\n")
_SPACES: Final = re.compile(r"[ \t]+")


def has_long_line(octets: bytes) -> bool:
    """Whether a line of CRLF lines is longer than a server has to take."""
    return len(octets) > MAXIMUM_LINE and max(map(len, octets.split(b"\r\n"))) > MAXIMUM_LINE


def field_line(name: str, value: Any, policy: Policy[Any]) -> bytes:
    """One field as it is written, folded, with its CRLF. Raises InvalidMessage."""
    text = value if isinstance(value, str) else str(value)
    if _PLAIN.fullmatch(text) and "=?" not in text:
        line = _kept(name, text)
        if len(line) <= MAXIMUM_LINE or not has_long_line(line):
            return line
    if type(value) is str and _BREAK.search(text):
        raise InvalidMessage(
            name,
            f"the value holds a line break or NUL: {text[:100]!a}",
            "a header field is one line: remove it, or refuse the input that brought it",
        )
    line = _LINE_END_OCTETS.sub(b"\r\n", policy.fold_binary(name, value))
    if name.lower() == "subject" and has_long_line(line):  # the old policy folds no word
        text = _LINE_END.sub("", text)
        encoded = Header(text, "utf-8", header_name=name).encode(linesep="\r\n")
        line = f"{name}: {encoded}\r\n".encode("ascii")
    if has_long_line(line):
        raise InvalidMessage(
            name,
            f"a word of the value is longer than {MAXIMUM_LINE} octets, so no line can hold it: "
            f"{text[:60]!a}...",
        )
    return line


def _kept(name: str, text: str) -> bytes:
    """A value in US-ASCII: folds that are there stay, longer lines are folded at spaces."""
    whole = f"{name}: {text}"
    if len(whole) <= _FOLDED_LINE and "\n" not in text:
        return f"{whole}\r\n".encode("ascii")
    lines: list[str] = []
    for line in _LINE_END.split(whole):
        lines += _folded(line) if len(line) > _FOLDED_LINE else [line]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _folded(line: str) -> list[str]:
    lines: list[str] = []
    start, last = 0, 0
    for space in _SPACES.finditer(line, 1):
        at = space.start()
        if at - start > _FOLDED_LINE and last > start:
            lines.append(line[start:last])
            start = last
        if space.end() < len(line) and line[start:at].strip(" \t") and not line[:at].endswith(":"):
            last = at
    if len(line) - start > _FOLDED_LINE and last > start:
        lines.append(line[start:last])
        start = last
    return [*lines, line[start:]]
