"""How much waits for each destination, from a SQLite spool.

What is queued is counted in the index of what is due, which holds nothing else: a million rows
take a fraction of a second, and what is delivered costs nothing. Held ones are looked up one by
one, so only so many are.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from waypost.spool.contract import WaitingDestination
from waypost.spool.sqlite_filter import contains

HELD_COUNTED: Final = 50_000
"""Held recipients that are looked at, at most."""

_QUEUED: Final = """
SELECT domain, COUNT(*), MIN(message), MIN(due_at)
FROM recipient INDEXED BY recipient_due WHERE state = 0 {and_domain}
GROUP BY domain ORDER BY COUNT(*) DESC, domain LIMIT ?
"""

_HELD: Final = """
SELECT domain, COUNT(*), MIN(message) FROM (
    SELECT domain, message FROM recipient INDEXED BY recipient_held
    WHERE state = 1 {and_domain} LIMIT ?
) GROUP BY domain
"""


def waiting(connection: sqlite3.Connection, text: str, limit: int) -> list[WaitingDestination]:
    """Destinations whose name has `text` in it, those with the most waiting first."""
    pattern = (contains(text),) if text else ()
    narrowed = "AND domain LIKE ? ESCAPE '\\'" if text else ""

    def queued(condition: str, *values: str) -> dict[str, WaitingDestination]:
        rows = connection.execute(_QUEUED.format(and_domain=condition), (*values, limit))
        return {
            domain: WaitingDestination(domain, count, 0, oldest, due)
            for domain, count, oldest, due in rows
        }

    found = queued(narrowed, *pattern)
    held = connection.execute(_HELD.format(and_domain=narrowed), (*pattern, HELD_COUNTED))
    for domain, count, oldest in held.fetchall():
        also = found.get(domain) or queued("AND domain = ?", domain).get(domain)
        if also is None:
            found[domain] = WaitingDestination(domain, 0, count, oldest, None)
        else:
            first = min(oldest, also.oldest)
            found[domain] = WaitingDestination(domain, also.queued, count, first, also.next_due)
    return sorted(found.values(), key=WaitingDestination.order)[:limit]
