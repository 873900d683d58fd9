"""Searching and counting in a spool in memory; see waypost.spool.search.SearchableSpool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from waypost.spool.contract import (
    MessageFilter,
    MessageRow,
    RecipientState,
    SpoolCounts,
    WaitingDestination,
)
from waypost.spool.memory_rows import Durable
from waypost.spool.search import (
    CountedPart,
    Looked,
    Newest,
    SearchText,
    WaitingCount,
    WaitingPart,
    WaitingPlace,
)


class MemorySearch:
    """See the module."""

    _durable: Durable

    @abstractmethod
    async def messages(self, wanted: MessageFilter) -> list[MessageRow]:
        """See the contract."""

    @abstractmethod
    async def waiting(self, text: str, limit: int) -> list[WaitingDestination]:
        """See the contract."""

    @abstractmethod
    async def counts(self) -> SpoolCounts:
        """See the contract."""

    async def look(self, wanted: MessageFilter, depth: int) -> Looked:
        """Some of the newest messages."""
        within = [
            identifier
            for identifier in sorted(self._durable.messages, reverse=True)
            if (wanted.before is None or identifier < wanted.before)
            and (wanted.after is None or identifier > wanted.after)
        ]
        deepest = within[depth - 1] if len(within) >= depth else None
        if deepest is not None:
            wanted = replace(wanted, after=deepest - 1)
        rows = tuple(await self.messages(wanted))
        if wanted.limit and len(rows) >= wanted.limit:
            return Looked(rows, rows[-1].identifier)
        return Looked(rows, deepest)

    async def newest_in(self, states: Sequence[RecipientState], before: int, limit: int) -> Newest:
        """The newest messages in one of these states."""
        stored = self._durable.messages
        found = [
            identifier
            for identifier in sorted(stored, reverse=True)
            if identifier < before and any(r.state in states for r in stored[identifier].recipients)
        ]
        lowest = found[limit - 1] if len(found) >= limit else None
        return Newest(tuple(found[:limit]), lowest)

    async def search_texts(self, after: int, limit: int) -> list[SearchText]:
        """The texts of the next messages."""
        stored = self._durable.messages
        found = []
        for identifier in sorted(one for one in stored if one > after)[:limit]:
            message = stored[identifier]
            new = message.new
            addresses = [recipient.address for recipient in message.recipients[:1000]]
            others = "\n".join([new.envelope.reverse_path, new.message_id, *addresses])
            found.append(SearchText(identifier, new.subject, others))
        return found

    async def oldest(self) -> int | None:
        """The oldest message there is."""
        return min(self._durable.messages, default=None)

    async def census_of_waiting(self, place: WaitingPlace | None, limit: int) -> WaitingPart:  # noqa: ARG002
        """Count what waits: in memory all of it at once."""
        recipients = sum(len(one.recipients) for one in self._durable.messages.values())
        waiting = await self.waiting("", recipients + 1)
        received = {n: message.new.received_at for n, message in self._durable.messages.items()}
        return WaitingPart(
            tuple(
                WaitingCount(one.domain, one.queued, one.held, received[one.oldest], one.next_due)
                for one in waiting
            ),
            None,
        )

    async def census(self, after: int, limit: int) -> CountedPart:  # noqa: ARG002
        """Count all recipients."""
        counts = await self.counts()
        by_state = {state: getattr(counts, state.name.lower()) for state in RecipientState}
        return CountedPart(by_state, None, counts.bytes_used)
