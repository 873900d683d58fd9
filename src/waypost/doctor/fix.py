"""What to do about a reason, for somebody who asks about a server and has no mail waiting."""

from __future__ import annotations

from waypost.knowledge.advice import advice_for_operator
from waypost.knowledge.causes import causes
from waypost.knowledge.reasons import reasons


def fix_for(reason: str, host: str = "", stage: str = "") -> str:
    """The fix of the cause that a reason comes from; else the advice of delivery; else ""."""
    row = reasons().get(reason)
    name = row.cause if row is not None else ""
    if reason == "timeout" and stage == "greeting":
        name = "greeting.timeout"
    found = causes().get(name)
    if found is not None:
        return found.fix_with({"host": host})
    return advice_for_operator(reason)
