"""Settlement: from what an attempt came to, to what the spool keeps of it.

Each attempt ends here exactly once. Its results, its transcript and the notice it may call for go
to the spool in one operation, and only when that is durable does the message leave memory
(invariants 2 and 3). A commit that fails is tried again for as long as it takes: the outcome is
known to nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from waypost.delivery.chance import Chance
from waypost.delivery.in_memory import InMemory
from waypost.delivery.judgement import state_after
from waypost.delivery.notices import Notices
from waypost.delivery.outcome import Outcome
from waypost.delivery.route import Route
from waypost.mail.notification import MAXIMUM_RETURNED, Action
from waypost.net.clock import Clock
from waypost.spool.contract import (
    AttemptRecord,
    BodyDamaged,
    BodyWriter,
    NewMessage,
    QueuedMessage,
    RecipientResult,
    RecipientState,
    Spool,
    SpoolRefusal,
)
from waypost.spool.identifiers import identifier_text

COMMIT_RETRY_SECONDS: Final = 1.0
"""After a failed commit of an outcome; the message stays in memory and is not sent again."""

_EXPIRED: Final = "not delivered within the time allowed"

Told = list[tuple[RecipientResult, Action]]


class Aftermath(Protocol):
    """What follows an outcome that has become durable (engine.py)."""

    def settled(
        self, message: QueuedMessage, record: AttemptRecord, notice: NewMessage | None
    ) -> None:
        """The message has left memory; recipients that are queued again are due later."""


class Settlement:
    """See the module. `under_way` counts outcomes that are not yet durable."""

    def __init__(
        self, spool: Spool, notices: Notices, memory: InMemory, chance: Chance, clock: Clock
    ) -> None:
        self._spool = spool
        self._notices = notices
        self._memory = memory
        self._chance = chance
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.delivery")
        self.aftermath: Aftermath | None = None
        self.under_way = 0
        self.stopping = False
        """A failed commit is not tried again: recovery will count the attempt as uncertain."""

    def stop(self) -> None:
        """Break off what is not yet with the spool."""
        self.stopping = True
        for task in self._tasks:
            task.cancel()

    # --- outcomes ---------------------------------------------------------------------------

    def attempted(
        self,
        route: Route,
        message: QueuedMessage,
        outcomes: Sequence[Outcome],
        transcript: str,
        started_at: float,
        next_hop: str,
        tls: str,
        *,
        uncertain: bool,
    ) -> None:
        """An attempt has ended with an outcome for each recipient of this part."""
        now = self._clock.now()
        results: list[RecipientResult] = []
        for recipient, outcome in zip(message.recipients, outcomes, strict=True):
            state, due_at = state_after(outcome), 0.0
            if state is RecipientState.QUEUED:
                again = self._next_attempt(route, message, recipient.attempts, outcome, outcomes)
                if again is None:
                    state = RecipientState.EXPIRED
                else:
                    due_at = again
            results.append(
                RecipientResult(recipient.number, state, due_at, outcome.text, outcome.reason)
            )
            if state is not RecipientState.DELIVERED:
                self._report(message, recipient.address, route, state, outcome)
        delivered = [
            recipient.address
            for recipient, result in zip(message.recipients, results, strict=True)
            if result.state is RecipientState.DELIVERED
        ] if route.tee_sandbox else ()  # fmt: skip
        if delivered:
            # Given before the outcome: the body is still there when the copy is taken of it.
            self._spool.capture(message.identifier, delivered, now, self._captured)
        record = AttemptRecord(
            message.identifier, started_at, now - started_at, route.name, next_hop, tls,
            tuple(results), transcript, uncertain,
        )  # fmt: skip
        self._finish(message, record, route)

    def captured(self, route: Route, message: QueuedMessage) -> None:
        """The sandbox takes a message; nothing leaves the machine. It counts as delivered only
        once the copy is durable; a copy that cannot be made is tried again."""
        self.under_way += 1

        def kept(failure: Exception | None) -> None:
            self.under_way -= 1
            if failure is None:
                self._finish(message, self._capture_record(route, message), route)
                return
            self._captured(failure)
            if not self.stopping:
                self._clock.call_later(COMMIT_RETRY_SECONDS, lambda: self.captured(route, message))

        addresses = [recipient.address for recipient in message.recipients]
        self._spool.capture(message.identifier, addresses, self._clock.now(), kept)

    def _capture_record(self, route: Route, message: QueuedMessage) -> AttemptRecord:
        results = tuple(
            RecipientResult(r.number, RecipientState.DELIVERED, 0.0, "captured", "")
            for r in message.recipients
        )
        return AttemptRecord(
            message.identifier, self._clock.now(), 0.0, route.name, "sandbox", "", results,
            "0.0 * captured by the sandbox: nothing left this machine",
        )  # fmt: skip

    def damaged(self, message: QueuedMessage, reason: str) -> None:
        """The content of a message cannot be read: it is set aside, for people to look at."""
        self._log.error(
            "message set aside", message=identifier_text(message.identifier), why=reason
        )
        self.under_way += 1
        task = asyncio.get_running_loop().create_task(self._set_aside(message, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _set_aside(self, message: QueuedMessage, reason: str) -> None:
        while not self.stopping:
            try:
                await self._spool.set_aside(message.identifier, reason)
                break
            except SpoolRefusal as fault:
                self._log.error("not set aside yet; trying again", why=str(fault))
                await self._clock.sleep(COMMIT_RETRY_SECONDS)
        self.under_way -= 1
        self._memory.release(message)

    def expired(self, message: QueuedMessage) -> None:
        """The time of a message is over before it could be attempted again."""
        now = self._clock.now()
        results = tuple(
            RecipientResult(r.number, RecipientState.EXPIRED, 0.0, _EXPIRED, "expired")
            for r in message.recipients
        )
        record = AttemptRecord(message.identifier, now, 0.0, "", "", "", results, "")
        self._log.warning("expired", message=identifier_text(message.identifier))
        self._finish(message, record, None)

    def _next_attempt(
        self,
        route: Route,
        message: QueuedMessage,
        attempts: int,
        outcome: Outcome,
        outcomes: Sequence[Outcome],
    ) -> float | None:
        """When to try a recipient again; None: its time is over."""
        now = self._clock.now()
        if outcome.next == "at-once" and any(one.is_delivered for one in outcomes):
            return now  # this attempt took some of them off, so this comes to an end
        expires_at = min(message.expires_at, message.begins_at + route.expire_after)
        return route.retry.next_attempt(attempts + 1, now, expires_at, self._chance)

    def _report(
        self,
        message: QueuedMessage,
        address: str,
        route: Route,
        state: RecipientState,
        outcome: Outcome,
    ) -> None:
        tell = self._log.info
        if outcome.verdict.alert or (state.is_final and not message.envelope.reverse_path):
            tell = self._log.warning  # the operator's to mend, or a notice that is lost
        tell(
            "deferred" if state is RecipientState.QUEUED else state.name.lower(),
            message=identifier_text(message.identifier), recipient=address, route=route.name,
            reason=outcome.reason, reply=outcome.text,
        )  # fmt: skip

    def _captured(self, failure: Exception | None) -> None:
        if failure is not None:
            self._log.error("not captured", why=str(failure))

    # --- to the spool -----------------------------------------------------------------------

    def _finish(self, message: QueuedMessage, record: AttemptRecord, route: Route | None) -> None:
        self.under_way += 1
        told = self._notices.wanted(message, record, route, self._clock.now())
        if told:
            task = asyncio.get_running_loop().create_task(
                self._finish_with_notice(message, record, told)
            )
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._told(done, message, record))
        else:
            self._commit(message, record, None)

    async def _finish_with_notice(
        self, message: QueuedMessage, record: AttemptRecord, told: Told
    ) -> None:
        original = b""
        try:
            body = message.body or await self._spool.open_body(message.identifier)
            async for piece in body.chunks():
                original += piece
                if len(original) > MAXIMUM_RETURNED:
                    break
        except BodyDamaged:
            original = b"X-Waypost: the stored message cannot be read\r\n\r\n"
        notice = self._notices.make(message, record, told, original, self._clock.now())
        if any(action == "delayed" for _, action in told):
            self._spool.warned(message.identifier, self._warned)
        self._commit(message, record, notice)

    def _warned(self, failure: Exception | None) -> None:
        if failure is not None:
            self._log.warning("a delay warning may be sent again", why=str(failure))

    def _commit(
        self,
        message: QueuedMessage,
        record: AttemptRecord,
        notice: tuple[NewMessage, BodyWriter] | None,
    ) -> None:
        # No function of its own that would name itself to be tried again: such a circle would
        # keep every delivered message in memory until the garbage is collected.
        durable = partial(self._durable, message, record, notice)
        self._spool.finish(record, durable, notice)

    def _durable(
        self,
        message: QueuedMessage,
        record: AttemptRecord,
        notice: tuple[NewMessage, BodyWriter] | None,
        failure: Exception | None,
    ) -> None:
        """The outcome is with the spool for good, or has to be given to it again."""
        if failure is not None:
            self._log.error(
                "an outcome could not be stored; trying again", why=str(failure),
                message=identifier_text(message.identifier),
            )  # fmt: skip
            if not self.stopping:
                self._clock.call_later(
                    COMMIT_RETRY_SECONDS, lambda: self._commit(message, record, notice)
                )
            return
        self.under_way -= 1
        self._memory.release(message)
        if self.aftermath is not None:
            self.aftermath.settled(message, record, notice[0] if notice is not None else None)

    def _told(
        self, task: asyncio.Task[None], message: QueuedMessage, record: AttemptRecord
    ) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        # The outcome must not be lost with its notice.
        self._log.error(
            "a notice could not be made", exc_info=task.exception(),
            message=identifier_text(message.identifier),
        )  # fmt: skip
        self._commit(message, record, None)


Watcher = Callable[[NewMessage | QueuedMessage, AttemptRecord | None], None]
"""Told of a message that has become durable (None), and of each attempt whose outcome has."""
