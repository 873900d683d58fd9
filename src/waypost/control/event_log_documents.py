"""Events in the form in which they leave the relay: to webhooks, the API and live views alike.

A document is `type`, `timestamp` and `data`, as the Standard Webhooks specification has it. Times
are UTC (RFC 3339), sizes bytes, durations seconds. Keys that say nothing about an event are left
out, never null, except where null means something.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from waypost.control.event_log_places import EVENT_NAMES, PlacedEvent
from waypost.spool.events import EntryKind
from waypost.spool.identifiers import identifier_text

PREFIX: Final = "message."

EVENT_TYPES: Final = tuple(f"{PREFIX}{name}" for name in EVENT_NAMES)

TEST_TYPE: Final = "webhook.test"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Labels:
    """What a program has written on a message that it submitted."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


NO_LABELS: Final = Labels()


class Labelled(Protocol):
    """Knows the labels of messages."""

    async def labels(self, messages: Collection[int]) -> Mapping[int, Labels]:
        """By message; those without any may be missing."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events somebody wants. Empty fields do not restrict."""

    types: frozenset[str] = frozenset()
    message: int | None = None
    user: str = ""
    route: str = ""
    """Only what attempts over this route came to."""
    tag: str = ""

    def matches(self, one: PlacedEvent, labels: Labels = NO_LABELS) -> bool:
        """Whether an event is wanted."""
        event = one.event
        return (
            (not self.types or event_type(one) in self.types)
            and (self.message is None or event.message == self.message)
            and (not self.user or event.user == self.user)
            and (not self.route or event.route == self.route)
            and (not self.tag or self.tag in labels.tags)
        )


def event_type(one: PlacedEvent) -> str:
    """Such as `message.delivered`."""
    return PREFIX + one.event.event


def moment_text(at: float | None) -> str | None:
    """2026-11-24T09:14:25.123Z."""
    if at is None:
        return None
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_payload(one: PlacedEvent, labels: Labels = NO_LABELS) -> Document:
    """An event as a document."""
    return {
        "type": event_type(one),
        "timestamp": moment_text(one.event.at),
        "data": _data(one, labels),
    }


def _data(one: PlacedEvent, labels: Labels) -> Document:
    event, entry = one.event, one.entry
    data: Document = {"message": identifier_text(entry.identifier) if entry.identifier else None}
    if entry.message is not None:
        row = entry.message
        data |= {
            "from": row.reverse_path,
            "recipients": list(event.recipients),
            "subject": row.subject,
            "message_id": row.message_id,
            "size": row.size,
            "received": moment_text(row.received_at),
            "client": row.client,
            "user": row.user,
            "tags": list(labels.tags),
            "metadata": dict(labels.metadata),
        }
    if entry.kind is EntryKind.ATTEMPTED:
        data |= {
            "route": event.route,
            "next_hop": event.next_hop,
            "tls": event.tls,
            "seconds": round(event.seconds, 6),
            "reply": event.reply,
            "reason": event.reason,
            "uncertain": event.uncertain,
        }
        if event.event == "deferred":
            data["next_attempt"] = moment_text(event.next_attempt)
    if entry.kind is EntryKind.TOLD:
        data["detail"] = json.loads(entry.detail or "{}")
    return data


def payload_bytes(payload: Document) -> bytes:
    """As it is sent and signed; the same document gives the same bytes."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
