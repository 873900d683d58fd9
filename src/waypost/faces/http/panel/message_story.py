"""What has happened to one message, for its page: recipients, and attempts as conversations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from waypost.administration import Story, Wait
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.explanations import Explanation, explanation_of_outcome
from waypost.faces.http.panel.message_rows import CAPTURED, is_sandbox_hop, state_name
from waypost.faces.http.panel.transcripts import Said, explained, read_transcript
from waypost.knowledge.outcomes import Through
from waypost.knowledge.reasons import reasons
from waypost.spool.contract import AttemptRecord, RecipientRow, RecipientState

SHOWN_ATTEMPTS: Final = 50
"""The newest of them; a message of five days has about as many."""

SHOWN_RECIPIENTS: Final = 200


@dataclass(frozen=True, slots=True)
class RecipientView:
    """One recipient."""

    address: str
    state: str
    attempts: int
    reply: str
    reason: str
    """The title of its reason; "" where nothing went wrong."""
    cause: str
    wait: Wait | None
    can_retry: bool


@dataclass(frozen=True, slots=True)
class ResultView:
    """What an attempt came to for one recipient."""

    address: str
    state: str
    reply: str
    due_at: float | None
    explanation: Explanation | None
    """Where the conversation itself explains nothing."""


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt."""

    number: int
    started_at: float
    seconds: float
    route: str
    next_hop: str
    tls: str
    uncertain: bool
    is_sandbox: bool
    results: tuple[ResultView, ...]
    states: tuple[str, ...]
    """Different ones, in the order in which they come."""
    said: tuple[Said, ...]
    is_open: bool
    """Shown unfolded: the last one, where it failed."""


@dataclass(frozen=True, slots=True)
class StoryView:
    """See the module."""

    recipients: tuple[RecipientView, ...]
    more_recipients: int
    attempts: tuple[AttemptView, ...]
    """Oldest first."""
    earlier_attempts: int
    """Left out before them."""
    is_over: bool
    """Nothing more will happen."""
    can: tuple[str, ...]
    """Names of the actions that some recipient is in the state for."""


def story_view(story: Story, room: ControlRoom) -> StoryView:
    """A message's story for its page."""
    row = story.message
    waits = {one.number: one for one in story.waits}
    states = {one.state for one in row.recipients}
    can = []
    if RecipientState.QUEUED in states:
        can += ["retry", "hold"]
    if RecipientState.HELD in states:
        can.append("release")
    if states & {RecipientState.QUEUED, RecipientState.HELD}:
        can.append("remove")
    addresses = {one.number: one.address for one in row.recipients}
    shown = story.attempts[-SHOWN_ATTEMPTS:]
    left_out = len(story.attempts) - len(shown)
    attempts = tuple(
        _attempt(one, addresses, room, left_out + place + 1, last=place == len(shown) - 1)
        for place, one in enumerate(shown)
    )
    return StoryView(
        tuple(_recipient(one, waits.get(one.number)) for one in row.recipients[:SHOWN_RECIPIENTS]),
        max(0, len(row.recipients) - SHOWN_RECIPIENTS),
        attempts,
        left_out,
        all(one.state.is_final for one in row.recipients),
        tuple(can),
    )


def _recipient(row: RecipientRow, wait: Wait | None) -> RecipientView:
    known = reasons().get(row.reason)
    reply = "" if row.last_reply == CAPTURED else row.last_reply
    return RecipientView(
        row.address, state_name(row), row.attempts, reply,
        known.title if known is not None else row.reason, known.cause if known is not None else "",
        wait, row.state is RecipientState.QUEUED and not row.started,
    )  # fmt: skip


def _attempt(
    record: AttemptRecord, addresses: dict[int, str], room: ControlRoom, number: int, *, last: bool
) -> AttemptView:
    sandbox = is_sandbox_hop(record.next_hop)
    host = _host(record.next_hop)
    said = read_transcript(record.transcript, host=host, through=_through(room, record.route))
    is_explained = explained(said)
    results = []
    for one in record.results:
        address = addresses.get(one.number, "?")
        failed = one.state is not RecipientState.DELIVERED
        state = one.state.name.lower() if failed else CAPTURED if sandbox else "delivered"
        explanation = None
        if failed and not is_explained:
            explanation = explanation_of_outcome(
                one.reply, one.reason, host=host, recipient=address
            )
        due = one.due_at if one.state is RecipientState.QUEUED else None
        shown_state = "deferred" if one.state is RecipientState.QUEUED else state
        results.append(ResultView(address, shown_state, one.reply, due, explanation))
    states = tuple(dict.fromkeys(one.state for one in results))
    failed = any(one not in ("delivered", CAPTURED) for one in states)
    return AttemptView(
        number, record.started_at, record.seconds, record.route, record.next_hop,
        record.tls or _tls_in(said), record.uncertain, sandbox, _once(results), states, said,
        last and failed,
    )  # fmt: skip


def _tls_in(said: tuple[Said, ...]) -> str:
    """What was agreed on where the attempt ended before there was a session to tell it of."""
    notes = (one.lines[0] for one in said if one.who == "note" and one.stage == "starttls")
    return next(notes, "")


def _once(results: list[ResultView]) -> tuple[ResultView, ...]:
    """An explanation that is the same for all recipients stands at the first."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for one in results:
        key = (one.explanation.reason, one.reply) if one.explanation is not None else ("", "")
        kept.append(replace(one, explanation=None) if key in seen else one)
        seen.add(key)
    return tuple(kept[:SHOWN_RECIPIENTS])


def _through(room: ControlRoom, route: str) -> Through | None:
    """What the route's peers are to us, if the route is still there."""
    found = room.service.engine.routing.by_name.get(route)
    if found is None or found.is_sandbox:
        return None
    return "mx" if found.is_direct else "smarthost"


def _host(next_hop: str) -> str:
    """The name of a next hop, which is written host[address]:port."""
    if next_hop.startswith("["):
        return next_hop[1:].partition("]")[0]
    return next_hop.partition("[")[0].rpartition(":")[0] or next_hop.partition("[")[0]
