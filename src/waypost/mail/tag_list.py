"""Records of `tag=value;` pairs: DKIM keys, DMARC, MTA-STS, TLS reporting, BIMI.

They share one grammar (RFC 6376 3.2) and most of their faults. Reading never fails: what is odd is
told in `faults`, since a record with an odd tag still means something to most receivers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class TagList:
    """The tags of one record, in their order."""

    tags: Mapping[str, str]
    """By name, in lower case unless read exactly; values without white space around them."""
    faults: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """A tag's value."""
        return self.tags.get(name)

    @property
    def first(self) -> str:
        """The name of the first tag; "" where there is none."""
        return next(iter(self.tags), "")


def parse_tags(text: str, *, exact: bool = False) -> TagList:
    """Read any text as a tag list; `exact` by the letter: names as they are written (RFC 6376 3.2),
    and nothing between two semicolons is a fault."""
    tags: dict[str, str] = {}
    faults: list[str] = []
    pieces = text.split(";")
    for number, piece in enumerate(pieces, 1):
        if not piece.strip():
            if exact and number < len(pieces):
                faults.append("there is nothing between two semicolons")
            continue
        name, equals, value = piece.partition("=")
        name, value = name.strip(), value.strip()
        if not equals:
            faults.append(f"{piece.strip()!r} is no tag=value pair")
        elif not _TAG.fullmatch(name):
            faults.append(f"{name!r} is no name of a tag")
        elif (key := name if exact else name.lower()) in tags:
            faults.append(f"the tag {name} stands there twice")
        else:
            tags[key] = value
    return TagList(tags, tuple(faults))


def versioned(texts: Iterable[str], version: str) -> tuple[str, ...]:
    """The records that mean to be of a kind: those that begin with v=VERSION, however written."""
    wanted = f"v={version}".lower()
    return tuple(text for text in texts if re.sub(r"\s", "", text.split(";")[0]).lower() == wanted)
