"""A message that comes from inside: from an application's outbox, or from another face of this
relay, without a connection of SMTP.

It takes the way of every other message: the recipients' policy, the trace field, the loop check,
the spool's commit. What would be a reply at RCPT or behind the final dot is a refusal here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from waypost.delivery.engine import Engine
from waypost.net.clock import Clock
from waypost.relay.dates import DateSource
from waypost.relay.intake import Intake, IntakeSettings, Origin
from waypost.relay.recipient_policy import NEEDS_LOOKUP, RecipientPolicy
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply, reply
from waypost.smtp.stuffing import BareLineEnd, whole_lines
from waypost.spool.contract import Spool

PIECE: Final = 256 * 1024
"""Bytes of content handed to the spool at a time."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission."""

    identifier: str
    """Under which the relay has the message; "" where no recipient was left."""
    refusals: Mapping[int, Reply] = field(default_factory=dict)
    """Recipients that were not taken, by their place in the envelope."""


class SubmissionRefused(Exception):
    """The message as a whole was not taken; `reply` is what a client of SMTP would have read."""

    def __init__(self, refusal: Reply) -> None:
        self.reply = refusal
        super().__init__(refusal.text)


class Submissions:
    """Takes messages for one relay."""

    def __init__(
        self,
        settings: IntakeSettings,
        spool: Spool,
        engine: Engine,
        recipients: RecipientPolicy,
        clock: Clock,
        maximum_size: int,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._engine = engine
        self._recipients = recipients
        self._clock = clock
        self._dates = DateSource(clock)
        self.maximum_size = maximum_size
        """Bytes of a message."""

    async def submit(
        self, envelope: Envelope, content: bytes, *, source: str, user: str | None
    ) -> Submitted:
        """Take a message; returns when it is durable. Raises SubmissionRefused.

        `source` says in a word where it comes from, for the trace and the log; `user` whose it is.
        """
        if len(content) > self.maximum_size:
            raise SubmissionRefused(
                reply(552, "5.3.4", f"Message of {len(content)} bytes exceeds the maximum of "
                      f"{self.maximum_size}")
            )  # fmt: skip
        try:
            content = whole_lines(content)
        except BareLineEnd as fault:
            raise SubmissionRefused(reply(550, "5.6.0", str(fault))) from fault
        refusals: dict[int, Reply] = {}
        for number, recipient in enumerate(envelope.recipients):
            refusal = await self._refusal(recipient.address)
            if refusal is not None:
                refusals[number] = refusal
        taken = tuple(one for n, one in enumerate(envelope.recipients) if n not in refusals)
        if not taken:
            return Submitted("", refusals)
        origin = Origin(source, f"unix:{source}", "local", "", user, submission=True)
        intake = Intake(
            self._settings, self._spool, self._engine, self._dates,
            replace(envelope, recipients=taken, declared_size=len(content)), origin,
        )  # fmt: skip
        return Submitted(await self._take(intake, content), refusals)

    async def _refusal(self, address: str) -> Reply | None:
        verdict = self._recipients.quick(address, self._clock.monotonic())
        if verdict is NEEDS_LOOKUP:
            return await self._recipients.check(address, self._clock.monotonic())
        assert verdict is None or isinstance(verdict, Reply)
        return verdict

    async def _take(self, intake: Intake, content: bytes) -> str:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Reply | None, str]] = loop.create_future()

        def done(refusal: Reply | None, identifier: str) -> None:
            if not ended.done():
                ended.set_result((refusal, identifier))

        try:
            for start in range(0, len(content), PIECE):
                intake.take(content[start : start + PIECE])
                if intake.writer.congested:
                    drained = asyncio.Event()
                    intake.writer.when_drained(drained.set)
                    await drained.wait()
            intake.finish(done)
        finally:
            if not intake.finishing:
                intake.discard()
        refusal, identifier = await ended
        if refusal is not None:
            raise SubmissionRefused(refusal)
        return identifier
