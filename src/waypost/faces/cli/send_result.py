"""What `waypost send` tells in the end: each recipient's outcome, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from waypost.delivery.single import SingleOutcome
from waypost.faces.cli.failure import CHECKED_BAD, TEMPORARY, UNREACHABLE
from waypost.faces.cli.output import print_line, shown
from waypost.faces.message import Composed
from waypost.knowledge.advice import advice_for_operator

_NOT_REACHED = frozenset(
    {
        "connection-refused", "connect-timeout", "unreachable", "connection-lost", "timeout",
        "dns-temporary", "smarthost-unknown", "tls-failed",
    }
)  # fmt: skip
"""Reasons of a failed opening that say that no server there talks with us; others say that it is
there and does not want us."""


def outcome_name(one: SingleOutcome) -> str:
    """accepted, refused (for good), deferred (try again) or unreachable."""
    outcome = one.outcome
    if outcome.is_delivered:
        return "accepted"
    if not one.reached and outcome.reason in _NOT_REACHED:
        return "unreachable"
    # What only the operator can mend will not be better in an hour, whatever the code says.
    return "refused" if outcome.is_permanent or outcome.alert else "deferred"


def exit_code(outcomes: Sequence[SingleOutcome]) -> int:
    """0 accepted for all; else the worst: refused, unreachable, deferred."""
    names = {outcome_name(one) for one in outcomes}
    for name, code in (
        ("refused", CHECKED_BAD), ("unreachable", UNREACHABLE), ("deferred", TEMPORARY),
    ):  # fmt: skip
        if name in names:
            return code
    return 0


def result_document(
    message: Composed, outcomes: Sequence[SingleOutcome], steps: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """The JSON form; `steps` where the delivery was direct."""
    return {
        "from": message.envelope.reverse_path,
        "message_id": message.message_id,
        "size": len(message.content),
        "recipients": [
            {
                "address": one.address,
                "outcome": outcome_name(one),
                "reply": one.outcome.text,
                "reason": one.outcome.reason,
                "advice": advice_for_operator(one.outcome.reason),
                "next_hop": one.next_hop,
                "tls": one.tls,
                "uncertain": one.uncertain,
            }
            for one in outcomes
        ],
        "steps": steps,
    }


def print_outcomes(outcomes: Sequence[SingleOutcome], accepted: str) -> None:
    """A line for each recipient, with reason and advice where it was not accepted."""
    for one in outcomes:
        name = outcome_name(one)
        word = accepted if name == "accepted" else name
        print_line(f"{shown(one.address)}: {word}: {shown(one.outcome.text, 500)}")
        if name == "accepted":
            continue
        advice = advice_for_operator(one.outcome.reason)
        print_line(f"   reason: {one.outcome.reason}" + (f". {advice}" if advice else ""))
        if one.uncertain:
            print_line("   it may have been accepted: the connection broke before the reply came")
    if any(outcome_name(one) in ("deferred", "unreachable") for one in outcomes):
        print_line("This command keeps nothing and tries once: send it again later.")
