"""What people ask of a spool in memory and let it do."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from waypost.spool.contract import (
    AttemptRecord,
    Body,
    BodyDamaged,
    Captured,
    MessageFilter,
    MessageRow,
    RecipientState,
    SelectedRecipient,
    SetAside,
    SpoolCounts,
    Suppression,
    WaitingDestination,
)
from waypost.spool.events import EntryKind
from waypost.spool.memory_bodies import StoredBytes
from waypost.spool.memory_events import MemoryEvents
from waypost.spool.memory_rows import (
    WAITING,
    Durable,
    StoredMessage,
    StoredRecipient,
    is_for,
    matches,
    shown,
)
from waypost.spool.memory_search import MemorySearch

_Result = TypeVar("_Result")


class Moments(Protocol):
    """What is needed of a clock (waypost.net.clock.Clock has it)."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> object:
        """Run `callback` after `delay` seconds."""


class MemoryQuestions(MemoryEvents, MemorySearch):
    """The coroutines of waypost.spool.contract.Spool that are for people, over what is durable."""

    on_set_aside: SetAside
    _clock: Moments
    _durable: Durable

    @abstractmethod
    async def _commit_everything(self, work: Callable[[], _Result]) -> _Result:
        """Do something as an operation of its own and give the result when it is durable."""

    def _queued(self) -> Iterable[tuple[StoredMessage, StoredRecipient]]:
        for message in self._durable.messages.values():
            for recipient in message.recipients:
                if recipient.state is RecipientState.QUEUED:
                    yield message, recipient

    def _bytes_used(self) -> int:
        return sum(len(message.content or b"") for message in self._durable.messages.values())

    def _drop_content(self, message: StoredMessage) -> None:
        if not message.is_kept():
            message.content = None

    async def set_aside(self, message: int, reason: str) -> None:
        """Mark the waiting recipients of an unreadable message as DAMAGED."""

        now = self._clock.now()

        def work() -> int:
            stored = self._durable.messages.get(message)
            changed = 0
            for recipient in stored.recipients if stored else ():
                if recipient.state in WAITING:
                    recipient.state = RecipientState.DAMAGED
                    recipient.started = False
                    recipient.reply, recipient.reason = reason, "damaged"
                    self._record(EntryKind.DAMAGED, message, now, [recipient.number])
                    changed += 1
            return changed

        if await self._commit_everything(work):
            self.on_set_aside(message, reason)

    def _matching(
        self, wanted: MessageFilter, states: Sequence[RecipientState] = ()
    ) -> list[StoredMessage]:
        """The messages of a filter, newest first; with `states` only those that have a recipient
        in one of them which the filter is for."""
        found: list[StoredMessage] = []
        for identifier in sorted(self._durable.messages, reverse=True):
            message = self._durable.messages[identifier]
            if matches(message, wanted, states):
                found.append(message)
                if len(found) == wanted.limit:
                    break
        return found

    async def messages(self, wanted: MessageFilter) -> list[MessageRow]:
        """Messages, newest first."""
        return [shown(message) for message in self._matching(wanted)]

    async def select(
        self, wanted: MessageFilter, states: Sequence[RecipientState]
    ) -> list[SelectedRecipient]:
        """The recipients that an operation would be for."""
        return [
            SelectedRecipient(m.new.identifier, r.number, r.address, r.state, r.started)
            for m in self._matching(wanted, states)
            for r in m.recipients
            if r.state in states and is_for(r, wanted)
        ]

    async def attempts(self, message: int) -> list[AttemptRecord]:
        """The attempts of a message."""
        stored = self._durable.messages.get(message)
        found = [replace(record) for record in stored.attempts] if stored else []
        return sorted(found, key=lambda record: record.started_at)

    async def hold(self, wanted: MessageFilter) -> int:
        """Hold queued recipients; how many."""

        def hold(recipient: StoredRecipient) -> None:
            recipient.state = RecipientState.HELD

        return await self._change(wanted, (RecipientState.QUEUED,), hold, EntryKind.HELD)

    async def release(self, wanted: MessageFilter, now: float) -> int:
        """Release held ones; how many."""

        def release(recipient: StoredRecipient) -> None:
            recipient.state, recipient.due_at = RecipientState.QUEUED, now

        return await self._change(wanted, (RecipientState.HELD,), release, EntryKind.RELEASED)

    async def retry(self, wanted: MessageFilter, now: float) -> int:
        """Make queued ones due; how many."""

        def retry(recipient: StoredRecipient) -> None:
            recipient.due_at = now

        return await self._change(wanted, (RecipientState.QUEUED,), retry, None)

    async def cancel(self, wanted: MessageFilter, reason: str) -> int:
        """Cancel queued and held ones; how many."""

        def cancel(recipient: StoredRecipient) -> None:
            recipient.state = RecipientState.CANCELLED
            recipient.reply, recipient.reason = reason, "cancelled"

        return await self._change(wanted, WAITING, cancel, EntryKind.CANCELLED)

    async def _change(
        self,
        wanted: MessageFilter,
        states: Sequence[RecipientState],
        change: Callable[[StoredRecipient], None],
        kind: EntryKind | None,
    ) -> int:
        now = self._clock.now()

        def work() -> int:
            count = 0
            for message in self._matching(wanted, states):
                for recipient in message.recipients:
                    if (
                        recipient.state in states
                        and not recipient.started
                        and is_for(recipient, wanted)
                    ):
                        change(recipient)
                        if kind is not None:
                            number = recipient.number
                            self._record(kind, message.new.identifier, now, [number])
                        count += 1
                self._drop_content(message)
            return count

        return await self._commit_everything(work)

    async def waiting(self, text: str, limit: int) -> list[WaitingDestination]:
        """What waits by destination; see the contract."""
        waiting: dict[str, list[tuple[int, StoredRecipient]]] = {}
        for message in self._durable.messages.values():
            for recipient in message.recipients:
                if recipient.state in WAITING and text.lower() in recipient.domain:
                    here = waiting.setdefault(recipient.domain, [])
                    here.append((message.new.identifier, recipient))
        found: list[WaitingDestination] = []
        for domain, here in waiting.items():
            due = [one.due_at for _, one in here if one.state is RecipientState.QUEUED]
            oldest = min(identifier for identifier, _ in here)
            held = len(here) - len(due)
            found.append(WaitingDestination(domain, len(due), held, oldest, min(due, default=None)))
        return sorted(found, key=WaitingDestination.order)[:limit]

    async def counts(self) -> SpoolCounts:
        """Totals."""
        by_state = Counter(r.state for m in self._durable.messages.values() for r in m.recipients)
        oldest = min((m.new.received_at for m, _ in self._queued()), default=None)
        return SpoolCounts.of(by_state, oldest, self._bytes_used())

    async def captured(self, limit: int, before: int | None = None) -> list[Captured]:
        """What the sandbox has caught, newest first."""
        found = sorted(self._durable.captured, reverse=True)
        chosen = [one for one in found if before is None or one < before]
        return [self._durable.captured[one][0] for one in chosen[:limit]]

    async def captured_content(self, message: int) -> Body:
        """The content of a captured message. Raises BodyDamaged."""
        if message not in self._durable.captured:
            raise BodyDamaged("nothing of this identifier was captured")
        return StoredBytes(self._durable.captured[message][1])

    async def remove_captured(self, messages: Sequence[int]) -> int:
        """Forget what the sandbox has caught of these messages; how many there were."""
        captured = self._durable.captured
        return await self._commit_everything(
            lambda: sum(captured.pop(one, None) is not None for one in set(messages))
        )

    async def prune(self, before: float, limit: int) -> int:
        """Remove finished messages; how many."""

        def work() -> int:
            stored = self._durable.messages
            old = [i for i in sorted(stored) if stored[i].new.received_at < before]
            going = [i for i in old if not stored[i].is_kept()][:limit]
            for identifier in going:
                del stored[identifier]
            return len(going)

        return await self._commit_everything(work)

    def suppression_reason(self, address: str) -> str | None:
        """Why nothing is to be sent to an address."""
        found = self._durable.suppressed.get(address.lower())
        return found.reason if found is not None else None

    async def suppress(self, address: str, reason: str) -> None:
        """Send nothing to an address from now on."""
        name = address.lower()
        entry = Suppression(name, reason, self._clock.now())
        await self._commit_everything(lambda: self._durable.suppressed.update({name: entry}))

    async def unsuppress(self, address: str) -> bool:
        """Send to it again; whether it was suppressed."""
        name = address.lower()
        return await self._commit_everything(
            lambda: self._durable.suppressed.pop(name, None) is not None
        )

    async def suppressions(self, limit: int, after: str = "") -> list[Suppression]:
        """Suppressed addresses, by name."""
        names = sorted(name for name in self._durable.suppressed if name > after)
        return [self._durable.suppressed[name] for name in names[:limit]]

    async def remember(self, name: str, value: str) -> None:
        """Keep a small fact."""
        await self._commit_everything(lambda: self._durable.facts.__setitem__(name, value))

    async def recall(self, name: str) -> str | None:
        """What was kept under a name."""
        return self._durable.facts.get(name)
