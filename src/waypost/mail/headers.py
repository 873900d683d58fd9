"""The header block of a message, as bytes, without parsing the message (RFC 5322 2.2).

A relay asks a header block few things: where it ends, how often the message has been relayed,
whether Date and Message-ID are there. `HeaderBlock.scan` answers them in one pass of one regular
expression, as it is done for every message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.header import decode_header, make_header
from typing import Final

_END: Final = b"\r\n\r\n"

# A field with its name and its value, folded lines included. White space before the colon is
# obsolete syntax (RFC 5322 4.5.3) and tolerated. Each part starts where the one before must stop,
# so the time is linear in the size of the block.
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class HeaderFault(ValueError):
    """The header block is larger, or has more fields, than allowed."""


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """What a scan has found."""

    block: bytes
    """The header fields, without the empty line."""
    fields: list[tuple[bytes, bytes]]
    """Names as given and values as folded, in their order."""
    names: list[bytes]
    """The names in lower case, in the same order."""
    has_end: bool
    """An empty line, or nothing, followed the fields."""

    @classmethod
    def scan(
        cls, content: bytes, *, maximum_size: int, maximum_fields: int, whole: bool = False
    ) -> HeaderBlock | None:
        """Look at the start of a message; None: the block has not ended, more is needed.

        With `whole`, `content` is all there is. Raises HeaderFault.
        """
        if content.startswith(b"\r\n"):
            return cls(b"", [], [], True)
        end = content.find(_END, 0, maximum_size + 4)
        if end < 0:
            if len(content) > maximum_size:
                raise HeaderFault(f"the header exceeds {maximum_size} bytes")
            if not whole:
                return None
            block = content
        else:
            block = content[: end + 2]
        fields: list[tuple[bytes, bytes]] = _FIELD.findall(block)
        if len(fields) > maximum_fields:
            raise HeaderFault(f"the header has more than {maximum_fields} fields")
        return cls(block, fields, [name.lower() for name, _ in fields], end >= 0)

    @property
    def received_count(self) -> int:
        """How many servers have passed the message on, by their Received fields."""
        return self.names.count(b"received")

    @property
    def starts_with_field(self) -> bool:
        """The content begins with a header field; otherwise it has no header at all."""
        return _FIELD.match(self.block) is not None

    def has(self, name: bytes) -> bool:
        """Whether a field is there; `name` in lower case."""
        return name in self.names

    def raw_field(self, name: bytes, maximum: int) -> str:
        """The value of the first such field, unfolded, as it stands; "" where there is none."""
        try:
            value = self.fields[self.names.index(name)][1]
        except ValueError:
            return ""
        text = value[:maximum].replace(b"\r\n", b"").decode("utf-8", "backslashreplace")
        return (text if text.isprintable() else _CONTROL.sub(" ", text)).strip()


def decoded_text(raw: str, maximum: int = 500) -> str:
    """The text of a field with its encoded words decoded (RFC 2047), for display only."""
    try:
        text = str(make_header(decode_header(raw[: 4 * maximum])))
    except (ValueError, LookupError):
        text = raw
    return _CONTROL.sub(" ", text)[:maximum]
