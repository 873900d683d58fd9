"""Deliveries in `control.sqlite`: one event for one endpoint, with its attempts.

The row of a delivery is written when its first attempt has ended, in the same transaction in which
the endpoint's place moves over it; until then it is the event log that remembers it. So a crash
sends some events a second time, under the same identifier, and forgets none. Each function is run
in a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from sqlite3 import Connection
from typing import Any, Final

from waypost.control.event_log_places import Place
from waypost.control.webhooks_endpoint import NoSuchWebhook

KEPT_DELIVERIES: Final = 5000
"""Of each endpoint; those that wait are kept beside."""

KEPT_ATTEMPTS: Final = 20
"""Of each delivery, as replays may add to them."""

PAGE: Final = 200


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    """For another attempt."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, and what came of it."""

    at: float
    status: int | None
    """Of HTTP; None: there was no answer."""
    seconds: float
    error: str
    """Why there was none, or none that counts; "" for a success."""
    answer: str
    """The beginning of what was answered."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint."""

    id: int
    """0: it has no row yet."""
    webhook: str
    event: str
    log: str
    place: Place
    type: str
    message: int
    """0: of none."""
    event_at: float
    state: DeliveryState
    failed: int
    next_at: float | None
    attempts: tuple[Attempt, ...] = ()
    """The last ones, in order; lists have the last alone."""


_DELIVERY: Final = (
    "id, webhook, event, log, number, position, type, message, event_at, state, failed, next_at"
)


def write_attempt(connection: Connection, one: Delivery, attempt: Attempt) -> None:
    """What an attempt came to: `one` as it stands after it."""
    (identifier,) = connection.execute(
        f"INSERT INTO webhook_delivery ({_DELIVERY.partition(', ')[2]}) "  # noqa: S608
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (webhook, event) DO UPDATE SET "
        "state = excluded.state, failed = excluded.failed, next_at = excluded.next_at "
        "RETURNING id",
        (
            one.webhook, one.event, one.log, one.place.number, one.place.index, one.type,
            one.message, one.event_at, one.state.value, one.failed, one.next_at,
        ),
    ).fetchone()  # fmt: skip
    connection.execute(
        "INSERT INTO webhook_attempt (delivery, at, status, seconds, error, answer) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            identifier, attempt.at, attempt.status, attempt.seconds, attempt.error, attempt.answer,
        ),
    )  # fmt: skip
    connection.execute(
        "DELETE FROM webhook_attempt WHERE delivery = ? AND id <= (SELECT id FROM webhook_attempt "
        "WHERE delivery = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (identifier, identifier, KEPT_ATTEMPTS),
    )


def trim(connection: Connection, webhook: str) -> None:
    """Forget the oldest deliveries that are over."""
    connection.execute(
        "DELETE FROM webhook_delivery WHERE webhook = ? AND state != 'waiting' AND id <= ("
        "SELECT id FROM webhook_delivery WHERE webhook = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (webhook, webhook, KEPT_DELIVERIES),
    )


def due(connection: Connection, webhook: str, now: float, limit: int) -> list[Delivery]:
    """What is to be tried again by now, in the order of the events."""
    rows = connection.execute(
        f"SELECT {_DELIVERY} FROM webhook_delivery WHERE webhook = ? AND state = 'waiting' "  # noqa: S608
        "AND next_at <= ? ORDER BY log, number, position LIMIT ?",
        (webhook, now, limit),
    )
    return [_delivery(row) for row in rows.fetchall()]


def waiting(connection: Connection, webhook: str) -> tuple[int, float | None]:
    """How many deliveries wait, and when the first of them is due."""
    count, first = connection.execute(
        "SELECT count(*), min(next_at) FROM webhook_delivery WHERE webhook = ? "
        "AND state = 'waiting'",
        (webhook,),
    ).fetchone()
    return int(count), first


def last_place(connection: Connection, webhook: str, log: str) -> int:
    """The entry of a log behind which nothing was ever sent."""
    (last,) = connection.execute(
        "SELECT max(number) FROM webhook_delivery WHERE webhook = ? AND log = ?", (webhook, log)
    ).fetchone()
    return last or 0


def known(connection: Connection, webhook: str, events: Iterable[str]) -> set[str]:
    """Those of these events that have a delivery."""
    return {
        event
        for event in events
        if connection.execute(
            "SELECT 1 FROM webhook_delivery WHERE webhook = ? AND event = ?", (webhook, event)
        ).fetchone()
    }


def hasten(connection: Connection, webhook: str, now: float) -> None:
    """The endpoint is back: what waits is due now."""
    connection.execute(
        "UPDATE webhook_delivery SET next_at = ? WHERE webhook = ? AND state = 'waiting' "
        "AND next_at > ?",
        (now, webhook, now),
    )


def send_again(connection: Connection, webhook: str, identifier: int, now: float) -> Delivery:
    """A delivery is due now, whatever became of it, by a new schedule. Raises NoSuchWebhook."""
    if not connection.execute(
        "UPDATE webhook_delivery SET state = 'waiting', failed = 0, next_at = ? "
        "WHERE webhook = ? AND id = ?",
        (now, webhook, identifier),
    ).rowcount:
        raise NoSuchWebhook(str(identifier))
    return delivery(connection, webhook, identifier)


def delivery(connection: Connection, webhook: str, identifier: int) -> Delivery:
    """One delivery with its attempts. Raises NoSuchWebhook."""
    row = connection.execute(
        f"SELECT {_DELIVERY} FROM webhook_delivery WHERE webhook = ? AND id = ?",  # noqa: S608
        (webhook, identifier),
    ).fetchone()
    if row is None:
        raise NoSuchWebhook(str(identifier))
    rows = connection.execute(
        "SELECT at, status, seconds, error, answer FROM webhook_attempt WHERE delivery = ? "
        "ORDER BY id",
        (identifier,),
    )
    return _delivery(row, tuple(Attempt(*one) for one in rows))


def deliveries(
    connection: Connection,
    webhook: str,
    states: Sequence[DeliveryState] = (),
    before: int | None = None,
    limit: int = PAGE,
) -> list[Delivery]:
    """Deliveries with their last attempts, the newest first."""
    clauses, values = ["webhook = ?"], [webhook]
    rest: list[object] = []
    if states:
        clauses.append(f"state IN ({','.join('?' * len(states))})")
        rest += [state.value for state in states]
    if before is not None:
        clauses.append("id < ?")
        rest.append(before)
    rows = connection.execute(
        f"SELECT {_DELIVERY} FROM webhook_delivery WHERE {' AND '.join(clauses)} "  # noqa: S608
        "ORDER BY id DESC LIMIT ?",
        (*values, *rest, min(limit, PAGE)),
    ).fetchall()
    found = []
    for row in rows:
        last = connection.execute(
            "SELECT at, status, seconds, error, answer FROM webhook_attempt WHERE delivery = ? "
            "ORDER BY id DESC LIMIT 1",
            (row[0],),
        ).fetchall()
        found.append(_delivery(row, tuple(Attempt(*one) for one in last)))
    return found


def _delivery(row: tuple[Any, ...], attempts: tuple[Attempt, ...] = ()) -> Delivery:
    return Delivery(
        row[0], row[1], row[2], row[3], Place(row[4], row[5]), row[6], row[7], row[8],
        DeliveryState(row[9]), row[10], row[11], attempts,
    )  # fmt: skip
