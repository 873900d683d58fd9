"""The header block of a message, as bytes, without parsing the message (RFC 5322 2.2).

A relay asks a header block few things: where it ends, how often the message has been relayed,
whether Date and Message-ID are there, what its Subject is. `HeaderBlock.scan` answers them for
every message that passes, so it works on the whole block at once: one copy in lower case, one pass
of one expression over it for the names that a relay asks for, and nothing per field. All else
(other names, all fields, positions) is looked for when it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from waypost.mail.encoded_words import decode_encoded_words, displayable
from waypost.values import unguarded

MAXIMUM_DISPLAYED: Final = 500
"""Characters of a decoded field, unless the caller says otherwise."""

_END = re.compile(rb"\r\n\r\n")
"""As an expression: its search is half as long again as fast as that of bytes.find."""

# White space before the colon is obsolete syntax (RFC 5322 4.5) and tolerated.
_ASKED_NAMES: Final = (
    b"received", b"date", b"message-id", b"from", b"subject", b"return-path", b"bcc",
)  # fmt: skip
_ASKED = re.compile(rb"\n(" + b"|".join(map(re.escape, _ASKED_NAMES)) + rb")[ \t]*+:")

# A field with its name and its value, folded lines included. Nothing here can be matched in two
# ways, so the time is linear in the size of the block.
_FIELD = re.compile(
    rb"^([!-9;-~]++)[ \t]*+:[ \t]*+([^\r\n]*+(?:\r\n[ \t][^\r\n]*+)*)(?:\r\n)?", re.MULTILINE
)
_START = re.compile(rb"[!-9;-~]++[ \t]*+:")
_FOLDS: Final = (b" ", b"\t")
_CONTINUED = re.compile(rb"[^\r\n]*+(?:\r\n[ \t][^\r\n]*+)*")


class HeaderFault(ValueError):
    """The header block is larger, or has more fields, than allowed."""


class HeaderTooLarge(HeaderFault):
    """No end of the header block within the allowed size."""


class TooManyFields(HeaderFault):
    """More fields than allowed."""


@unguarded
@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """What a scan has found."""

    block: bytes
    """The header fields with the CRLF of the last, without the empty line."""
    asked: list[bytes]
    """The names of `_ASKED_NAMES` in lower case, as often and in the order that they stand."""
    folded: bytes = field(repr=False)
    """The block in lower case behind a CRLF, so that every name has one before it."""

    @classmethod
    def scan(
        cls, content: bytes, *, maximum_size: int, maximum_fields: int, whole: bool = False
    ) -> HeaderBlock | None:
        """Look at the start of a message; None: the block has not ended, more is needed.

        `maximum_size` is in bytes, without the empty line. With `whole`, `content` is all there
        is, and a header without an empty line behind it is one. Raises HeaderTooLarge and
        TooManyFields.
        """
        if content.startswith(b"\r\n"):
            return cls(b"", [], b"\r\n")
        end = _END.search(content, 0, maximum_size + 2)
        if end is not None:
            block = content[: end.start() + 2]
        elif len(content) >= maximum_size + 2 or (whole and len(content) > maximum_size):
            raise HeaderTooLarge(
                f"the header exceeds {maximum_size} bytes: it has no empty line behind it, or "
                "fields that belong elsewhere"
            )
        elif whole:
            block = content
        else:
            return None
        if block.count(b"\n") > maximum_fields:
            fields = block.count(b"\n") - block.count(b"\n ") - block.count(b"\n\t")
            if fields > maximum_fields:
                raise TooManyFields(
                    f"the header has {fields} fields (at most {maximum_fields} are taken)"
                )
        folded = (b"\r\n" + block).lower()
        return cls(block, _ASKED.findall(folded), folded)

    @property
    def received_count(self) -> int:
        """How many servers have passed the message on, by their Received fields."""
        return self.asked.count(b"received")

    @property
    def starts_with_field(self) -> bool:
        """The content begins with a header field; otherwise it has no header at all."""
        return _START.match(self.block) is not None

    def has(self, name: bytes) -> bool:
        """Whether a field is there; `name` in lower case."""
        return name in self.asked or (name not in _ASKED_NAMES and self._value_at(name) >= 0)

    def raw_field(self, name: bytes, maximum: int) -> str:
        """The value of the first such field, unfolded, as it stands, at most `maximum` bytes of
        it; "" where there is none. `name` in lower case. Not text: for display, see
        `decoded_field`."""
        at = self._value_at(name)
        if at < 0:
            return ""
        block = self.block
        end = block.find(b"\r\n", at)
        if end < 0 or block[end + 2 : end + 3] in _FOLDS:
            found = _CONTINUED.match(block, at, at + maximum)
            value = found[0].replace(b"\r\n", b"") if found is not None else b""
        else:
            value = block[at : min(end, at + maximum)]
        text = value.decode("utf-8", "backslashreplace").strip()
        return text if text.isprintable() else displayable(text)

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Every field: its name as given, its value with its folds."""
        return _FIELD.findall(self.block)

    def spans(self, name: bytes) -> list[tuple[int, int]]:
        """Where in `block` each such field begins and ends, its last CRLF included; `name` in
        lower case."""
        if not self.has(name):
            return []
        return [found.span() for found in _FIELD.finditer(self.block) if found[1].lower() == name]

    def without(self, names: Collection[bytes]) -> bytes:
        """The block without the fields of these names, given in lower case.

        For Bcc, which none of the recipients may see (RFC 5322 3.6.3), and for Return-Path, which
        only the last server adds (RFC 5321 4.4).
        """
        spans = sorted(span for name in names for span in self.spans(name))
        kept: list[bytes] = []
        at = 0
        for start, end in spans:
            kept.append(self.block[at:start])
            at = end
        return b"".join([*kept, self.block[at:]])

    def _value_at(self, name: bytes) -> int:
        """Where in `block` the value of the first field of this name begins; -1: nowhere."""
        if b" :" in self.folded or b"\t:" in self.folded:
            # Perhaps a field in the obsolete form, with white space before the colon, stands first.
            found = re.search(rb"\n%b[ \t]*+:" % re.escape(name), self.folded)
            return -1 if found is None else found.end() - 2
        at = self.folded.find(b"\n%b:" % name)
        return at + len(name) if at >= 0 else -1  # the CRLF before `folded`: LF and colon


def decoded_field(block: HeaderBlock, name: bytes, maximum: int = MAXIMUM_DISPLAYED) -> str | None:
    """The text of the first such field with its encoded words decoded (RFC 2047), on one line, at
    most `maximum` characters; None where there is none. `name` in lower case. For display only.
    """
    if not block.has(name):
        return None
    return decoded_text(block.raw_field(name, _raw_length(maximum)), maximum)


def decoded_text(raw: str, maximum: int = MAXIMUM_DISPLAYED) -> str:
    """The same for a field's value that was kept."""
    return displayable(decode_encoded_words(raw[: _raw_length(maximum)]))[:maximum]


def _raw_length(maximum: int) -> int:
    """How much of a field can be in so many characters of its text: a letter may take four octets,
    each three signs of an encoded word, and a word has a frame around it."""
    return 16 * maximum + 80
