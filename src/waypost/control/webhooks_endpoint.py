"""A webhook endpoint: where events are sent, which of them, and whether they arrive."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from waypost.control.event_log_documents import EVENT_TYPES, EventFilter
from waypost.control.event_log_places import Place
from waypost.control.webhooks_signing import checked_secret

MOST_ENDPOINTS: Final = 50

LONGEST_URL: Final = 2000
LONGEST_TEXT: Final = 200

ROTATION_SECONDS: Final = 86400.0
"""For so long a secret that was replaced signs along with the new one."""


class NoSuchWebhook(Exception):
    """There is no endpoint, or no delivery, of this identifier."""


class InvalidWebhook(ValueError):
    """An endpoint cannot be like this; `field` names what is wrong."""

    def __init__(self, field: str, text: str) -> None:
        self.field = field
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What people decide about an endpoint."""

    url: str
    description: str = ""
    types: frozenset[str] = frozenset()
    """Of events; empty: all."""
    tag: str = ""
    route: str = ""
    user: str = ""
    enabled: bool = True

    def filter(self) -> EventFilter:
        """Which events are sent there."""
        return EventFilter(types=self.types, user=self.user, route=self.route, tag=self.tag)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, as stored."""

    id: str
    settings: EndpointSettings
    secret: str
    old_secret: str
    """It signs along until `old_until`; "" for none."""
    old_until: float
    created_at: float
    log: str
    """The event log that `place` is in."""
    place: Place
    """Everything up to here was delivered, is kept to be tried again, or was given up."""
    failures: int = 0
    """Deliveries in a row that failed."""
    failing_since: float | None = None
    disabled_reason: str = ""
    """Why the relay has disabled it; "" where a person has, or nobody."""

    def secrets(self, now: float) -> tuple[str, ...]:
        """Those that sign at a time, the newest first."""
        if self.old_secret and now < self.old_until:
            return self.secret, self.old_secret
        return (self.secret,)

    def __repr__(self) -> str:
        return f"<Endpoint {self.id}>"  # never with its secrets


def checked(settings: EndpointSettings) -> EndpointSettings:
    """The settings, when an endpoint can be like this. Raises InvalidWebhook."""
    url = settings.url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as fault:
        raise InvalidWebhook("url", f"the URL cannot be read: {fault}") from fault
    if parts.scheme not in ("https", "http") or not host or not url.isprintable() or " " in url:
        raise InvalidWebhook("url", "the URL is https://HOST[:PORT]/PATH")
    if parts.username is not None or parts.password is not None:
        raise InvalidWebhook(
            "url", "the URL holds no user and password; the signature tells who sends"
        )
    if parts.fragment:
        raise InvalidWebhook("url", "what follows # is never sent; leave it out of the URL")
    if len(url) > LONGEST_URL:
        raise InvalidWebhook("url", f"the URL has more than {LONGEST_URL} characters")
    unknown = sorted(settings.types - set(EVENT_TYPES))
    if unknown:
        raise InvalidWebhook(
            "types", f"{unknown[0][:60]!r} is no event; events are {', '.join(EVENT_TYPES)}"
        )
    texts = {}
    for field in ("description", "tag", "route", "user"):
        text = getattr(settings, field).strip()
        if len(text) > LONGEST_TEXT or not text.isprintable():
            raise InvalidWebhook(
                field, f"{field} has at most {LONGEST_TEXT} printable characters on one line"
            )
        texts[field] = text
    return dataclasses.replace(settings, url=url, **texts)


def checked_own_secret(secret: str) -> str:
    """A secret that somebody brings along. Raises InvalidWebhook."""
    try:
        return checked_secret(secret.strip())
    except ValueError as fault:
        raise InvalidWebhook("secret", str(fault)) from fault


def types_text(types: Iterable[str]) -> str:
    """For lists: the names without their common beginning."""
    names: Sequence[str] = [one.partition(".")[2] for one in EVENT_TYPES if one in set(types)]
    return ", ".join(names) or "all"
