"""Reads a message loosely: its fields, its parts, the message that it returns.

Bounce messages are written by programs of forty years, and many break MIME: boundaries that never
come, charsets that lie, parts without a header, lines ended by CR alone. So nothing here raises and
nothing is refused; what cannot be understood is text. The work is bounded: `MAXIMUM_SIZE` bytes
are looked at, `MAXIMUM_PARTS` parts, `MAXIMUM_DEPTH` levels.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.mail.encoded_words import decode_encoded_words, decoded

MAXIMUM_SIZE: Final = 1 << 20
"""Bytes of a message that are looked at: what was said stands before what is returned."""
MAXIMUM_PARTS: Final = 64
MAXIMUM_DEPTH: Final = 8
MAXIMUM_LINE: Final = 2000
"""Characters of a line that are looked at."""
MAXIMUM_FIELDS: Final = 400

_FIELD: Final = re.compile(r"([!-9;-~]{1,76})[ \t]{0,8}:(.*)")
_PARAMETER: Final = re.compile(
    r"""([\w*-]{1,40})\s{0,8}=\s{0,8}(?:"([^"]{0,500})"|([^\s;"]{1,500}))"""
)
_ENCLOSED: Final = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/global-headers",
)
_KNOWN: Final = frozenset(
    (
        "from", "to", "subject", "date", "received", "return-path", "message-id", "mime-version",
        "content-type", "delivered-to", "x-failed-recipients", "auto-submitted", "reply-to",
        "sender", "cc", "x-mailer", "precedence", "references", "in-reply-to", "errors-to",
        "content-transfer-encoding", "x-original-to", "importance", "thread-topic",
        "dkim-signature",
    )
)  # fmt: skip
"""Names that begin a message as mail programs show or save it."""
_TRACES: Final = frozenset(
    ("received", "x-received", "received-spf", "authentication-results", "dkim-signature")
)
"""Fields so long that they are wrapped where text is copied."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a header, in order: names in lower case, values unfolded."""

    all: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """The first of this name; "" where there is none."""
        return next((value for found, value in self.all if found == name), "")

    def every(self, name: str) -> list[str]:
        """All of this name."""
        return [value for found, value in self.all if found == name]

    def shown(self, name: str) -> str:
        """The first of this name with its encoded words decoded."""
        return decode_encoded_words(self.get(name))

    @property
    def content_type(self) -> str:
        """Type and subtype in lower case; "" where it is not given."""
        return self.get("content-type").partition(";")[0].strip().lower()

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type; "" where it is not given."""
        for found in _PARAMETER.finditer(self.get("content-type")[:4000]):
            if found[1].lower().rstrip("*") == name:
                return found[2] if found[2] is not None else found[3]
        return ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has no parts."""

    kind: str
    """Its content type; "text/plain" where none is given."""
    fields: Fields
    text: str
    """Its content, decoded, with "\\n" between lines."""


@dataclass(frozen=True, slots=True)
class Structure:
    """A message, read."""

    fields: Fields
    parts: tuple[Part, ...]


def as_text(raw: bytes | str) -> str:
    """The message as text of one character an octet, or as it is, with "\\n" between lines.

    Octets are kept apart (Latin-1), as each part names its own charset.
    """
    text = raw if isinstance(raw, str) else raw[:MAXIMUM_SIZE].decode("latin-1")
    text = text[:MAXIMUM_SIZE].replace("\r\n", "\n").replace("\r", "\n")
    return text.lstrip("\ufeff\n \t") if text[:1] in "\ufeff\n \t" else text


def read_structure(raw: bytes | str) -> Structure:
    """Read a message; a str is text that was pasted, and already decoded."""
    text = as_text(raw)
    if text.startswith("From ") and "\n" in text:
        text = text.partition("\n")[2]  # the envelope line of an mbox
    text = text.removeprefix("\ufeff")
    fields, body = split_header(text)
    reader = _Reader(pasted=isinstance(raw, str))
    reader.read(fields, body, 0)
    return Structure(fields, tuple(reader.parts))


def split_header(text: str) -> tuple[Fields, str]:
    """The fields at the start of a text, and the rest behind the empty line.

    A text that does not begin with a field has none.
    """
    if _FIELD.match(text) is None:
        return Fields(), text
    fields: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        if not line.strip():
            at = end + 1
            break
        if line[0] in " \t":
            if fields:
                name, value = fields[-1]
                if len(value) < 8 * MAXIMUM_LINE:
                    fields[-1] = (name, f"{value} {line.strip()[:MAXIMUM_LINE]}")
        else:
            found = _FIELD.match(line)
            if found is None:
                if fields and fields[-1][0] in _TRACES and _header_goes_on(text, end + 1):
                    at = end + 1  # a line of the field before that somebody's editor wrapped
                    continue
                break  # no header any more: a body without an empty line before it
            if len(fields) < MAXIMUM_FIELDS:
                fields.append((found[1].lower(), found[2].strip()[:MAXIMUM_LINE]))
        at = end + 1
    return Fields(tuple(fields)), text[at:]


def _header_goes_on(text: str, at: int) -> bool:
    """Whether the line there folds a field, or is one that only a header has."""
    line = text[at : at + 200].partition("\n")[0]
    found = _FIELD.match(line)
    if line[:1] in (" ", "\t"):
        return True
    return found is not None and found[1].lower() in (_KNOWN | _TRACES)


def looks_like_message(text: str) -> bool:
    """Whether a text begins as a message does, with a header of known fields."""
    if text.startswith("From "):
        text = text.partition("\n")[2]
    fields, _ = split_header(text[:20_000].lstrip("\ufeff\n \t"))
    known = {name for name, _ in fields.all} & _KNOWN
    return len(known) >= 2


class _Reader:
    """Walks the parts and decodes them."""

    def __init__(self, *, pasted: bool) -> None:
        self.parts: list[Part] = []
        self._pasted = pasted

    def read(self, fields: Fields, body: str, depth: int) -> None:
        """One part, with those in it."""
        if len(self.parts) >= MAXIMUM_PARTS:
            return
        kind = fields.content_type or "text/plain"
        if kind.startswith("multipart/") and depth < MAXIMUM_DEPTH:
            pieces = _pieces(body, fields.parameter("boundary"))
            if pieces:
                for inner, content in pieces:
                    self.read(inner, content, depth + 1)
                return
            kind = "text/plain"  # a multipart whose boundary never comes
        self.parts.append(Part(kind, fields, self._decoded(fields, body)))

    def _decoded(self, fields: Fields, body: str) -> str:
        """The content without its transfer encoding, in letters."""
        encoding = fields.get("content-transfer-encoding").strip().lower()
        charset = fields.parameter("charset")
        if encoding == "base64":
            return _lines(decoded(_of_base64(body), charset))
        octets = body.encode("utf-8" if self._pasted else "latin-1", "replace")
        if encoding == "quoted-printable":
            return _lines(decoded(binascii.a2b_qp(octets), charset))
        return body if self._pasted else _lines(decoded(octets, charset))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")


def _of_base64(body: str) -> bytes:
    """The octets; what is no sign of base64 is left out, and padding that ends early ignored."""
    written = _NOT_BASE64.sub(b"", body.partition("=")[0].encode("ascii", "replace"))
    written = written[: len(written) - (len(written) % 4 == 1)]
    return binascii.a2b_base64(written + b"=" * (-len(written) % 4))


def _pieces(body: str, boundary: str) -> Sequence[tuple[Fields, str]]:
    """The parts between the boundaries; a missing last one is forgiven.

    Where the boundary that the header names never comes, the first line that looks like one is
    taken: gateways rewrite headers and forget the body.
    """
    found = list(_between(body, boundary)) if boundary else []
    if not found:
        other = re.search(r"(?m)^--(\S[^\n]{0,80}?)[ \t]*\n(?=Content-[A-Za-z-]+:)", body)
        found = list(_between(body, other[1])) if other is not None else []
    return found


def _between(body: str, boundary: str) -> Iterator[tuple[Fields, str]]:
    marker = f"\n--{boundary}"
    text = f"\n{body}"
    at = text.find(marker)
    count = 0
    while at >= 0 and count < MAXIMUM_PARTS:
        end_of_line = text.find("\n", at + len(marker))
        tail = text[at + len(marker) : end_of_line if end_of_line >= 0 else len(text)]
        if tail.strip() == "--" or end_of_line < 0:
            return
        after = text.find(marker, at + len(marker))
        piece = text[end_of_line + 1 : after if after >= 0 else len(text)]
        if piece.strip():
            count += 1
            yield _part(piece)
        at = after


def _part(piece: str) -> tuple[Fields, str]:
    """Header and content of a part. One without a header begins with an empty line, but many
    writers forget it; then only a header that says something about content is one."""
    if piece.startswith("\n"):
        return Fields(), piece[1:]
    fields, content = split_header(piece)
    if any(name.startswith("content-") for name, _ in fields.all):
        return fields, content
    return Fields(), piece


def enclosed(part: Part) -> bool:
    """Whether the part is the returned message, or its header."""
    return part.kind in _ENCLOSED
