"""Search over all messages, quick however many there are, and while mail flows.

A question is answered from where it costs least:

- words and addresses from the search index (search_index), which gives candidates; those that are
  too new to be in it are looked through in the spool;
- states that few messages are in from the spool's index of these;
- everything else by looking at the messages themselves, newest first.

Candidates are compared with the question in the spool as it is now, so states and what retention
has removed are always right. No answer takes much longer than BUDGET_SECONDS, or EMPTY_SECONDS
while it is empty: what was found by then is given, with the place to look on from.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from waypost.administration import Administration
from waypost.control.search_index import NAME, Candidates, IndexReader
from waypost.control.search_indexer import Indexer
from waypost.control.search_words import expression, has_words, words_of
from waypost.net.clock import Clock
from waypost.spool.contract import MessageFilter, MessageRow, RecipientState, Spool

BUDGET_SECONDS: Final = 0.05
"""After which no further part is looked at, when something was found."""

EMPTY_SECONDS: Final = 0.08
"""The same while nothing was."""

PAGE: Final = 50
"""Messages of an answer where the question does not say."""

MAXIMUM_PAGE: Final = 500

FIRST_DEPTH: Final = 10_000
"""Messages looked through in the first part: five milliseconds, where few of them are meant."""

DEPTH: Final = 30_000
"""In each further part."""

STATE_DEPTH: Final = 2000
"""Before the newest in a rare state are asked for: of a long queue, they may be most."""

CANDIDATES: Final = 200
"""Messages compared at once."""

MEMBERS: Final = 20_000
"""Messages in a rare state that are held against all candidates at once."""

SLACK_SECONDS: Final = 3600.0
"""An identifier is given when a message begins to arrive, by the clock; this much earlier or later
it may have been received."""

_LAST: Final = 1 << 62
_Result = TypeVar("_Result")
_RARE: Final = frozenset(RecipientState) - {RecipientState.DELIVERED}


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of what was found."""

    rows: tuple[MessageRow, ...]
    """Newest first."""
    before: int | None
    """The identifier to go on from (MessageFilter.before); None: there is nothing more."""
    complete: bool
    """The page is full, or everything was looked at. Otherwise the time was over: there may be
    more, from `before` on."""


class Search:
    """See the module."""

    def __init__(self, administration: Administration, spool: Spool, clock: Clock) -> None:
        self._administration = administration
        self._spool = spool
        self._clock = clock
        directory = administration.spool_directory
        path = Path(directory) / NAME if directory is not None else None
        self._indexer = Indexer(path, spool, clock) if path is not None else None
        self._reader = IndexReader(path) if path is not None else None
        self._opened = 0
        self._pool = ThreadPoolExecutor(1, "waypost-search")

    async def open(self) -> None:
        """Begin to index."""
        if self._indexer is not None:
            self._administration.watch(self._indexer.take)
            self._indexer.start()

    async def close(self) -> None:
        """End."""
        if self._indexer is not None:
            self._administration.unwatch(self._indexer.take)
            await self._indexer.close()
        if self._reader is not None:
            await self._in_thread(self._reader.close)
        self._pool.shutdown(wait=True)

    @property
    def is_indexing(self) -> bool:
        """Part of the messages is not in the index yet."""
        return self._indexer is not None and self._indexer.is_behind

    async def find(self, wanted: MessageFilter) -> SearchPage:
        """A page of the messages that a filter is for, newest first.

        `text` is read as words, each of which must be in an address, the Subject or the
        Message-ID; "quotation marks" keep words together. The case of letters does not matter.
        """
        limit = min(wanted.limit, MAXIMUM_PAGE) if wanted.limit > 0 else PAGE
        words = words_of(wanted.text)
        hunt = _Hunt(
            self._spool, self._clock, _within(replace(wanted, text="", limit=limit)), words
        )
        if wanted.identifiers:
            rows = await self._spool.messages(hunt.wanted)
            found = tuple(row for row in rows if has_words(row, words))
            return SearchPage(found[:limit], None, complete=True)
        indexer = self._indexer
        sought = [*words, *_pieces(wanted.sender), *_pieces(wanted.recipient)]
        trigrams = indexer.common.rarest(sought) if indexer is not None else ()
        if trigrams and indexer is not None and indexer.is_ready:
            await self._by_words(hunt, indexer, expression(trigrams))
        elif hunt.is_rare:
            await hunt.by_state()
        else:
            await hunt.walk(0)
        return hunt.page()

    async def _by_words(self, hunt: _Hunt, indexer: Indexer, asked: str) -> None:
        # What is too new for the index and what is in it are looked at side by side: where the
        # event loop is busy, each answer of a thread waits for its turn.
        indexed, opened = indexer.indexed, indexer.opened
        below = min(hunt.before, indexed + 1)
        limit = MEMBERS if hunt.is_rare else CANDIDATES
        _, members, found = await asyncio.gather(
            hunt.walk(indexed),
            hunt.members(below),
            self._candidates(opened, asked, below, hunt.after, limit),
        )
        while hunt.goes_on:
            if found is None:
                indexer.damaged()
                await hunt.walk(0)
                return
            likely = [one for one in found.messages if members is None or one in members]
            await hunt.compare(likely, found.before)
            if hunt.goes_on:
                found = await self._candidates(opened, asked, hunt.before, hunt.after, limit)

    async def _candidates(
        self, opened: int, asked: str, before: int, after: int, limit: int
    ) -> Candidates | None:
        """From the index; None: it is damaged."""

        def work() -> Candidates | None:
            assert self._reader is not None
            if opened != self._opened:
                self._reader.close()
                self._opened = opened
            try:
                return self._reader.candidates(asked, before, after, limit)
            except sqlite3.DatabaseError:
                return None

        return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class _Hunt:
    """One search under way: what was found, and down to where was looked."""

    def __init__(
        self, spool: Spool, clock: Clock, wanted: MessageFilter, words: Sequence[str]
    ) -> None:
        self.wanted = wanted
        self.before = _LAST if wanted.before is None else wanted.before
        self.after = wanted.after or 0
        self._spool = spool
        self._clock = clock
        self._words = words
        self._rows: list[MessageRow] = []
        self._is_over = False
        """Everything was looked at."""
        self._begun = clock.monotonic()

    @property
    def goes_on(self) -> bool:
        """There is more to look at, time for it, and room on the page."""
        return (
            not self._is_over
            and len(self._rows) < self.wanted.limit
            and self._clock.monotonic() - self._begun
            < (BUDGET_SECONDS if self._rows else EMPTY_SECONDS)
        )

    @property
    def is_rare(self) -> bool:
        """Only states are asked for in which few messages are."""
        return bool(self.wanted.states) and _RARE.issuperset(self.wanted.states)

    def page(self) -> SearchPage:
        """What was found."""
        rows = tuple(self._rows)
        is_full = len(rows) >= self.wanted.limit
        if self._is_over and not is_full:
            return SearchPage(rows, None, complete=True)
        return SearchPage(rows, self.before, complete=is_full)

    def reach(self, before: int | None) -> None:
        """It was looked down to here; None: everywhere."""
        if len(self._rows) >= self.wanted.limit:
            self.before = self._rows[-1].identifier
        elif before is None or before <= self.after + 1:
            self._is_over = True
        else:
            self.before = before

    async def walk(self, down_to: int) -> None:
        """Look at the messages themselves, above an identifier."""
        # SQLite compares only ASCII without regard to case; the other words are compared here.
        plain = max((word for word in self._words if word.isascii()), key=len, default="")
        depth = FIRST_DEPTH
        while self.goes_on and self.before > down_to + 1:
            after = max(down_to, self.after)
            wanted = replace(self.wanted, text=plain, before=self.before, after=after)
            looked = await self._spool.look(wanted, depth)
            self._take(looked.rows)
            if looked.before is None and down_to > self.after:
                self.reach(down_to + 1)
                return
            self.reach(looked.before)
            depth = DEPTH

    async def by_state(self) -> None:
        """Ask which messages are in these states, and compare them."""
        # The newest may all be in them, and the queue is not sorted by age.
        wanted = replace(self.wanted, before=self.before)
        looked = await self._spool.look(wanted, STATE_DEPTH)
        self._take(looked.rows)
        self.reach(looked.before)
        while self.goes_on:
            found = await self._spool.newest_in(self.wanted.states, self.before, CANDIDATES)
            await self.compare(found.messages, found.before)

    async def members(self, below: int) -> frozenset[int] | None:
        """All messages in the states asked for; None where they are not few."""
        if not self.is_rare:
            return None
        found = await self._spool.newest_in(self.wanted.states, below, MEMBERS)
        return frozenset(found.messages) if found.before is None else None

    async def compare(self, messages: Sequence[int], before: int | None) -> None:
        """Take of these messages, newest first, those that are meant; then go on `before`."""
        for start in range(0, len(messages), CANDIDATES):
            if not self.goes_on:
                return
            part = tuple(messages[start : start + CANDIDATES])
            limit = len(part) if self._words else self.wanted.limit
            wanted = replace(self.wanted, identifiers=part, limit=limit, before=self.before)
            self._take(await self._spool.messages(wanted))
            self.reach(part[-1])
        self.reach(before)

    def _take(self, rows: Sequence[MessageRow]) -> None:
        for row in rows:
            if len(self._rows) < self.wanted.limit and has_words(row, self._words):
                self._rows.append(row)


def _within(wanted: MessageFilter) -> MessageFilter:
    """The filter with its times as bounds of identifiers, too: these are quick to find."""
    if wanted.older_than is not None:
        last = int((wanted.older_than + SLACK_SECONDS) * 1_000_000)
        wanted = replace(wanted, before=min(last, wanted.before or _LAST))
    if wanted.since is not None:
        first = int((wanted.since - SLACK_SECONDS) * 1_000_000)
        wanted = replace(wanted, after=max(first, wanted.after or 0))
    return wanted


def _pieces(address: str) -> tuple[str, ...]:
    """What must be found of a sender or recipient (MessageFilter.sender)."""
    return () if address == "<>" else (address.casefold(),)
