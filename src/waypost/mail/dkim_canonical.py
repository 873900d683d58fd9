"""The canonical forms that DKIM hashes (RFC 6376 3.4), of a header field at once and of a body in
pieces.

Only relaxed is signed with: simple breaks when a server on the way folds a header line anew, and
gains nothing. Both are verified. The hash always covers the whole body: with a length (l=) anyone
could append to a signed message (RFC 6376 8.2).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Protocol

_SPACES: Final = re.compile(rb"[ \t]+")
_UNDECIDED: Final = re.compile(rb"[ \t]*\r?\Z")
_LONGEST_HELD: Final = 65536
"""Octets of a line that are waited for; further ones are hashed before its end is seen."""

_CRLF: Final = b"\r\n"
_FEW_CRLF: Final = _CRLF * 4096


def relaxed_field(name: bytes, value: bytes) -> bytes:
    """A field as it is hashed, without its CRLF. `value` as it stands behind the colon."""
    value = _SPACES.sub(b" ", value.replace(b"\r\n", b"")).strip(b" \t")
    return name.lower().rstrip(b" \t") + b":" + value


def canonical_field(raw: bytes, form: str) -> bytes:
    """A whole field, without its last CRLF, as it is hashed in the form "relaxed" or "simple"."""
    if form == "simple":
        return raw
    name, _, value = raw.partition(b":")
    return relaxed_field(name, value)


class BodyHash(Protocol):
    """SHA-256 of a body that comes in pieces."""

    def update(self, piece: bytes) -> None:
        """Take a piece, of CRLF lines."""

    def digest(self) -> bytes:
        """The hash, of a body that ends here. May be asked for once."""


class SimpleBodyHash:
    """In simple form: as it is, but for empty lines at the end; an empty body is one CRLF."""

    __slots__ = ("_empty", "_hash", "_held", "_something")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._held = b""
        self._empty = 0
        """Line ends that wait for more to come behind them."""
        self._something = False

    def update(self, piece: bytes) -> None:
        """Take a piece, of CRLF lines."""
        held = self._held + piece
        end = len(held)
        if held.endswith(b"\r"):
            end -= 1
        content = held[:end]
        self._held = held[end:]
        last = len(content)
        while content.endswith(_CRLF, 0, last):
            last -= 2
        if last:
            self._add(content[:last])
        self._empty += (len(content) - last) // 2

    def _add(self, content: bytes) -> None:
        while self._empty:
            few = min(self._empty, len(_FEW_CRLF) // 2)
            self._hash.update(_FEW_CRLF[: 2 * few])
            self._empty -= few
        self._hash.update(content)
        self._something = True

    def digest(self) -> bytes:
        """The hash, of a body that ends here."""
        if self._held:
            self._add(self._held)
            self._held = b""
        self._hash.update(_CRLF)
        return self._hash.digest()


class RelaxedBodyHash:
    """SHA-256 of a body in relaxed form, fed in pieces cut anywhere.

    Empty lines are counted, not kept, until a line follows that is not empty: those at the end do
    not count. So what is held is one line, of which at most 64 KiB.
    """

    __slots__ = ("_empty", "_hash", "_held", "_something")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._held = b""
        self._empty = 0  # line ends that wait for more to come behind them
        self._something = False

    def update(self, piece: bytes) -> None:
        """Take a piece, of CRLF lines."""
        held = self._held + piece
        end = held.rfind(_CRLF) + 2
        if end >= 2:
            self._lines(held[:end])
            held = held[end:]
        if len(held) > _LONGEST_HELD:
            held = self._part_of_line(held)
        self._held = held

    def digest(self) -> bytes:
        """The hash, of a body that ends here. A last line without a line end has one when it is
        sent, so it has one here. May be asked for once."""
        if self._held:
            self._lines(self._held + _CRLF)
            self._held = b""
        if self._something:
            self._hash.update(_CRLF)
        return self._hash.digest()

    def _lines(self, lines: bytes) -> None:
        """Whole lines."""
        if b"  " in lines or b"\t" in lines:
            lines = _SPACES.sub(b" ", lines)
        lines = lines.replace(b" \r\n", _CRLF)
        end = len(lines)
        while lines.endswith(_CRLF, 0, end):
            end -= 2
        if end:
            self._add(lines[:end])
        self._empty += (len(lines) - end) // 2

    def _part_of_line(self, held: bytes) -> bytes:
        """The beginning of a line without an end in sight; returns what is still undecided."""
        held = _SPACES.sub(b" ", held)
        found = _UNDECIDED.search(held, max(0, len(held) - 2))
        end = found.start() if found is not None else len(held)
        if held[:end]:
            self._add(held[:end])
        return held[end:]

    def _add(self, content: bytes) -> None:
        while self._empty:
            few = min(self._empty, len(_FEW_CRLF) // 2)
            self._hash.update(_FEW_CRLF[: 2 * few])
            self._empty -= few
        self._hash.update(content)
        self._something = True


def relaxed_body_hash(body: bytes) -> bytes:
    """The hash of a body that is in memory."""
    whole = RelaxedBodyHash()
    whole.update(body)
    return whole.digest()
