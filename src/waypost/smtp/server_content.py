"""Content on the server's side: DATA and BDAT, counted, checked, and refused where it must be.

The first fault decides the reply; from then on the content is read and thrown away until its end,
because only its end tells where the next command begins.
"""

from __future__ import annotations

from typing import Final

from waypost.smtp.framing import (
    DOT_LINE,
    END_OF_DATA,
    ChunkDecoder,
    DataDecoder,
    has_bare_line_end,
)
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_events import ContentReceived, TransactionDropped
from waypost.smtp.server_settings import ServerSettings

PATIENCE: Final = 1024 * 1024
"""Bytes beyond twice the size limit that are read and thrown away before the connection ends."""


class ContentReader:
    """Reads the content of one transaction after the other."""

    __slots__ = (
        "_chunks", "_data", "_settings", "chunk_last", "chunk_left", "in_chunks", "refused",
        "size",
    )  # fmt: skip

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._data: DataDecoder | None = None
        self._chunks: ChunkDecoder | None = None
        self.size = 0
        """Bytes of content so far."""
        self.refused: Reply | None = None
        """The reply that the content has earned before its end."""
        self.in_chunks = False
        """A BDAT of this transaction has been taken."""
        self.chunk_left = 0
        self.chunk_last = False

    def begin_data(self) -> None:
        """354 is being said."""
        self.size, self.refused = 0, None
        self._data = None

    def begin_chunks(self) -> None:
        """The first BDAT is taken."""
        self.size, self.refused, self.in_chunks = 0, None, True
        self._chunks = ChunkDecoder(normalise=self._settings.normalise_line_ends)

    @property
    def hopeless(self) -> bool:
        """No end that we can take for one is to be expected: a client that ends its lines with LF
        alone waits for us, or the content goes on and on."""
        decoder = self._data
        return self.endless or (
            self.refused is not None and decoder is not None and decoder.looks_ended
        )

    @property
    def endless(self) -> bool:
        """It has been refused, and goes on and on."""
        return self.refused is not None and self.size > 2 * self._settings.maximum_size + PATIENCE

    def whole(self, data: bytes) -> bytes | None:
        """All of a content, where `data` is that with its end, in sound lines of which none begins
        with a dot, and not too big. None: it has to be read by `data`."""
        size = len(data) - 3
        if self._data is not None or size > self._settings.maximum_size or data[:1] == b".":
            return None
        dot = DOT_LINE.search(data)
        if dot is None or dot.start() != size - 2 or not data.endswith(END_OF_DATA):
            return None
        content = data[:size]
        if has_bare_line_end(content):
            return None
        self.size = size
        return content

    def data(self, data: bytes) -> tuple[ContentReceived | TransactionDropped | None, bytes | None]:
        """Bytes after 354: what they give, and what follows the end, None before it."""
        decoder = self._data
        if decoder is None:
            decoder = self._data = DataDecoder(normalise=self._settings.normalise_line_ends)
        content, rest = decoder.feed(data)
        return self._take(content, bare=decoder.bare_line_end), rest

    def chunk(self, data: bytes, *, discard: bool) -> ContentReceived | TransactionDropped | None:
        """Bytes of a BDAT chunk, at most `chunk_left`."""
        self.chunk_left -= len(data)
        decoder = self._chunks
        if discard or decoder is None:
            self.size += len(data)
            return None
        content = decoder.feed(data, last=self.chunk_last and not self.chunk_left)
        return self._take(content, bare=decoder.bare_line_end)

    def _take(self, content: bytes, *, bare: bool) -> ContentReceived | TransactionDropped | None:
        self.size += len(content)
        if self.refused is not None:
            return None
        maximum = self._settings.maximum_size
        if self.size > maximum:
            self.refused = reply(552, "5.3.4", f"Message too big: at most {maximum} bytes")
            return TransactionDropped("the message is too big")
        if bare and not self._settings.normalise_line_ends:
            self.refused = reply(
                550, "5.6.0", "The message holds a bare CR or LF; lines must end in CRLF"
            )
            return TransactionDropped("the message holds a bare CR or LF")
        return ContentReceived(content) if content else None
