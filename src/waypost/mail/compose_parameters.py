"""Parameters of Content-Type and Content-Disposition with any value (RFC 2045 5.1, RFC 2231)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

_ROOM: Final = 60
"""Characters of a value on one line, so that its line has at most 78."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&+^_`{|}~.-]+")
_PRINTABLE: Final = re.compile(r"[ -~]*")


def parameter(name: str, value: str) -> str:
    """The parameter on a line of its own, behind what was written before: `;`, CRLF, space.

    A value beyond US-ASCII, or a long one, is written by RFC 2231, in as many pieces as it takes.
    """
    if len(value) <= _ROOM and _PRINTABLE.fullmatch(value):
        if not _TOKEN.fullmatch(value):
            value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f";\r\n {name}={value}"
    octets = quote(value, safe="!#$&+^`{|}", encoding="utf-8", errors="replace")
    pieces: list[str] = []
    at = 0
    while at < len(octets):
        end = min(at + _ROOM, len(octets))
        while octets[end - 1 : end] == "%" or octets[end - 2 : end - 1] == "%":
            end -= 1  # an octet stays in one piece
        pieces.append(octets[at:end])
        at = end
    if len(pieces) == 1:
        return f";\r\n {name}*=utf-8''{pieces[0]}"
    pieces[0] = f"utf-8''{pieces[0]}"
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))
