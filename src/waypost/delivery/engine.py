"""The engine: takes accepted messages to their lanes, and mail from disk when it is due.

One forward path: `plan` and `admit` (new mail) or `_refill` (mail from disk) put messages into
lanes; the lane keeper arms them and gives them to couriers; the settlement hands what an attempt
came to to the spool. Only when that is durable does a message leave memory. Nothing here waits for
anything without a deadline, and what is in memory is bounded by `window` messages, however many
are queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from waypost.delivery.chance import Chance
from waypost.delivery.in_memory import InMemory, domain_of, part_of
from waypost.delivery.lane import Lane
from waypost.delivery.lane_keeper import LaneKeeper, Outgoing
from waypost.delivery.notices import Notices
from waypost.delivery.opening import Opener
from waypost.delivery.quota import route_with_quota
from waypost.delivery.route import Route
from waypost.delivery.routing import RoutingTable
from waypost.delivery.settlement import Settlement, Watcher
from waypost.delivery.slots import Slots
from waypost.delivery.verbosity import Verbosity
from waypost.delivery.window import Backlog
from waypost.net.clock import Clock, Timer
from waypost.smtp.envelope import Envelope
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientState,
    Spool,
    SpoolRefusal,
)

SWEEP_SECONDS: Final = 60.0
"""How often the spool is asked which destinations have due mail that nobody remembers."""

SWEEP_PAGE: Final = 1000
"""Destinations of one page of a sweep."""

EXPIRED_AT_ONCE: Final = 500
"""Expired messages ended in one sweep."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Bounds of the engine. Times in seconds, sizes in bytes."""

    hostname: str
    window: int = 2000
    """Messages in memory over all lanes."""
    lane_window: int = 500
    """Messages in memory of one lane."""
    load_at_once: int = 100
    """Recipients loaded from disk for one destination in one go."""
    body_memory: int = 64 * 1024 * 1024
    """Bytes of content in memory that waits or is under way."""
    armed: int = 40
    """Messages of a lane marked as started ahead of a free connection."""


@dataclass(slots=True)
class Plan:
    """Where the recipients of a new message go."""

    parts: list[tuple[Lane, list[int] | None]]
    """Lanes with the places in the envelope; None: all recipients."""
    starts: bool
    """An attempt will begin at once, so it may be marked started with the append."""
    expire_after: float
    """Seconds until the message is given back; the longest of its routes."""


class Engine:
    """See the module."""

    def __init__(
        self,
        settings: EngineSettings,
        spool: Spool,
        routing: RoutingTable,
        slots: Slots,
        opener: Opener,
        notices: Notices,
        chance: Chance,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.routing = routing
        self.watcher: Watcher | None = None
        """For who follows the log; must return at once."""
        self._spool = spool
        self._slots = slots
        self._clock = clock
        self._memory = InMemory()
        self._settlement = Settlement(spool, notices, self._memory, chance, clock)
        self._settlement.aftermath = self
        self._keeper = LaneKeeper(
            spool, slots, opener, self._settlement, self._memory, clock, settings.armed,
            settings.lane_window,
        )  # fmt: skip
        self._keeper.backlog = self
        self._backlog = Backlog()
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._refilling: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._stopping = False
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.delivery")

    # --- life -------------------------------------------------------------------------------

    @property
    def lanes(self) -> dict[tuple[str, str], Lane]:
        """The lanes of today's routes, by route and destination."""
        return self._keeper.lanes

    @property
    def verbosity(self) -> Verbosity:
        """How much is kept of what is said."""
        return self._keeper.verbosity

    def rewrite(self, outgoing: Outgoing) -> None:
        """Let messages leave with other envelopes than their own, which stays in the spool."""
        self._keeper.outgoing = outgoing

    async def start(self) -> None:
        """Begin to deliver what is queued."""
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep_for_ever())

    async def stop(self, seconds: float) -> None:
        """Take nothing new; let transactions finish for at most `seconds`, then break off."""
        self._stopping = True
        self._keeper.unmark(self._keeper.stop())
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and (
            self._settlement.under_way or self._keeper.is_active()
        ):
            await self._clock.sleep(0.02)
        await self._keeper.break_off()
        self._settlement.stop()
        for task in (self._sweeping, self._refilling):
            if task is not None:
                task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def reroute(self, routing: RoutingTable) -> None:
        """Use other routes from now on. What waits in memory goes back to being only on disk, and
        is loaded again for its new lane; what is under way ends where it began."""
        self.routing = routing
        self._keeper.unmark(self._keeper.leave())

    def in_flight(self) -> frozenset[int]:
        """Messages in memory."""
        return self._memory.identifiers()

    def retry_now(self, domain: str) -> None:
        """Somebody knows better: do not leave a destination alone any longer."""
        self._keeper.retry_now(domain)

    def pauses_changed(self) -> None:
        """People have paused or resumed queues (Slots.pauses)."""
        self._keeper.pauses_changed()

    # --- new mail ---------------------------------------------------------------------------

    def plan(self, envelope: Envelope, user: str | None) -> Plan:
        """Where a new message will go, by today's configuration."""
        recipients = envelope.recipients
        now = self._clock.now()
        if len(recipients) == 1:
            address = recipients[0].address
            domain = domain_of(address)
            route = self._route(envelope.reverse_path, address, user, now)
            lane = self._keeper.lane(route, domain)
            starts = (
                not self._stopping
                and self._memory.messages < self.settings.window
                and self._starts(lane, domain, now)
            )
            return Plan([(lane, None)], starts, route.expire_after)
        return self._plan_many(envelope, user, now)

    def _plan_many(self, envelope: Envelope, user: str | None, now: float) -> Plan:
        """The same for several recipients: those that go the same way go together."""
        addresses = [recipient.address for recipient in envelope.recipients]
        parts = self._by_lane(envelope.reverse_path, addresses, user, now)
        starts = (
            not self._stopping
            and self._memory.messages + len(parts) <= self.settings.window
            and all(
                self._starts(lane, domain_of(addresses[number]), now)
                for lane, numbers in parts
                for number in numbers
            )
        )
        expire_after = max(lane.route.expire_after for lane, _ in parts)
        return Plan([*parts], starts, expire_after)

    def _by_lane(
        self, sender: str, addresses: Sequence[str], user: str | None, now: float
    ) -> list[tuple[Lane, list[int]]]:
        """Lanes with the places of the addresses that take them, no more in one than a
        transaction may have."""
        parts: list[tuple[Lane, list[int]]] = []
        open_parts: dict[tuple[str, str], list[int]] = {}
        for place, address in enumerate(addresses):
            route = self._route(sender, address, user, now)
            lane = self._keeper.lane(route, domain_of(address))
            places = open_parts.get(lane.key)
            if places is None or len(places) >= route.limits.recipients_per_transaction:
                places = open_parts[lane.key] = []
                parts.append((lane, places))
            places.append(place)
        return parts

    def _route(self, sender: str, recipient: str, user: str | None, now: float) -> Route:
        """The route to take now: quotas that are used up lead elsewhere."""
        route = self.routing.resolve(sender, recipient, user)
        if route.overflow is None:
            return route
        return route_with_quota(route, self.routing, lambda one: self._slots.quota(one, now))[0]

    def _starts(self, lane: Lane, domain: str, now: float) -> bool:
        """Whether an attempt to this destination can begin as soon as a message is durable."""
        return not (
            lane.blocked_until > now
            or lane.parked
            or len(lane.armed) + len(lane.ready) >= self.settings.armed
            or self._backlog.holds(domain, now)
        )

    def admit(self, message: NewMessage, body: Body, plan: Plan) -> None:
        """A message has become durable: its deliveries begin, or it waits on disk."""
        if self.watcher is not None:
            self.watcher(message, None)
        now = message.due_at
        envelope = message.envelope
        kept: Body | None = body
        if body.whole is not None and (
            self._memory.body_bytes + message.size > self.settings.body_memory
        ):
            kept = None
        whole = QueuedMessage(
            message.identifier,
            envelope,
            [
                QueuedRecipient(number, recipient.address, 0, now)
                for number, recipient in enumerate(envelope.recipients)
            ],
            message.received_at,
            message.expires_at,
            message.user,
            message.size,
            False,
            kept,
            message.message_id,
        )
        if plan.starts and self._stopping:
            self._memory.take(whole)
            self._keeper.unmark([whole])
            return
        for lane, numbers in plan.parts:
            part = whole if numbers is None else part_of(whole, numbers)
            self._admit_part(lane, part, now, started=plan.starts)

    def admit_later(self, message: NewMessage, plan: Plan) -> None:
        """A message has become durable that nobody may begin with yet (Envelope.hold_until)."""
        if self.watcher is not None:
            self.watcher(message, None)
        for domain in {domain_of(one.address) for one in message.envelope.recipients}:
            self.wake(domain, message.due_at)
        for lane, _ in plan.parts:
            self._keeper.dispatch(lane)  # a lane that was made for it alone is forgotten

    def _admit_part(self, planned: Lane, part: QueuedMessage, now: float, *, started: bool) -> None:
        lane = self._keeper.still(planned)
        if lane is None:
            if started:
                self._memory.take(part)
                self._keeper.unmark([part])
                return
            for recipient in part.recipients:
                self.wake(domain_of(recipient.address), now)
            return
        if started and part.body is not None:
            self._memory.take(part)
            lane.armed.append(part)
            self._keeper.dispatch(lane)
            return
        if started or self._fits(lane, part, now):
            self._memory.take(part)
            lane.ready.append(part)
            self._keeper.dispatch(lane)
            return
        for recipient in part.recipients:
            domain = domain_of(recipient.address)
            if lane.blocked_until > now or len(lane.ready) >= self.settings.lane_window // 2:
                lane.park(domain, part.identifier)
            else:
                self.wake(domain, now)
        self._keeper.dispatch(lane)

    def _fits(self, lane: Lane, part: QueuedMessage, now: float) -> bool:
        """Whether a new message may wait in memory: not before older mail of its destination."""
        return (
            not self._stopping
            and self._memory.messages < self.settings.window
            and len(lane.ready) < self.settings.lane_window
            and not lane.parked
            and lane.blocked_until <= now
            and not any(self._backlog.holds(domain_of(r.address), now) for r in part.recipients)
        )

    # --- what others ask of it --------------------------------------------------------------

    def wake(self, domain: str, due_at: float) -> None:
        """There is mail for `domain` on disk, due at `due_at`."""
        self._backlog.add(domain, due_at)
        self._arm_timer()

    def divert(self, lane: Lane) -> bool:
        """The quota of a lane's route is used up: what waits there takes the overflow route."""
        if lane.route.overflow is None:
            return False
        now = self._clock.now()
        moved = False
        for line, armed in ((lane.armed, True), (lane.ready, False)):
            staying: list[QueuedMessage] = []
            while line:
                message = line.popleft()
                address = message.recipients[0].address
                route = self._route(message.envelope.reverse_path, address, message.user, now)
                if route is lane.route:
                    staying.append(message)
                    continue
                other = self._keeper.lane(route, domain_of(address))
                (other.armed if armed else other.ready).append(message)
                moved = True
                self._keeper.dispatch(other)
            line.extend(staying)
        return moved and not lane.armed

    def settled(
        self, message: QueuedMessage, record: AttemptRecord, notice: NewMessage | None
    ) -> None:
        """An outcome is durable and its message has left memory (Settlement)."""
        if self.watcher is not None:
            self.watcher(message, record)
        for result, recipient in zip(record.results, message.recipients, strict=True):
            if result.state is RecipientState.QUEUED:
                self.wake(domain_of(recipient.address), result.due_at)
        if notice is not None:
            if self.watcher is not None:
                self.watcher(notice, None)
            for told in notice.envelope.recipients:
                self.wake(domain_of(told.address), notice.due_at)
        if self._backlog and self._has_room():
            self._arm_timer()

    # --- mail from disk ---------------------------------------------------------------------

    def _has_room(self) -> bool:
        return self._memory.messages + self.settings.load_at_once <= self.settings.window

    def _arm_timer(self) -> None:
        due_at = self._backlog.next_due()
        if due_at is None or self._stopping:
            return
        if self._timer is not None:
            if self._timer_due <= due_at:
                return
            self._timer.cancel()
        self._timer_due = due_at
        self._timer = self._clock.call_later(
            max(0.0, due_at - self._clock.now()), self._backlog_due
        )

    def _backlog_due(self) -> None:
        self._timer = None
        if self._has_room() and (self._refilling is None or self._refilling.done()):
            self._refilling = asyncio.get_running_loop().create_task(self._refill())

    async def _refill(self) -> None:
        """Load due mail while there is room."""
        limit = self.settings.load_at_once
        while not self._stopping and self._has_room():
            now = self._clock.now()
            domain = self._backlog.pop_due(now)
            if domain is None:
                break
            try:
                count = await self._load(domain, now, limit)
                more = count >= limit and self._keeper.may_park(domain)
                next_due = now if more else await self._spool.next_due(domain, now)
            except SpoolRefusal as fault:
                self._log.error("mail could not be loaded", destination=domain, why=str(fault))
                next_due = now + SWEEP_SECONDS
            if next_due is not None:
                self._backlog.add(domain, next_due)
        if self._has_room():
            self._arm_timer()

    async def _load(self, domain: str, now: float, limit: int) -> int:
        """Load what is due for a destination; how many recipients came."""
        elsewhere = self._memory.excluded(domain) | self._keeper.parked(domain)
        messages = await self._spool.load_due(domain, now, limit, elsewhere)
        count = 0
        for message in messages:
            if self._memory.holds(domain, message.identifier):
                continue  # it came into memory while the spool was asked
            count += len(message.recipients)
            self._place(domain, message, now)
        return count

    def _place(self, domain: str, message: QueuedMessage, now: float) -> None:
        """Put a loaded message into its lanes."""
        addresses = [recipient.address for recipient in message.recipients]
        parts = self._by_lane(message.envelope.reverse_path, addresses, message.user, now)
        for lane, places in parts:
            if lane.blocked_until > now or len(lane.ready) >= self.settings.lane_window:
                lane.park(domain, message.identifier)
            else:
                whole = len(places) == len(message.recipients)
                placed = message if whole else part_of(message, places)
                self._memory.take(placed)
                lane.ready.append(placed)
            self._keeper.dispatch(lane)

    async def _sweep_for_ever(self) -> None:
        while not self._stopping:
            try:
                await self._sweep()
                await self._expire()
            except SpoolRefusal as fault:
                self._log.error("the spool could not be read", why=str(fault))
            await self._clock.sleep(SWEEP_SECONDS)

    async def _sweep(self) -> None:
        """Look through all destinations with queued mail; the backlog is only what we remember."""
        self._backlog.forgot = False
        after = ""
        while not self._stopping:
            page = await self._spool.due_queues(self._clock.now(), after, SWEEP_PAGE)
            for queue in page:
                if not (self._memory.serves(queue.domain) or self._keeper.parked(queue.domain)):
                    self._backlog.add(queue.domain, queue.next_due)
            self._arm_timer()
            if len(page) < SWEEP_PAGE:
                return
            after = page[-1].domain

    async def _expire(self) -> None:
        """End messages whose time is over while they wait for a destination that is left alone."""
        identifiers: Sequence[int] = await self._spool.expired(self._clock.now(), EXPIRED_AT_ONCE)
        for identifier in identifiers:
            for message in await self._spool.load_message(identifier):
                domain = domain_of(message.recipients[0].address)
                if self._memory.holds(domain, identifier):
                    continue  # it is settled where it is
                self._memory.take(message)
                self._settlement.expired(message)
