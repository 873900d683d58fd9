"""A message that comes from inside: from an application's outbox, or from another face of this
relay, without a connection of SMTP.

It takes the way of every other message: the recipients' policy, the trace field, the loop check,
the spool's commit. What would be a reply at RCPT or behind the final dot is a refusal here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from waypost.delivery.engine import Engine
from waypost.net.clock import Clock
from waypost.relay.dates import DateSource
from waypost.relay.intake import Intake, IntakeSettings, Origin
from waypost.relay.recipient_policy import NEEDS_LOOKUP, RecipientPolicy
from waypost.relay.signing import MessageSigning
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply, reply
from waypost.smtp.stuffing import BareLineEnd, LineEnds, whole_lines
from waypost.spool.contract import Spool

PIECE: Final = 256 * 1024
"""Bytes of content handed to the spool at a time."""

Claim = Callable[[int, Mapping[int, Reply]], Awaitable[None]]
"""Told under which identifier the message will be kept, and which recipients were not taken, before
anything of it can be durable; what it raises ends the submission."""


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
        signing: MessageSigning | None = None,
    ) -> None:
        self._signing = signing
        self._settings = settings
        self._spool = spool
        self._engine = engine
        self._recipients = recipients
        self._clock = clock
        self._dates = DateSource(clock)
        self.maximum_size = maximum_size
        """Bytes of a message."""

    async def submit(
        self,
        envelope: Envelope,
        content: bytes | AsyncIterator[bytes],
        *,
        source: str,
        user: str | None,
        claim: Claim | None = None,
    ) -> Submitted:
        """Take a message; returns when it is durable. Raises SubmissionRefused, and what `claim`
        and the pieces of the content raise; nothing is stored then.

        Content in one has its lines ended by CRLF, or is refused; content in pieces has them mended
        as it comes. `source` says in a word where it comes from, for the trace and the log; `user`
        whose it is. `claim` is asked when the content is whole and nothing is durable yet.
        """
        if isinstance(content, bytes):
            if len(content) > self.maximum_size:
                raise self._too_large(len(content))
            try:
                content = whole_lines(content)
            except BareLineEnd as fault:
                raise SubmissionRefused(reply(550, "5.6.0", str(fault))) from fault
            envelope = replace(envelope, declared_size=len(content))
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
            replace(envelope, recipients=taken), origin, self._signing,
        )  # fmt: skip
        return Submitted(await self._take(intake, content, claim, refusals), refusals)

    def _too_large(self, size: int) -> SubmissionRefused:
        said = f"Message of {size} bytes exceeds the maximum of {self.maximum_size}"
        return SubmissionRefused(reply(552, "5.3.4", said))

    async def _refusal(self, address: str) -> Reply | None:
        verdict = self._recipients.quick(address, self._clock.monotonic())
        if verdict is NEEDS_LOOKUP:
            return await self._recipients.check(address, self._clock.monotonic())
        assert verdict is None or isinstance(verdict, Reply)
        return verdict

    async def _take(
        self,
        intake: Intake,
        content: bytes | AsyncIterator[bytes],
        claim: Claim | None,
        refusals: Mapping[int, Reply],
    ) -> str:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Reply | None, str]] = loop.create_future()

        def done(refusal: Reply | None, identifier: str) -> None:
            if not ended.done():
                ended.set_result((refusal, identifier))

        try:
            if isinstance(content, bytes):
                for start in range(0, len(content), PIECE):
                    await _give(intake, content[start : start + PIECE])
            else:
                await self._take_pieces(intake, content)
            if claim is not None and intake.refusal is None:
                await claim(intake.writer.identifier, refusals)
            intake.finish(done)
        finally:
            if not intake.finishing:
                intake.discard()
        refusal, identifier = await ended
        if refusal is not None:
            raise SubmissionRefused(refusal)
        return identifier

    async def _take_pieces(self, intake: Intake, pieces: AsyncIterator[bytes]) -> None:
        """Content as it comes, its lines ended by CRLF and its size bounded."""
        lines, size, eight_bit, head = LineEnds(normalise=True), 0, False, _Head()
        async for piece in pieces:
            mended = lines.feed(piece)
            size += len(mended)
            if size > self.maximum_size:
                raise self._too_large(size)
            eight_bit = eight_bit or not mended.isascii()
            head.look_at(mended)
            await _give(intake, mended)
        await _give(intake, lines.finish())
        if eight_bit:
            intake.found_eight_bit(in_header=head.eight_bit)


class _Head:
    """Whether the header of content that comes in pieces has octets beyond US-ASCII."""

    def __init__(self) -> None:
        self.eight_bit = False
        self._end = b""
        """The last octets before a piece."""
        self._passed = False

    def look_at(self, piece: bytes) -> None:
        """The next piece."""
        if self._passed:
            return
        seen = self._end + piece
        end = seen.find(b"\r\n\r\n")
        self._passed = end >= 0
        self.eight_bit = self.eight_bit or not (seen[:end] if end >= 0 else seen).isascii()
        self._end = seen[-3:]


async def _give(intake: Intake, piece: bytes) -> None:
    """Hand over a piece; returns when the spool can take the next."""
    if piece:
        intake.take(piece)
    if intake.writer.congested:
        drained = asyncio.Event()
        intake.writer.when_drained(drained.set)
        await drained.wait()
