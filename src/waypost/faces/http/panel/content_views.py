"""What a message's page shows of its content: one view at a time, made from the message read.

Each view is plain text and numbers, escaped by the templates like all else. Only the HTML view
names another address, that of the frame which `preview.py` serves apart.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from waypost.faces.http.panel.message_checks import Check, checks_of
from waypost.mail.headers import decoded_text
from waypost.mail.html_display import ShownHtml, html_for_display
from waypost.mail.parts import Part, ReadMessage
from waypost.mail.preview_text import text_of

VIEWS: Final = {
    "html": "HTML", "text": "Text", "headers": "Headers", "source": "Source",
    "parts": "Attachments", "checks": "Check",
}  # fmt: skip
"""By their name in addresses."""

SHOWN_TEXT: Final = 256 << 10
"""Characters of a text on a page."""
SHOWN_SOURCE: Final = 128 << 10
"""Bytes of the source on a page; all of it can be saved."""
SHOWN_HTML: Final = 2 << 20
IMAGES: Final = 8 << 20
"""Bytes of images that a message brings itself and that its HTML shows."""

MAXIMUM_LINKS: Final = 200

_LINK: Final = re.compile(r"https?://[^\s<>\"')\]]{1,500}")

SAFE_IMAGES: Final = {
    "image/png": b"\x89PNG\r\n\x1a\n", "image/gif": b"GIF8", "image/jpeg": b"\xff\xd8\xff",
    "image/webp": b"RIFF",
}  # fmt: skip
"""Images that a browser shows without running anything, and how they begin."""


@dataclass(frozen=True, slots=True)
class PartRow:
    """One attachment as listed."""

    number: int
    name: str
    kind: str
    size: int
    inline: bool
    looks_risky: bool
    """Opening it runs a program on some systems."""


@dataclass(frozen=True, slots=True)
class ContentView:
    """One view of a message's content."""

    view: str
    """A key of VIEWS."""
    views: tuple[tuple[str, str, int | None], ...]
    """Those that there are: name, title, and a number to show beside it."""
    cut: tuple[str, ...]
    sender: str
    recipients: str
    copies: str
    reply_to: str
    subject: str
    date: str
    text: str = ""
    text_cut: bool = False
    text_from_html: bool = False
    html: ShownHtml | None = None
    headers: tuple[tuple[str, str, str], ...] = ()
    """Name, decoded value, raw value where that is something else."""
    source: str = ""
    source_cut: bool = False
    parts: tuple[PartRow, ...] = ()
    checks: tuple[Check, ...] = ()
    links: tuple[str, ...] = ()


def view_of(read: ReadMessage, wanted: str, size: int) -> ContentView:
    """The view that is wanted, or the best that there is; `size` is that of the whole message."""
    html, attachments = read.html, read.attachments
    views = [
        name for name in VIEWS if (name != "html" or html) and (name != "parts" or attachments)
    ]
    view = wanted if wanted in views else views[0]
    shown: ContentView = ContentView(
        view,
        tuple((name, VIEWS[name], len(attachments) if name == "parts" else None) for name in views),
        read.cut,
        read.shown("from"),
        read.shown("to", 1000),
        read.shown("cc", 1000),
        read.shown("reply-to"),
        read.shown("subject"),
        read.shown("date", 100),
        **_details(read, view, size),  # type: ignore[arg-type]
    )
    return shown


def _details(read: ReadMessage, view: str, size: int) -> dict[str, object]:
    if view == "html":
        shown = display_html(read)
        return {"html": shown, "links": tuple(shown.links) if shown is not None else ()}
    if view == "text":
        text, cut, from_html = text_of(read, SHOWN_TEXT)
        return {"text": text, "text_cut": cut, "text_from_html": from_html}
    if view == "headers":
        return {"headers": tuple(_header(name, value) for name, value in read.fields)}
    if view == "source":
        source = read.content[:SHOWN_SOURCE].decode("utf-8", "backslashreplace")
        return {
            "source": source.replace("\r\n", "\n"),
            "source_cut": len(read.content) > SHOWN_SOURCE,
        }
    if view == "parts":
        return {"parts": tuple(_row(read, one) for one in read.attachments)}
    shown = display_html(read)
    links = tuple(dict.fromkeys([*(shown.links if shown else ()), *_plain_links(read)]))
    return {"checks": checks_of(read, size, shown), "links": links[:MAXIMUM_LINKS]}


def _plain_links(read: ReadMessage) -> Sequence[str]:
    part = read.text
    if part is None:
        return ()
    found = _LINK.findall(read.letters(part, SHOWN_TEXT))
    return [one.rstrip(".,;:!?") for one in found[:MAXIMUM_LINKS]]


def display_html(read: ReadMessage) -> ShownHtml | None:
    """The HTML as it may be shown, with the images that the message brings itself as data: URLs;
    None where it has none."""
    part = read.html
    if part is None:
        return None
    images = _Images(read)
    return html_for_display(read.letters(part, SHOWN_HTML), images.url)


class _Images:
    """Gives images of the message as data: URLs, up to IMAGES bytes in all."""

    def __init__(self, read: ReadMessage) -> None:
        self._read = read
        self._left = IMAGES

    def url(self, content_id: str) -> str:
        """For a Content-ID; "" for what is no safe image, or too much."""
        part = self._read.with_content_id(unquote(content_id)[:250])
        if part is None or part.kind not in SAFE_IMAGES:
            return ""
        octets = self._read.octets(part, self._left + 1)
        if len(octets) > self._left or not octets.startswith(SAFE_IMAGES[part.kind]):
            return ""
        self._left -= len(octets)
        return f"data:{part.kind};base64,{b64encode(octets).decode('ascii')}"


def _header(name: str, value: str) -> tuple[str, str, str]:
    decoded = decoded_text(value, 4000)
    return name, decoded, value if decoded != value and "=?" in value else ""


_RISKY: Final = frozenset((
    "exe", "scr", "com", "bat", "cmd", "pif", "msi", "js", "jse", "vbs", "vbe", "wsf", "wsh", "hta",
    "ps1", "jar", "lnk", "iso", "img", "vhd", "docm", "xlsm", "pptm", "html", "htm", "svg", "reg",
))  # fmt: skip


def _row(read: ReadMessage, part: Part) -> PartRow:
    suffix = part.name.rpartition(".")[2].lower()
    return PartRow(
        part.number, download_name(part), part.kind, read.size(part),
        bool(part.content_id) or part.disposition == "inline", suffix in _RISKY,
    )  # fmt: skip


def download_name(part: Part) -> str:
    """Its own name, or one made from its place and kind."""
    if part.name:
        return part.name
    suffix = {
        "text/plain": "txt", "text/html": "html.txt", "message/rfc822": "eml", "image/png": "png",
        "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "text/calendar": "ics",
        "application/pdf": "pdf",
    }.get(part.kind, "bin")  # fmt: skip
    return f"part-{part.number}.{suffix}"
