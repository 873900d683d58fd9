"""XML of strangers as a plain tree: no document type, no entities, bounded in depth and number.

Expansion of entities is how a few bytes become gigabytes, and external ones read files; both need
a document type, so that is refused at once, in whatever encoding it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

MOST_ELEMENTS: Final = 2000
DEEPEST: Final = 32


class UnsafeXml(ValueError):
    """What is no XML, or more than a configuration needs."""


@dataclass(slots=True)
class Element:
    """One element; names without their namespace, in lower case."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    """Its own text, without white space around it."""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """The children of a name."""
        return (one for one in self.children if one.name == name)

    def first(self, name: str) -> Element | None:
        """The first child of a name."""
        return next(self.all(name), None)

    def text_of(self, name: str) -> str:
        """The text of the first child of a name; "" where there is none."""
        found = self.first(name)
        return found.text if found is not None else ""

    def everywhere(self, name: str) -> Iterator[Element]:
        """All descendants of a name, in document order."""
        for one in self.children:
            if one.name == name:
                yield one
            yield from one.everywhere(name)


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def doctype(self, *_: object) -> None:
        raise UnsafeXml("it has a document type, which a configuration does not need")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= DEEPEST:
            raise UnsafeXml("it has too many elements")
        one = Element(_bare(name), {_bare(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(one)
        else:
            self.root = one
        self._open.append(one)

    def end(self, _name: str) -> None:
        one = self._open.pop()
        one.text = one.text.strip()

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text


def _bare(name: str) -> str:
    return name.rpartition(" ")[2].lower()


def read_xml(body: bytes) -> Element:
    """The root of a document. Raises UnsafeXml."""
    parser = expat.ParserCreate(namespace_separator=" ")
    builder = _Builder()
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.EntityDeclHandler = builder.doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.buffer_text = True
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as fault:
        if isinstance(fault, UnsafeXml):
            raise
        raise UnsafeXml(f"it is no XML: {fault}") from fault
    if builder.root is None:
        raise UnsafeXml("it is empty")
    return builder.root
