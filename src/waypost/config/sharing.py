"""What each of several worker processes may do, so that all together keep the limits.

Workers share the listening ports; each has a spool shard, connections, rates and quotas of its
own. A limit is divided, and what does not divide evenly goes to the first ones, so the shares add
up to the limit exactly. One that is smaller than the number of shares cannot be divided: then the
configuration is refused rather than the limit exceeded.

A shard in which mail waits, and which no worker of today has, gets a process without listeners
that delivers what is there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from waypost.delivery.engine import EngineSettings
from waypost.delivery.route import Quotas, Rate, Route, RouteLimits
from waypost.relay.listener import ListenerSettings
from waypost.relay.peer_limits import PeerLimitSettings
from waypost.service import ServiceSettings


class CannotShare(ValueError):
    """A limit is smaller than the number of processes that have to share it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One process of a relay that has several."""

    name: str
    """For the log: "worker-1", "drain-worker-3"."""
    folder: str
    """Its spool shard, below the spool's folder; "" is the folder itself."""
    share: int
    """Its number among those that share the limits, from 1."""
    shares: int
    listens: bool


def assignments(spool: Path, workers: int) -> list[Assignment]:
    """The processes that a relay with so many workers needs over a spool's folder."""
    wanted = [""] if workers == 1 else [f"worker-{number}" for number in range(1, workers + 1)]
    left_over = [folder for folder in _shards(spool) if folder not in wanted]
    left_over = [folder for folder in left_over if _mail_waits(spool / folder / "spool.sqlite")]
    shares = len(wanted) + len(left_over)
    made = [
        Assignment(folder or "worker-1", folder, number, shares, listens=True)
        for number, folder in enumerate(wanted, 1)
    ]
    made += [
        Assignment(f"drain-{folder or 'spool'}", folder, number, shares, listens=False)
        for number, folder in enumerate(left_over, len(wanted) + 1)
    ]
    return made


def _shards(spool: Path) -> Iterator[str]:
    if (spool / "spool.sqlite").exists():
        yield ""
    for path in sorted(spool.glob("worker-*")):
        if (path / "spool.sqlite").exists():
            yield path.name


def _mail_waits(database: Path) -> bool:
    """Whether anything in a shard is not ended. One that cannot be read counts as if: the process
    that gets it says what is wrong with it."""
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            found = connection.execute(
                "SELECT 1 FROM recipient INDEXED BY recipient_due WHERE state = 0 "
                "UNION ALL SELECT 1 FROM recipient INDEXED BY recipient_held WHERE state = 1 "
                "LIMIT 1"
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return True
    return found is not None


def settings_of(settings: ServiceSettings, mine: Assignment) -> ServiceSettings:
    """The settings of one process. Raises CannotShare."""
    spool = replace(
        settings.spool,
        directory=settings.spool.directory / mine.folder,
        maximum_bytes=_share(settings.spool.maximum_bytes, mine, "spool.quota"),
        memory=settings.spool.memory // mine.shares,
    )
    engine = settings.engine or EngineSettings(settings.hostname)
    return replace(
        settings,
        spool=spool,
        listeners=tuple(_listeners(settings.listeners, mine)),
        outboxes=settings.outboxes if mine.share == 1 else (),
        drop=settings.drop if mine.share == 1 else None,
        routes=tuple(_route(route, mine) for route in settings.routes),
        limits=_peer_limits(settings.limits, mine),
        engine=replace(
            engine,
            window=max(engine.load_at_once, engine.window // mine.shares),
            body_memory=engine.body_memory // mine.shares,
        ),
    )


def _share(limit: int, mine: Assignment, name: str) -> int:
    """This process's part of a limit; 0 is no limit."""
    if not limit:
        return 0
    if limit < mine.shares:
        raise CannotShare(
            f"{name} is {limit}, and {mine.shares} processes would have to share it; raise it, or "
            "start fewer workers"
        )
    return limit // mine.shares + (mine.share <= limit % mine.shares)


def _listeners(
    listeners: tuple[ListenerSettings, ...], mine: Assignment
) -> Iterator[ListenerSettings]:
    for listener in listeners if mine.listens else ():
        address = listener.address
        if address.path is None and address.activation is None:
            yield replace(listener, shared=mine.shares > 1)
        elif mine.share == 1:  # a socket in the file system cannot be shared
            yield listener


def _peer_limits(limits: PeerLimitSettings, mine: Assignment) -> PeerLimitSettings:
    def part(limit: int, name: str) -> int:
        return _share(limit, mine, f"limits.{name}")

    return replace(
        limits,
        connections=part(limits.connections, "connections"),
        connections_per_address=part(limits.connections_per_address, "connections_per_address"),
        connections_per_minute=part(limits.connections_per_minute, "connections_per_minute"),
        messages_per_minute=part(limits.messages_per_minute, "messages_per_minute"),
        recipients_per_hour=part(limits.recipients_per_hour, "recipients_per_hour"),
        user_messages_per_hour=part(limits.user_messages_per_hour, "user_messages_per_hour"),
        user_recipients_per_hour=part(limits.user_recipients_per_hour, "user_recipients_per_hour"),
        errors_per_hour=part(limits.errors_per_hour, "errors_per_hour"),
        failed_logins_per_hour=part(limits.failed_logins_per_hour, "failed_logins_per_hour"),
    )


def _route(route: Route, mine: Assignment) -> Route:
    limits, quotas, name = route.limits, route.quotas, f"route {route.name}: "

    def rate(given: Rate | None, called: str) -> Rate | None:
        if given is None:
            return None
        return Rate(_share(given.count, mine, f"{name}limits.{called}"), given.period)

    def quota(given: int | None, called: str) -> int | None:
        return None if given is None else _share(given, mine, f"{name}quotas.{called}")

    return replace(
        route,
        limits=RouteLimits(
            _share(limits.connections, mine, f"{name}limits.connections"),
            _share(
                limits.connections_per_destination, mine,
                f"{name}limits.connections_per_destination",
            ),
            limits.messages_per_connection,
            limits.recipients_per_transaction,
            rate(limits.rate, "rate"),
            rate(limits.rate_per_destination, "rate_per_destination"),
        ),
        quotas=Quotas(
            quota(quotas.per_minute, "per_minute"),
            quota(quotas.per_hour, "per_hour"),
            quota(quotas.per_day, "per_day"),
            quotas.spread,
        ),
    )  # fmt: skip
