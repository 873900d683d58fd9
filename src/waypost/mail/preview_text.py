"""The text of a message for people: what a reader would show, and a line of it for lists."""

from __future__ import annotations

import re
from typing import Final

from waypost.mail.html_text import text_of_html
from waypost.mail.parts import ReadMessage

MAXIMUM_HTML: Final = 2 << 20
"""Bytes of HTML that text is made from."""

_WHITE: Final = re.compile(r"\s+")
_LINKS: Final = re.compile(r"\(?https?://\S+\)?")


def text_of(read: ReadMessage, most: int) -> tuple[str, bool, bool]:
    """The text, whether it is cut after `most` characters, and whether it was made from the HTML,
    as there is no other."""
    part, from_html = read.text, False
    if part is None and read.html is not None:
        text, from_html = text_of_html(read.letters(read.html, MAXIMUM_HTML)), True
    else:
        text = read.letters(part, 4 * most + 4) if part is not None else ""
    return text[:most], len(text) > most, from_html


def snippet(text: str, most: int) -> str:
    """The beginning of a text on one line, without addresses of links."""
    plain = _WHITE.sub(" ", _LINKS.sub("", text[: 20 * most])).strip()
    return plain if len(plain) <= most else f"{plain[: most - 1].rstrip()}…"
