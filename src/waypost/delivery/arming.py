"""Arming: a message that waits in memory is made ready to be begun at any moment.

That is: its content is at hand, and the spool has marked its attempt as started (invariant 3), so
that after a crash it is known which messages may have been delivered without our hearing of it. A
few are armed ahead of need, so that no connection waits for the disk. A mark is taken back when
the attempt does not begin after all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

import structlog

from waypost.delivery.in_memory import InMemory, domains_of
from waypost.delivery.lane import Lane
from waypost.delivery.settlement import Settlement
from waypost.net.clock import Clock
from waypost.spool.contract import BodyDamaged, NotQueued, QueuedMessage, Spool

SPOOL_RETRY_SECONDS: Final = 1.0
"""After the spool could not mark an attempt as started."""


class ArmingOwner(Protocol):
    """Whom the armed messages are for (lane_keeper.py)."""

    @property
    def stopping(self) -> bool:
        """Nothing begins any more."""

    def dispatch(self, lane: Lane) -> None:
        """Something has changed for a lane."""

    def wake(self, domain: str) -> None:
        """There is due mail for a destination on disk."""


class Arming:
    """See the module."""

    def __init__(
        self,
        owner: ArmingOwner,
        spool: Spool,
        settlement: Settlement,
        memory: InMemory,
        clock: Clock,
        ahead: int,
    ) -> None:
        """`ahead`: messages of a lane that are armed before there is a connection for them."""
        self._owner = owner
        self._spool = spool
        self._settlement = settlement
        self._memory = memory
        self._clock = clock
        self._ahead = ahead
        self._tasks: set[asyncio.Task[None]] = set()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.delivery")

    def arm(self, lane: Lane) -> None:
        """Arm what waits in a lane, some ahead of need. A message whose time is over ends here."""
        while lane.ready and len(lane.armed) + lane.arming < self._ahead:
            message = lane.ready.popleft()
            expires_at = min(message.expires_at, message.begins_at + lane.route.expire_after)
            if expires_at <= self._clock.now():
                self._settlement.expired(message)
                continue
            lane.arming += 1
            if message.body is not None:
                self._mark(lane, message)
                continue
            task = asyncio.get_running_loop().create_task(self._fetch_and_mark(lane, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fetch_and_mark(self, lane: Lane, message: QueuedMessage) -> None:
        try:
            message.body = await self._spool.open_body(message.identifier)
        except BodyDamaged as fault:
            lane.arming -= 1
            self._settlement.damaged(message, f"its content is damaged: {fault}")
            self._owner.dispatch(lane)
            return
        self._memory.body_came(message)
        self._mark(lane, message)

    def _mark(self, lane: Lane, message: QueuedMessage) -> None:
        def marked(failure: Exception | None) -> None:
            lane.arming -= 1
            if failure is None:
                if lane.leaving or self._owner.stopping:
                    self.unmark((message,))
                else:
                    lane.armed.append(message)
            elif isinstance(failure, NotQueued) or lane.leaving:
                # Somebody has held or cancelled it: what is left of it is loaded again. Or it
                # goes another way by now.
                self._memory.release(message)
                for domain in domains_of(message):
                    self._owner.wake(domain)
            else:
                lane.ready.append(message)
                lane.blocked_until = self._clock.now() + SPOOL_RETRY_SECONDS
                lane.blocked_reason = str(failure)
            self._owner.dispatch(lane)

        numbers = [recipient.number for recipient in message.recipients]
        self._spool.mark_started(message.identifier, numbers, marked)

    def unmark(self, messages: Iterable[QueuedMessage]) -> None:
        """Attempts that were marked as started do not begin: the messages are only on disk."""
        for message in messages:
            self._unmark(message)

    def _unmark(self, message: QueuedMessage) -> None:
        def unmarked(failure: Exception | None) -> None:
            self._memory.release(message)
            if failure is not None:
                # The mark stays until the next start, where it counts as uncertain.
                self._log.warning("a mark could not be taken back", why=str(failure))
            for domain in domains_of(message):
                self._owner.wake(domain)

        numbers = [recipient.number for recipient in message.recipients]
        self._spool.unmark_started(message.identifier, numbers, unmarked)

    async def stop(self) -> None:
        """End what waits for a content."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
