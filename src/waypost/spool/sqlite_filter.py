"""A MessageFilter as SQL."""

from __future__ import annotations

from collections.abc import Sequence

from waypost.spool.contract import MessageFilter, RecipientState

_Condition = tuple[str, list[object]]

_INDEXES = {RecipientState.QUEUED: "recipient_due", RecipientState.HELD: "recipient_held"}
"""The partial indexes that hold exactly the recipients of one state."""


def matching(wanted: MessageFilter, states: Sequence[RecipientState] = ()) -> _Condition:
    """The WHERE clause over `message` for a filter, with its values.

    With `states`, only messages that have a recipient in one of them for which the filter is.
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
    if wanted.older_than is not None:
        add("message.received_at < ?", wanted.older_than)
    if wanted.before is not None:
        add("message.id < ?", wanted.before)
    if wanted.recipient or wanted.states or states:
        clause, value = _having_recipient(wanted, states)
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


def _having_recipient(wanted: MessageFilter, states: Sequence[RecipientState]) -> _Condition:
    clause, values = narrowing(wanted, states or tuple(RecipientState))
    chosen = [
        state for state in states or wanted.states if not wanted.states or state in wanted.states
    ]
    if chosen and all(state in _INDEXES for state in chosen):
        # What waits is found by its index, however long the log of what is over has grown.
        parts = [
            f"SELECT message FROM recipient INDEXED BY {_INDEXES[state]} "
            f"WHERE recipient.state = {int(state)} AND {clause}"
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
