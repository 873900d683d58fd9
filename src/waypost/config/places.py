"""Where each key of a TOML document stands.

tomllib gives values without their lines, and a fault without its line helps nobody in a file of
two hundred. This scanner reads a document that tomllib has accepted and notes the line and column
of every key, table header and array element under its path: ("route", 0, "via"). It checks
nothing and makes no values; given a document that tomllib refuses, it ends early with what it has.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys of tables and, counted from 0, places in arrays."""

_BLANK: Final = re.compile(r"[ \t]*")
_BLANK_LINES: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = re.compile(r"[^,\]}#\r\n]+")
_ESCAPE: Final = re.compile(
    r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL
)
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
_STRINGS: Final = {
    '"': re.compile(r'"((?:[^"\\\n]++|\\.)*)"'),
    "'": re.compile(r"'([^'\n]*)'"),
    # Up to two quotes may stand right before the three that end a multi-line string.
    '"""': re.compile(r'"""((?:[^"\\]++|\\.|"{1,2}(?!"))*)"{3,5}', re.DOTALL),
    "'''": re.compile(r"'''((?:[^']++|'{1,2}(?!'))*)'{3,5}"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file. Both count from 1."""

    line: int
    column: int


class _End(Exception):
    """The document goes on in a way that this scanner does not know."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._counted = 0
        self._tables: dict[KeyPath, int] = {}
        """Arrays of tables with their length."""
        self.places: dict[KeyPath, Place] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while True:
            self._skip(_BLANK_LINES)
            if self._at >= len(self._text):
                return
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    # --- structure --------------------------------------------------------------------------

    def _header(self) -> KeyPath:
        """[a.b] or [[a.b]]; the path of the table that begins."""
        place = self._here()
        in_array = self._text.startswith("[[", self._at)
        self._at += 2 if in_array else 1
        path: KeyPath = ()
        keys = self._dotted_key()
        for number, (key, _) in enumerate(keys):
            path = (*path, key)
            self.places.setdefault(path, place)
            if number < len(keys) - 1:
                path = self._last_of(path)
        if in_array:
            self._tables[path] = self._tables.get(path, 0) + 1
            path = self._last_of(path)
        self.places[path] = place
        self._expect("]]" if in_array else "]")
        return path

    def _last_of(self, path: KeyPath) -> KeyPath:
        """The table that a header means by the name of an array of tables: its last."""
        count = self._tables.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: KeyPath) -> None:
        """key = value, in a table or an inline table."""
        path = table
        for key, place in self._dotted_key():
            path = (*path, key)
            self.places.setdefault(path, place)
        self._expect("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        sign = self._text[self._at : self._at + 1]
        if sign in ('"', "'"):
            self._string()
        elif sign == "[":
            self._array(path)
        elif sign == "{":
            self._inline_table(path)
        else:
            self._match(_PLAIN)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        number = 0
        while True:
            self._skip(_BLANK_LINES)
            if self._take("]"):
                return
            self.places[(*path, number)] = self._here()
            self._value((*path, number))
            number += 1
            self._skip(_BLANK_LINES)
            if not self._take(","):
                self._expect("]")
                return

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK_LINES)  # TOML 1.1 lets it span lines
            if self._take("}"):
                return
            self._pair(path)
            self._skip(_BLANK_LINES)
            if not self._take(","):
                self._expect("}")
                return

    # --- pieces -----------------------------------------------------------------------------

    def _dotted_key(self) -> list[tuple[str, Place]]:
        keys: list[tuple[str, Place]] = []
        while True:
            self._skip(_BLANK)
            place = self._here()
            if self._text[self._at : self._at + 1] in ('"', "'"):
                keys.append((self._string(), place))
            else:
                keys.append((self._match(_BARE_KEY)[0], place))
            self._skip(_BLANK)
            if not self._take("."):
                return keys

    def _string(self) -> str:
        """Any of the four kinds. Only of a key is the text of interest."""
        sign = self._text[self._at]
        kind = sign * 3 if self._text.startswith(sign * 3, self._at) else sign
        text: str = self._match(_STRINGS[kind])[1]
        return _ESCAPE.sub(_unescaped, text) if sign == '"' else text

    def _match(self, expression: re.Pattern[str]) -> re.Match[str]:
        found = expression.match(self._text, self._at)
        if found is None:
            raise _End
        self._at = found.end()
        return found

    def _skip(self, expression: re.Pattern[str]) -> None:
        found = expression.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _expect(self, sign: str) -> None:
        self._skip(_BLANK)
        if not self._take(sign):
            raise _End

    def _here(self) -> Place:
        """The place now; counts on from where it was asked last, so a file is counted once."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._line_start = self._text.rfind("\n", 0, self._at) + 1
        self._counted = self._at
        return Place(self._line, self._at - self._line_start + 1)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if not code:
        return _ESCAPES.get(found[4], found[4])
    number = int(code, 16)
    return chr(number) if number <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"


def scan(text: str) -> Mapping[KeyPath, Place]:
    """The place of every key, table and array element of a document that tomllib accepts."""
    scanner = _Scanner(text)
    # tomllib says what is wrong with a document that ends early here; what was found stays good.
    with contextlib.suppress(_End, RecursionError):
        scanner.document()
    return scanner.places


def nearest(places: Mapping[KeyPath, Place], path: KeyPath) -> Place | None:
    """The place of a path or, where it is not in the file, of the innermost table around it."""
    while path:
        if path in places:
            return places[path]
        path = path[:-1]
    return None
