"""Makes HTML of a stranger fit to be shown: what can act or call out is left out.

This is a second wall. The first is the frame that the HTML is shown in, which runs no scripts and
loads nothing, whatever it holds; a hole here gives nothing away there.

What may stand is listed, everything else is dropped: elements that are not known lose their tags,
those of `_REMOVED` their content too. Every attribute is written anew and quoted, so what a browser
reads is what was judged here. Images come from the message itself or not at all; links lose their
address, which the page shows beside as text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final

from waypost.mail.html_tokens import EndTag, StartTag, html_tokens

MAXIMUM_HTML: Final = 2 << 20
"""Characters that are looked at."""
MAXIMUM_LINKS: Final = 200
MAXIMUM_OPEN: Final = 256
"""Elements open at a time; deeper ones lose their tags."""

_KEPT: Final = frozenset([
    "a", "abbr", "address", "article", "aside", "b", "bdi", "big", "blockquote", "br", "caption",
    "center", "cite", "code", "col", "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt",
    "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "nav", "ol", "p", "pre", "q", "s", "samp",
    "section", "small", "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td",
    "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
])  # fmt: skip
_VOID: Final = frozenset(["br", "col", "hr", "img", "wbr"])
_REMOVED: Final = frozenset([
    "script", "title", "template", "noscript", "svg", "math", "object", "applet", "audio", "video",
    "canvas", "iframe", "frameset", "select", "textarea", "xmp", "plaintext", "noembed", "noframes",
])  # fmt: skip
"""Elements that go with what is in them."""
_ATTRIBUTES: Final = frozenset([
    "abbr", "align", "alt", "bgcolor", "border", "cellpadding", "cellspacing", "class", "color",
    "cols", "colspan", "datetime", "dir", "face", "headers", "height", "id", "lang", "noshade",
    "nowrap", "open", "role", "rows", "rowspan", "scope", "size", "span", "start", "style",
    "summary", "title", "type", "valign", "value", "width",
])  # fmt: skip
_DATA_IMAGE: Final = re.compile(
    r"data:image/(?:png|gif|jpe?g|webp);base64,[A-Za-z0-9+/=\s]{0,3000000}", re.IGNORECASE
)
_REMOTE: Final = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_URL: Final = re.compile(r"url\s*\(|image-set\s*\(|image\s*\(|src\s*\(", re.IGNORECASE)
_STYLE_ACTS: Final = re.compile(
    r"@\s*(?:import|charset|namespace)|expression\s*\(|behaviou?r\s*:|-moz-binding|javascript:"
    r"|vbscript:|position\s*:\s*(?:fixed|sticky)",
    re.IGNORECASE,
)
_CSS_ESCAPE: Final = re.compile(r"\\([0-9A-Fa-f]{1,6})\s?")
_WHITE: Final = re.compile(r"[\s\x00-\x20]+")

ImageOf = Callable[[str], str]
"""From a Content-ID to a data: URL of an image in the message; "" where there is none."""


@dataclass(slots=True)
class ShownHtml:
    """What can be shown, and what was found on the way."""

    html: str
    """The content of a body element, with style elements."""
    remote: int = 0
    """Images, backgrounds and style sheets from elsewhere, which are off."""
    removed: list[str] = field(default_factory=list)
    """What could act, by its name, each once, in order."""
    links: list[str] = field(default_factory=list)
    """Addresses of links as written, each once, in order."""


def html_for_display(html: str, image_of: ImageOf) -> ShownHtml:
    """The HTML without what acts or calls out. Takes any text."""
    writer = _Writer(image_of)
    for token in html_tokens(html[:MAXIMUM_HTML]):
        if isinstance(token, StartTag):
            writer.start(token.name, token.attributes)
        elif isinstance(token, EndTag):
            writer.end(token.name)
        else:
            writer.text(token.text)
    writer.finish()
    writer.shown.html = "".join(writer.pieces)
    return writer.shown


class _Writer:
    """Writes the document anew."""

    def __init__(self, image_of: ImageOf) -> None:
        self.pieces: list[str] = []
        self.shown = ShownHtml("")
        self._image_of = image_of
        self._open: list[str] = []
        self._open_count: Counter[str] = Counter()
        self._skipped: list[str] = []
        """Elements of _REMOVED that are open."""
        self._style: list[str] | None = None

    def start(self, tag: str, given: Mapping[str, str]) -> None:
        """A start tag."""
        if self._skipped:
            if tag == self._skipped[-1] and len(self._skipped) < MAXIMUM_OPEN:
                self._skipped.append(tag)
            return
        if tag in _REMOVED:
            self._told(tag)
            self._skipped.append(tag)
        elif tag == "style":
            self._style = []
        elif tag == "link":
            self.shown.remote += "stylesheet" in given.get("rel", "").lower()
        elif tag == "meta":
            if given.get("http-equiv", "").strip().lower() == "refresh":
                self._told("meta refresh")
        elif tag in ("base", "form", "embed", "input", "button", "frame"):
            self._told(tag)
        elif tag == "body":
            self._start("div", given)
        elif tag in _KEPT:
            self._start(tag, given)

    def end(self, tag: str) -> None:
        """An end tag; one without a beginning is left out."""
        if self._skipped:
            if tag == self._skipped[-1]:
                self._skipped.pop()
            return
        if tag == "style" and self._style is not None:
            self._write_style("".join(self._style))
            self._style = None
            return
        tag = "div" if tag == "body" else tag
        if not self._open_count[tag]:
            return
        while self._close() != tag:
            pass

    def text(self, text: str) -> None:
        """What stands between tags."""
        if self._skipped:
            return
        if self._style is not None:
            self._style.append(text)
        else:
            self.pieces.append(escape(text.replace("\0", ""), quote=False))

    def finish(self) -> None:
        """Close what is open."""
        while self._open:
            self._close()

    def _close(self) -> str:
        inner = self._open.pop()
        self._open_count[inner] -= 1
        self.pieces.append(f"</{inner}>")
        return inner

    def _start(self, tag: str, given: Mapping[str, str]) -> None:
        if len(self._open) >= MAXIMUM_OPEN and tag not in _VOID:
            return
        written = [f"<{tag}"]
        for name, value in given.items():
            if name.startswith("on"):
                self._told("event handlers")
            elif name == "background":
                self.shown.remote += bool(_REMOTE.match(value.strip()))
            elif name == "style":
                written.append(f' style="{escape(self._style_text(value))}"')
            elif name in _ATTRIBUTES:
                written.append(f' {name}="{escape(value[:2000])}"')
        if tag == "img":
            self._image(given, written)
        elif tag == "a" and given.get("href"):
            self._link(given["href"], written)
        self.pieces.append("".join([*written, ">"]))
        if tag not in _VOID:
            self._open.append(tag)
            self._open_count[tag] += 1

    def _image(self, given: Mapping[str, str], written: list[str]) -> None:
        source = _WHITE.sub("", given.get("src", ""))
        if source[:4].lower() == "cid:":
            found = self._image_of(source[4:])
            if found:
                written.append(f' src="{escape(found)}"')
        elif _DATA_IMAGE.fullmatch(source):
            written.append(f' src="{escape(source)}"')
        elif source or given.get("srcset"):
            self.shown.remote += 1
            written.append(' data-off="remote"')

    def _link(self, href: str, written: list[str]) -> None:
        address = href.strip()[:2000]
        scheme = _WHITE.sub("", address).partition(":")[0].lower()
        if scheme in ("javascript", "vbscript", "data"):
            self._told(f"links that run {scheme}:")
            return
        if address.startswith("#"):
            return
        if address not in self.shown.links and len(self.shown.links) < MAXIMUM_LINKS:
            self.shown.links.append(address)
        written.append(f' data-link="" title="{escape(address)}"')

    def _write_style(self, text: str) -> None:
        # What a style holds is not read as HTML up to the first "</": none may stand in it.
        self.pieces.append(f"<style>{self._style_text(text).replace('<', '')}</style>")

    def _style_text(self, text: str) -> str:
        """The rules without addresses, and without the ways by which style has acted. Escapes are
        resolved first, as they hide words."""
        text = _CSS_ESCAPE.sub(_resolved, text.replace("\0", "")).replace("\\", "")
        plain = _STYLE_ACTS.sub("off-", _comments_gone(text))
        self.shown.remote += len(_URL.findall(plain))
        return _URL.sub("off(", plain)

    def _told(self, name: str) -> None:
        if name not in self.shown.removed:
            self.shown.removed.append(name)


def _resolved(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if 31 < number < 0xD800 else ""


def _comments_gone(text: str) -> str:
    """Without /* comments */, which may stand within a word; one that never ends takes the rest."""
    kept: list[str] = []
    at = 0
    while (start := text.find("/*", at)) >= 0:
        kept.append(text[at:start])
        end = text.find("*/", start + 2)
        if end < 0:
            return "".join(kept)
        at = end + 2
    return "".join([*kept, text[at:]])
