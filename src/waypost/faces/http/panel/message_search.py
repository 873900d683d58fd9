"""What people write to find messages, and the page of rows that it gives.

A word is looked for in addresses, subject and Message-ID; what can only be an identifier leads to
its message. One page of rows is read and nothing is counted: counting a million rows to show fifty
would take longer than anybody waits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from waypost.control.room import ControlRoom
from waypost.spool.contract import MessageFilter, MessageRow, RecipientState
from waypost.spool.identifiers import identifier_text, parse_identifier

PAGE: Final = 50
"""Rows of a page."""

MAXIMUM_TEXT: Final = 300

STATES: Final = (
    ("", "any"), ("waiting", "waiting or held"), ("queued", "waiting"), ("held", "held"),
    ("delivered", "delivered"), ("bounced", "bounced"), ("expired", "expired"),
    ("cancelled", "cancelled"), ("damaged", "damaged"), ("failed", "bounced or expired"),
)  # fmt: skip
"""What can be chosen, with the words for it."""

_GROUPS: Final = {
    "waiting": (RecipientState.QUEUED, RecipientState.HELD),
    "failed": (RecipientState.BOUNCED, RecipientState.EXPIRED, RecipientState.DAMAGED),
}

WITHIN: Final = (("", "any time"), ("1h", "last hour"), ("24h", "last 24 hours"),
                 ("7d", "last 7 days"))  # fmt: skip

_SECONDS: Final = {"1h": 3600.0, "24h": 86400.0, "7d": 7 * 86400.0}
_IDENTIFIER: Final = re.compile(r"[0-9a-hjkmnp-tv-z]{10,13}")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    text: str = ""
    state: str = ""
    within: str = ""
    before: int | None = None
    """The identifier that the page begins behind."""

    @classmethod
    def of(cls, text: str, state: str, within: str, before: str) -> Query:
        """From what a request gives; what means nothing is left out."""
        try:
            below = parse_identifier(before) if before else None
        except ValueError:
            below = None
        return cls(
            text.strip()[:MAXIMUM_TEXT],
            state if state in dict(STATES) else "",
            within if within in _SECONDS else "",
            below,
        )

    @property
    def is_plain(self) -> bool:
        """Nothing restricts it: the newest messages."""
        return not (self.text or self.state or self.within or self.before)

    def address(self, path: str, before: int | None = None) -> str:
        """The URL of this list, from a message on."""
        given = {
            "q": self.text, "state": self.state, "within": self.within,
            "before": identifier_text(before) if before is not None else "",
        }  # fmt: skip
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{path}?{query}" if query else path

    def filter(self) -> MessageFilter:
        """The same for the spool."""
        states: tuple[RecipientState, ...] = ()
        if self.state:
            states = _GROUPS.get(self.state) or (RecipientState[self.state.upper()],)
        return MessageFilter(states=states, text=self.text, limit=PAGE, before=self.before)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of rows."""

    rows: Sequence[MessageRow]
    before: int | None
    """For the next page; None: there is none."""
    complete: bool = True
    """The page is full, or everything was looked at."""


async def find(room: ControlRoom, query: Query) -> Found:
    """The page of a query, newest first."""
    wanted = query.filter()
    direct = await _by_identifier(room, query)
    if direct is not None:
        return Found((direct,), None)
    if query.within:
        wanted = replace(wanted, since=room.clock.now() - _SECONDS[query.within])
    found = await room.search.find(wanted)
    return Found(found.rows, found.before, found.complete)


async def _by_identifier(room: ControlRoom, query: Query) -> MessageRow | None:
    word = query.text.lower()
    if not _IDENTIFIER.fullmatch(word):
        return None
    wanted = replace(query.filter(), text="", identifiers=(parse_identifier(word),), before=None)
    found = await room.administration.messages(wanted)
    return found[0] if found else None
