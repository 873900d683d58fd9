"""What a transaction, or a connection that could not be opened, came to for each recipient.

The rules are data (knowledge/outcomes.toml, by outcome.py); here is only which of the replies and
failures of an attempt decides.
"""

from __future__ import annotations

from waypost.delivery.courier import ConnectionBroken
from waypost.delivery.opening import OpeningFailed
from waypost.delivery.outcome import (
    Outcome,
    outcome_of_break,
    outcome_of_destination,
    outcome_of_failure,
    outcome_of_reply,
)
from waypost.delivery.route import Route
from waypost.knowledge.outcomes import Through
from waypost.smtp.client_transaction import TransactionOutcome
from waypost.spool.contract import RecipientState

_STATES = {
    "delivered": RecipientState.DELIVERED,
    "temporary": RecipientState.QUEUED,
    "permanent": RecipientState.BOUNCED,
}


def state_after(outcome: Outcome) -> RecipientState:
    """Where an outcome takes a recipient."""
    return _STATES[outcome.kind]


def peer_of(route: Route) -> Through:
    """What the peer is to us on this route."""
    return "mx" if route.is_direct else "smarthost"


def outcomes_of_transaction(
    transaction: TransactionOutcome, broken: ConnectionBroken | None, through: Through
) -> list[Outcome]:
    """One for each recipient, in the envelope's order."""
    outcomes: list[Outcome] = []
    for index in range(len(transaction.recipients)):
        decision = transaction.final_for(index)
        if decision.reply is None:
            text = str(broken) if broken is not None else "the connection ended without a reply"
            timed_out = broken is not None and broken.timed_out
            outcomes.append(outcome_of_break(text, timed_out=timed_out))
        elif transaction.too_many_recipients(index):
            outcomes.append(outcome_of_reply("rcpt", decision.reply, through))
        else:
            outcomes.append(outcome_of_reply(decision.stage, decision.reply, through))
    return outcomes


def outcome_of_opening(failed: OpeningFailed) -> Outcome:
    """What it means for a message that no next hop could be used.

    A permanent refusal counts only where every host gave one: as long as one was merely not
    reached, it may yet take the mail.
    """
    if failed.destination is not None:
        return outcome_of_destination(failed.destination)
    if not failed.failures:
        return outcome_of_failure("unreachable", "no next hop could be tried")
    for failure in failed.failures:
        if not failure.outcome.is_permanent:
            return failure.outcome
    return failed.failures[-1].outcome
