"""The pages of the panel in the order of its navigation, with the key that leads to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol


class Visitor(Protocol):
    """Who looks at a page; `security.Caller` is one."""

    @property
    def name(self) -> str: ...
    @property
    def permissions(self) -> frozenset[str]: ...
    @property
    def csrf(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Place:
    """One page of the navigation."""

    path: str
    title: str
    key: str
    """Pressed after g."""
    permission: str
    """Without it the page is not shown in the navigation."""


@dataclass(frozen=True, slots=True)
class Group:
    """Places under one heading."""

    title: str
    places: tuple[Place, ...]


NAVIGATION: Final = (
    Group("Mail", (
        Place("/", "Overview", "o", "messages:read"),
        Place("/messages", "Messages", "m", "messages:read"),
        Place("/queues", "Queues", "q", "messages:read"),
        Place("/sandbox", "Sandbox", "b", "messages:read"),
        Place("/suppressions", "Suppressions", "u", "messages:read"),
    )),
    Group("Delivery", (
        Place("/routes", "Routes", "r", "messages:read"),
        Place("/logs", "Log", "l", "messages:read"),
    )),
    Group("Applications", (
        Place("/start", "Get started", "s", "messages:read"),
        Place("/templates", "Templates", "t", "templates:write"),
        Place("/webhooks", "Webhooks", "w", "webhooks:write"),
        Place("/keys", "API keys", "k", "accounts:write"),
    )),
    Group("Relay", (
        Place("/settings", "Settings", "e", "settings:read"),
        Place("/accounts", "Accounts", "a", "accounts:write"),
        Place("/audit", "Audit", "d", "audit:read"),
    )),
)  # fmt: skip


def places_for(visitor: Visitor | None, paths: frozenset[str]) -> Sequence[Group]:
    """What a visitor may open, of the pages that this application has."""
    if visitor is None:
        return ()
    groups = []
    for group in NAVIGATION:
        places = tuple(
            place
            for place in group.places
            if place.permission in visitor.permissions and place.path in paths
        )
        if places:
            groups.append(Group(group.title, places))
    return groups


def is_current(place: Place, path: str) -> bool:
    """Whether a path is this page or one below it."""
    return path == place.path or (place.path != "/" and path.startswith(place.path + "/"))
