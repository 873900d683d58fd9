"""The JSON forms of what commands and the control socket give. docs/reference/commands.md lists
every key, and a test holds the two together. Times are UTC (RFC 3339), sizes bytes."""

from __future__ import annotations

import datetime as dt
from typing import Any

from waypost.administration import (
    QueueStatus,
    RoutedRecipient,
    Story,
)
from waypost.delivery.pauses import Pause
from waypost.delivery.verbosity import Rule
from waypost.message_events import Event
from waypost.spool.contract import (
    AttemptRecord,
    MessageRow,
    RecipientRow,
    SelectedRecipient,
    Suppression,
)
from waypost.spool.identifiers import identifier_text

Document = dict[str, Any]


def time_text(at: float | None) -> str | None:
    """2026-11-24T09:14:25.123Z."""
    if at is None:
        return None
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def recipient_document(row: RecipientRow) -> Document:
    """One recipient of a message."""
    return {
        "address": row.address,
        "state": row.state.name.lower(),
        "attempts": row.attempts,
        "next_attempt": time_text(row.due_at) if row.state.name == "QUEUED" else None,
        "under_way": row.started,
        "reply": row.last_reply,
        "reason": row.reason,
    }


def message_document(row: MessageRow) -> Document:
    """One message with its recipients."""
    return {
        "id": identifier_text(row.identifier),
        "from": row.reverse_path,
        "subject": row.subject,
        "message_id": row.message_id,
        "size": row.size,
        "received": time_text(row.received_at),
        "expires": time_text(row.expires_at),
        "user": row.user,
        "client": row.client,
        "recipients": [recipient_document(one) for one in row.recipients],
    }


def attempt_document(attempt: AttemptRecord, addresses: dict[int, str]) -> Document:
    """One attempt with its transcript."""
    return {
        "started": time_text(attempt.started_at),
        "seconds": round(attempt.seconds, 6),
        "route": attempt.route,
        "next_hop": attempt.next_hop,
        "tls": attempt.tls,
        "uncertain": attempt.uncertain,
        "results": [
            {
                "address": addresses.get(result.number, "?"),
                "state": result.state.name.lower(),
                "next_attempt": time_text(result.due_at) if not result.state.is_final else None,
                "reply": result.reply,
                "reason": result.reason,
            }
            for result in attempt.results
        ],
        "transcript": attempt.transcript.splitlines(),
    }


def story_document(story: Story) -> Document:
    """A message with what each recipient waits for, and its attempts."""
    document = message_document(story.message)
    addresses = {one.number: one.address for one in story.message.recipients}
    waits = {wait.number: wait for wait in story.waits}
    for row, recipient in zip(story.message.recipients, document["recipients"], strict=True):
        wait = waits.get(row.number)
        recipient["waits_for"] = wait.text if wait else None
        recipient["waits_until"] = time_text(wait.until) if wait else None
    document["attempts"] = [attempt_document(one, addresses) for one in story.attempts]
    return document


def selected_document(one: SelectedRecipient) -> Document:
    """A recipient that an action would be for."""
    return {
        "id": identifier_text(one.message),
        "address": one.address,
        "state": one.state.name.lower(),
        "under_way": one.started,
    }


def routed_document(one: RoutedRecipient) -> Document:
    """A recipient with its route of today."""
    return {
        "id": identifier_text(one.message),
        "address": one.address,
        "route": one.route,
        "next_hops": list(one.next_hops),
    }


def status_document(status: QueueStatus) -> Document:
    """The queue as a whole."""
    counts = status.counts
    return {
        "recipients": {
            name: getattr(counts, name)
            for name in (
                "queued", "held", "delivered", "bounced", "expired", "cancelled", "damaged",
            )
        },
        "oldest_queued": time_text(counts.oldest_queued),
        "bytes": counts.bytes_used,
        "in_memory": status.in_memory,
        "connections": status.connections,
        "left_alone": [
            {
                "route": one.route,
                "destination": one.destination,
                "failures": one.failures,
                "until": time_text(one.blocked_until),
                "reason": one.blocked_reason,
            }
            for one in status.left_alone
        ],
        "paused": [pause_document(one) for one in status.pauses],
    }  # fmt: skip


def pause_document(one: Pause) -> Document:
    """A queue that nothing leaves."""
    return {
        "route": one.route,
        "destination": one.destination or None,
        "since": time_text(one.since),
        "by": one.by,
        "reason": one.reason,
    }


def event_document(event: Event) -> Document:
    """One line of the log."""
    if event.event == "missed":
        return {"event": "missed", "count": event.count}
    document: Document = {
        "at": time_text(event.at),
        "event": event.event,
        "id": identifier_text(event.message),
        "from": event.sender,
        "to": list(event.recipients),
    }
    if event.event == "accepted":
        return document | {"size": event.size, "client": event.client, "user": event.user}
    return document | {
        "route": event.route,
        "next_hop": event.next_hop,
        "tls": event.tls,
        "seconds": round(event.seconds, 6),
        "reply": event.reply,
        "reason": event.reason,
        "next_attempt": time_text(event.next_attempt),
        "uncertain": event.uncertain,
    }


def verbosity_document(one: Rule) -> Document:
    """A destination of which more or less is kept."""
    return {"destination": one.destination, "level": one.level, "until": time_text(one.until)}


def suppression_document(one: Suppression) -> Document:
    """One suppressed address."""
    return {"address": one.address, "reason": one.reason, "added": time_text(one.added_at)}
