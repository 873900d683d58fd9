"""One thread that owns the writing connection and commits for everybody.

Group commit: the thread takes all operations that are waiting, applies them in one transaction,
and tells the event loop once. While it waits for the disk, the next group gathers. With few
clients a commit follows at once. With many it waits a millisecond for more to come together,
which costs each client that millisecond and saves all of them the fsyncs and the changes between
threads: measured, a sixth more messages and a tenth less work for each.

An ordinary group is a single call into SQLite (exchange.py), which runs without the interpreter
lock, so the thread rarely has to fetch the lock back from a busy event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from waypost.spool.contract import Done, NotQueued, SpoolFailure, SpoolFull

MAXIMUM_GROUP: Final = 256
"""Operations of one transaction; bounds the memory and the latency of a commit."""


BUSY_GROUP: Final = 8
"""Operations of a group from which on there is load."""

GATHER_SECONDS: Final = 0.001


class Operation(Protocol):
    """Something to do within a transaction."""

    done: Done | None


Apply = Callable[[sqlite3.Connection, Sequence[Operation]], None]
"""Writes a group of operations in one transaction; where it raises, that may be left open."""


class Committer:
    """The writing thread of one SQLite file."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], apply: Apply) -> None:
        self._connect = connect
        self._apply = apply
        self._waiting: list[Operation] = []
        self._wake = threading.Condition()
        self._committing: list[Operation] = []
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.commits = 0
        """Transactions so far, for statistics."""
        self.failure: str = ""
        """The last error of the storage, "" when the last commit went well."""

    def start(self) -> None:
        """Begin; callbacks will run on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="waypost-committer", daemon=True)
        self._thread.start()

    def in_progress(self) -> list[Operation]:
        """What has been submitted and is not known to be durable."""
        return [*self._committing, *self._waiting]

    def submit(self, operation: Operation) -> None:
        """Add an operation; its `done` is called on the loop."""
        if self._stopping:
            if operation.done is not None:
                assert self._loop is not None
                self._loop.call_soon(operation.done, SpoolFailure("the spool is closed"))
            return
        waiting = self._waiting
        waiting.append(operation)
        if len(waiting) == 1:
            with self._wake:
                self._wake.notify()

    def stop(self) -> None:
        """Commit what waits and end the thread. Blocks until then."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        _work_in_batches()
        connection = self._connect()
        try:
            while True:
                with self._wake:
                    while not self._waiting and not self._stopping:
                        self._wake.wait()
                # Appending is atomic under the interpreter lock, so taking a slice and deleting it
                # loses nothing that is appended between the two.
                group = self._committing = self._waiting[:MAXIMUM_GROUP]
                del self._waiting[: len(group)]
                if not group:
                    return
                self._commit(connection, group)
                self._committing = []
                if len(group) >= BUSY_GROUP:
                    self._gather()
        finally:
            connection.close()

    def _gather(self) -> None:
        """Under load, let more come together: all of them then share one fsync."""
        with self._wake:
            if not self._stopping:
                self._wake.wait_for(lambda: self._stopping, GATHER_SECONDS)

    def _commit(self, connection: sqlite3.Connection, group: list[Operation]) -> None:
        failure = self._try(connection, group)
        if failure is None:
            self._tell([(operation.done, None) for operation in group])
        elif len(group) == 1:
            self._tell([(group[0].done, failure)])
        else:
            # One of them may be at fault; the others must not suffer for it.
            for operation in group:
                self._tell([(operation.done, self._try(connection, [operation]))])

    def _try(self, connection: sqlite3.Connection, group: list[Operation]) -> Exception | None:
        try:
            self._apply(connection, group)
        except NotQueued as refusal:
            connection.execute("ROLLBACK")
            return refusal
        except Exception as fault:  # noqa: BLE001 - told to those who asked; the thread lives on
            self.failure = str(fault)
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the next BEGIN will say so again
                    connection.execute("ROLLBACK")
            return as_refusal(fault)
        self.commits += 1
        self.failure = ""
        return None

    def _tell(self, outcomes: list[tuple[Done | None, Exception | None]]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_call_back, outcomes)


def _work_in_batches() -> None:
    """Tell the system that this thread, when it wakes, need not take the processor from others.

    It wakes for every group. Interrupting the event loop in the middle of its work each time costs
    both more than the moment that a commit begins later: measured on two cores, a sixth less work
    for a message with a connection of its own, and a third more of them in a second. Linux only.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it; then it works as before
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def as_refusal(fault: Exception) -> Exception:
    """The refusal that an error of the storage means to those who wanted to write."""
    text = str(fault)
    if "full" in text or getattr(fault, "errno", None) in (28, 122):  # ENOSPC, EDQUOT
        return SpoolFull("the disk of the spool is full")
    return SpoolFailure(f"the spool could not be written: {text}")


def _call_back(outcomes: list[tuple[Done | None, Exception | None]]) -> None:
    for done, failure in outcomes:
        if done is not None:
            call_back(done, failure)


def call_back(done: Done, failure: Exception | None) -> None:
    """Call it; should it raise, that is reported and the others are still called."""
    try:
        done(failure)
    except Exception as fault:  # noqa: BLE001 - given to the loop, which reports it
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a callback of the spool failed", "exception": fault}
        )
