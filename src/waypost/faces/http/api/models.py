"""The forms of what the API takes and gives, for both of its sides: the routes describe themselves
with them, and the client (faces/http_client) reads and writes them.

What is taken may have no field that is not named here: a misspelt one is told, not passed over.
What is given may have more in later versions, and clients pass over what they do not know. Times
are UTC (RFC 3339), sizes bytes, durations seconds. No HTTP framework is known here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAXIMUM_FILTER_TEXT: Final = 1000
MAXIMUM_FILTERED: Final = 500
"""Identifiers of one filter."""

State = Literal["queued", "held", "delivered", "bounced", "expired", "cancelled", "damaged"]

Identifier = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-Za-z]{1,13}$"),
    Field(description="A message, as `202` has named it.", examples=["1g3k9x2m4n5"]),
]

Tag = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/+-]{0,63}$"),
    Field(description="A word for a kind of message, to find them by.", examples=["receipt"]),
]


class Given(BaseModel):
    """What a client gives."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


class Told(BaseModel):
    """What a client is told."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


_Entry = TypeVar("_Entry")


class Page(Told, Generic[_Entry]):
    """Some entries of a list, and how to get the next ones."""

    items: list[_Entry]
    next: str | None = Field(
        description="`cursor` of the next page; null: this is the last one.", examples=[None]
    )


class ProblemDetails(Told):
    """Why a request was not answered (RFC 9457). Further members tell more."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(
        description="Which problem it is; `about:blank`: what the status says.",
        examples=["urn:waypost:problem:invalid-request"],
    )
    title: str
    status: int
    detail: str = Field(default="", description="What happened, and what to do next.")
    errors: list[dict[str, str]] = Field(
        default=[], description="Of a request that is not of the described form: what, and where."
    )


class Explanation(Told):
    """What a failing reply means, and what to do."""

    kind: str = Field(description="temporary or permanent.")
    reason: str
    cause: str | None
    title: str
    meaning: str
    fix: str
    action: str = Field(description="What Waypost does about it, in one word.")


class Recipient(Told):
    """One recipient of a message."""

    address: str
    state: State
    attempts: int
    next_attempt: datetime | None
    under_way: bool
    reply: str = Field(description="The words that decided last.")
    reason: str
    waits_for: str | None = None
    waits_until: datetime | None = None


class Message(Told):
    """A message and where its recipients stand."""

    id: str
    sender: str = Field(alias="from", description="The reverse-path; empty: a notification.")
    subject: str
    message_id: str
    size: int
    received: datetime
    expires: datetime
    user: str | None
    client: str
    recipients: list[Recipient]
    tags: list[str]
    metadata: dict[str, str]
    send_at: datetime | None


class AttemptResult(Told):
    """What an attempt came to for one recipient."""

    address: str
    state: State
    next_attempt: datetime | None
    reply: str
    reason: str
    explanation: Explanation | None = Field(description="Null for a success.")


class Attempt(Told):
    """One attempt at a delivery."""

    started: datetime
    seconds: float
    route: str
    next_hop: str
    tls: str
    uncertain: bool = Field(description="The server may have accepted; the answer was lost.")
    results: list[AttemptResult]
    transcript: list[str] | None = Field(
        description="Lines of `milliseconds direction text`; null without `content:read`."
    )


class Attempts(Told):
    """The attempts of a message, oldest first."""

    items: list[Attempt]


class Events(Told):
    """What has happened to a message, in order."""

    items: list[dict[str, Any]]


class Filter(Given):
    """Which messages are meant. Fields that are not given do not restrict; all given must match."""

    ids: list[Identifier] = Field(default=[], max_length=MAXIMUM_FILTERED)
    sender: str = Field(
        default="",
        max_length=MAXIMUM_FILTER_TEXT,
        description="A whole address, `@domain`, `<>`, or without an at sign a part of one.",
    )
    recipient: str = Field(default="", max_length=MAXIMUM_FILTER_TEXT, description="As `sender`.")
    states: list[State] = Field(default=[], max_length=7)
    older_than: datetime | None = Field(default=None, description="Received before this time.")
    text: str = Field(
        default="",
        max_length=MAXIMUM_FILTER_TEXT,
        description="Found in subject, Message-ID or addresses.",
    )
    tag: Tag | None = None


class QueueChange(Given):
    """An action for all messages that a filter finds."""

    filter: Filter = Filter()
    all: bool = Field(
        default=False, description="Needed with an empty filter: it is meant for every message."
    )
    preview: bool = Field(default=False, description="Change nothing, tell what would change.")
    limit: int = Field(default=1000, ge=1, le=5000, description="Messages of one request.")
    cursor: str | None = Field(
        default=None, max_length=1000, description="`next` of the answer before."
    )


class Selected(Told):
    """A recipient that an action is for."""

    id: str
    address: str
    state: State
    under_way: bool


class Changed(Told):
    """What an action came to, or would come to."""

    preview: bool
    changed: int = Field(description="Recipients; of a preview, those it is for.")
    under_way: int = Field(
        description="Recipients left alone because an attempt is under way for them."
    )
    recipients: list[Selected] = Field(description="Of a preview: the first of them.")
    next: str | None = Field(description="`cursor` for the rest; null: this was all.")


class RoutedRecipients(Told):
    """Which routes waiting recipients would take today: a route is asked for at each attempt."""

    items: list[dict[str, Any]]
    routes: list[dict[str, Any]]
    next: str | None
