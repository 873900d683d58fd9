"""Attachments: content of a path, bytes or an open file, read when the message is written.

A path is opened anew each time that the content is needed, so that a message can be signed, sent,
and sent again, while no more than one block of it is in memory. An open file is read from where it
stood when it was attached, and must stay open (and be able to seek) until the message is sent; one
that cannot seek is read at once.

The name that the recipient sees holds no folder, control character or sign that some system gives
a meaning to, whatever it was called here.
"""

from __future__ import annotations

import codecs
import io
import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Final, Protocol, TypeAlias, cast, runtime_checkable

from waypost.mail.compose_encodings import LINE, base64_lines
from waypost.mail.compose_faults import InvalidMessage
from waypost.mail.compose_parameters import parameter

BLOCK: Final = 57 * 1150
"""Octets that are read at once: whole lines of base64 (57 octets are 76 signs), about 64 KiB."""

_MAXIMUM_NAME: Final = 200

_NOT_IN_NAMES: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff"
    r'<>:"|?*]+'
)
_ENDS: Final = re.compile(r"\A[\s.]+|[\s.]+\Z")
_KIND: Final = re.compile(r"([A-Za-z0-9!#$&^_.+-]{1,60})/([A-Za-z0-9!#$&^_.+-]{1,60})")

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_MORE_TYPES: Final = {
    ".docx": _OFFICE + "wordprocessingml.document",
    ".xlsx": _OFFICE + "spreadsheetml.sheet",
    ".pptx": _OFFICE + "presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".md": "text/markdown",
    ".ics": "text/calendar",
    ".vcf": "text/vcard",
    ".csv": "text/csv",
    ".json": "application/json",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".zst": "application/zstd",
    ".7z": "application/x-7z-compressed",
    ".log": "text/plain",
    ".p7s": "application/pkcs7-signature",
}
"""What Python's own table lacks, in some version; registered with IANA
(iana.org/assignments/media-types)."""

_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png", ".png"),
    (b"\xff\xd8\xff", "image/jpeg", ".jpg"),
    (b"GIF87a", "image/gif", ".gif"),
    (b"GIF89a", "image/gif", ".gif"),
    (b"%PDF-", "application/pdf", ".pdf"),
    (b"PK\x03\x04", "application/zip", ".zip"),
    (b"\x1f\x8b\x08", "application/gzip", ".gz"),
)
"""How files begin, by their own specifications: PNG 5.2, JPEG (ITU-T T.81 B.1), GIF89a, PDF
(ISO 32000 7.5.2), ZIP (APPNOTE 4.3.7), gzip (RFC 1952 2.3)."""

_HEAD: Final = 4096
"""Octets of a content that its type is read from."""


@runtime_checkable
class ReadableFile(Protocol):
    """An open binary file."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message: its name, its type (`image/png`), its size in bytes, and how to open
    it. `bytes_of`, `path_of`, `file_of` and `attachment` make one."""

    name: str
    type: str
    size: int
    open: Callable[[], BinaryIO] = field(repr=False)
    charset: str = ""

    def __deepcopy__(self, _memo: object) -> Attachment:
        return self  # an open file cannot be copied, and nothing here changes

    @property
    def encoded_size(self) -> int:
        """Octets in base64, with the CRLF of each line."""
        signs = (self.size + 2) // 3 * 4
        return signs + (signs + LINE - 1) // LINE * 2

    def encoded(self) -> Iterator[bytes]:
        """The content in base64, in blocks of whole lines.

        Raises InvalidMessage where the content is not as long as it was when it was attached: SIZE
        was told to the server by then, and half a file is worse than none. Raises OSError.
        """
        left = self.size
        with self.open() as content:
            while left:
                block = _read_whole(content, min(BLOCK, left))
                left -= len(block)
                if len(block) < BLOCK and left:
                    raise self._changed()
                yield base64_lines(block)
            if content.read(1):
                raise self._changed()

    def read(self) -> bytes:
        """The whole content. Raises OSError."""
        with self.open() as content:
            return content.read()

    def _changed(self) -> InvalidMessage:
        return InvalidMessage(
            "attachments",
            f"{self.name} is no longer {self.size} bytes long, as it was when it was attached",
            "attach a file that nobody writes to, such as a copy",
        )


AttachmentLike: TypeAlias = (
    str
    | os.PathLike[str]
    | ReadableFile
    | Attachment
    | tuple[str, str | bytes | os.PathLike[str] | ReadableFile]
    | tuple[str, str | bytes | os.PathLike[str] | ReadableFile, str]
)
"""A path; an open binary file; (name, content) or (name, content, type), with the content as bytes,
text, a path or a file; or what `attachment` made."""


def attachment(
    given: object, *, name: str | None = None, kind: str | None = None, field: str = "attachments"
) -> Attachment:
    """An attachment of what a caller gives: a path, (name, bytes), (name, bytes, type), an open
    binary file, or one that is made already.

    `name` and `kind` say what the content does not. The type is found by the name, and by the first
    bytes where that tells nothing. Raises InvalidMessage, and OSError for a path that cannot be
    read.
    """
    if isinstance(given, Attachment):
        return given
    if isinstance(given, tuple):
        if not 2 <= len(given) <= 3 or not isinstance(given[0], str):
            raise InvalidMessage(field, "a tuple is (name, content) or (name, content, type)")
        told = given[2] if len(given) == 3 else kind
        return attachment(given[1], name=given[0], kind=told, field=field)
    if isinstance(given, str) and name is not None and not isinstance(given, PurePath):
        return bytes_of(given.encode(), name=name, kind=kind, field=field)
    if isinstance(given, str | os.PathLike):
        return path_of(Path(given), name=name, kind=kind, field=field)
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes_of(bytes(given), name=name or "", kind=kind, field=field)
    if isinstance(given, ReadableFile):
        return file_of(given, name=name, kind=kind, field=field)
    raise InvalidMessage(
        field,
        f"{type(given).__name__} is nothing that can be attached",
        "give a path, an open binary file, or (name, bytes)",
    )


def bytes_of(
    content: bytes, *, name: str, kind: str | None = None, field: str = "attachments"
) -> Attachment:
    """Bytes in memory as an attachment. Raises InvalidMessage."""
    return _made(content[:_HEAD], len(content), lambda: io.BytesIO(content), name, kind, field)


def path_of(
    path: Path, *, name: str | None = None, kind: str | None = None, field: str = "attachments"
) -> Attachment:
    """A file on disk as an attachment; it is opened again for each writing. Raises InvalidMessage,
    and OSError."""
    if path.is_dir():
        raise InvalidMessage(field, f"{path} is a folder", "pack it, or attach its files")
    with path.open("rb") as content:
        head = content.read(_HEAD)
        size = content.seek(0, io.SEEK_END)
    path = path.absolute()  # the working folder may change before the message is written
    return _made(head, size, lambda: path.open("rb"), name or path.name, kind, field)


def file_of(
    content: ReadableFile,
    *,
    name: str | None = None,
    kind: str | None = None,
    field: str = "attachments",
) -> Attachment:
    """What is left of an open binary file as an attachment. Raises InvalidMessage, OSError."""
    if name is None:
        own = getattr(content, "name", "")
        name = PurePath(own).name if isinstance(own, str) else ""
    seekable = getattr(content, "seekable", None)
    if seekable is None or not seekable():
        octets = content.read()
        if not isinstance(octets, bytes):
            raise _opened_as_text(name, field)
        return bytes_of(octets, name=name, kind=kind, field=field)
    opened = cast("BinaryIO", content)
    start = opened.tell()
    head = opened.read(_HEAD)
    if not isinstance(head, bytes):
        raise _opened_as_text(name, field)
    size = opened.seek(0, io.SEEK_END) - start
    opened.seek(start)

    def again() -> BinaryIO:
        if opened.closed:
            raise InvalidMessage(
                field,
                f"{name or 'the file'} was closed before the message was sent",
                "keep it open until then, or give its path",
            )
        return cast("BinaryIO", _Borrowed(opened, start))

    return _made(head, size, again, name, kind, field)


@cache
def _types() -> mimetypes.MimeTypes:
    """Only what Python brings, and the above: what the tables of one machine have must not decide
    what a recipient can open."""
    types = mimetypes.MimeTypes()
    for ending, kind in _MORE_TYPES.items():
        types.add_type(kind, ending)
    return types


def safe_name(name: str) -> str:
    """A file name without folders, control characters and signs with a meaning, at most 200
    characters, its ending kept."""
    name = re.split(r"[/\\]", name)[-1]
    name = _ENDS.sub("", _NOT_IN_NAMES.sub("_", _ENDS.sub("", name)))
    if len(name) > _MAXIMUM_NAME:
        ending = PurePath(name).suffix[:20]
        name = name[: _MAXIMUM_NAME - len(ending)] + ending
    return name


class FilePart(EmailMessage):
    """A part whose content is read only when it is asked for.

    It is an EmailMessage like any other: `get_content`, `as_bytes` and the like read the file.
    `waypost.mail.compose_content` writes it without reading all of it at once.
    """

    def __init__(self, source: Attachment, disposition: str, content_id: str = "") -> None:
        super().__init__(policy=SMTP)
        super().set_payload("")  # the library's generator asks no further where there is none
        self.source: Attachment | None = source
        charset = f'; charset="{source.charset}"' if source.charset else ""
        self.set_raw("Content-Type", source.type + charset)
        self.set_raw("Content-Transfer-Encoding", "base64")
        named = parameter("filename", source.name) if source.name else ""
        self.set_raw("Content-Disposition", disposition + named)
        if content_id:
            self.set_raw("Content-ID", f"<{content_id}>")

    def get_payload(self, i: Any = None, decode: Any = False) -> Any:
        """The content: in base64, or the bytes with `decode`. Raises OSError, InvalidMessage."""
        if self.source is None:
            return super().get_payload(i, decode)
        if decode:
            return self.source.read()
        return b"".join(self.source.encoded()).decode("ascii")

    def set_payload(self, payload: Any, charset: Any = None) -> None:
        """Replace the content."""
        self.source = None
        super().set_payload(payload, charset)


class _Borrowed(io.RawIOBase):
    """An open file of the caller's, from where it stood; closing it leaves his open, and there."""

    def __init__(self, content: BinaryIO, start: int) -> None:
        super().__init__()
        self._content = content
        self._start = start
        content.seek(start)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(size)

    def close(self) -> None:
        if not self.closed and not self._content.closed:
            self._content.seek(self._start)
        super().close()


def _read_whole(content: BinaryIO, size: int) -> bytes:
    """As many bytes as were asked for, unless the content ends: a raw file may give fewer."""
    block = content.read(size)
    while len(block) < size:
        more = content.read(size - len(block))
        if not more:
            break
        block += more
    return block


def _made(
    head: bytes,
    size: int,
    opener: Callable[[], BinaryIO],
    name: str,
    kind: str | None,
    field: str,
) -> Attachment:
    name = safe_name(name)
    by_content, ending = next(
        ((one, end) for start, one, end in _BEGINNINGS if head.startswith(start)), ("", "")
    )
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        by_content, ending = "image/webp", ".webp"
    if kind is not None:
        if not _KIND.fullmatch(kind):
            raise InvalidMessage(field, f"{kind!r:.100} is no type such as image/png")
        found = kind
    else:
        by_name, packed = _types().guess_type(name)
        found = by_name if by_name is not None and packed is None else by_content
        if found.startswith("image/") and by_content.startswith("image/"):
            found = by_content  # a JPEG that is called .png is one that nobody can show
        found = found or by_content or "application/octet-stream"
    if found.startswith(("message/", "multipart/")):
        found = "application/octet-stream"  # those may not be in base64 (RFC 2046 5.2.1, 5.1)
    charset = _charset(head) if found.startswith("text/") else ""
    return Attachment(name or f"attachment{ending}", found, size, opener, charset)


def _charset(head: bytes) -> str:
    """utf-8 where the beginning of a text is it; "" where it is US-ASCII so far, or unknown."""
    if head.isascii():
        return ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < _HEAD)
    except UnicodeDecodeError:
        return ""
    return "utf-8"


def _opened_as_text(name: str, field: str) -> InvalidMessage:
    return InvalidMessage(
        field, f"{name or 'the file'} is open as text", 'open it with mode "rb", or give its path'
    )
