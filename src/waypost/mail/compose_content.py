"""A message as the bytes that a server is given, without holding all of it.

`content_of` writes a message into a `ContentSource`: pieces of bytes, and attachments that are read
and encoded when their turn comes. The same bytes can be asked for again, so that a message can be
hashed for a signature, sent, and sent once more.

What differs from the standard library's generator, on purpose:

- Bcc is never written (RFC 5322 3.6.3).
- A field in US-ASCII is folded at spaces only, and a word too long for a line stays whole: the
  generator would make encoded words of a long address of List-Unsubscribe, which no mail program
  reads.
- A value with a line break that no fold is, or with a NUL, is refused, whoever set it.
- A body line beyond 998 octets (RFC 5322 2.1.1), or a NUL in a body, makes its part
  quoted-printable.
- Boundaries are made of the Message-ID, so the same message gives the same bytes.
"""

from __future__ import annotations

import copy
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.errors import MessageError
from email.generator import BytesGenerator
from email.message import Message
from email.policy import Policy
from typing import Any, Final, TypeAlias

from waypost.mail.compose_attachments import Attachment, FilePart
from waypost.mail.compose_encodings import base64_lines, quoted_printable
from waypost.mail.compose_faults import InvalidMessage
from waypost.mail.compose_lines import field_line, has_long_line
from waypost.smtp.framing import has_bare_line_end, normalise_line_ends

CHUNK: Final = 65536
"""Octets of a piece in memory that are given out at once."""

_NEVER_WRITTEN: Final = ("bcc", "resent-bcc")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_TYPE: Final = re.compile(r"\s*([A-Za-z0-9.+_-]+/[A-Za-z0-9.+_-]+)\s*(?:;|\Z)")

Part: TypeAlias = "Message[Any, Any]"


@dataclass(frozen=True, slots=True)
class ContentSource:
    """The content of a message in CRLF lines, header included, as often as it is asked for."""

    pieces: tuple[bytes | Attachment, ...]
    size: int = field(init=False)
    """Octets, as SIZE counts them: before dot-stuffing."""
    is_8bit: bool = field(init=False)
    """It has octets beyond US-ASCII: the server must offer 8BITMIME (RFC 6152)."""
    needs_smtputf8: bool = False
    """The header has UTF-8 in it (RFC 6532), because an address has no other form."""

    def __post_init__(self) -> None:
        size, seven = 0, True
        for piece in self.pieces:
            if isinstance(piece, bytes):
                size += len(piece)
                seven = seven and piece.isascii()
            else:
                size += piece.encoded_size
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "is_8bit", not seven)

    @classmethod
    def of_bytes(cls, content: bytes) -> ContentSource:
        """What is a message already, in CRLF lines."""
        header = content.partition(b"\r\n\r\n")[0]
        return cls((content,), needs_smtputf8=not header.isascii())

    @property
    def whole(self) -> bytes | None:
        """All of it where it is in memory; None where a file has to be read."""
        return self.pieces[0] if len(self.pieces) == 1 and _is_bytes(self.pieces[0]) else None  # type: ignore[return-value]

    @property
    def header(self) -> bytes:
        """The header block, with the CRLF of its last field, without the empty line; b"" where no
        empty line ends it."""
        first = self.pieces[0] if self.pieces and isinstance(self.pieces[0], bytes) else b""
        if first.startswith(b"\r\n"):
            return b""
        block, empty_line, _ = first.partition(b"\r\n\r\n")
        return block + b"\r\n" if empty_line else b""

    def body_chunks(self) -> Iterator[bytes]:
        """What is behind the empty line."""
        skip = len(self.header) + 2
        for chunk in self.chunks():
            if skip < len(chunk):
                yield chunk[skip:] if skip else chunk
            skip = max(0, skip - len(chunk))

    def chunks(self) -> Iterator[bytes]:
        """All of it, in blocks of about 64 KiB, or smaller ones.

        Raises OSError and InvalidMessage where an attachment cannot be read as it was: the
        transaction must not be ended as if it was complete.
        """
        for piece in self.pieces:
            if isinstance(piece, Attachment):
                yield from piece.encoded()
            elif len(piece) <= CHUNK:
                yield piece
            else:
                for at in range(0, len(piece), CHUNK):
                    yield piece[at : at + CHUNK]

    def read(self) -> bytes:
        """All of it in memory. Raises as `chunks` does."""
        whole = self.whole
        return whole if whole is not None else b"".join(self.chunks())

    def with_fields(self, fields: bytes) -> ContentSource:
        """The same behind more header fields, such as a signature; `fields` are CRLF lines."""
        if self.pieces and isinstance(self.pieces[0], bytes):
            return replace(self, pieces=(fields + self.pieces[0], *self.pieces[1:]))
        return replace(self, pieces=(fields, *self.pieces))


def _is_bytes(piece: object) -> bool:
    return isinstance(piece, bytes)


def content_of(message: Part, *, seven_bit: bool = False) -> ContentSource:
    """Write a message. With `seven_bit` a body in 8bit is encoded, for a server without 8BITMIME;
    that breaks a signature made before.

    The message is not changed. Raises InvalidMessage.
    """
    seed = raw_field(message, "message-id") or "no identifier"
    policy = message.policy.clone(linesep="\r\n", cte_type="7bit" if seven_bit else "8bit")
    writer = _Writer(seed, policy)
    try:
        writer.write(message, outermost=True)
    except (UnicodeError, MessageError, LookupError) as fault:
        raise InvalidMessage("message", f"it cannot be written: {fault}") from fault
    pieces = writer.joined()
    source = ContentSource(pieces)
    return source if source.header.isascii() else replace(source, needs_smtputf8=True)


class _Writer:
    """Walks the parts of one message and collects pieces."""

    def __init__(self, seed: str, policy: Policy[Any]) -> None:
        self._seed = seed
        self._policy = policy
        self._boundaries = 0
        self._pieces: list[bytes | Attachment] = []

    def joined(self) -> tuple[bytes | Attachment, ...]:
        """The pieces, neighbours in memory as one."""
        joined: list[bytes | Attachment] = []
        run: list[bytes] = []
        for piece in self._pieces:
            if isinstance(piece, bytes):
                run.append(piece)
                continue
            if run:
                joined.append(b"".join(run))
                run = []
            joined.append(piece)
        if run:
            joined.append(b"".join(run))
        return tuple(joined)

    def write(self, part: Part, *, outermost: bool = False) -> None:
        """One part with its header."""
        kind = content_type(part)
        payload = _kept_payload(part)
        if isinstance(part, FilePart) and part.source is not None:
            self._header(part, outermost=outermost)
            self._pieces.append(part.source)
        elif isinstance(part, FilePart) or not isinstance(payload, list):
            self._leaf(part, outermost=outermost)
        elif kind.startswith("multipart/") and kind != "multipart/signed":
            self._multipart(part, payload, outermost=outermost)
        elif kind == "message/rfc822" and len(payload) == 1:
            self._header(part, outermost=outermost)
            self.write(payload[0])
        else:
            self._by_the_library(part, outermost=outermost)

    def _header(
        self, part: Part, *, outermost: bool, changed: dict[str, str] | None = None
    ) -> None:
        lines: list[bytes] = []
        left = dict(changed or {})
        for name, value in part.raw_items():
            folded = name.lower()
            if outermost and folded in _NEVER_WRITTEN:
                continue
            if folded in left:
                lines.append(f"{name}: {left.pop(folded)}\r\n".encode("ascii"))
            elif changed is None or folded not in changed:
                lines.append(field_line(name, value, self._policy))
        lines += [f"{name.title()}: {value}\r\n".encode("ascii") for name, value in left.items()]
        lines.append(b"\r\n")
        self._pieces.append(b"".join(lines))

    def _leaf(self, part: Part, *, outermost: bool) -> None:
        payload = _kept_payload(part)
        if payload is None:
            payload = ""
        if not isinstance(payload, str):
            self._by_the_library(part, outermost=outermost)
            return
        try:
            octets = payload.encode("ascii", "surrogateescape")
        except UnicodeEncodeError as fault:
            raise InvalidMessage(
                "message",
                f"a {part.get_content_type()} part holds letters beyond US-ASCII and is not "
                "encoded",
                "use EmailMessage.set_content, or set_payload with charset='utf-8'",
            ) from fault
        if b"\r" not in octets:
            octets = octets.replace(b"\n", b"\r\n")
        elif has_bare_line_end(octets):
            octets = normalise_line_ends(octets)
        if self._must_encode(octets) and _is_unencoded(part):
            is_text = content_type(part).startswith("text/")
            encoding = "quoted-printable" if is_text else "base64"
            octets = quoted_printable(octets) if is_text else base64_lines(octets)
            changed = {"content-transfer-encoding": encoding}
            if outermost:
                changed["mime-version"] = "1.0"
            self._header(part, outermost=outermost, changed=changed)
        else:
            self._header(part, outermost=outermost)
            if self._policy.cte_type == "7bit" and not octets.isascii():
                octets = _mended(part, octets)
        self._pieces.append(octets)

    def _must_encode(self, octets: bytes) -> bool:
        """A line is too long, there is a NUL, or 8 bits where only 7 may be (RFC 5322 2.1, 2.3)."""
        if self._policy.cte_type == "7bit" and not octets.isascii():
            return True
        return b"\0" in octets or has_long_line(octets)

    def _multipart(self, part: Part, children: list[Part], *, outermost: bool) -> None:
        outer = self._pieces
        self._pieces = []
        written: list[list[bytes | Attachment]] = []
        for child in children:
            self.write(child)
            written.append(self._pieces)
            self._pieces = []
        self._pieces = outer
        told = raw_field(part, "content-type")
        boundary = part.get_boundary() if "boundary" in told.lower() else None
        if boundary is None:
            boundary = self._boundary(written)
            changed = {"content-type": f'{told};\r\n boundary="{boundary}"'}
            self._header(part, outermost=outermost, changed=changed)
        else:
            self._header(part, outermost=outermost)
        mark = b"--" + boundary.encode("ascii", "surrogateescape")
        if part.preamble is not None:
            self._pieces.append(self._beside(part.preamble) + b"\r\n")
        for pieces in written:
            self._pieces += [mark + b"\r\n", *pieces, b"\r\n"]
        if not written:
            self._pieces.append(mark + b"\r\n\r\n")
        self._pieces.append(mark + b"--\r\n")
        if part.epilogue is not None:
            self._pieces.append(self._beside(part.epilogue))

    def _beside(self, text: str) -> bytes:
        """What stands before the first boundary or behind the last. Nobody reads it (RFC 2046
        5.1.1), and it has no encoding: where only 7 bits may go, octets beyond give way."""
        octets = _crlf(text)
        return _mask_8bit(octets) if self._policy.cte_type == "7bit" else octets

    def _boundary(self, written: list[list[bytes | Attachment]]) -> str:
        """One that no part holds. "=_" is in neither base64 nor quoted-printable (RFC 2045 6.7)."""
        while True:
            self._boundaries += 1
            seed = f"{self._boundaries} {self._seed}".encode("utf-8", "surrogateescape")
            boundary = f"=_waypost_{hashlib.sha256(seed).hexdigest()[:24]}"
            mark = boundary.encode()
            if not any(isinstance(one, bytes) and mark in one for part in written for one in part):
                return boundary

    def _by_the_library(self, part: Part, *, outermost: bool) -> None:
        """What is signed or out of the ordinary, as the standard library writes it, under a header
        of ours. It may set a boundary, and must not do so in the caller's message."""
        part = copy.copy(part)
        del part["X-Waypost-None"]  # gives the copy a list of fields of its own
        written = io.BytesIO()
        BytesGenerator(written, mangle_from_=False, policy=self._policy).flatten(part)
        content = written.getvalue()
        end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n") + 2
        self._header(part, outermost=outermost)
        self._pieces.append(content[end + 2 :])


def raw_field(part: Part, name: str) -> str:
    """The value of the first field of this name (in lower case) as it is kept: reading it by the
    library's way parses it, which takes longer than to write all of an ordinary message."""
    return next((str(value) for one, value in part.raw_items() if one.lower() == name), "")


def content_type(part: Part) -> str:
    """The type of a part, such as multipart/mixed, in lower case."""
    found = _TYPE.match(raw_field(part, "content-type"))
    return found[1].lower() if found is not None else part.get_content_type()


def _kept_payload(part: Part) -> Any:
    """The payload as the library's own generator takes it. `get_payload` would decode a text in
    8bit, and parses a field on the way."""
    return part._payload  # type: ignore[attr-defined]


def _is_unencoded(part: Part) -> bool:
    encoding = raw_field(part, "content-transfer-encoding").strip().lower()
    return encoding in ("", "7bit", "8bit", "binary")


def _mended(part: Part, octets: bytes) -> bytes:
    """An encoded part with octets that no encoding makes: base64 ignores them (RFC 2045 6.8), and
    quoted-printable can say them."""
    if raw_field(part, "content-transfer-encoding").strip().lower() == "quoted-printable":
        return _BEYOND_ASCII.sub(lambda found: b"=%02X" % found[0][0], octets)
    return _BEYOND_ASCII.sub(b"", octets)


_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")


def _mask_8bit(octets: bytes) -> bytes:
    return octets.decode("ascii", "replace").replace("\ufffd", "?").encode("ascii")


def _crlf(text: str) -> bytes:
    return _LINE_END.sub("\r\n", text).encode("ascii", "surrogateescape")
