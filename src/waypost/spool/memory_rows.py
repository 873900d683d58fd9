"""The rows of a spool in memory, what is shown of them, and which of them a filter is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from waypost.smtp.envelope import Envelope
from waypost.spool.contract import (
    AttemptRecord,
    Captured,
    MessageFilter,
    MessageRow,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientRow,
    RecipientState,
    Suppression,
)
from waypost.spool.events import EntryKind

WAITING = (RecipientState.QUEUED, RecipientState.HELD)


@dataclass(slots=True)
class StoredRecipient:
    """One recipient."""

    number: int
    address: str
    state: RecipientState
    attempts: int
    due_at: float
    started: bool
    reply: str = ""
    reason: str = ""

    @property
    def domain(self) -> str:
        """Its destination."""
        return self.address[self.address.rfind("@") + 1 :].lower()


@dataclass(slots=True)
class StoredMessage:
    """One message with what became of it."""

    new: NewMessage
    content: bytes | None
    recipients: list[StoredRecipient]
    attempts: list[AttemptRecord] = field(default_factory=list)
    warned: bool = False
    damaged: bool = False

    def is_kept(self) -> bool:
        """It may still be delivered, or was set aside and somebody has to look at it."""
        return any(
            recipient.state in WAITING or recipient.state is RecipientState.DAMAGED
            for recipient in self.recipients
        )


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry of the event log; see waypost.spool.events."""

    number: int
    kind: EntryKind
    at: float
    message: int
    numbers: tuple[int, ...]
    attempt: AttemptRecord | None
    name: str = ""
    detail: str = ""


@dataclass(slots=True)
class Durable:
    """What is on the imagined disk."""

    messages: dict[int, StoredMessage] = field(default_factory=dict)
    captured: dict[int, tuple[Captured, bytes]] = field(default_factory=dict)
    suppressed: dict[str, Suppression] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    last: int = 0
    log: list[StoredEntry] = field(default_factory=list)
    log_identity: str = ""
    is_recording: bool = False


def loaded(message: StoredMessage, recipients: Sequence[StoredRecipient]) -> QueuedMessage:
    """The message with some of its recipients."""
    new = message.new
    envelope = new.envelope
    return QueuedMessage(
        identifier=new.identifier,
        envelope=Envelope(
            envelope.reverse_path,
            tuple(envelope.recipients[recipient.number] for recipient in recipients),
            envelope.body,
            envelope.smtputf8,
            envelope.require_tls,
            envelope.returned,
            envelope.envelope_id,
            hold_until=envelope.hold_until,
        ),
        recipients=[QueuedRecipient(r.number, r.address, r.attempts, r.due_at) for r in recipients],
        received_at=new.received_at,
        expires_at=new.expires_at,
        user=new.user,
        size=new.size,
        warned=message.warned,
        message_id=new.message_id,
    )


def shown(message: StoredMessage) -> MessageRow:
    """The message as people see it."""
    new = message.new
    return MessageRow(
        new.identifier, new.envelope.reverse_path, new.received_at, new.expires_at, new.user,
        new.client, new.size, new.subject, new.message_id,
        tuple(
            RecipientRow(
                r.number, r.address, r.domain, r.state, r.attempts, r.due_at, r.started, r.reply,
                r.reason,
            )
            for r in message.recipients
        ),
    )  # fmt: skip


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""ASCII letters alone, as in SQLite's LIKE."""


def _lower(text: str) -> str:
    return text.translate(_LOWER)


def _is_address(text: str, address: str) -> bool:
    """Whether an address is what a filter names; see MessageFilter.sender."""
    text, address = _lower(text), _lower(address)
    if text == "<>":
        return not address
    if text.startswith("@"):
        return address.endswith(text)
    return text == address if "@" in text else text in address


def is_for(recipient: StoredRecipient, wanted: MessageFilter) -> bool:
    """Whether an operation with this filter touches the recipient."""
    return (not wanted.recipient or _is_address(wanted.recipient, recipient.address)) and (
        not wanted.states or recipient.state in wanted.states
    )


def matches(
    message: StoredMessage, wanted: MessageFilter, states: Sequence[RecipientState]
) -> bool:
    """Whether a filter finds the message; with `states` only by a recipient in one of them."""
    new = message.new
    text = _lower(wanted.text)
    return (
        (not wanted.identifiers or new.identifier in wanted.identifiers)
        and (not wanted.sender or _is_address(wanted.sender, new.envelope.reverse_path))
        and (not wanted.user or wanted.user == new.user)
        and (wanted.older_than is None or new.received_at < wanted.older_than)
        and (wanted.since is None or new.received_at >= wanted.since)
        and (wanted.before is None or new.identifier < wanted.before)
        and (wanted.after is None or new.identifier > wanted.after)
        and (
            not (wanted.recipient or wanted.states or states)
            or any(
                is_for(recipient, wanted) and (not states or recipient.state in states)
                for recipient in message.recipients
            )
        )
        and (
            not text
            or any(
                text in _lower(place)
                for place in (
                    new.subject, new.message_id, new.envelope.reverse_path,
                    *(recipient.address for recipient in message.recipients),
                )
            )
        )
    )  # fmt: skip
