"""What the list of the sandbox shows of a captured message, read out of its content once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from waypost.mail.headers import decoded_text
from waypost.mail.parts import read_message
from waypost.mail.preview_text import snippet, text_of
from waypost.spool.contract import BodyDamaged, Captured, Spool

LOOKED_AT: Final = 8 << 20
"""Bytes of a message; attachments behind them are not counted."""

SNIPPET: Final = 180
WORDS: Final = 4000
"""Characters of the text that are searched."""
SHOWN_RECIPIENTS: Final = 20


@dataclass(frozen=True, slots=True)
class CapturedSummary:
    """See the module."""

    identifier: int
    captured_at: float
    sender: str
    recipients: tuple[str, ...]
    subject: str
    snippet: str
    words: str
    size: int
    attachments: int


async def read_captured(spool: Spool, captured: Captured) -> CapturedSummary | None:
    """Read a message out; None where it is gone meanwhile."""
    content = b""
    try:
        body = await spool.captured_content(captured.identifier)
        if body.whole is not None:
            content = body.whole[:LOOKED_AT]
        else:
            pieces: list[bytes] = []
            async for piece in body.chunks():
                pieces.append(piece)
                if sum(map(len, pieces)) >= LOOKED_AT:
                    break
            content = b"".join(pieces)[:LOOKED_AT]
    except BodyDamaged:
        if not await _is_there(spool, captured.identifier):
            return None
    return await asyncio.to_thread(_summary, captured, content)


async def _is_there(spool: Spool, message: int) -> bool:
    found = await spool.captured(1, message + 1)
    return bool(found) and found[0].identifier == message


def _summary(captured: Captured, content: bytes) -> CapturedSummary:
    read = read_message(content)
    text, _, _ = text_of(read, WORDS)
    sender = read.shown("from", 200) or captured.reverse_path or "<>"
    subject = read.shown("subject", 300) or decoded_text(captured.subject, 300)
    words = "\n".join(
        [
            subject, sender, captured.reverse_path, *captured.recipients[:SHOWN_RECIPIENTS],
            read.shown("to", 500), read.shown("cc", 500), read.shown("message-id"),
            *(one.name for one in read.attachments[:SHOWN_RECIPIENTS]), text,
        ]
    )  # fmt: skip
    return CapturedSummary(
        captured.identifier,
        captured.captured_at,
        sender,
        captured.recipients[:SHOWN_RECIPIENTS],
        subject,
        snippet(text, SNIPPET),
        words.lower(),
        captured.size,
        len(read.attachments),
    )
