"""Judgements that need no words of a server: the kind of a message, or a program's text, tells."""

from __future__ import annotations

from typing import Final

from waypost.knowledge.classification import Classification, Kind
from waypost.knowledge.program_texts import ProgramText
from waypost.knowledge.reasons import reasons

CERTAIN: Final = 1.0
OWN_TEXT: Final = 0.9
"""A text that one program has."""
COMMON_TEXT: Final = 0.8
"""A text that many have."""


def of_reason(
    name: str, rule: str, *, kind: Kind = "permanent", confidence: float = CERTAIN
) -> Classification:
    """That reason, without codes."""
    reason = reasons()[name]
    action = reason.temporary if kind == "temporary" else reason.permanent
    return Classification(
        None, None, kind, reason.name, reason.cause, reason.meaning, action, confidence, rule,
        reason.source, reason.sisimai, reason.kumomta,
    )  # fmt: skip


def of_program_text(row: ProgramText) -> Classification:
    """What a row of program_texts.toml comes to."""
    reason = reasons()[row.reason]
    action = reason.temporary if row.kind == "temporary" else reason.permanent
    if action == "give-back" and reason.kind == "temporary":
        # A fault on the way to a server that will not pass by itself. No server has refused the
        # message, so a relay keeps it, and somebody has to mend the setting.
        action = "alert"
    return Classification(
        None, None, row.kind, reason.name, row.cause or reason.cause, reason.meaning, action,
        COMMON_TEXT if row.program == "any" else OWN_TEXT, row.id, row.source, reason.sisimai,
        reason.kumomta,
    )  # fmt: skip
