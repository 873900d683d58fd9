"""Reads a message for people to look at: its fields, its text, its HTML, its attachments.

The content is a stranger's. Nothing here raises, whatever it is given; what cannot be understood is
text or left out. The work is bounded: `MAXIMUM_LOOKED_AT` bytes, `MAXIMUM_PARTS` parts,
`MAXIMUM_DEPTH` levels, `MAXIMUM_HEADER` bytes of each header. `cut` says that there was more.

The standard library's parser is not used: it builds every part of a message as an object, of any
number and depth, and copies their content each time.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from waypost.mail.encoded_words import decoded
from waypost.mail.headers import decoded_text
from waypost.mail.part_parameters import ParameterisedValue, file_name, parse_parameters

MAXIMUM_LOOKED_AT: Final = 32 << 20
MAXIMUM_PARTS: Final = 200
MAXIMUM_DEPTH: Final = 12
MAXIMUM_HEADER: Final = 256 << 10
"""Bytes of one header block."""
MAXIMUM_FIELDS: Final = 1000
MAXIMUM_FIELD: Final = 16 << 10
"""Bytes of one field that are kept."""

_FIELD: Final = re.compile(
    rb"([!-9;-~]++)[ \t]*+:[ \t]*+([^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*)(?:\r?\n)?"
)
_LINE: Final = re.compile(rb"[^\n]*+\n?")
_END: Final = re.compile(rb"\r?\n\r?\n")
_FOLD: Final = re.compile(rb"\r?\n")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
_META_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}?charset\s{0,4}=\s{0,4}[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE
)

Field = tuple[str, str]
"""Name as given, value unfolded and as it stands, letters that are no UTF-8 as escapes."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part without parts: what a reader sees, or an attachment."""

    number: int
    """Its place in the message, from 1."""
    kind: str
    """Its content type in lower case; "text/plain" where none is given."""
    charset: str
    name: str
    """The file name that it gives itself, safe to show and to save; "" for none."""
    content_id: str
    """Without angle brackets; "" for none."""
    disposition: str
    """inline, attachment, or what else was given; "" for none."""
    encoding: str
    start: int
    """Of its content, in the message."""
    end: int
    alternative: bool = False
    """It is one form of several of the same (multipart/alternative)."""

    @property
    def is_body(self) -> bool:
        """It is meant to be read with the message, and not saved from it."""
        return (
            self.kind in ("text/plain", "text/html")
            and self.disposition != "attachment"
            and not (self.name and self.disposition != "inline" and not self.alternative)
        )


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message, read."""

    content: bytes
    """As much as was looked at."""
    fields: tuple[Field, ...]
    body_start: int
    parts: tuple[Part, ...]
    cut: tuple[str, ...]
    """What was left out, in words; () when all of it is here."""

    def field(self, name: str) -> str | None:
        """The first field of a name (in lower case), raw; None where there is none."""
        return next((value for found, value in self.fields if found.lower() == name), None)

    def shown(self, name: str, maximum: int = 500) -> str:
        """The first field of a name with its encoded words decoded, on one line."""
        value = self.field(name)
        return "" if value is None else decoded_text(value, maximum)

    @property
    def html(self) -> Part | None:
        """The part in HTML that a reader shows."""
        return next((one for one in self.parts if one.is_body and one.kind == "text/html"), None)

    @property
    def text(self) -> Part | None:
        """The part in plain text that a reader shows."""
        return next((one for one in self.parts if one.is_body and one.kind == "text/plain"), None)

    @property
    def attachments(self) -> tuple[Part, ...]:
        """All that a reader offers to save: everything but the first text and the first HTML."""
        bodies = (self.html, self.text)
        return tuple(one for one in self.parts if one not in bodies)

    def part(self, number: int) -> Part | None:
        """A part by its number."""
        return self.parts[number - 1] if 0 < number <= len(self.parts) else None

    def with_content_id(self, content_id: str) -> Part | None:
        """The part that a cid: address names (RFC 2392)."""
        return next((one for one in self.parts if one.content_id == content_id != ""), None)

    def octets(self, part: Part, maximum: int = MAXIMUM_LOOKED_AT) -> bytes:
        """The content of a part without its transfer encoding; about `maximum` bytes at most."""
        if part.encoding == "base64":
            written = self.content[part.start : min(part.end, part.start + maximum * 3 // 2 + 8)]
            return _of_base64(written)[:maximum]
        if part.encoding == "quoted-printable":
            written = self.content[part.start : min(part.end, part.start + maximum * 3 + 8)]
            return binascii.a2b_qp(written)[:maximum]
        return self.content[part.start : min(part.end, part.start + maximum)]

    def size(self, part: Part) -> int:
        """Bytes of its content; about right for base64, without decoding it."""
        written = part.end - part.start
        if part.encoding == "base64":
            return max(0, (written - 2 * (written // 78)) * 3 // 4)
        return written

    def letters(self, part: Part, maximum: int) -> str:
        """The text of a part from at most `maximum` bytes, with LF between lines."""
        octets = self.octets(part, maximum)
        charset = part.charset
        if not charset and part.kind == "text/html":
            found = _META_CHARSET.search(octets, 0, 4096)
            charset = found[1].decode("ascii") if found is not None else ""
        text = decoded(octets, charset).removeprefix("\ufeff")
        return text.replace("\r\n", "\n").replace("\r", "\n")


def read_message(content: bytes) -> ReadMessage:
    """Read a message. Takes anything; see the module."""
    cut: list[str] = []
    if len(content) > MAXIMUM_LOOKED_AT:
        content = content[:MAXIMUM_LOOKED_AT]
        cut.append(f"only the first {MAXIMUM_LOOKED_AT >> 20} MiB were looked at")
    fields, start = _header(content, 0, len(content))
    walk = _Walk(content, cut)
    walk.read(fields, start)
    return ReadMessage(content, tuple(fields), start, tuple(walk.parts), tuple(cut))


@dataclass(slots=True)
class _Waiting:
    """A part that is still to be looked at."""

    fields: list[Field]
    start: int
    end: int
    depth: int
    alternative: bool
    default: str


class _Walk:
    """Goes through the parts in the order in which they stand, with a list and not by recursion."""

    def __init__(self, content: bytes, cut: list[str]) -> None:
        self.parts: list[Part] = []
        self._content = content
        self._cut = cut
        self._waiting: list[_Waiting] = []
        self._seen = 0

    def read(self, fields: list[Field], start: int) -> None:
        """All parts of a message."""
        self._waiting = [_Waiting(fields, start, len(self._content), 0, False, "text/plain")]
        while self._waiting:
            self._look_at(self._waiting.pop())

    def _look_at(self, one: _Waiting) -> None:
        content_type = parse_parameters(_value(one.fields, "content-type") or one.default)
        if content_type.value.startswith("multipart/"):
            if one.depth < MAXIMUM_DEPTH:
                inner = self._inner(one, content_type)
                if inner:
                    self._waiting += reversed(inner)
                    return
            else:
                self._note(f"parts more than {MAXIMUM_DEPTH} levels deep are shown as one")
        self._add(one, content_type)

    def _inner(self, one: _Waiting, content_type: ParameterisedValue) -> list[_Waiting]:
        boundary = content_type.get("boundary").encode("utf-8", "replace")[:200]
        alternative = one.alternative or content_type.value == "multipart/alternative"
        default = "message/rfc822" if content_type.value == "multipart/digest" else "text/plain"
        found: list[_Waiting] = []
        for start, end in _between(self._content, one.start, one.end, boundary):
            if self._seen >= MAXIMUM_PARTS:
                self._note(f"there are more than {MAXIMUM_PARTS} parts; further ones are left out")
                break
            self._seen += 1
            fields, body = _header(self._content, start, end)
            found.append(_Waiting(fields, body, end, one.depth + 1, alternative, default))
        return found

    def _add(self, one: _Waiting, content_type: ParameterisedValue) -> None:
        disposition = parse_parameters(_value(one.fields, "content-disposition"))
        kind = content_type.value
        if kind.count("/") != 1 or kind.startswith("multipart/"):
            kind = "text/plain"  # RFC 2045 5.2, and a multipart whose boundary never comes
        self.parts.append(
            Part(
                len(self.parts) + 1,
                kind[:100],
                content_type.get("charset")[:40],
                file_name(disposition, content_type),
                _value(one.fields, "content-id").strip().strip("<>")[:250],
                disposition.value[:40],
                _value(one.fields, "content-transfer-encoding").strip().lower()[:40],
                one.start,
                one.end,
                one.alternative,
            )
        )

    def _note(self, text: str) -> None:
        if text not in self._cut:
            self._cut.append(text)


def _header(content: bytes, start: int, end: int) -> tuple[list[Field], int]:
    """The fields of a header block and where the body begins.

    A block that does not begin with a field is none: all is body. A line within that is no field is
    left out, as mail programs do.
    """
    for empty in (b"\r\n", b"\n"):
        if content.startswith(empty, start, end):
            return [], start + len(empty)
    if _FIELD.match(content, start, min(end, start + 1000)) is None:
        return [], start
    ended = _END.search(content, start, min(end, start + MAXIMUM_HEADER))
    stop, body = (ended.start(), ended.end()) if ended else (min(end, start + MAXIMUM_HEADER),) * 2
    fields: list[Field] = []
    at = start
    while at < stop and len(fields) < MAXIMUM_FIELDS:
        found = _FIELD.match(content, at, stop)
        if found is None:
            line = _LINE.match(content, at, stop)
            assert line is not None, "the expression matches the empty string"
            at = max(line.end(), at + 1)
            continue
        value = _FOLD.sub(b"", found[2][:MAXIMUM_FIELD])
        name = found[1][:100].decode("ascii")
        fields.append((name, value.decode("utf-8", "backslashreplace").strip()))
        at = found.end()
    return fields, body


def _value(fields: list[Field], name: str) -> str:
    return next((value for found, value in fields if found.lower() == name), "")


def _between(content: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Where the content of each part begins and ends (RFC 2046 5.1.1); a missing last boundary is
    forgiven. The CRLF before a boundary belongs to the boundary."""
    if not boundary:
        return
    marker = b"--" + boundary
    begun = -1
    at = start
    while True:
        at = content.find(marker, at, end)
        if at < 0:
            break
        after = at + len(marker)
        if at != start and content[at - 1 : at] != b"\n":
            at = after
            continue
        line_end = content.find(b"\n", after, end)
        line_end = end if line_end < 0 else line_end
        rest = content[after : min(line_end, after + 100)].strip()
        if rest not in (b"", b"--"):
            at = after  # another boundary, of which this one is the beginning
            continue
        if begun >= 0:
            stop = at - 1 if content[at - 1 : at] == b"\n" else at
            yield begun, max(begun, stop - (content[stop - 1 : stop] == b"\r"))
        if rest == b"--":
            return
        begun = at = min(end, line_end + 1)
    if begun >= 0:
        yield begun, end


def _of_base64(written: bytes) -> bytes:
    """The octets; what is no sign of base64 is left out, and what follows padding ignored."""
    kept = _NOT_BASE64.sub(b"", written.partition(b"=")[0])
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))
