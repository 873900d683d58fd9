"""The indexer: brings new messages into the search index, beside the work and slowly.

It reads on from where it has come to, some hundred messages at a time, and pauses after each many
times as long as that took (SHARES): it keeps up while there is time left, takes next to nothing of
a relay that works as hard as it can, and catches up when it is quiet. A message that becomes
durable below one already indexed (its content took longer to arrive) is told by `take` and indexed
on its own.

Nothing depends on it but the speed of a search: what is not indexed yet is looked through.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from waypost.control.search_index import IndexWriter, NoIndex
from waypost.control.search_words import CommonTrigrams, indexed_text
from waypost.net.clock import Clock
from waypost.spool.contract import AttemptRecord, NewMessage, QueuedMessage, Spool
from waypost.spool.search import SearchText

BATCH: Final = 500
"""Messages indexed in one go: some 15 milliseconds."""

BATCH_CHARACTERS: Final = 4 * 1024 * 1024

SHARES: Final = ((50.0, 0.25), (1000.0, 0.05), (float("inf"), 0.01))
"""Which share of a processor it may take, below so many accepted messages a second."""

LOOK_SECONDS: Final = 1.0
"""Between two looks for new messages."""

PRUNE_SECONDS: Final = 600.0

LEARN_SECONDS: Final = 60.0
"""Between two looks at which trigrams are common."""

MAXIMUM_ANNOUNCED: Final = 100_000
"""Kept while the index cannot be written."""

AGAIN_SECONDS: Final = 60.0
"""After an error of the disk."""

_Result = TypeVar("_Result")


class Indexer:
    """See the module."""

    def __init__(self, path: Path, spool: Spool, clock: Clock) -> None:
        self.common = CommonTrigrams()
        self.indexed = 0
        """All messages up to this one are in the index, but for those that come late."""
        self.is_ready = False
        """There is an index to be asked."""
        self.is_behind = True
        """There was more to index when it was last looked for."""
        self._writer = IndexWriter(path)
        self._spool = spool
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, "waypost-search-index", _work_in_batches)
        self._announced: list[int] = []
        """Messages that have become durable and are not known to be indexed."""
        self._taken: set[int] = set()
        """Those of the last batch."""
        self._is_complete = True
        """Nothing is under way."""
        self.opened = 0
        """How often the index was opened: what had it open before has another one."""
        self._is_damaged = False
        self._learned_at = float("-inf")
        self._looked_at = clock.monotonic()
        self._pruned_at = clock.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.search")

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.is_ready = False
        late = any(one <= self.indexed and one not in self._taken for one in self._announced)
        complete = self._is_complete and not late
        await self._in_thread(lambda: self._writer.close(complete=complete))
        self._pool.shutdown(wait=True)

    def take(self, message: NewMessage | QueuedMessage, record: AttemptRecord | None) -> None:
        """A watcher (administration.watch)."""
        if record is None:
            self._announced.append(message.identifier)

    def damaged(self) -> None:
        """Whoever has asked found the index damaged: it is made anew."""
        self.is_ready = False
        self._is_damaged = True

    # --- indexing ---------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._open()
                while not self._is_damaged:
                    await self._step()
            except NoIndex as fault:
                self._log.warning(
                    "no search index", why=str(fault),
                    fix="a newer SQLite (3.34) has it; until then a search goes through the log",
                )  # fmt: skip
                return
            except sqlite3.OperationalError as fault:
                self._failed(fault)
                await self._clock.sleep(AGAIN_SECONDS)
            except sqlite3.DatabaseError:
                self._is_damaged = True
            except Exception as fault:  # noqa: BLE001 - whatever the spool or the disk meets
                self._failed(fault)
                await self._clock.sleep(AGAIN_SECONDS)

    def _failed(self, fault: Exception) -> None:
        self._log.warning(
            "the search index could not be written", why=str(fault),
            fix="look at the disk of the spool; until then a search goes through what is new",
        )  # fmt: skip

    async def _open(self) -> None:
        self.is_ready = False
        if self._is_damaged:
            self._log.warning("the search index is damaged and is made anew")
            await self._in_thread(self._writer.remove)
            self._is_damaged = False
        await self._in_thread(lambda: self._writer.close(complete=False))
        self.indexed = await self._in_thread(self._writer.open)
        self._taken = set()
        self.opened += 1
        self.is_ready = True

    async def _step(self) -> None:
        """Index what has come late, and some of what is new; then pause."""
        begun = self._clock.monotonic()
        announced, self._announced = self._announced, []
        rate = len(announced) / max(begun - self._looked_at, 0.01)
        self._looked_at = begun
        self._is_complete = False
        try:
            await self._index(announced)
        except BaseException:
            self._announced = [*announced, *self._announced][-MAXIMUM_ANNOUNCED:]
            raise
        self._is_complete = True
        if begun - self._pruned_at >= PRUNE_SECONDS:
            self._pruned_at = begun
            oldest = await self._spool.oldest()
            await self._in_thread(lambda: self._writer.prune(oldest or self.indexed + 1))
        took = self._clock.monotonic() - begun
        share = next(share for below, share in SHARES if rate < below)
        pause = took * (1 / share - 1)
        await self._clock.sleep(pause if self.is_behind else max(pause, LOOK_SECONDS))

    async def _index(self, announced: list[int]) -> None:
        """Index the next messages, and those of the announced ones that lie below them.

        What is announced may have been read already, in this batch or in the one before.
        """
        texts = await self._new_texts()
        taken = {one.message for one in texts}
        reached = texts[-1].message if texts else self.indexed
        late = [
            message
            for message in announced
            if message <= reached and message not in taken and message not in self._taken
        ]
        for message in late:
            texts += await self._spool.search_texts(message - 1, 1)
        if texts:
            ready = [(one.message, indexed_text(one)) for one in texts]
            self._learn([text for _, text in ready])
            await self._in_thread(lambda: self._writer.add(ready, reached))
        self.indexed = reached
        self._taken = taken or self._taken
        # The others were not durable when the texts were read: they come with the next ones.
        self._announced = [one for one in announced if one > reached] + self._announced
        self.is_behind = len(taken) >= BATCH

    def _learn(self, texts: list[str]) -> None:
        now = self._clock.monotonic()
        if now - self._learned_at >= LEARN_SECONDS:
            self._learned_at = now
            self.common.learn(texts)

    async def _new_texts(self) -> list[SearchText]:
        """The next messages, so many that they do not take too much memory."""
        texts = await self._spool.search_texts(self.indexed, BATCH)
        characters = 0
        for number, text in enumerate(texts):
            characters += len(text.others)
            if characters > BATCH_CHARACTERS:
                return texts[: number + 1]
        return texts

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _work_in_batches() -> None:
    """This thread, when it wakes, need not take the processor from others (spool/committer.py). Not
    SCHED_IDLE: it would hold the interpreter's lock, at times, and not get to run."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it; then it works as before
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
