"""What is kept of webhook endpoints in `control.sqlite`. Each function is run in a transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Final

from waypost.control.event_log_places import Place
from waypost.control.webhooks_endpoint import Endpoint, EndpointSettings, NoSuchWebhook

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS webhook (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    types TEXT NOT NULL,                -- JSON list; empty: all
    tag TEXT NOT NULL,
    route TEXT NOT NULL,
    user TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    disabled_reason TEXT NOT NULL DEFAULT '',
    secret TEXT NOT NULL,               -- in the clear: it has to sign
    old_secret TEXT NOT NULL DEFAULT '',
    old_until REAL NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    log TEXT NOT NULL,                  -- which event log the place is in
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    failing_since REAL
) STRICT;

CREATE TABLE IF NOT EXISTS webhook_delivery (
    id INTEGER PRIMARY KEY,
    webhook TEXT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    event TEXT NOT NULL,                -- the webhook-id
    log TEXT NOT NULL,
    number INTEGER NOT NULL,            -- its place in the event log
    position INTEGER NOT NULL,
    type TEXT NOT NULL,
    message INTEGER NOT NULL,
    event_at REAL NOT NULL,
    state TEXT NOT NULL,
    failed INTEGER NOT NULL,            -- attempts in a row, which the schedule counts
    next_at REAL,                       -- of one that waits
    UNIQUE (webhook, event)
) STRICT;
CREATE INDEX IF NOT EXISTS webhook_delivery_waits
    ON webhook_delivery (webhook, next_at) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS webhook_delivery_of ON webhook_delivery (webhook, id);

CREATE TABLE IF NOT EXISTS webhook_attempt (
    id INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL REFERENCES webhook_delivery (id) ON DELETE CASCADE,
    at REAL NOT NULL,
    status INTEGER,                     -- NULL: there was no answer
    seconds REAL NOT NULL,
    error TEXT NOT NULL,
    answer TEXT NOT NULL                -- its beginning
) STRICT;
CREATE INDEX IF NOT EXISTS webhook_attempt_of ON webhook_attempt (delivery, id);

CREATE TABLE IF NOT EXISTS webhook_replay (
    id INTEGER PRIMARY KEY,
    webhook TEXT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,            -- up to here it has been sent again
    position INTEGER NOT NULL,
    last INTEGER NOT NULL,              -- the entry behind which it is over
    since REAL NOT NULL,
    until REAL NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """A part of the log that is sent again."""

    id: int
    place: Place
    last: int
    since: float
    until: float


_ENDPOINT: Final = (
    "id, url, description, types, tag, route, user, enabled, secret, old_secret, old_until, "
    "created_at, log, number, position, failures, failing_since, disabled_reason"
)


def endpoints(connection: Connection) -> list[Endpoint]:
    """All of them, the oldest first."""
    rows = connection.execute(f"SELECT {_ENDPOINT} FROM webhook ORDER BY created_at, id")  # noqa: S608
    return [_endpoint(row) for row in rows]


def endpoint(connection: Connection, identifier: str) -> Endpoint:
    """One of them. Raises NoSuchWebhook."""
    row = connection.execute(
        f"SELECT {_ENDPOINT} FROM webhook WHERE id = ?",  # noqa: S608
        (identifier,),
    ).fetchone()
    if row is None:
        raise NoSuchWebhook(identifier)
    return _endpoint(row)


def _endpoint(row: tuple[Any, ...]) -> Endpoint:
    settings = EndpointSettings(
        row[1], row[2], frozenset(json.loads(row[3])), row[4], row[5], row[6], bool(row[7])
    )
    return Endpoint(
        row[0], settings, row[8], row[9], row[10], row[11], row[12], Place(row[13], row[14]),
        row[15], row[16], row[17],
    )  # fmt: skip


def insert(connection: Connection, one: Endpoint) -> None:
    """A new endpoint."""
    connection.execute(
        "INSERT INTO webhook (id, url, description, types, tag, route, user, enabled, secret, "
        "created_at, log, number, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            one.id, *_settings_row(one.settings), one.secret, one.created_at, one.log,
            one.place.number, one.place.index,
        ),
    )  # fmt: skip


def change(connection: Connection, identifier: str, settings: EndpointSettings) -> Endpoint:
    """Other settings. Enabling forgets why it was disabled, and that it failed. Raises
    NoSuchWebhook."""
    before = endpoint(connection, identifier)
    connection.execute(
        "UPDATE webhook SET url = ?, description = ?, types = ?, tag = ?, route = ?, user = ?, "
        "enabled = ? WHERE id = ?",
        (*_settings_row(settings), identifier),
    )
    if settings.enabled != before.settings.enabled or settings.url != before.settings.url:
        connection.execute(
            "UPDATE webhook SET disabled_reason = '', failures = 0, failing_since = NULL "
            "WHERE id = ?",
            (identifier,),
        )
    return endpoint(connection, identifier)


def _settings_row(settings: EndpointSettings) -> tuple[object, ...]:
    return (
        settings.url, settings.description, json.dumps(sorted(settings.types)), settings.tag,
        settings.route, settings.user, int(settings.enabled),
    )  # fmt: skip


def remove(connection: Connection, identifier: str) -> None:
    """An endpoint goes, with its deliveries. Raises NoSuchWebhook."""
    if not connection.execute("DELETE FROM webhook WHERE id = ?", (identifier,)).rowcount:
        raise NoSuchWebhook(identifier)


def rotate(connection: Connection, identifier: str, secret: str, old_until: float) -> Endpoint:
    """A new secret; the one before signs along until a time. Raises NoSuchWebhook."""
    connection.execute(
        "UPDATE webhook SET old_secret = secret, old_until = ?, secret = ? WHERE id = ?",
        (old_until, secret, identifier),
    )
    return endpoint(connection, identifier)


def disable(connection: Connection, identifier: str, reason: str) -> None:
    """The relay itself stops sending there."""
    connection.execute(
        "UPDATE webhook SET enabled = 0, disabled_reason = ? WHERE id = ?", (reason, identifier)
    )


def move(connection: Connection, identifier: str, log: str, place: Place) -> None:
    """Everything up to a place is done with."""
    connection.execute(
        "UPDATE webhook SET log = ?, number = ?, position = ? WHERE id = ?",
        (log, place.number, place.index, identifier),
    )


def set_health(
    connection: Connection, identifier: str, failures: int, failing_since: float | None
) -> None:
    """How it goes there."""
    connection.execute(
        "UPDATE webhook SET failures = ?, failing_since = ? WHERE id = ?",
        (failures, failing_since, identifier),
    )


# --- replays --------------------------------------------------------------------------------------


def add_replay(connection: Connection, webhook: str, one: Replay) -> None:
    """Send a part of the log again. Raises NoSuchWebhook."""
    endpoint(connection, webhook)
    connection.execute(
        "INSERT INTO webhook_replay (webhook, number, position, last, since, until) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (webhook, one.place.number, one.place.index, one.last, one.since, one.until),
    )


def replays(connection: Connection, webhook: str) -> list[Replay]:
    """Those that are not over, the oldest first."""
    rows = connection.execute(
        "SELECT id, number, position, last, since, until FROM webhook_replay WHERE webhook = ? "
        "ORDER BY id",
        (webhook,),
    )
    return [Replay(row[0], Place(row[1], row[2]), *row[3:]) for row in rows.fetchall()]


def move_replay(connection: Connection, identifier: int, place: Place) -> None:
    """A replay has come so far."""
    connection.execute(
        "UPDATE webhook_replay SET number = ?, position = ? WHERE id = ?",
        (place.number, place.index, identifier),
    )


def end_replay(connection: Connection, identifier: int) -> None:
    """A replay is over."""
    connection.execute("DELETE FROM webhook_replay WHERE id = ?", (identifier,))
