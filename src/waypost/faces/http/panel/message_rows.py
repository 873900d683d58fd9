"""One message as a row of a list: its states, whom it is for, what it waits for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from waypost.administration import Administration, Wait
from waypost.mail.headers import decoded_text
from waypost.message_events import SANDBOX_HOP
from waypost.spool.contract import MessageRow, RecipientRow, RecipientState

CAPTURED: Final = "captured"
"""The state that pages show of what the sandbox has taken; the spool calls it delivered."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """See the module."""

    identifier: int
    received_at: float
    sender: str
    """"" for the null sender of bounces."""
    subject: str
    size: int
    user: str
    first: str
    """The first recipient."""
    others: int
    """How many more there are."""
    states: tuple[tuple[str, int], ...]
    """Each state with its number of recipients, the one that wants attention first."""
    wait: Wait | None
    """The one that ends first."""
    waits: int
    """Different ones."""


_ORDER: Final = (
    "damaged", "bounced", "expired", "held", "queued", "cancelled", "delivered", CAPTURED,
)  # fmt: skip


def state_name(recipient: RecipientRow) -> str:
    """A recipient's state as pages name it."""
    if recipient.state is RecipientState.DELIVERED and recipient.last_reply == CAPTURED:
        return CAPTURED
    return recipient.state.name.lower()


def shown_row(row: MessageRow, administration: Administration) -> ShownRow:
    """A row of a list."""
    states = Counter(map(state_name, row.recipients))
    waits = administration.waits(row)
    soonest = min(waits, key=lambda one: one.until or float("inf"), default=None)
    return ShownRow(
        row.identifier,
        row.received_at,
        row.reverse_path,
        decoded_text(row.subject, 200),
        row.size,
        row.user or "",
        row.recipients[0].address if row.recipients else "",
        max(0, len(row.recipients) - 1),
        tuple((name, states[name]) for name in _ORDER if states[name]),
        soonest,
        len({one.text for one in waits}),
    )


def is_sandbox_hop(next_hop: str) -> bool:
    """Whether an attempt was the sandbox's, so that nothing left the machine."""
    return next_hop == SANDBOX_HOP
