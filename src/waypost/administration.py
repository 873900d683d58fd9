"""What people ask of a relay: look at its mail, steer it, follow what happens to it.

The faces call this and nothing deeper. It works on a running service, and also over a spool alone
while no relay runs; then nothing is under way, and what is changed counts from the next start.

Changes go through the messages that match in batches of bounded size, newest first, so that a
change of a million messages holds neither the spool nor its caller for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from waypost.delivery.pauses import NoSuchQueue, Pause, Pausing
from waypost.message_events import Event, Follower, accepted_event, attempt_events
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    BodyDamaged,
    MessageFilter,
    MessageRow,
    NewMessage,
    QueuedMessage,
    RecipientRow,
    RecipientState,
    SelectedRecipient,
    Spool,
    SpoolCounts,
    Suppression,
    WaitingDestination,
)

if TYPE_CHECKING:
    from waypost.delivery.engine import Engine
    from waypost.delivery.routing import RoutingTable
    from waypost.delivery.settlement import Watcher
    from waypost.delivery.slots import DestinationView, Slots
    from waypost.delivery.verbosity import Level, Rule
    from waypost.relay.refusals import Refusal, RefusalWatcher
    from waypost.service import Service

BATCH: Final = 500
"""Messages that one call gives, at most."""

ACTION_BATCH: Final = 5000
"""Messages that one call selects or changes, at most."""

WAITING: Final = (RecipientState.QUEUED, RecipientState.HELD)


class Action(StrEnum):
    """What can be done to recipients that wait."""

    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"

    @property
    def states(self) -> tuple[RecipientState, ...]:
        """Which recipients it is for."""
        return _STATES[self]


_STATES: Final = {
    Action.RETRY: (RecipientState.QUEUED,),
    Action.HOLD: (RecipientState.QUEUED,),
    Action.RELEASE: (RecipientState.HELD,),
    Action.REMOVE: WAITING,
}


class NothingRuns(Exception):
    """It is asked of a running relay, and there is a spool alone."""


class NoSuchMessage(Exception):
    """The spool knows no message of this identifier, or no longer."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A batch of the recipients that an action would be for."""

    recipients: tuple[SelectedRecipient, ...]
    before: int | None
    """For the next batch; None: there is none."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a batch came to."""

    changed: int
    """Recipients."""
    under_way: int
    """Recipients left alone because an attempt is under way for them."""
    before: int | None
    """For the next batch; None: there is none."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What one recipient waits for."""

    number: int
    text: str
    until: float | None
    """Seconds since the epoch; None: for no given time."""


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one message."""

    message: MessageRow
    attempts: tuple[AttemptRecord, ...]
    waits: tuple[Wait, ...]


@dataclass(frozen=True, slots=True)
class RoutedRecipient:
    """Which route a recipient would take today."""

    message: int
    address: str
    route: str
    next_hops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DestinationQueue:
    """What waits for one destination, and why."""

    waiting: WaitingDestination
    oldest_at: float | None
    """When the message that waits longest was received; None: it has just been delivered."""
    route: str
    """Which that message takes today."""
    wait: Wait | None
    """What that message waits for."""
    reply: str = ""
    """What its last attempt came to, in the words that decided."""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue as a whole."""

    counts: SpoolCounts
    left_alone: tuple[DestinationView, ...]
    in_memory: int
    connections: int
    pauses: tuple[Pause, ...] = ()


class Administration:
    """See the module."""

    _service: Service | None = None
    _engine: Engine | None = None
    _slots: Slots | None = None
    _routing: RoutingTable | None = None

    def __init__(self, service: Service) -> None:
        self._prepare(service.spool, service.clock.now)
        self._engine = service.engine
        self._slots = service.slots
        self._service = service

    @classmethod
    def over_spool(
        cls, spool: Spool, now: Callable[[], float], routing: RoutingTable | None = None
    ) -> Administration:
        """For a spool that no relay works on."""
        made = cls.__new__(cls)
        made._prepare(spool, now)
        made._routing = routing
        return made

    def _prepare(self, spool: Spool, now: Callable[[], float]) -> None:
        self._spool = spool
        self._now = now
        self._watchers: tuple[Watcher, ...] = ()
        self._change_watchers: tuple[Callable[[], None], ...] = ()
        self._refusal_watchers: tuple[RefusalWatcher, ...] = ()

    # --- to look at -------------------------------------------------------------------------

    @property
    def spool_directory(self) -> str | None:
        """Where the mail of the running service is; None over a spool alone."""
        return None if self._service is None else str(self._service.settings.spool.directory)

    @property
    def listening(self) -> tuple[tuple[str, str], ...]:
        """Kind and address of each listener."""
        if self._service is None:
            return ()
        return tuple((one.kind, place) for one in self._service.listeners for place in one.bound)

    async def messages(self, wanted: MessageFilter) -> list[MessageRow]:
        """Messages, newest first; BATCH at most."""
        return await self._spool.messages(_bounded(wanted))

    async def story(self, message: int) -> Story:
        """All about one message. Raises NoSuchMessage."""
        found = await self._spool.messages(MessageFilter(identifiers=(message,), limit=1))
        if not found:
            raise NoSuchMessage
        row = found[0]
        attempts = tuple(await self._spool.attempts(message))
        return Story(row, attempts, self.waits(row))

    def waits(self, row: MessageRow) -> tuple[Wait, ...]:
        """What each recipient that waits waits for; asks the engine's memory, not the disk."""
        return tuple(self._wait(row, one) for one in row.recipients if one.state in WAITING)

    def _wait(self, row: MessageRow, recipient: RecipientRow) -> Wait:
        number, now = recipient.number, self._now()
        if recipient.state is RecipientState.HELD:
            return Wait(number, "held until it is released", None)
        if recipient.started:
            return Wait(number, "an attempt is under way", None)
        engine = self._engine
        if engine is None:
            return Wait(number, "no relay is running", None)
        route = engine.routing.resolve(row.reverse_path, recipient.address, row.user)
        domain = recipient.domain.lower()
        if self._slots is not None:
            pause = self._slots.pauses.of(route.name, domain if route.is_direct else "")
            if pause is not None:
                return Wait(number, pause.text, None)
        lane = engine.lanes.get((route.name, domain if route.is_direct else ""))
        if recipient.due_at > now:
            text = "its next attempt" if recipient.attempts else "its first attempt"
            return Wait(number, text, recipient.due_at)
        if lane is not None and lane.blocked_until > now:
            why = lane.blocked_reason or "a failure"
            return Wait(number, f"route {route.name} is left alone: {why}", lane.blocked_until)
        if lane is not None and lane.blocked_reason:
            return Wait(number, lane.blocked_reason, None)
        return Wait(number, f"its turn on route {route.name}", None)

    async def content(self, message: int) -> Body:
        """The stored message; what the sandbox has caught where it no longer waits. Raises
        NoSuchMessage, BodyDamaged."""
        try:
            return await self._spool.open_body(message)
        except BodyDamaged as fault:
            try:
                return await self._spool.captured_content(message)
            except BodyDamaged:
                if not await self._spool.messages(MessageFilter(identifiers=(message,), limit=1)):
                    raise NoSuchMessage from None
                raise fault from None

    async def attempts(self, message: int) -> list[AttemptRecord]:
        """The attempts of a message, oldest first."""
        return await self._spool.attempts(message)

    async def destinations(self, text: str = "", limit: int = 100) -> list[DestinationQueue]:
        """What waits by destination, the fullest first, and what the oldest of each waits for."""
        found = await self._spool.waiting(text, min(limit, BATCH))
        if not found:
            return []
        wanted = MessageFilter(identifiers=tuple({one.oldest for one in found}), limit=len(found))
        oldest = {row.identifier: row for row in await self._spool.messages(wanted)}
        return [self._destination(one, oldest.get(one.oldest)) for one in found]

    def _destination(self, found: WaitingDestination, row: MessageRow | None) -> DestinationQueue:
        waiting = None if row is None else self._first_waiting(row, found.domain)
        if row is None or waiting is None:  # it was delivered between the two questions
            return DestinationQueue(found, None, "", None)
        route = ""
        routing = self._engine.routing if self._engine is not None else self._routing
        if routing is not None:
            route = routing.resolve(row.reverse_path, waiting.address, row.user).name
        wait = self._wait(row, waiting)
        return DestinationQueue(found, row.received_at, route, wait, waiting.last_reply)

    def _first_waiting(self, row: MessageRow, domain: str) -> RecipientRow | None:
        here = [one for one in row.recipients if one.domain == domain and one.state in WAITING]
        queued = [one for one in here if one.state is RecipientState.QUEUED]
        return next(iter(queued or here), None)

    @property
    def under_way(self) -> tuple[int, int]:
        """Messages in memory, and connections to next hops; costs nothing to ask."""
        slots, engine = self._slots, self._engine
        return (
            len(engine.in_flight()) if engine is not None else 0,
            slots.connections if slots is not None else 0,
        )

    async def status(self) -> QueueStatus:
        """How much there is, and which destinations are left alone."""
        slots, engine = self._slots, self._engine
        return QueueStatus(
            await self._spool.counts(),
            tuple(slots.left_alone(self._now())) if slots is not None else (),
            len(engine.in_flight()) if engine is not None else 0,
            slots.connections if slots is not None else 0,
            self.pauses,
        )

    # --- to steer ---------------------------------------------------------------------------

    async def select(self, action: Action, wanted: MessageFilter) -> Selection:
        """What an action would be for: a preview, a batch at a time."""
        wanted = _bounded(wanted, ACTION_BATCH)
        found = await self._spool.select(wanted, action.states)
        messages = {one.message for one in found}
        more = len(messages) >= wanted.limit
        return Selection(tuple(found), min(messages) if more and messages else None)

    async def change(self, action: Action, wanted: MessageFilter) -> Change:
        """Do it to one batch, and tell the engine."""
        batch = await self.select(action, wanted)
        identifiers = tuple({one.message for one in batch.recipients})
        if not identifiers:
            return Change(0, 0, None)
        narrowed = replace(wanted, identifiers=identifiers, limit=0)
        spool, now = self._spool, self._now()
        if action is Action.RETRY:
            changed = await spool.retry(narrowed, now)
        elif action is Action.HOLD:
            changed = await spool.hold(narrowed)
        elif action is Action.RELEASE:
            changed = await spool.release(narrowed, now)
        else:
            changed = await spool.cancel(narrowed, "removed by the operator")
        if action in (Action.RETRY, Action.RELEASE):
            self._wake({one.address.rpartition("@")[2].lower() for one in batch.recipients}, now)
        for tell in self._change_watchers:
            tell()
        under_way = sum(one.started for one in batch.recipients)
        return Change(changed, under_way, batch.before)

    def _wake(self, domains: Iterable[str], now: float) -> None:
        """Mail for these is due, and somebody wants it tried in spite of earlier failures."""
        if self._engine is not None:
            for domain in domains:
                self._engine.retry_now(domain)
                self._engine.wake(domain, now)

    async def routes(self, wanted: MessageFilter) -> tuple[list[RoutedRecipient], int | None]:
        """Which routes a batch of the waiting recipients would take today."""
        routing = self._engine.routing if self._engine is not None else self._routing
        assert routing is not None, "over a spool alone, the routes are given by the caller"
        batch = await self.select(Action.REMOVE, wanted)
        identifiers = tuple({one.message for one in batch.recipients})
        rows = {}
        if identifiers:
            by_number = MessageFilter(identifiers=identifiers, limit=len(identifiers))
            rows = {row.identifier: row for row in await self._spool.messages(by_number)}
        found: list[RoutedRecipient] = []
        for one in batch.recipients:
            row = rows.get(one.message)
            if row is not None:
                route = routing.resolve(row.reverse_path, one.address, row.user)
                hops = tuple(hop.identity for hop in route.via)
                found.append(RoutedRecipient(one.message, one.address, route.name, hops))
        return found, batch.before

    # --- transcripts ------------------------------------------------------------------------

    def verbosities(self) -> tuple[Rule, ...]:
        """Destinations of which more or less is kept than is usual."""
        return self._engine.verbosity.rules() if self._engine is not None else ()

    def set_verbosity(self, destination: str, level: Level, seconds: float | None) -> None:
        """Keep more or less of what is said from the next attempt on, for so long (delivery.
        verbosity). Raises NothingRuns, TooManyRules."""
        if self._engine is None:
            raise NothingRuns
        until = None if seconds is None else self._now() + seconds
        self._engine.verbosity.set(destination, level, until)

    # --- pauses -----------------------------------------------------------------------------

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """The queues that nothing leaves."""
        return () if self._slots is None else tuple(self._slots.pauses)

    @property
    def pausing(self) -> Pausing:
        """What pauses and resumes queues. Raises NoSuchQueue where no relay is running."""
        if self._slots is None or self._engine is None:
            raise NoSuchQueue("no relay is running, so there is nothing to pause")
        return Pausing(self._engine, self._slots.pauses, self._spool, self._now)

    # --- suppressions -----------------------------------------------------------------------

    async def suppress(self, address: str, reason: str) -> None:
        """Send nothing to an address any more."""
        await self._spool.suppress(address, reason)

    async def unsuppress(self, address: str) -> bool:
        """Send to it again; whether it was suppressed."""
        return await self._spool.unsuppress(address)

    async def suppressions(self, after: str = "") -> list[Suppression]:
        """BATCH of them by name after `after`."""
        return await self._spool.suppressions(BATCH, after)

    # --- the log ----------------------------------------------------------------------------

    async def changed_since(self, at: float, wanted: MessageFilter) -> list[MessageRow]:
        """Of the messages to which something has happened since a time the latest `limit`, those
        that the filter is for. None of them where the event log is not kept."""
        wanted = _bounded(wanted)
        after = await self._spool.entry_before(at)
        latest = await self._spool.latest_messages(after, wanted.limit)
        chosen = [one for one in latest if not wanted.identifiers or one in wanted.identifiers]
        if not chosen:
            return []
        return await self.messages(replace(wanted, identifiers=tuple(chosen)))

    async def events_of(self, row: MessageRow) -> list[Event]:
        """What has happened to a message, in order."""
        addresses = {one.number: one.address for one in row.recipients}
        events = [accepted_event(row)]
        for attempt in await self._spool.attempts(row.identifier):
            events += attempt_events(attempt, addresses, row.reverse_path)
        return events

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """What happens from now on. Over a spool alone nothing happens."""
        follower = Follower()
        self.watch(follower.take)
        try:
            yield follower
        finally:
            self.unwatch(follower.take)

    def watch(self, watcher: Watcher) -> None:
        """Have it told of everything that becomes durable, on the event loop, until `unwatch`.

        It is on the way of every message: it must return at once and raise nothing.
        """
        self._set_watchers((*self._watchers, watcher))

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it no more."""
        self._set_watchers(tuple(one for one in self._watchers if one != watcher))

    def watch_changes(self, watcher: Callable[[], None]) -> None:
        """Have it told when something was changed by hand."""
        self._change_watchers = (*self._change_watchers, watcher)

    def watch_refusals(self, watcher: RefusalWatcher) -> None:
        """Have it told of each MAIL and RCPT that a listener refuses, on the event loop."""
        self._refusal_watchers = (*self._refusal_watchers, watcher)
        for listener in self._service.listeners if self._service is not None else ():
            listener.on_refusal = self._tell_refusal

    def _tell_refusal(self, refusal: Refusal) -> None:
        for watcher in self._refusal_watchers:
            watcher(refusal)

    def _set_watchers(self, watchers: tuple[Watcher, ...]) -> None:
        self._watchers = watchers
        if self._engine is not None:
            alone = watchers[0] if len(watchers) == 1 else self._tell
            self._engine.watcher = alone if watchers else None

    def _tell(self, message: NewMessage | QueuedMessage, record: AttemptRecord | None) -> None:
        for watcher in self._watchers:
            watcher(message, record)


def _bounded(wanted: MessageFilter, most: int = BATCH) -> MessageFilter:
    if 0 < wanted.limit <= most:
        return wanted
    return replace(wanted, limit=most)
