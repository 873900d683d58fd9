"""Content transfer encodings as lines that end in CRLF (RFC 2045 6.7, 6.8)."""

from __future__ import annotations

import binascii
import re
from typing import Final

LINE: Final = 76
"""Signs of an encoded line."""

_FROM: Final = re.compile(rb"^From ", re.MULTILINE)


def base64_lines(octets: bytes) -> bytes:
    """Base64 in lines of 76 signs."""
    signs = binascii.b2a_base64(octets, newline=False)
    lines = [signs[at : at + LINE] for at in range(0, len(signs), LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)


def quoted_printable(octets: bytes) -> bytes:
    """Text in CRLF lines as quoted-printable. A line that begins with "From " is written so that no
    mailbox file changes it (RFC 4155)."""
    quoted = binascii.b2a_qp(octets, istext=True)
    if b"\r\n" not in octets:
        quoted = quoted.replace(b"\n", b"\r\n")  # the encoder takes the line ends that it meets
    return _FROM.sub(b"=46rom ", quoted)
