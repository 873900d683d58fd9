"""The figures themselves: each family of metrics with where it comes from."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric

from waypost.control.room import ControlRoom
from waypost.control.statistics_rows import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    BOUNCED,
    BOUNDS,
    BUCKETS,
    CAPTURED,
    DEFERRED,
    DELIVERED,
    EXPIRED,
    FIRST_REPLY,
    SENT_BYTES,
)

DESTINATIONS: Final = 20
"""Destinations told apart, those with most mail that waits."""

_OUTCOMES: Final = (
    ("delivered", DELIVERED), ("captured", CAPTURED), ("deferred", DEFERRED), ("bounced", BOUNCED),
    ("expired", EXPIRED),
)  # fmt: skip


def families(room: ControlRoom) -> Iterator[Metric]:
    """Everything, as it stands now. Called on the event loop."""
    yield InfoMetricFamily(
        "waypost_build", "What runs.",
        {"version": version("waypost"), "python": platform.python_version()},
    )  # fmt: skip
    yield from _mail(room)
    yield from _routes(room)
    yield from _queue(room)
    yield from _now(room)


def _mail(room: ControlRoom) -> Iterator[Metric]:
    counters = room.statistics.since_start()
    yield CounterMetricFamily(
        "waypost_messages_accepted", "Messages made durable, our own notices among them.",
        counters.messages,
    )  # fmt: skip
    yield CounterMetricFamily(
        "waypost_recipients_accepted", "Recipients of accepted messages.", counters.accepted
    )
    yield CounterMetricFamily(
        "waypost_accepted_bytes", "Bytes of accepted messages.", counters.bytes
    )
    refusals = CounterMetricFamily(
        "waypost_refusals", "MAIL and RCPT refused to clients.", labels=("command", "reply")
    )
    for (command, kind), count in sorted(counters.refusals.items()):
        refusals.add_metric((command, kind), count)
    yield refusals
    failures = CounterMetricFamily(
        "waypost_failures", "Recipients not delivered, by attempt and reason.",
        labels=("reason", "outcome"),
    )  # fmt: skip
    for reason, numbers in sorted(counters.reasons.items()):
        for outcome, place in _OUTCOMES:
            if numbers[place]:
                failures.add_metric((reason or "unknown", outcome), numbers[place])
    yield failures


def _routes(room: ControlRoom) -> Iterator[Metric]:
    """What went over each route."""
    rows = dict(room.statistics.since_start().routes)
    for route in room.service.engine.routing.routes:
        rows.setdefault(route.name, [0] * (FIRST_REPLY + BUCKETS))
    outcomes = CounterMetricFamily(
        "waypost_outcomes", "What attempts came to, by recipient.", labels=("route", "outcome")
    )
    attempts = CounterMetricFamily("waypost_attempts", "Attempts that ended.", labels=("route",))
    sent = CounterMetricFamily("waypost_sent_bytes", "Bytes delivered.", labels=("route",))
    seconds = HistogramMetricFamily(
        "waypost_attempt_seconds", "How long attempts took.", labels=("route",)
    )
    first = HistogramMetricFamily(
        "waypost_first_reply_seconds", "How long the first reply of an attempt took.",
        labels=("route",),
    )  # fmt: skip
    for name, numbers in sorted(rows.items()):
        for outcome, place in _OUTCOMES:
            outcomes.add_metric((name, outcome), numbers[place])
        attempts.add_metric((name,), numbers[ATTEMPTS])
        sent.add_metric((name,), numbers[SENT_BYTES])
        for family, place in ((seconds, ATTEMPT_SECONDS), (first, FIRST_REPLY)):
            # Without a sum: it is not counted, and a wrong one would make wrong means.
            family.add_metric((name,), _buckets(numbers[place : place + BUCKETS]), None)
    yield from (outcomes, attempts, sent, seconds, first)


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Rising, as Prometheus has them, and with an end."""
    total, found = 0, []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def _queue(room: ControlRoom) -> Iterator[Metric]:
    """What waits. Counted beside the work, so a few seconds old; missing until it was counted."""
    counted, queues, now = room.statistics.counts(), room.statistics.queues(), room.clock.now()
    if counted is not None:
        counts = counted.counts
        states = GaugeMetricFamily(
            "waypost_queue_recipients", "Recipients that wait.", labels=("state",)
        )
        states.add_metric(("queued",), counts.queued)
        states.add_metric(("held",), counts.held)
        states.add_metric(("damaged",), counts.damaged)
        yield states
        oldest = counts.oldest_queued
        yield GaugeMetricFamily(
            "waypost_queue_oldest_age_seconds", "Age of the oldest message waiting; 0: none is.",
            max(0.0, now - oldest) if oldest is not None else 0.0,
        )  # fmt: skip
        yield GaugeMetricFamily("waypost_spool_bytes", "Bytes of the spool.", counts.bytes_used)
    if queues is not None:
        yield GaugeMetricFamily(
            "waypost_queue_destinations", "Destinations with mail that waits.", queues.destinations
        )
        waiting = GaugeMetricFamily(
            "waypost_destination_queue_recipients",
            f"Recipients that wait, of the {DESTINATIONS} destinations with most.",
            labels=("destination",),
        )
        ages = GaugeMetricFamily(
            "waypost_destination_oldest_age_seconds", "Age of their oldest message that waits.",
            labels=("destination",),
        )  # fmt: skip
        for one in queues.queues[:DESTINATIONS]:
            waiting.add_metric((one.domain,), one.queued)
            if one.oldest is not None:
                ages.add_metric((one.domain,), max(0.0, now - one.oldest))
        yield waiting
        yield ages


def _now(room: ControlRoom) -> Iterator[Metric]:
    """What stands at this moment."""
    service, now = room.service, room.clock.now()
    yield GaugeMetricFamily(
        "waypost_messages_in_memory", "Messages under way or next.", len(service.engine.in_flight())
    )
    connections = GaugeMetricFamily(
        "waypost_connections", "Connections to next hops.", labels=("route",)
    )
    quotas = GaugeMetricFamily(
        "waypost_quota_left", "Messages that a quota lets through.", labels=("route", "window")
    )
    suspended = GaugeMetricFamily(
        "waypost_next_hop_suspended", "1: a next hop is left alone.", labels=("route", "next_hop")
    )
    for route in service.engine.routing.routes:
        connections.add_metric((route.name,), service.slots.connections_of(route))
        for window, left in service.slots.quotas_left(route, now).items():
            quotas.add_metric((route.name, window), left)
        for hop in route.via if len(route.via) > 1 else ():
            open_ = service.circuits.is_suspended(hop, service.clock.monotonic())
            suspended.add_metric((route.name, hop.identity), float(open_))
    yield from (connections, quotas, suspended)
    alone = Counter(one.route for one in service.slots.left_alone(now))
    left_alone = GaugeMetricFamily(
        "waypost_destinations_left_alone", "Destinations that failed and are not tried for now.",
        labels=("route",),
    )  # fmt: skip
    for route in service.engine.routing.routes:
        left_alone.add_metric((route.name,), alone[route.name])
    yield left_alone
    sessions = GaugeMetricFamily(
        "waypost_sessions", "Clients connected.", labels=("listener", "kind")
    )
    for listener in service.listeners:
        where = listener.settings.address.text
        sessions.add_metric((where, listener.kind), len(listener.sessions))
    yield sessions
    yield GaugeMetricFamily(
        "waypost_spool_accepts", "1: the spool has room and can be measured.",
        float(service.spool.admission(0) is None),
    )  # fmt: skip
