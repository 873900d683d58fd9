"""A MessageFilter as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waypost.spool.contract import MessageFilter, RecipientState

_Condition = tuple[str, list[object]]


@dataclass(frozen=True, slots=True)
class StateIndex:
    """A partial index that holds the recipients of a few states only."""

    name: str
    condition: str
    """Of the index, as the planner wants to find it in a query."""


_DUE: Final = StateIndex("recipient_due", "state = 0")
_HELD: Final = StateIndex("recipient_held", "state = 1")
_FAILED: Final = StateIndex("recipient_failed", "state > 2")

INDEXES: Final = {
    RecipientState.QUEUED: _DUE,
    RecipientState.HELD: _HELD,
    RecipientState.BOUNCED: _FAILED,
    RecipientState.EXPIRED: _FAILED,
    RecipientState.CANCELLED: _FAILED,
    RecipientState.DAMAGED: _FAILED,
}
"""All but DELIVERED, which is most of a log."""


def matching(
    wanted: MessageFilter, states: Sequence[RecipientState] = (), *, few: bool = False
) -> _Condition:
    """The WHERE clause over `message` for a filter, with its values.

    With `states`, only messages that have a recipient in one of them for which the filter is.
    `few`: only few messages lie between its bounds.
    """
    clauses: list[str] = []
    values: list[object] = []

    def add(clause: str, *more: object) -> None:
        clauses.append(clause)
        values.extend(more)

    if wanted.identifiers:
        add(f"message.id IN ({','.join('?' * len(wanted.identifiers))})", *wanted.identifiers)
    if wanted.sender:
        clause, value = _address("message.reverse_path", wanted.sender)
        add(clause, *value)
    if wanted.user:
        add("message.user = ?", wanted.user)
    if wanted.older_than is not None:
        add("message.received_at < ?", wanted.older_than)
    if wanted.since is not None:
        add("message.received_at >= ?", wanted.since)
    if wanted.before is not None:
        add("message.id < ?", wanted.before)
    if wanted.after is not None:
        add("message.id > ?", wanted.after)
    if wanted.recipient or wanted.states or states:
        clause, value = _having_recipient(wanted, states, few or bool(wanted.identifiers))
        add(clause, *value)
    if wanted.text:
        pattern = contains(wanted.text)
        add(
            "(message.subject LIKE ? ESCAPE '\\' OR message.message_id LIKE ? ESCAPE '\\' "
            "OR message.reverse_path LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM recipient "
            "WHERE recipient.message = message.id AND recipient.address LIKE ? ESCAPE '\\'))",
            *[pattern] * 4,
        )
    return (" AND ".join(clauses) or "1"), values


def narrowing(wanted: MessageFilter, states: Sequence[RecipientState]) -> _Condition:
    """The WHERE clause over `recipient`: those in `states` for which the filter is."""
    chosen = [state for state in states if not wanted.states or state in wanted.states]
    values: list[object] = []
    clause = f"recipient.state IN ({','.join(str(int(state)) for state in chosen)})"
    if wanted.recipient:
        address, values = _address("recipient.address", wanted.recipient)
        clause += f" AND {address}"
    return clause, values


def _having_recipient(
    wanted: MessageFilter, states: Sequence[RecipientState], few: bool
) -> _Condition:
    clause, values = narrowing(wanted, states or tuple(RecipientState))
    chosen = [
        state for state in states or wanted.states if not wanted.states or state in wanted.states
    ]
    if chosen and not few and all(state in INDEXES for state in chosen):
        # What is rare is found by its index, however long the log of what was delivered has grown.
        parts = [
            f"SELECT message FROM recipient INDEXED BY {INDEXES[state].name} "
            f"WHERE {INDEXES[state].condition} AND recipient.state = {int(state)} AND {clause}"
            for state in chosen
        ]
        return f"message.id IN ({' UNION ALL '.join(parts)})", values * len(chosen)
    return (
        f"EXISTS (SELECT 1 FROM recipient WHERE recipient.message = message.id AND {clause})",
        values,
    )


def _address(column: str, text: str) -> _Condition:
    """Whether a column is what a filter names; see MessageFilter.sender."""
    if text == "<>":
        return f"{column} = ''", []
    if text.startswith("@"):
        return f"{column} LIKE ? ESCAPE '\\'", [f"%{_escaped(text)}"]
    if "@" in text:
        return f"{column} = ? COLLATE NOCASE", [text]
    return f"{column} LIKE ? ESCAPE '\\'", [contains(text)]


def contains(text: str) -> str:
    """The LIKE pattern (ESCAPE '\\') of what has a text in it."""
    return f"%{_escaped(text)}%"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
