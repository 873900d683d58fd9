"""What became of a message, recipient by recipient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from waypost.errors import RecipientsRefused, WaypostError
from waypost.smtp.reply import Reply
from waypost.values import unguarded

State = Literal["accepted", "refused", "uncertain"]


@unguarded
@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What became of one recipient."""

    address: str
    state: State
    """accepted: the server has taken responsibility. refused: it is certainly not delivered.
    uncertain: the server may have taken it, and its answer was lost."""
    reply: Reply | None = None
    """What the server said last about it; None where nothing was said."""
    error: WaypostError | None = None
    """Why it was not accepted."""
    server: str = ""
    """host[address]:port of the server that decided; "" where none was reached."""


@unguarded
@dataclass(frozen=True, slots=True)
class Result:
    """What became of a message. True where every recipient was accepted."""

    message_id: str
    recipients: tuple[RecipientResult, ...]
    """In the order of the envelope."""
    attempts: int
    """The most that any recipient took."""
    seconds: float
    """From being given to the mailer until the last recipient was decided."""
    error: WaypostError | None = None
    """Why no recipient was accepted, or why the message could not be sent at all; None as soon as
    one was accepted."""
    number: int = 0
    """Of a stream (`send_many`): which message of it, counted from 0."""
    _transcript: Callable[[], str] = field(default=lambda: "", repr=False, compare=False)

    @property
    def accepted(self) -> tuple[RecipientResult, ...]:
        """Those for whom the server has taken responsibility."""
        return tuple(one for one in self.recipients if one.state == "accepted")

    @property
    def refused(self) -> tuple[RecipientResult, ...]:
        """Those who certainly do not have it."""
        return tuple(one for one in self.recipients if one.state == "refused")

    @property
    def uncertain(self) -> tuple[RecipientResult, ...]:
        """Those who may have it, as the server's answer was lost."""
        return tuple(one for one in self.recipients if one.state == "uncertain")

    @property
    def transcript(self) -> str:
        """What was said in every attempt: milliseconds, ">" sent, "<" received, "*" a note."""
        return self._transcript()

    def __bool__(self) -> bool:
        return all(one.state == "accepted" for one in self.recipients)

    def __iter__(self) -> Iterator[RecipientResult]:
        return iter(self.recipients)

    def raise_for_refused(self) -> Result:
        """Raise unless every recipient was accepted; returns itself otherwise."""
        error = self.error or _error_of([one for one in self.recipients if one.error is not None])
        if error is None:
            return self
        error.result = self
        raise error


def result_of(
    message_id: str,
    recipients: tuple[RecipientResult, ...],
    attempts: int,
    seconds: float,
    transcript: Callable[[], str],
    number: int = 0,
) -> Result:
    """The result, with its error where nobody was accepted."""
    error = None
    for one in recipients:
        if one.state == "accepted":
            break
    else:
        error = _error_of(list(recipients))
    return Result(message_id, recipients, attempts, seconds, error, number, transcript)


def _error_of(failed: list[RecipientResult]) -> WaypostError | None:
    """One error for all of them: theirs, where it is the same for each."""
    errors = [one.error for one in failed if one.error is not None]
    if not errors:
        return None
    first = errors[0]
    if all(_speak_for_the_same(first, one) for one in errors):
        return first
    lines = [f"{one.address}: {one.error.what}" for one in failed if one.error is not None]
    shown = lines[:5] + ([f"and {len(lines) - 5} more"] if len(lines) > 5 else [])
    return RecipientsRefused(
        f"{len(errors)} recipients were not accepted",
        evidence="; ".join(shown),
        fix="look at result.refused: each recipient has its own error with what to do",
        reason=first.reason,
        cause=first.cause,
        temporary=all(one.temporary for one in errors),
        reply=first.reply,
        transcript=first.transcript,
    )


def _speak_for_the_same(one: WaypostError, other: WaypostError) -> bool:
    """Whether one stands for the other: the same failure, by the same reply where there was one.
    Refusals of recipients, one by one, do not."""
    return type(one) is type(other) and one.reason == other.reason and one.reply is other.reply
