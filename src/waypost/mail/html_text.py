"""Text of HTML, for a message that was given as HTML alone.

Some readers show only text, and filters distrust a message that has none. What is made here is
meant to be read: headings are underlined, a link keeps its address, lists and tables keep their
shape, quotations their mark. What nobody sees in HTML (style, script, what is hidden) is left out.

`html_tokens` knows no tree and takes any input; neither do we build one. There is a stack of
`Frame`s, one for each open element that moves its content (list item, quotation, table cell); an
end tag without a beginning is ignored, and one that is missing is made up for by what encloses it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from waypost.mail.html_tokens import EndTag, StartTag, html_tokens

WIDTH: Final = 76
"""Columns; a word that is longer, such as an address, is not broken."""

_NARROWEST: Final = 30
_DEEPEST: Final = 30
"""Elements that move their content, one in another. Further ones are read as if they did not."""

_MARGIN: Final = frozenset([
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre",
    "figure", "address", "fieldset", "form", "hr",
])  # fmt: skip
_BLOCK: Final = _MARGIN | frozenset([
    "div", "section", "article", "header", "footer", "main", "nav", "aside", "li", "dt",
    "dd", "tr", "caption", "figcaption", "center", "body", "html", "tbody", "thead",
    "tfoot", "legend",
])  # fmt: skip
_UNSEEN: Final = frozenset([
    "head", "style", "script", "template", "title", "noscript", "svg", "object", "select",
])  # fmt: skip
_HEADINGS: Final = {"h1": "=", "h2": "-"}
_MOVING: Final = frozenset([
    "li", "dd", "blockquote", "pre", "table", "td", "th",
])  # fmt: skip
_VOID: Final = frozenset([
    "br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "source",
    "wbr",
])  # fmt: skip

_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden", re.IGNORECASE
)
_ADDRESS: Final = re.compile(r"https?://|mailto:|tel:|ftp://", re.IGNORECASE)
_DROPPED: Final = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\xad\u034f\u200b\u2060\ufeff\ud800-\udfff]"
)
"""Controls, and the signs without width that mails are padded with."""


def text_of_html(html: str) -> str:
    """The text, in lines of at most 76 columns where words allow it, with a line end at its end;
    "" where the HTML shows no text. Takes any input."""
    reader = _Reader(see_hidden=False)
    if not reader.read(html):
        # An element that is hidden and never ends: rather too much text than half a message.
        reader = _Reader(see_hidden=True)
        reader.read(html)
    text = "\n".join(line.rstrip() for line in reader.frames[0].lines).strip("\n")
    return f"{text}\n" if text else ""


@dataclass(slots=True)
class _Frame:
    """An open element that moves its content, and the lines in it so far."""

    tag: str
    width: int
    lines: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    gap: bool = False
    """An empty line is due before the next one."""
    preformatted: bool = False
    mark: str = ""
    """Of a list item: what stands before its first line."""
    rows: list[list[list[str]]] = field(default_factory=list)
    """Of a table: rows of cells of lines."""

    def end_block(self, *, margin: bool) -> None:
        """End the paragraph that is open; with `margin` the next one keeps a distance."""
        text = "".join(self.inline)
        self.inline.clear()
        if self.preformatted:
            self.add(text.strip("\n").split("\n") if text.strip() else [])
        else:
            for line in text.split("\n") if text.strip(" \n") else []:
                stripped = _SPACES.sub(" ", line).strip(" ")
                self.add(_wrapped(stripped, self.width) if stripped else [""])
        self.gap = self.gap or margin

    def add(self, lines: list[str]) -> None:
        """Add lines that are done."""
        if not lines:
            return
        if self.gap and self.lines and self.lines[-1]:
            self.lines.append("")
        self.gap = False
        self.lines += lines


class _Reader:
    def __init__(self, *, see_hidden: bool) -> None:
        self.frames = [_Frame("", WIDTH)]
        self._see_hidden = see_hidden
        self._unseen = ""
        self._unseen_depth = 0
        self._lists: list[int | None] = []
        self._link: str | None = None
        self._link_text: list[str] = []
        self._heading_from = 0

    def read(self, html: str) -> bool:
        """Read all of it; False where what was hidden did not end."""
        for token in html_tokens(html):
            if isinstance(token, StartTag):
                self._start(token.name, token.attributes)
            elif isinstance(token, EndTag):
                self._end(token.name)
            else:
                self._text(token.text)
        while len(self.frames) > 1:
            self._close(self.frames[-1].tag)
        self.frames[0].end_block(margin=False)
        return not (self._unseen and self._unseen not in _UNSEEN)

    # --- tokens -----------------------------------------------------------------------------------

    def _text(self, data: str) -> None:
        if self._unseen:
            return
        data = _DROPPED.sub("", data).replace("\xa0", " ")
        frame = self.frames[-1]
        if frame.preformatted:
            frame.inline.append(data.replace("\r\n", "\n"))
        else:
            frame.inline.append(_SPACES.sub(" ", data))
        if self._link is not None:
            self._link_text.append(data)

    def _start(self, tag: str, given: Mapping[str, str]) -> None:
        if self._unseen:
            self._unseen_depth += tag == self._unseen
            return
        if tag not in _VOID and (tag in _UNSEEN or self._is_hidden(given)):
            self._unseen, self._unseen_depth = tag, 1
            return
        if tag == "br":
            self.frames[-1].inline.append("\n")
        elif tag == "img":
            self._text(given.get("alt", ""))
        elif tag == "a":
            self._end_link()
            href = _SPACES.sub("", _DROPPED.sub("", given.get("href", "")))
            self._link = href if _ADDRESS.match(href) else None
            self._link_text = []
        elif tag in _BLOCK or tag in ("td", "th"):
            self._start_block(tag, given)

    def _end(self, tag: str) -> None:
        if self._unseen:
            self._unseen_depth -= tag == self._unseen
            if not self._unseen_depth:
                self._unseen = ""
            return
        if tag == "a":
            self._end_link()
        elif tag in _MOVING:
            self._close(tag)
        elif tag in _BLOCK:
            frame = self.frames[-1]
            frame.end_block(margin=tag in _MARGIN)
            if tag in ("ul", "ol") and self._lists:
                self._close("li", within=len(self._lists))
                self._lists.pop()
                self.frames[-1].gap = self.frames[-1].gap or not self._lists
            elif tag in _HEADINGS and len(frame.lines) > self._heading_from:
                longest = max(map(len, frame.lines[self._heading_from :]))
                frame.lines.append(_HEADINGS[tag] * min(longest, frame.width))
                frame.gap = True

    # --- blocks -----------------------------------------------------------------------------

    def _start_block(self, tag: str, given: Mapping[str, str]) -> None:
        if tag == "li":
            self._close("li", within=len(self._lists))
        elif tag in ("td", "th"):
            self._close_cell()
        elif tag == "tr":
            self._close_cell()
            if self.frames[-1].tag == "table":
                self.frames[-1].rows.append([])
        frame = self.frames[-1]
        frame.end_block(margin=tag in _MARGIN and not (tag in ("ul", "ol") and bool(self._lists)))
        if tag in ("ul", "ol"):
            first = given.get("start", "1")
            number = int(first) if first.isdigit() and len(first) < 7 else 1
            self._lists.append(number if tag == "ol" else None)
        elif tag == "hr":
            frame.add(["-" * min(40, frame.width)])
            frame.gap = True
        elif tag in _HEADINGS:
            self._heading_from = len(frame.lines) + (frame.gap and bool(frame.lines))
        elif tag in _MOVING and len(self.frames) < _DEEPEST:
            self._open(tag, frame)

    def _open(self, tag: str, frame: _Frame) -> None:
        narrower = {"li": 3, "dd": 4, "blockquote": 2}.get(tag, 0)
        opened = _Frame(tag, max(_NARROWEST, frame.width - narrower))
        opened.preformatted = tag == "pre"
        if tag == "li":
            number = self._lists[-1] if self._lists else None
            opened.mark = "- " if number is None else f"{number}. "
            if number is not None:
                self._lists[-1] = number + 1
        self.frames.append(opened)

    def _close(self, tag: str, within: int | None = None) -> None:
        """Close the innermost such element and what is open in it; nothing where there is none.

        With `within`, only an item of the list of that depth, so that an item does not end the
        one around its list.
        """
        for at in range(len(self.frames) - 1, 0, -1):
            frame = self.frames[at]
            if frame.tag == tag:
                break
            if frame.tag in ("table", "td", "th") and tag not in ("table", "td", "th"):
                return  # nothing inside of a cell ends what the table stands in
        else:
            return
        if within is not None and sum(one.tag == "li" for one in self.frames) < within:
            return
        while len(self.frames) > at:
            inner = self.frames.pop()
            inner.end_block(margin=False)
            self._put(inner, self.frames[-1])

    def _close_cell(self) -> None:
        for frame in reversed(self.frames):
            if frame.tag == "table":
                return
            if frame.tag in ("td", "th"):
                self._close(frame.tag)
                return

    def _put(self, inner: _Frame, outer: _Frame) -> None:
        """Give the lines of an element that ends to the one around it."""
        lines = inner.lines
        if inner.tag in ("td", "th") and outer.tag == "table":
            if not outer.rows:
                outer.rows.append([])
            outer.rows[-1].append(lines)
        elif inner.tag == "table":
            outer.add(lines)
            outer.add(_table(inner.rows, outer.width))
            outer.gap = True
        elif inner.tag == "li":
            indent = " " * len(inner.mark)
            head = [inner.mark + (lines[0] if lines else "")]
            outer.add(head + [indent + line for line in lines[1:]])
        elif inner.tag == "blockquote":
            outer.add([f"> {line}" for line in lines])
            outer.gap = True
        elif inner.tag == "dd":
            outer.add([f"    {line}" for line in lines])
        else:
            outer.add(lines)
            outer.gap = outer.gap or inner.tag == "pre"

    # --- what stands in a line --------------------------------------------------------------

    def _end_link(self) -> None:
        """Write the address behind the words of a link, unless the words are the address."""
        href, self._link = self._link, None
        if href is None:
            return
        words = _SPACES.sub(" ", "".join(self._link_text)).strip()
        if href.lower().startswith(("mailto:", "tel:")):
            href = href.partition(":")[2].partition("?")[0]
        if not href or _bare(words) == _bare(href):
            return
        inline = self.frames[-1].inline
        if not words:
            inline.append(href)
            return
        # The address stands behind the last word: `here (https://...) `, not `here  (https...)`.
        spaces = ""
        while inline and inline[-1] == " ":
            spaces = inline.pop()
        if inline and inline[-1].endswith(" "):
            inline[-1], spaces = inline[-1][:-1], " "
        inline.append(f" ({href}){spaces}")

    def _is_hidden(self, given: Mapping[str, str]) -> bool:
        if self._see_hidden:
            return False
        return "hidden" in given or _HIDDEN.search(given.get("style", "")) is not None


def _bare(address: str) -> str:
    return re.sub(r"^https?://(?:www\.)?|/$", "", address.lower())


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _table(rows: list[list[list[str]]], width: int) -> list[str]:
    """The rows as columns where they fit; one below the other where a cell has several lines, as in
    the tables that only place things on a page."""
    filled = [[cell for cell in row if any(cell)] for row in rows]
    filled = [row for row in filled if row]
    columns = max(map(len, filled), default=0)
    if columns <= 1 or any(len(cell) > 1 for row in filled for cell in row):
        stacked: list[str] = []
        for row in filled:
            for cell in row:
                stacked += [*([""] if stacked and len(cell) > 1 else []), *cell]
        return stacked
    cells = [[cell[0] if cell else "" for cell in row] for row in rows if any(map(any, row))]
    widths = [
        max(len(row[at]) for row in cells if at < len(row)) for at in range(max(map(len, cells)))
    ]
    if sum(widths) + 2 * (len(widths) - 1) > width:
        return [" | ".join(cell for cell in row if cell) for row in cells]
    return [
        "  ".join(cell.ljust(widths[at]) for at, cell in enumerate(row)).rstrip() for row in cells
    ]
