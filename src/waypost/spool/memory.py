"""A spool in memory, under the same contract: for simulations and for tests of what stands above.

Nothing here takes real time or a thread. Operations wait for their commit as they would for a
disk; a commit takes `latency` seconds of the clock that is passed in, and while it is under way
the next group gathers. What is durable is what has been committed: `crash` throws away the rest
and gives the spool that would be found afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from waypost.spool.bodies import LARGE
from waypost.spool.committer import call_back
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    BodyDamaged,
    BodyWriter,
    Captured,
    Done,
    DueQueue,
    NewMessage,
    NotQueued,
    QueuedMessage,
    RecipientState,
    Recovery,
    SetAside,
    SpoolFailure,
    SpoolFull,
    SpoolRefusal,
)
from waypost.spool.events import EntryKind
from waypost.spool.identifiers import IdentifierSource, identifier_text
from waypost.spool.memory_bodies import MemoryBodyWriter, StoredBytes
from waypost.spool.memory_questions import MemoryQuestions, Moments
from waypost.spool.memory_rows import (
    Durable,
    StoredMessage,
    StoredRecipient,
    loaded,
)

MAXIMUM_CAPTURED: Final = 10_000
"""Messages that the sandbox keeps."""

UNCERTAIN_REPLY: Final = "the relay stopped during an attempt; it may have been delivered"
"""What a recipient shows whose attempt a crash cut off."""

_Result = TypeVar("_Result")


class MemorySpool(MemoryQuestions):
    """See waypost.spool.contract.Spool."""

    def __init__(self, clock: Moments, latency: float = 0.0, maximum_bytes: int = 0) -> None:
        self.latency = latency
        """Seconds that a commit takes; 0: it is done when the loop comes round."""
        self.refusal: SpoolRefusal | None = None
        """While it is set, every commit fails with it."""
        self.commits = 0
        """Groups committed so far."""
        self.on_set_aside: SetAside = lambda _message, _reason: None
        self._clock = clock
        self._maximum_bytes = maximum_bytes
        self._durable = Durable()
        self._identifiers = IdentifierSource()
        self._waiting: list[tuple[Callable[[], object], Done]] = []
        self._under_way: list[tuple[Callable[[], object], Done]] = []
        self._crashed = False

    # --- opening, closing, crashing ---------------------------------------------------------

    async def open(self) -> Recovery:
        """Make ready: marks of attempts that a crash cut off are cleared and counted."""
        uncertain = 0
        messages = recipients = 0
        for message in self._durable.messages.values():
            queued = [r for r in message.recipients if r.state is RecipientState.QUEUED]
            messages += bool(queued)
            recipients += len(queued)
            for recipient in queued:
                if recipient.started:
                    recipient.started = False
                    recipient.attempts += 1
                    recipient.reply = UNCERTAIN_REPLY
                    uncertain += 1
        self._identifiers = IdentifierSource(self._durable.last)
        return Recovery(messages, recipients, uncertain, (), 0.0)

    async def close(self) -> None:
        """Commit what was given and stop."""
        while self._waiting or self._under_way:
            await self._commit_everything(lambda: None)

    def crash(self) -> MemorySpool:
        """Stop at once: what is not committed is lost and no callback runs any more. Gives the
        spool as it is found afterwards; it is to be opened."""
        self._crashed = True
        found = MemorySpool(self._clock, self.latency, self._maximum_bytes)
        found._durable = self._durable
        return found

    def damage(self, message: int) -> None:
        """Let the stored content of a message no longer match its checksum."""
        self._durable.messages[message].damaged = True

    # --- commits ----------------------------------------------------------------------------

    def _submit(self, work: Callable[[], object], done: Done) -> None:
        self._waiting.append((work, done))
        if not self._under_way:
            self._begin()

    def _begin(self) -> None:
        self._under_way, self._waiting = self._waiting, []
        if self.latency:
            self._clock.call_later(self.latency, self._commit)
        else:
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        if self._crashed:
            return
        group = self._under_way
        outcomes: list[tuple[Done, Exception | None]] = []
        for work, done in group:
            failure: Exception | None = self.refusal
            if failure is None:
                try:
                    work()
                except SpoolRefusal as refusal:
                    failure = refusal
            outcomes.append((done, failure))
        self.commits += 1
        for done, failure in outcomes:
            if self._crashed:
                return
            call_back(done, failure)
        self._under_way = []
        if self._waiting:
            self._begin()

    async def _commit_everything(self, work: Callable[[], _Result]) -> _Result:
        """Do something as an operation of its own and give the result when it is durable."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        results: list[_Result] = []

        def done(failure: Exception | None) -> None:
            if future.done():
                return
            if failure is None:
                future.set_result(results[-1])
            else:
                future.set_exception(failure)

        self._submit(lambda: results.append(work()), done)
        return await future

    # --- messages in ------------------------------------------------------------------------

    def identifier(self) -> int:
        """A new message identifier."""
        return self._identifiers.next(self._clock.now())

    def admission(self, size: int) -> SpoolRefusal | None:
        """Whether a message of `size` bytes may be taken now."""
        if self._maximum_bytes and self._bytes_used() + size > self._maximum_bytes:
            return SpoolFull("the spool has no room; try again later")
        return None

    def body_writer(self, expected: int | None) -> MemoryBodyWriter:  # noqa: ARG002 - contract
        """Begin a body."""
        return MemoryBodyWriter(self.identifier())

    def append(self, message: NewMessage, body: BodyWriter, done: Done) -> Body:
        """Keep a message; see the contract."""
        assert isinstance(body, MemoryBodyWriter)
        content = body.content()
        self._submit(lambda: self._insert(message, content), done)
        return StoredBytes(content)

    def _insert(self, message: NewMessage, content: bytes) -> None:
        if message.identifier in self._durable.messages:
            raise SpoolFailure("the spool could not be written: the identifier is taken")
        if self._maximum_bytes and self._bytes_used() + len(content) > self._maximum_bytes:
            raise SpoolFull("the spool has no room; try again later")
        self._durable.last = max(self._durable.last, message.identifier)
        self._durable.messages[message.identifier] = StoredMessage(
            message,
            content,
            [
                StoredRecipient(
                    number, recipient.address, RecipientState.QUEUED, 0, message.due_at,
                    message.started,
                )
                for number, recipient in enumerate(message.envelope.recipients)
            ],
        )  # fmt: skip
        self._record(EntryKind.ACCEPTED, message.identifier, message.received_at)

    def _log_identity(self) -> str:
        return identifier_text(self.identifier())

    # --- attempts ---------------------------------------------------------------------------

    def mark_started(self, message: int, numbers: Sequence[int], done: Done) -> None:
        """Say that an attempt begins."""

        def work() -> None:
            stored = self._durable.messages.get(message)
            chosen = [r for r in stored.recipients if r.number in numbers] if stored else []
            if len(chosen) != len(numbers) or any(
                recipient.state is not RecipientState.QUEUED for recipient in chosen
            ):
                raise NotQueued("a recipient no longer waits")
            for recipient in chosen:
                recipient.started = True

        self._submit(work, done)

    def unmark_started(self, message: int, numbers: Sequence[int], done: Done) -> None:
        """Take the mark back."""

        def work() -> None:
            stored = self._durable.messages.get(message)
            for recipient in stored.recipients if stored else ():
                if recipient.number in numbers:
                    recipient.started = False

        self._submit(work, done)

    def finish(
        self,
        record: AttemptRecord,
        done: Done,
        notification: tuple[NewMessage, BodyWriter] | None = None,
    ) -> None:
        """Store an attempt and what it came to; see the contract."""

        def work() -> None:
            if notification is not None:
                notice, writer = notification
                assert isinstance(writer, MemoryBodyWriter)
                self._insert(notice, writer.content())
            stored = self._durable.messages.get(record.message)
            if stored is None:
                return
            stored.attempts.append(record)
            self._record(
                EntryKind.ATTEMPTED, record.message, record.started_at + record.seconds,
                [result.number for result in record.results], record,
            )  # fmt: skip
            for result in record.results:
                for recipient in stored.recipients:
                    if (
                        recipient.number == result.number
                        and recipient.state is RecipientState.QUEUED
                    ):
                        recipient.state = result.state
                        recipient.due_at = result.due_at
                        recipient.reply = result.reply
                        recipient.reason = result.reason
                        recipient.attempts += 1
                        recipient.started = False
            self._drop_content(stored)

        self._submit(work, done)

    def capture(self, message: int, addresses: Sequence[str], at: float, done: Done) -> None:
        """Keep a copy of a message for the sandbox."""

        def work() -> None:
            captured = self._durable.captured
            stored = self._durable.messages.get(message)
            if stored is None or stored.content is None:
                return
            known = captured[message][0].recipients if message in captured else ()
            added = tuple(address for address in addresses if address not in known)
            captured[message] = (
                Captured(
                    message, stored.new.envelope.reverse_path, known + added, at,
                    stored.new.size, stored.new.subject,
                ),
                stored.content,
            )  # fmt: skip
            for old in sorted(captured)[: max(0, len(captured) - MAXIMUM_CAPTURED)]:
                del captured[old]

        self._submit(work, done)

    def warned(self, message: int, done: Done) -> None:
        """A delay warning was sent."""

        def work() -> None:
            stored = self._durable.messages.get(message)
            if stored is not None:
                stored.warned = True

        self._submit(work, done)

    # --- what is due ------------------------------------------------------------------------

    async def due_queues(self, now: float, after: str, limit: int) -> list[DueQueue]:  # noqa: ARG002
        """Destinations with queued recipients; see the contract."""
        earliest: dict[str, float] = {}
        for _, recipient in self._queued():
            due_at = earliest.get(recipient.domain, recipient.due_at)
            earliest[recipient.domain] = min(due_at, recipient.due_at)
        names = sorted(domain for domain in earliest if domain > after)
        return [DueQueue(domain, earliest[domain]) for domain in names[:limit]]

    async def next_due(self, domain: str, after: float) -> float | None:
        """When the next queued recipient of a destination becomes due after a time."""
        return min(
            (r.due_at for _, r in self._queued() if r.domain == domain and r.due_at > after),
            default=None,
        )

    async def expired(self, now: float, limit: int) -> list[int]:
        """Messages whose time is over."""
        over = {m.new.identifier for m, _ in self._queued() if m.new.expires_at <= now}
        return sorted(over)[:limit]

    async def load_message(self, message: int) -> list[QueuedMessage]:
        """A message with its queued recipients, one for each domain."""
        stored = self._durable.messages.get(message)
        by_domain: dict[str, list[StoredRecipient]] = {}
        for recipient in stored.recipients if stored else ():
            if recipient.state is RecipientState.QUEUED:
                by_domain.setdefault(recipient.domain, []).append(recipient)
        assert stored is not None or not by_domain
        return [loaded(stored, by_domain[d]) for d in sorted(by_domain) if stored is not None]

    async def load_due(
        self, domain: str, now: float, limit: int, excluded: frozenset[int]
    ) -> list[QueuedMessage]:
        """Due messages of a destination; see the contract."""
        due: dict[int, list[StoredRecipient]] = {}
        for message, recipient in self._queued():
            if (
                recipient.domain == domain
                and recipient.due_at <= now
                and message.new.identifier not in excluded
            ):
                due.setdefault(message.new.identifier, []).append(recipient)
        found: list[QueuedMessage] = []
        count = 0
        for identifier in sorted(due, key=lambda one: (min(r.due_at for r in due[one]), one)):
            if count >= limit:
                break
            found.append(loaded(self._durable.messages[identifier], due[identifier]))
            count += len(due[identifier])
        return found

    async def open_body(self, message: int) -> Body:
        """The content. Raises BodyDamaged."""
        stored = self._durable.messages.get(message)
        if stored is None:
            raise BodyDamaged("its row is gone")
        if stored.content is None:
            raise BodyDamaged("its content is gone")
        if stored.damaged and len(stored.content) <= LARGE:
            raise BodyDamaged("its content does not match its checksum")
        return StoredBytes(stored.content, lambda: stored.damaged)
