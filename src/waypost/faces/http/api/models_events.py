"""The forms of events and webhooks; see models.py."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from waypost.faces.http.api.models import Given, Told

EventType = Literal[
    "message.accepted", "message.delivered", "message.captured", "message.deferred",
    "message.bounced", "message.expired", "message.held", "message.released", "message.removed",
    "message.damaged", "message.complained", "message.unsubscribed",
]  # fmt: skip

MAXIMUM_TYPES: Final = 12

Line = Annotated[str, StringConstraints(max_length=200)]


class EventData(Told):
    """What an event is about. Members that say nothing about a type of event are left out."""

    message: str | None = Field(description="Its identifier; null: the event is about none.")
    sender: str | None = Field(default=None, alias="from")
    recipients: list[str] = Field(
        default=[], description="Of `message.accepted` all; of others the one it happened to."
    )
    subject: str | None = None
    message_id: str | None = None
    size: int | None = None
    received: datetime | None = None
    client: str | None = None
    user: str | None = None
    tags: list[str] = Field(default=[])
    metadata: dict[str, str] = Field(default={})
    route: str | None = None
    next_hop: str | None = None
    tls: str | None = None
    seconds: float | None = Field(default=None, description="How long the attempt took.")
    reply: str | None = Field(default=None, description="The words that decided.")
    reason: str | None = Field(default=None, description="From the table of reasons.")
    next_attempt: datetime | None = Field(default=None, description="Of `message.deferred`.")
    uncertain: bool | None = Field(
        default=None, description="It may have been delivered without our hearing so."
    )
    detail: dict[str, Any] | None = Field(
        default=None, description="Of `message.complained` and `message.unsubscribed`."
    )


class Event(Told):
    """One thing that has happened, as webhooks and live views get it, too."""

    id: str = Field(description="Stays the same wherever the event is told.")
    place: str = Field(description="Where it stands in the log; `after` goes on behind it.")
    type: EventType
    timestamp: datetime
    data: EventData


class EventPage(Told):
    """Events in the order in which they became durable."""

    items: list[Event]
    after: str = Field(description="For the next request, whether or not there is more yet.")
    more: bool = Field(description="More has happened already.")
    missed: bool = Field(
        description="Retention, or another spool in its place, has removed what came before."
    )


class WebhookForm(Given):
    """A new webhook."""

    url: str = Field(max_length=2000, examples=["https://shop.example/hooks/mail"])
    description: Line = ""
    types: list[EventType] = Field(
        default=[], max_length=MAXIMUM_TYPES, description="Which events; empty: all."
    )
    tag: Line = Field(default="", description="Only of messages with this tag.")
    route: Line = Field(default="", description="Only what attempts over this route came to.")
    user: Line = Field(default="", description="Only of this user's messages.")
    enabled: bool = True
    secret: str = Field(
        default="", max_length=200,
        description="whsec_ and 24 to 64 bytes in base64; empty: one is made.",
    )  # fmt: skip


class WebhookChange(Given):
    """What is to be different; the rest stays."""

    url: str | None = Field(default=None, max_length=2000)
    description: Line | None = None
    types: list[EventType] | None = Field(default=None, max_length=MAXIMUM_TYPES)
    tag: Line | None = None
    route: Line | None = None
    user: Line | None = None
    enabled: bool | None = None
    skip: bool = Field(
        default=False, description="Do not send what has happened so far and was not taken."
    )


class Webhook(Told):
    """A webhook, and how it goes there."""

    id: str
    url: str
    description: str
    types: list[EventType] = Field(description="Empty: all.")
    tag: str
    route: str
    user: str
    enabled: bool
    disabled_reason: str = Field(description="Why the relay has disabled it; empty: it has not.")
    created: datetime
    waiting: int = Field(description="Deliveries that wait to be tried again.")
    failures: int = Field(description="Deliveries in a row that failed.")
    failing_since: datetime | None


class WebhookWithSecret(Webhook):
    """A webhook with its secret, which is told once."""

    secret: str


class WebhookList(Told):
    """All webhooks."""

    items: list[Webhook]


class WebhookAttempt(Told):
    """One request to an endpoint."""

    at: datetime
    status: int | None = Field(description="Of the answer; null: there was none.")
    seconds: float
    error: str = Field(description="Why it does not count as taken; empty: it was.")
    answer: str = Field(description="The beginning of what was answered.")


class WebhookDelivery(Told):
    """One event for one endpoint."""

    id: int
    event: str = Field(description="`webhook-id` of its requests.")
    type: EventType
    message: str | None
    timestamp: datetime = Field(description="Of the event.")
    state: Literal["waiting", "delivered", "failed"]
    failed: int = Field(description="Attempts in a row that failed.")
    next_attempt: datetime | None
    attempts: list[WebhookAttempt] = Field(description="The last ones; in lists the last alone.")


class ReplayForm(Given):
    """Which part of the log is to be sent again."""

    since: datetime
    until: datetime | None = Field(default=None, description="Null: until now.")


class TestResult(Told):
    """What came of a test event."""

    status: int | None
    seconds: float
    error: str = Field(description="Why it does not count as taken; empty: it was.")
    answer: str


TestResult.__test__ = False  # type: ignore[attr-defined]  # not for pytest
