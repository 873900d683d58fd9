"""Exceptions of the standard library's smtplib, with what to do about them.

The classes are the standard library's own, so that every `except` which a program has keeps
working. What is added stands beside: `reason`, `cause`, `fix`, and a note that a traceback shows.
"""

from __future__ import annotations

from typing import Final, TypeVar

Raised = TypeVar("Raised", bound=BaseException)

_CODES: Final = range(400, 600)


def explained(error: Raised, code: int, message: bytes | str) -> Raised:
    """The error with `reason`, `cause`, `fix` and a note, where the reply tells enough for them."""
    if code not in _CODES:
        return error
    # Read at the first refusal: a program that has none does not wait for the tables.
    from waypost.knowledge.advice import advice_for
    from waypost.knowledge.causes import cause
    from waypost.knowledge.classification import classify_text

    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    found = classify_text(text, code=code)
    fix = cause(found.cause).fix if found.cause else advice_for(found.reason)
    error.reason = found.reason  # type: ignore[attr-defined]
    error.cause = found.cause  # type: ignore[attr-defined]
    error.fix = fix  # type: ignore[attr-defined]
    error.add_note(f"{found.meaning}\nWhat to do: {fix}" if fix else found.meaning)
    return error
