"""Cuts HTML into tags and text, as a browser does (HTML Standard 13.2.5), in linear time.

`html.parser` of the standard library takes minutes for a megabyte of "<!--", and what is read here
comes from strangers. Nothing raises, whatever is given. No tree is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Final

MAXIMUM_ATTRIBUTES: Final = 60
"""Of one tag; further ones are left out."""

RAW_TEXT: Final = frozenset([
    "script", "style", "xmp", "iframe", "noembed", "noframes", "noscript", "textarea", "title",
])  # fmt: skip
"""Elements in which there are no tags but their own end."""

_NAME: Final = re.compile(r"[A-Za-z][^\s/>\x00]*+")
_ATTRIBUTE: Final = re.compile(
    r"[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>]*+)))?"
)
_COMMENT_END: Final = re.compile(r"--!?>")
_RAW_END: Final = {
    name: re.compile(rf"</{name}(?=[\s/>]|$)", re.IGNORECASE) for name in sorted(RAW_TEXT)
}
_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class StartTag:
    """<name attribute="value">; of an attribute that is given twice, the first counts."""

    name: str
    """In lower case."""
    attributes: Mapping[str, str]
    """Names in lower case, values with their character references decoded."""


@dataclass(frozen=True, slots=True)
class EndTag:
    """</name>"""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """What stands between tags, its character references decoded."""

    text: str


Token = StartTag | EndTag | Text


def html_tokens(html: str) -> Iterator[Token]:
    """The tokens in order, without comments and declarations."""
    at, end = 0, len(html)
    while at < end:
        opening = html.find("<", at)
        if opening < 0:
            yield Text(unescape(html[at:]))
            return
        if opening > at:
            yield Text(unescape(html[at:opening]))
        follows = html[opening + 1 : opening + 2]
        if follows.isascii() and follows.isalpha():
            tag, at = _start_tag(html, opening + 1)
            yield tag
            if tag.name in RAW_TEXT:
                closing = _RAW_END[tag.name].search(html, at)
                stop = end if closing is None else closing.start()
                raw = html[at:stop]
                yield Text(unescape(raw) if tag.name in ("textarea", "title") else raw)
                at = stop
            elif tag.name == "plaintext":
                yield Text(html[at:])
                return
        elif follows == "/":
            name = _NAME.match(html, opening + 2)
            if name is not None:
                _, at = _start_tag(html, opening + 2)  # attributes are allowed and mean nothing
                yield EndTag(name[0].lower())
            else:
                at = _behind(html, ">", opening + 2)
        elif html.startswith("<!--", opening):
            at = _behind_comment(html, opening + 4)
        elif follows in ("!", "?"):
            at = _behind(html, ">", opening + 2)
        else:
            yield Text("<")
            at = opening + 1


def _start_tag(html: str, at: int) -> tuple[StartTag, int]:
    name = _NAME.match(html, at)
    assert name is not None, "the caller has seen a letter"
    at = name.end()
    found: dict[str, str] = {}
    while (one := _ATTRIBUTE.match(html, at)) is not None:
        at = one.end()
        key = one[1].lower()
        if len(found) < MAXIMUM_ATTRIBUTES and key not in found:
            value = one[2] if one[2] is not None else one[3] if one[3] is not None else one[4]
            found[key] = unescape(value) if value else ""
    return StartTag(name[0].lower(), found or _NO_ATTRIBUTES), _behind(html, ">", at)


def _behind(html: str, mark: str, at: int) -> int:
    found = html.find(mark, at)
    return len(html) if found < 0 else found + len(mark)


def _behind_comment(html: str, at: int) -> int:
    """A comment that is ended at once, <!--> or <!--->, is empty."""
    for short in (">", "->"):
        if html.startswith(short, at):
            return at + len(short)
    found = _COMMENT_END.search(html, at)
    return len(html) if found is None else found.end()
