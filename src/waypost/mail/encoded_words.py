"""Encoded words (RFC 2047): how a header in US-ASCII carries other letters. Read only, for display.

What is malformed stays as it was written: a reader of a log wants to see the field, not an error.
"""

from __future__ import annotations

import binascii
import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final

# RFC 2047 2 allows 75 characters; writers that exceed it exist.
_ENCODED_WORD = re.compile(
    r"=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z-]{1,20})?\?([bBqQ])\?([^? \t\r\n]{0,2000})\?="
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")

# Controls, surrogates, and the signs that break a line or turn the direction of writing: a field
# is shown in terminals and lists beside others, and must not reach out of its place.
_NOT_DISPLAYABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)

# Only names from this list reach Python's search for codecs: it imports by that name, and remembers
# for ever each that it did not find. The second row has no alias, hence no entry in the first.
_CHARSETS: Final = frozenset(aliases) | frozenset(aliases.values()) | {
    "koi8_u", "koi8_t", "cp720", "cp737", "cp856", "cp874", "cp875", "cp1006", "utf_8_sig",
}  # fmt: skip

_MEANT: Final = {"iso-8859-1": "cp1252", "us-ascii": "utf-8", "ascii": "utf-8"}
"""What writers of these names mean, where it is more than what the name says."""


def displayable(text: str) -> str:
    """The text on one line, each run of signs that are not for display as one space."""
    return _NOT_DISPLAYABLE.sub(" ", text).strip()


def decode_encoded_words(text: str) -> str:
    """Decode each encoded word; white space between two of them goes (RFC 2047 6.2).

    A letter may be cut between two words of the same charset, against RFC 2047 5, so neighbours
    are decoded together.
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    at = 0
    charset, pending, written = "", b"", ""
    for found in _ENCODED_WORD.finditer(text):
        between = text[at : found.start()]
        if at and not between.strip(" \t\r\n"):
            between = ""
        if pending and (between or found[1].lower() != charset):
            pieces.append(_text(pending, charset, written))
            pending, written = b"", ""
        pieces.append(between)
        charset = found[1].lower()
        pending += _octets(found[2], found[3])
        written += found[0]
        at = found.end()
    if pending:
        pieces.append(_text(pending, charset, written))
    pieces.append(text[at:])
    return "".join(pieces)


def decoded(octets: bytes, charset: str) -> str:
    """The text of a part whose charset is given as its writer named it; never raises. Where the
    charset is unknown or wrong, as UTF-8 with marks for what is none."""
    text = _text(octets, charset.strip(" \t\"'").lower() or "utf-8", "\0")
    return octets.decode("utf-8", "replace") if text == "\0" else text


def _octets(encoding: str, content: str) -> bytes:
    """What the word carries; forgiving, as a decoder for people should be."""
    octets = content.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(octets, header=True)
    octets = _NOT_BASE64.sub(b"", octets)
    octets = octets[: len(octets) - (len(octets) % 4 == 1)]  # a lone sign carries no octet
    return binascii.a2b_base64(octets + b"=" * (-len(octets) % 4))


def _text(octets: bytes, charset: str, written: str) -> str:
    """The octets as text; as written where no such charset is known."""
    if charset not in _MEANT and normalize_encoding(charset) not in _CHARSETS:
        return written
    try:
        return octets.decode(_MEANT.get(charset, charset))
    except UnicodeError:
        return octets.decode("utf-8", "replace")
    except (LookupError, ValueError):
        return written  # a codec of Python's, but for no charset: base64, zlib
