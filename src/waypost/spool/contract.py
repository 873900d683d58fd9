"""The contract of a spool: what is kept, and when it counts as kept.

A spool takes operations and calls back when they are on stable storage. The calls never block the
event loop; the callbacks run on it, in the order in which the operations were given (an append
whose body goes to a file takes its place when the file is durable). Operations of many callers
share one commit (group commit), so a callback costs far less than an fsync.

The life of a recipient row, and who moves it on after a crash:

    queued --mark_started--> queued, started   an attempt may be under way; a crash here leaves
       ^                        |              `started` set, and recovery counts it as uncertain
       |                        v
       +---- finish(retry at) --+---- finish --> delivered | bounced | expired
    queued <--- hold / release ---> held;  queued, held --cancel--> cancelled

Invariants that every spool keeps:

1. `append` calls back without an error only when body, message and recipients are all durable.
2. Each recipient is in one state. States behind `finish` or `cancel` are final.
3. A row or body that cannot be read is set aside with its reason and reported, never dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from waypost.smtp.envelope import Envelope
from waypost.spool.events import EventLogSpool
from waypost.spool.search import SearchableSpool
from waypost.values import unguarded

Done = Callable[[Exception | None], None]
"""Called on the event loop when an operation is durable, or with the reason why it is not."""


class RecipientState(IntEnum):
    """Where one recipient of one message stands. The numbers are stored."""

    QUEUED = 0
    HELD = 1
    DELIVERED = 2
    BOUNCED = 3
    EXPIRED = 4
    CANCELLED = 5
    DAMAGED = 6

    @property
    def is_final(self) -> bool:
        """Nothing more will happen to it."""
        return self >= RecipientState.DELIVERED


class SpoolRefusal(Exception):
    """The spool cannot take more; `text` is fit to be told to a client."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


class SpoolFull(SpoolRefusal):
    """The quota or the free disk is used up (452 4.3.1)."""


class SpoolFailure(SpoolRefusal):
    """The storage reported an error (451 4.3.0)."""


class NotQueued(SpoolRefusal):
    """An attempt was to begin for a recipient that no longer waits: it was held, cancelled or set
    aside meanwhile. Nothing was marked, and nothing may be sent."""


class BodyDamaged(Exception):
    """A body is missing or not what was stored."""


@unguarded
@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append. Times in seconds since the epoch; sizes in bytes."""

    identifier: int
    """Unique and rising; see `identifiers`."""
    envelope: Envelope
    received_at: float
    expires_at: float
    due_at: float
    user: str | None
    client: str
    """Where it came from: an address, a socket or a command."""
    size: int
    subject: str
    """The Subject field, raw and cut, for lists."""
    message_id: str
    started: bool
    """An attempt begins as soon as this is durable: the mark of it is part of this very commit."""


class Body(Protocol):
    """The content of a stored message, with its trace headers, as CRLF lines."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def whole(self) -> bytes | None:
        """All of it when it is small enough to be held in memory."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The content in pieces of bounded size. Raises BodyDamaged."""


class BodyWriter(Protocol):
    """Takes the content of a message as it arrives; keeps it in memory or in a file by size."""

    @property
    def identifier(self) -> int:
        """Of the message that this will be the content of."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    def reserve(self, count: int) -> None:
        """Leave room for so many bytes, before anything is written; `fill` must follow."""

    def fill(self, data: bytes) -> None:
        """What stands in the room that was left, before the append: at most as many bytes, and
        exactly as many where `is_exact`."""

    @property
    def is_exact(self) -> bool:
        """What stands behind the room cannot move up any more."""

    def write(self, data: bytes) -> None:
        """Add bytes."""

    @property
    def congested(self) -> bool:
        """More is waiting for the disk than should be: stop reading from the peer."""

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call once when no longer congested."""

    def discard(self) -> None:
        """Forget it all. Safe after anything."""


@dataclass(slots=True)
class QueuedRecipient:
    """One recipient that waits to be delivered, as loaded from the spool."""

    number: int
    """Its place in the envelope."""
    address: str
    attempts: int
    due_at: float


@dataclass(slots=True)
class QueuedMessage:
    """A message with those of its recipients that wait for the same destination and are due."""

    identifier: int
    envelope: Envelope
    """With exactly the recipients of `recipients`, in the same order."""
    recipients: list[QueuedRecipient]
    received_at: float
    expires_at: float
    user: str | None
    size: int
    warned: bool
    """A delay warning has been sent."""
    body: Body | None = None
    """Present when it is still in memory; otherwise `Spool.open_body`."""
    message_id: str = ""

    @property
    def begins_at(self) -> float:
        """When its time began: its receipt, or what its sender asked to wait for."""
        return self.envelope.hold_until or self.received_at


@unguarded
@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What an attempt came to for one recipient."""

    number: int
    state: RecipientState
    """QUEUED: try again at `due_at`."""
    due_at: float
    reply: str
    """The words that decided, as received, or our own; bounded by the caller."""
    reason: str
    """From the taxonomy of waypost.knowledge; "" for a success."""


@unguarded
@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt with its transcript; a row that stays until retention removes it."""

    message: int
    started_at: float
    seconds: float
    route: str
    next_hop: str
    """host[address]:port."""
    tls: str
    """Version and cipher, or ""."""
    results: tuple[RecipientResult, ...]
    transcript: str
    """Lines of `milliseconds direction text`, secrets redacted."""
    uncertain: bool = False
    """The peer may have accepted although we did not hear so."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A message that the sandbox has caught."""

    identifier: int
    reverse_path: str
    recipients: tuple[str, ...]
    captured_at: float
    size: int
    subject: str


@dataclass(frozen=True, slots=True)
class DueQueue:
    """A destination with due recipients on disk."""

    domain: str
    next_due: float
    count: int | None = None


@dataclass(frozen=True, slots=True)
class WaitingDestination:
    """How much waits for one destination."""

    domain: str
    queued: int
    """Recipients."""
    held: int
    oldest: int
    """The message that waits longest."""
    next_due: float | None
    """The earliest of those queued; None: all are held."""

    def order(self) -> tuple[int, str]:
        """Sorts the fullest first."""
        return -(self.queued + self.held), self.domain


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening a spool found."""

    messages: int
    recipients: int
    uncertain: int
    """Recipients whose attempt was marked started and whose outcome is unknown."""
    set_aside: tuple[tuple[int, str], ...]
    """Messages that cannot be read, with the reason."""
    seconds: float


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages an operation is for; empty fields do not restrict.

    All fields that are given must match. An operation on recipients (hold, release, retry, cancel,
    select) touches of the messages found only those recipients that match `recipient` and
    `states`; both must hold for the same recipient.
    """

    identifiers: tuple[int, ...] = ()
    sender: str = ""
    """A whole address ("joe@example.com"), a domain ("@example.com"), the null sender ("<>"), or
    without an at sign any part of an address. The case of ASCII letters does not matter."""
    recipient: str = ""
    """As `sender`."""
    states: tuple[RecipientState, ...] = ()
    """Some recipient is in one of these."""
    older_than: float | None = None
    """Received before this time."""
    text: str = ""
    """Found in subject, Message-ID or addresses."""
    user: str = ""
    """Submitted by this user."""
    limit: int = 100
    """At most so many messages, the newest; 0: no limit. For an operation on recipients, messages
    that it cannot change do not count."""
    before: int | None = None
    """Identifiers below this one: the next page."""
    after: int | None = None
    """Identifiers above this one."""
    since: float | None = None
    """Received at this time or later."""

    @property
    def is_quick(self) -> bool:
        """Which messages it is for is found at once, however many there are."""
        return bool(self.identifiers) or (
            bool(self.limit)
            and not (self.sender or self.recipient or self.text or self.user or self.states)
            and self.older_than is None
            and self.since is None
        )


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """One recipient as shown to people."""

    number: int
    address: str
    domain: str
    state: RecipientState
    attempts: int
    due_at: float
    started: bool
    last_reply: str
    reason: str


@dataclass(frozen=True, slots=True)
class SelectedRecipient:
    """A recipient that an operation would be for."""

    message: int
    number: int
    address: str
    state: RecipientState
    started: bool
    """An attempt is under way: hold, retry and cancel leave it alone."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address to which nothing is sent."""

    address: str
    """In lower case."""
    reason: str
    added_at: float


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message as shown to people."""

    identifier: int
    reverse_path: str
    received_at: float
    expires_at: float
    user: str | None
    client: str
    size: int
    subject: str
    message_id: str
    recipients: tuple[RecipientRow, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class SpoolCounts:
    """How much there is, by state of recipients."""

    queued: int
    held: int
    delivered: int
    bounced: int
    expired: int
    cancelled: int
    damaged: int
    oldest_queued: float | None
    bytes_used: int

    @classmethod
    def of(
        cls,
        by_state: Mapping[RecipientState, int],
        oldest_queued: float | None,
        bytes_used: int,
    ) -> SpoolCounts:
        """The counts from the numbers of recipients by state."""
        numbers = {state.name.lower(): by_state.get(state, 0) for state in RecipientState}
        return cls(**numbers, oldest_queued=oldest_queued, bytes_used=bytes_used)


SetAside = Callable[[int, str], None]
"""Told on the event loop: a message that was set aside, and why."""


class Spool(EventLogSpool, SearchableSpool, Protocol):
    """The operations of the engine (callbacks) and of people (coroutines), and the event log."""

    on_set_aside: SetAside
    """Told of every message that is set aside after `open`; does nothing unless it is set."""

    async def open(self) -> Recovery:
        """Make ready; check integrity; clear what a crash left half-done."""

    async def close(self) -> None:
        """Commit what was given and stop."""

    def identifier(self) -> int:
        """A new message identifier: unique in this spool, rising."""

    def admission(self, size: int) -> SpoolRefusal | None:
        """Whether a message of `size` bytes may be taken now: quota and free disk. Cheap."""

    def body_writer(self, expected: int | None) -> BodyWriter:
        """Begin a body; `expected` is the SIZE that the client declared."""

    def append(self, message: NewMessage, body: BodyWriter, done: Done) -> Body:
        """Keep a message; `done(None)` means durable. The Body can be read at once."""

    def mark_started(self, message: int, numbers: Sequence[int], done: Done) -> None:
        """Say that an attempt begins for these recipients. Fails with NotQueued, and marks
        nothing, when one of them is no longer queued."""

    def unmark_started(self, message: int, numbers: Sequence[int], done: Done) -> None:
        """Take the mark back: the attempt did not begin, nothing was sent."""

    def finish(
        self,
        record: AttemptRecord,
        done: Done,
        notification: tuple[NewMessage, BodyWriter] | None = None,
    ) -> None:
        """Store an attempt and what it came to. The body goes when no recipient waits.

        A notification of the outcome becomes durable in the same transaction, or not at all.
        After a failure the very same call may be made again.
        """

    def capture(self, message: int, addresses: Sequence[str], at: float, done: Done) -> None:
        """Keep a copy of a message for the sandbox; a second capture of the same message adds
        its addresses."""

    def warned(self, message: int, done: Done) -> None:
        """A delay warning was sent for this message."""

    async def due_queues(self, now: float, after: str, limit: int) -> list[DueQueue]:
        """Destinations, by name after `after`, with queued recipients; earliest due of each."""

    async def waiting(self, text: str, limit: int) -> list[WaitingDestination]:
        """What waits by destination, for people: those with the most first. With `text`, only
        destinations that have it in their name."""

    async def next_due(self, domain: str, after: float) -> float | None:
        """When the next queued recipient of a destination becomes due after a time."""

    async def expired(self, now: float, limit: int) -> list[int]:
        """Messages whose time is over and that still have queued recipients, by identifier."""

    async def load_message(self, message: int) -> list[QueuedMessage]:
        """A message with its queued recipients, one for each domain, due or not."""

    def suppression_reason(self, address: str) -> str | None:
        """Why nothing is to be sent to an address; None where it is not suppressed. Cheap."""

    async def load_due(
        self, domain: str, now: float, limit: int, excluded: frozenset[int]
    ) -> list[QueuedMessage]:
        """The messages of a destination that are due, oldest first, without those `excluded`.

        `limit` counts recipients. A message comes with all its due recipients of the destination,
        so the last one may exceed the limit.
        """

    async def open_body(self, message: int) -> Body:
        """The content. Raises BodyDamaged."""

    async def set_aside(self, message: int, reason: str) -> None:
        """Mark the waiting recipients of an unreadable message as DAMAGED."""

    async def messages(self, wanted: MessageFilter) -> list[MessageRow]:
        """Messages, newest first, with their recipients."""

    async def select(
        self, wanted: MessageFilter, states: Sequence[RecipientState]
    ) -> list[SelectedRecipient]:
        """The recipients in `states` that an operation with this filter would be for, newest
        message first: a preview of hold (QUEUED), release (HELD), retry and cancel."""

    async def attempts(self, message: int) -> list[AttemptRecord]:
        """The attempts of a message, oldest first."""

    async def hold(self, wanted: MessageFilter) -> int:
        """Hold the queued recipients of these messages that no attempt is under way for; how
        many."""

    async def release(self, wanted: MessageFilter, now: float) -> int:
        """Release the held ones, due now; how many."""

    async def retry(self, wanted: MessageFilter, now: float) -> int:
        """Make the queued ones due now that no attempt is under way for; how many."""

    async def cancel(self, wanted: MessageFilter, reason: str) -> int:
        """Cancel the queued and held ones that no attempt is under way for; how many."""

    async def counts(self) -> SpoolCounts:
        """Totals."""

    async def captured(self, limit: int, before: int | None = None) -> list[Captured]:
        """What the sandbox has caught, newest first."""

    async def captured_content(self, message: int) -> Body:
        """The content of a captured message. Raises BodyDamaged."""

    async def remove_captured(self, messages: Sequence[int]) -> int:
        """Forget what the sandbox has caught of these messages; how many there were. The messages
        themselves, their recipients and attempts stay as they are."""

    async def prune(self, before: float, limit: int) -> int:
        """Remove finished messages received before this time, with their attempts; how many."""

    async def suppress(self, address: str, reason: str) -> None:
        """Send nothing to an address from now on; a known one gets the new reason."""

    async def unsuppress(self, address: str) -> bool:
        """Send to it again; whether it was suppressed."""

    async def suppressions(self, limit: int, after: str = "") -> list[Suppression]:
        """Suppressed addresses, by name after `after`."""

    async def remember(self, name: str, value: str) -> None:
        """Keep a small fact of the engine under a name, in place of what was there."""

    async def recall(self, name: str) -> str | None:
        """What was kept under a name."""
