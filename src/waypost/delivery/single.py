"""One message, delivered once and now: no spool, no retry, every step shown as it happens.

`waypost send --via` and tests of a connection use it. It is the same conversation as the engine's:
opening (opening.py), one courier, outcomes by judgement.py. Direct delivery takes one connection
for each recipient domain; a peer that takes only so many recipients at a time is given the rest in
further transactions of the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from waypost.delivery.courier import ConnectionBroken, Courier, Delivery
from waypost.delivery.judgement import outcome_of_opening, outcomes_of_transaction, peer_of
from waypost.delivery.lane import Lane
from waypost.delivery.opening import Opener, OpeningFailed
from waypost.delivery.outcome import Outcome
from waypost.delivery.route import Route
from waypost.delivery.transcript import Transcript
from waypost.net.clock import Clock
from waypost.smtp.client_transaction import TransactionOutcome
from waypost.smtp.envelope import Envelope
from waypost.spool.contract import QueuedMessage, QueuedRecipient

MAXIMUM_TRANSACTIONS: Final = 1000
"""For one message; each must bring at least one recipient to an end."""

CLOSING_SECONDS: Final = 6.0
"""For QUIT and its reply, after the message has been settled."""

Observe = Callable[[float, str, str], None]
"""Told each line as it happens: seconds since the beginning, direction (">" sent, "<" received,
"*" a note of ours), text with secrets redacted."""


@dataclass(frozen=True, slots=True)
class SingleOutcome:
    """What the delivery came to for one recipient."""

    address: str
    outcome: Outcome
    next_hop: str
    tls: str
    reached: bool
    """A session with a next hop was ready, so that the outcome is about the message."""
    uncertain: bool
    """The peer may have accepted although it could not say so."""


class _Told(Transcript):
    """A transcript that tells its lines as they come."""

    __slots__ = ("_begun", "_observe")

    def __init__(self, started: float, begun: float, observe: Observe) -> None:
        super().__init__(started)
        self._begun = begun
        self._observe = observe

    def add(self, moment: float, direction: str, lines: str) -> None:
        super().add(moment, direction, lines)
        for line in lines.split("\n"):
            self._observe(moment - self._begun, direction, line)


class _Content:
    """The content of the message, whole in memory (spool.contract.Body)."""

    __slots__ = ("whole",)

    def __init__(self, content: bytes) -> None:
        self.whole: bytes | None = content

    @property
    def size(self) -> int:
        return len(self.whole or b"")

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.whole or b""


_Settled = tuple[TransactionOutcome, ConnectionBroken | None]


class _Keeper:
    """The courier's dispatcher: gives it one transaction at a time."""

    def __init__(self) -> None:
        self._next: Delivery | None = None
        self._settled: asyncio.Future[_Settled | None] | None = None
        self.closed = asyncio.Event()

    async def run(self, courier: Courier, delivery: Delivery) -> _Settled | None:
        """One transaction, to its end; None where the connection takes no more."""
        if self.closed.is_set() or courier.retiring:
            return None
        self._next = delivery
        self._settled = asyncio.get_running_loop().create_future()
        courier.wake()
        return await self._settled

    def next_delivery(self, courier: Courier) -> Delivery | None:  # noqa: ARG002 - Dispatcher
        """The transaction that waits, if any."""
        delivery, self._next = self._next, None
        return delivery

    def finished(
        self,
        courier: Courier,  # noqa: ARG002 - Dispatcher
        delivery: Delivery,  # noqa: ARG002
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
    ) -> None:
        """A transaction has come to an end."""
        self._settle((outcome, broken))

    def idle(self, courier: Courier) -> None:
        """Nothing to do: the next transaction is given by `run`."""

    def leaving(self, courier: Courier) -> None:
        """It says QUIT; `gone` follows."""

    def gone(self, courier: Courier) -> None:  # noqa: ARG002 - Dispatcher
        """The connection is closed."""
        self.closed.set()
        self._settle(None)

    def _settle(self, settled: _Settled | None) -> None:
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(settled)


async def deliver_once(
    envelope: Envelope,
    content: bytes,
    route: Route,
    opener: Opener,
    clock: Clock,
    observe: Observe | None = None,
) -> list[SingleOutcome]:
    """Deliver a message over a route; one outcome for each recipient, in the envelope's order.

    `content` is the message in CRLF lines. The time is bounded by the opener's timeouts. Raises
    ValueError for a route that leads to the sandbox.
    """
    if route.is_sandbox:
        raise ValueError("the sandbox is part of a running relay; nothing is delivered to it")
    begun = clock.monotonic()
    found: dict[int, SingleOutcome] = {}
    for destination, numbers in _destinations(envelope, route).items():
        one = _OneDestination(envelope, content, route, destination, opener, clock)
        outcomes = await one.deliver(numbers, begun, observe or _ignore)
        found.update(zip(numbers, outcomes, strict=True))
    return [found[number] for number in range(len(envelope.recipients))]


def _destinations(envelope: Envelope, route: Route) -> dict[str, list[int]]:
    """The places of the recipients by destination."""
    grouped: dict[str, list[int]] = {}
    for number, recipient in enumerate(envelope.recipients):
        destination = recipient.domain.lower() if route.is_direct else ""
        grouped.setdefault(destination, []).append(number)
    return grouped


class _OneDestination:
    """A message on its way to one destination."""

    def __init__(
        self,
        envelope: Envelope,
        content: bytes,
        route: Route,
        destination: str,
        opener: Opener,
        clock: Clock,
    ) -> None:
        self._envelope = envelope
        self._body = _Content(content)
        self._route = route
        self._lane = Lane(route, destination)
        self._opener = opener
        self._clock = clock

    async def deliver(
        self, numbers: Sequence[int], begun: float, observe: Observe
    ) -> list[SingleOutcome]:
        """One outcome for each of these recipients."""
        keeper = _Keeper()
        courier = self._opener.courier(self._lane, keeper)
        transcript = _Told(self._clock.monotonic(), begun, observe)
        courier.opening_transcript = transcript
        courier.recorder.begin(transcript)
        try:
            await self._opener.open(courier, transcript)
        except OpeningFailed as failed:
            outcome = outcome_of_opening(failed)
            return [
                SingleOutcome(
                    self._envelope.recipients[number].address, outcome, failed.next_hop, "",
                    reached=False, uncertain=False,
                )
                for number in numbers
            ]  # fmt: skip
        try:
            return await self._transactions(
                courier, keeper, list(numbers), transcript, begun, observe
            )
        finally:
            await self._close(courier, keeper)

    async def _transactions(
        self,
        courier: Courier,
        keeper: _Keeper,
        numbers: list[int],
        transcript: Transcript,
        begun: float,
        observe: Observe,
    ) -> list[SingleOutcome]:
        settled: dict[int, SingleOutcome] = {}
        left = numbers
        next_hop, tls = courier.next_hop, courier.tls
        for _ in range(MAXIMUM_TRANSACTIONS):
            delivery = self._delivery(left, transcript)
            ended = await keeper.run(courier, delivery)
            if ended is None:
                break  # what is left has been told to come again
            outcome, broken = ended
            outcomes = outcomes_of_transaction(outcome, broken, peer_of(self._route))
            again: list[int] = []
            for index, number in enumerate(left):
                if outcome.too_many_recipients(index):
                    again.append(number)
                address = self._envelope.recipients[number].address
                settled[number] = SingleOutcome(
                    address, outcomes[index], next_hop, tls,
                    reached=True, uncertain=outcome.uncertain,
                )  # fmt: skip
            if not again or len(again) == len(left) or broken is not None:
                break
            left = again
            transcript = _Told(self._clock.monotonic(), begun, observe)
        return [settled[number] for number in numbers]

    def _delivery(self, numbers: Sequence[int], transcript: Transcript) -> Delivery:
        recipients = tuple(self._envelope.recipients[number] for number in numbers)
        now = self._clock.now()
        message = QueuedMessage(
            identifier=0,
            envelope=replace(self._envelope, recipients=recipients),
            recipients=[
                QueuedRecipient(number, one.address, 0, now)
                for number, one in zip(numbers, recipients, strict=True)
            ],
            received_at=now,
            expires_at=now,
            user=None,
            size=self._body.size,
            warned=False,
        )
        return Delivery(message, self._body, transcript, now)

    async def _close(self, courier: Courier, keeper: _Keeper) -> None:
        """QUIT; a peer that does not answer it is left."""
        courier.retire()
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await keeper.closed.wait()
        except TimeoutError:
            courier.break_off("the peer does not answer QUIT")


def _ignore(_moment: float, _direction: str, _line: str) -> None:
    """For who does not look."""
