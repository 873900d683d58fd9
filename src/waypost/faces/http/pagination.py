"""Pages of long lists: a bounded number of entries, and a cursor for the next ones.

A cursor says where the next page begins, in a form that is nobody's to read or make; it holds
nothing that its reader could not see anyway. A list may grow while it is read: nothing is told
twice, and what came later than the first page is not in the later ones.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

from fastapi import Query

from waypost.faces.http.problems import Problem, problem_type

DEFAULT_LIMIT: Final = 50
MAXIMUM_LIMIT: Final = 500
MAXIMUM_CURSOR: Final = 1000

Limit = Annotated[
    int, Query(ge=1, le=MAXIMUM_LIMIT, description="Entries of a page, at most.", examples=[50])
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=MAXIMUM_CURSOR,
        description="`next` of the page before; without it, the first page.",
    ),
]


def make_cursor(kind: str, place: str) -> str:
    """The cursor for what comes after `place` in a list of a kind."""
    text = f"{kind}:{place}".encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode("ascii")


def read_cursor(kind: str, cursor: str | None) -> str | None:
    """The place that a cursor stands for; None without one. Raises Problem."""
    if cursor is None:
        return None
    try:
        raw = cursor.encode("ascii")
        text = base64.b64decode(raw + b"=" * (-len(raw) % 4), b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error, ValueError):
        text = ""
    found, colon, place = text.partition(":")
    if not colon or found != kind:
        raise no_cursor()
    return place


def no_cursor() -> Problem:
    """What was given as a cursor is none."""
    return Problem(
        422,
        "the cursor is none that this list has given; leave it out to begin anew",
        title="The request is not of the described form",
        type=problem_type("invalid-request"),
        errors=[{"in": "query", "parameter": "cursor", "detail": "no cursor of this list"}],
    )
