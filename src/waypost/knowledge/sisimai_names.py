"""What Sisimai would call a refusal in a bounce message (sisimai_names.toml).

A reason has one name of Sisimai's in reasons.toml, which is right for most. For the rest Sisimai
goes by the step, the status or the system, where our reason goes by the words. Who moves a pipeline
over wants the same name as before, so these differences are a table of their own, and the reason
is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from waypost.knowledge import tables
from waypost.knowledge.reasons import reasons
from waypost.smtp.reply import EnhancedStatus

TABLE: Final = "sisimai_names.toml"

_LISTS: Final = ("reasons", "steps", "statuses", "words", "hosts", "notice")
_COLUMNS: Final = ("sisimai", *_LISTS, "coded", "source")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a bounce message tells of one refusal."""

    reason: str
    step: str
    """"" where it is not told."""
    enhanced: EnhancedStatus | None
    coded: bool
    """The words have a reply code."""
    words: str
    host: str
    notice: str
    """What the message says to people."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Conditions; an empty one holds always."""

    sisimai: str
    reasons: tuple[str, ...]
    steps: tuple[str, ...]
    statuses: tuple[str, ...]
    words: tuple[str, ...]
    hosts: tuple[str, ...]
    notice: tuple[str, ...]
    coded: bool | None

    def holds(self, refusal: Refusal, status: str, words: str, notice: str) -> bool:
        """Whether all conditions hold. `words` and `notice` are in lower case."""
        return (
            refusal.reason in self.reasons
            and (not self.steps or refusal.step in self.steps)
            and (not self.statuses or status in self.statuses)
            and (self.coded is None or refusal.coded is self.coded)
            and (not self.hosts or refusal.host.lower().endswith(self.hosts))
            and (not self.words or any(one in words for one in self.words))
            and (not self.notice or any(one in notice for one in self.notice))
        )


@cache
def _rows() -> tuple[_Row, ...]:
    found = []
    for row in tables.rows(TABLE, "name"):
        tables.only(TABLE, row, _COLUMNS)
        coded = row.get("coded")
        if coded is not None and not isinstance(coded, bool):
            raise tables.FaultyTable(TABLE, row, "coded must be true or false")
        lists = {
            column: tuple(tables.texts(TABLE, row, column)) if column in row else ()
            for column in _LISTS
        }
        if not lists["reasons"] or any(name not in reasons() for name in lists["reasons"]):
            raise tables.FaultyTable(TABLE, row, "names a reason that is not known, or none")
        found.append(_Row(tables.text(TABLE, row, "sisimai"), coded=coded, **lists))
    return tuple(found)


def sisimai_name(refusal: Refusal) -> str:
    """Sisimai's name for it. Raises FaultyTable, and KeyError for a reason that there is not."""
    status = refusal.enhanced
    said = "" if status is None or (status.subject, status.detail) == (0, 0) else str(status)
    words, notice = refusal.words.lower(), refusal.notice.lower()
    for row in _rows():
        if row.holds(refusal, said, words, notice):
            return row.sisimai
    return reasons()[refusal.reason].sisimai
