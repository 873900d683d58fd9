"""One message on its way through the engine: from being given to the mailer to its result.

A *shipment* is the message with all its recipients; an *errand* those of them that go the same way
(all of them to a smarthost; by domain with mx:). An errand is carried by one transaction after the
other until each of its recipients is decided; when the last errand of a shipment is over, its
result is told, once.

What a transaction came to is read here, recipient by recipient:

- accepted, or refused for good: decided.
- refused only because the transaction was full: in the next one, at once.
- refused for now, or the connection was lost before the content was over: again by the policy.
- the content was over and its answer lost: decided, as uncertain. It is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from waypost.delivery.courier import ConnectionBroken, Courier, Delivery
from waypost.delivery.judgement import outcomes_of_transaction
from waypost.delivery.transcript import Transcript
from waypost.errors import DeliveryError
from waypost.faces.library import failures
from waypost.faces.library.prepared import Content, Prepared
from waypost.faces.library.result import RecipientResult, Result, result_of
from waypost.knowledge.outcomes import Through
from waypost.net.deadlines import NEVER
from waypost.smtp.client_transaction import TransactionOutcome


class Next(Enum):
    """What is to be done with an errand after a transaction."""

    OVER = auto()
    """Every recipient is decided."""
    AT_ONCE = auto()
    """The rest goes on at once, and this costs no attempt."""
    OTHER_SERVER = auto()
    """At another server, if there is one; else later."""
    LATER = auto()


class Shipment:
    """See the module. `done` is called once, in the loop of the engine."""

    __slots__ = (
        "attempts", "cancelled", "done", "errands", "given_at", "number", "prepared", "recipients",
        "transcripts",
    )  # fmt: skip

    def __init__(
        self,
        prepared: Prepared,
        given_at: float,
        done: Callable[[Result], object],
        number: int = 0,
    ) -> None:
        self.prepared = prepared
        self.number = number
        """Its place in a stream."""
        self.given_at = given_at
        """On the monotonic clock, seconds."""
        self.done = done
        self.errands: list[Errand] = []
        self.recipients: list[RecipientResult | None] = [None] * len(prepared.envelope.recipients)
        self.transcripts: list[Transcript] = []
        self.attempts = 0
        self.cancelled = False
        """Nobody waits any more: nothing is begun for it."""

    def finish(self, now: float) -> None:
        """Tell the result: every recipient is decided."""
        recipients = tuple(one for one in self.recipients if one is not None)
        assert len(recipients) == len(self.recipients), "a recipient was left undecided"
        self.done(
            result_of(
                self.prepared.message_id,
                recipients,
                self.attempts,
                now - self.given_at,
                self.transcript,
                self.number,
            )
        )

    def transcript(self) -> str:
        """What was said in every attempt."""
        return "\n\n".join(one.text() for one in self.transcripts)


@dataclass(slots=True, eq=False)
class Carried(Delivery):
    """A transaction for an errand."""

    errand: Errand
    numbers: list[int]
    """Its recipients, by their place in the envelope."""
    is_first: bool
    """Of its connection: a later one may find the connection ended by no fault of the message."""


class Errand:
    """See the module."""

    __slots__ = (
        "attempts", "carried", "deadline", "destination", "errors", "expired", "failed_at",
        "is_over", "left", "patience", "rounds", "shipment", "tried",
    )  # fmt: skip

    def __init__(self, shipment: Shipment, destination: str, numbers: list[int]) -> None:
        self.shipment = shipment
        self.destination = destination
        """The domain with mx:, else ""."""
        self.left = numbers
        """Recipients that are not decided, by their place in the envelope."""
        self.attempts = 0
        """Openings and transactions that failed or not."""
        self.rounds = 0
        """Failed attempts over every server that there is; what the retry policy counts."""
        self.tried: set[str] = set()
        """Servers that failed in this round, by identity."""
        self.errors: dict[int, DeliveryError] = {}
        """The last error of each recipient that is to be tried again."""
        self.carried: tuple[Courier, Carried] | None = None
        """The transaction that is under way for it."""
        self.is_over = False
        self.deadline = NEVER
        """While it waits for a connection: when that has been long enough."""
        self.patience = NEVER
        """Seconds that it may wait for a connection."""
        self.expired: Callable[[Errand], object] | None = None
        self.failed_at: float | None = None
        """When it failed first, over every server."""

    def deadline_passed(self) -> None:
        """It has waited long enough (Deadlined)."""
        self.deadline = NEVER
        if self.expired is not None:
            self.expired(self)

    def accepted(self, numbers: list[int], outcome: TransactionOutcome, server: str) -> None:
        """The server has taken responsibility for these."""
        shipment = self.shipment
        recipients = shipment.prepared.envelope.recipients
        for number in numbers:
            shipment.recipients[number] = RecipientResult(
                recipients[number].address, "accepted", outcome.content, None, server
            )
        self._decided(numbers)

    def refused(self, numbers: list[int], error: DeliveryError, server: str = "") -> None:
        """These are not delivered, for one and the same reason."""
        shipment = self.shipment
        recipients = shipment.prepared.envelope.recipients
        for number in numbers:
            shipment.recipients[number] = RecipientResult(
                recipients[number].address, "refused", error.reply, error, server
            )
        self._decided(numbers)

    def give_up(self, error: DeliveryError | None = None) -> None:
        """No further attempt: what is left gets `error`, or the error it had last."""
        for number in list(self.left):
            last = error or self.errors.get(number)
            assert last is not None, "given up without having been tried"
            self.refused([number], last)

    def finished(
        self,
        carried: Carried,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
        through: Through,
        server: str,
    ) -> Next:
        """Read what a transaction came to; tells what is to be done next."""
        numbers = carried.numbers
        content = outcome.content
        if (
            content is not None
            and content.is_positive
            and all(reply is not None and reply.is_positive for reply in outcome.recipients)
        ):
            self.accepted(numbers, outcome, server)
            return Next.AT_ONCE if self.left else Next.OVER
        if self._is_stale(carried, outcome):
            return Next.AT_ONCE
        body = carried.body
        if isinstance(body, Content) and body.fault is not None:
            self.refused(
                list(self.left), failures.unreadable(body.fault, carried.transcript.text()), server
            )
            return Next.OVER
        return self._read(carried, outcome, broken, through, server)

    def _is_stale(self, carried: Carried, outcome: TransactionOutcome) -> bool:
        """The connection had ended before anything was said about this message: no fault of it,
        and nothing can have been delivered. It was another message's connection before, so a
        server that hangs up on every first one does not keep us here."""
        return (
            not carried.is_first
            and not outcome.uncertain
            and (outcome.lost_at is not None or outcome.shutdown is not None)
            and (outcome.mail is None or outcome.mail is outcome.shutdown)
        )

    def _read(
        self,
        carried: Carried,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
        through: Through,
        server: str,
    ) -> Next:
        next_ = Next.OVER
        decided = 0
        full: list[int] = []
        envelope = self.shipment.prepared.envelope
        outcomes = outcomes_of_transaction(outcome, broken, through)
        transcript = carried.transcript.text()
        for index, number in enumerate(carried.numbers):
            judged, decision = outcomes[index], outcome.final_for(index)
            address = envelope.recipients[number].address
            if judged.is_delivered:
                self.accepted([number], outcome, server)
                decided += 1
                continue
            if decision.reply is None:
                uncertain = outcome.uncertain
                error = failures.lost(
                    judged, server=server, transcript=transcript, uncertain=uncertain
                )
                if uncertain:
                    self._uncertain(number, error, server)
                    decided += 1
                    continue
                again = True
            else:
                error = failures.refused(
                    decision.stage, decision.reply, judged, sender=envelope.reverse_path,
                    recipient=address, server=server, transcript=transcript, local=outcome.local,
                )  # fmt: skip
                if outcome.too_many_recipients(index):
                    full.append(number)
                    self.errors[number] = error
                    continue
                again = judged.kind == "temporary" and not judged.alert
            if not again:
                self.refused([number], error, server)
                decided += 1
                continue
            self.errors[number] = error
            elsewhere = judged.scope == "destination"
            next_ = Next.OTHER_SERVER if elsewhere or next_ is Next.OTHER_SERVER else Next.LATER
        if next_ is not Next.OVER:
            return next_
        if full and not decided:
            return Next.LATER
        return Next.AT_ONCE if self.left else Next.OVER

    def _uncertain(self, number: int, error: DeliveryError, server: str) -> None:
        shipment = self.shipment
        shipment.recipients[number] = RecipientResult(
            shipment.prepared.envelope.recipients[number].address, "uncertain", None, error, server
        )
        self._decided([number])

    def _decided(self, numbers: list[int]) -> None:
        if len(numbers) == len(self.left):
            self.left = []
        else:
            gone = set(numbers)
            self.left = [number for number in self.left if number not in gone]
        if not self.left:
            self.is_over = True
