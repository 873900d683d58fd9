"""The forms of queues, routes, limits, suppressions and of the whole's state."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from waypost.faces.http.api.models import Given, Told

MAXIMUM_IMPORTED: Final = 1000
"""Suppressions of one request."""


class Wait(Told):
    """What something waits for."""

    text: str
    until: datetime | None


class Queue(Told):
    """What waits for one destination."""

    destination: str
    queued: int = Field(description="Recipients.")
    held: int
    oldest: str = Field(description="The message that waits longest.")
    oldest_received: datetime | None
    next_due: datetime | None
    route: str = Field(description="Which the oldest takes today; empty: it is just gone.")
    wait: Wait | None = Field(description="What the oldest waits for.")


class PausedQueue(Told):
    """A queue that nothing leaves."""

    route: str
    destination: str | None = Field(description="Null: all destinations of the route.")
    since: datetime
    by: str
    reason: str


class Queues(Told):
    """What waits by destination, the fullest first, and what is paused."""

    items: list[Queue]
    paused: list[PausedQueue]


class PauseRequest(Given):
    """Why a queue is paused."""

    reason: str = Field(default="", max_length=500)


class QueueSteered(Told):
    """A queue was paused or resumed."""

    route: str
    destination: str | None
    paused: bool
    changed: bool = Field(description="It was not so before.")


class HopHealth(Told):
    """A next hop of a route."""

    name: str
    suspended_until: datetime | None
    reason: str | None


class LeftAlone(Told):
    """A destination that is left alone after failures."""

    route: str
    destination: str
    failures: int
    until: datetime
    reason: str


class Route(Told):
    """A route, and how it goes."""

    name: str
    kind: str = Field(description="smarthost, mx or sandbox.")
    next_hops: list[HopHealth]
    recipients: list[str] = Field(description="Patterns; none: all.")
    senders: list[str]
    users: list[str]
    overflow: str | None
    connections: int = Field(description="Open now.")
    limits: dict[str, Any]
    quotas: dict[str, int | None]
    quotas_left: dict[str, int]
    paused: bool
    left_alone: list[LeftAlone]


class Routes(Told):
    """The routes in the order in which they are asked."""

    items: list[Route]


class Limits(Told):
    """What bounds senders. 0: not bounded."""

    maximum_size: int = Field(description="Bytes of a message.")
    peers: dict[str, Any]
    open_connections: int
    api: dict[str, Any]


class Suppression(Told):
    """An address to which nothing is sent."""

    address: str
    reason: str
    added: datetime


class SuppressionToAdd(Given):
    """An address, and why nothing is to be sent to it."""

    address: Annotated[str, StringConstraints(min_length=3, max_length=320, pattern=r"^[^\s]+$")]
    reason: str = Field(default="added by hand", max_length=500)


class SuppressionsToAdd(Given):
    """Addresses to import."""

    items: list[SuppressionToAdd] = Field(min_length=1, max_length=MAXIMUM_IMPORTED)


class Imported(Told):
    """How many addresses are suppressed now that were given."""

    added: int


class Status(Told):
    """The relay as a whole."""

    version: str
    hostname: str
    time: datetime
    listeners: list[dict[str, str]]
    recipients: dict[str, int]
    oldest_queued: datetime | None
    bytes: int
    in_memory: int
    connections: int
    left_alone: list[dict[str, Any]]
    paused: list[PausedQueue]
