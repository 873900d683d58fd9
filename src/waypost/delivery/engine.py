"""The engine: takes accepted messages to their lanes, and what attempts came to back to the spool.

One forward path: `plan` and `admit` (new mail) or `_refill` (mail from disk) put messages into
lanes; `_dispatch` arms them (body in memory or at hand, attempt marked started in the spool) and
gives them to couriers; `finished` judges the outcome and hands it to the spool; only when that is
durable does a message leave memory. Nothing here waits for anything without a deadline, and what
is in memory is bounded by `window` messages, however many are queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.delivery.chance import Chance
from waypost.delivery.courier import ConnectionBroken, Courier, Delivery
from waypost.delivery.judgement import (
    outcome_of_opening,
    outcomes_of_transaction,
    peer_of,
    state_after,
)
from waypost.delivery.lane import Lane
from waypost.delivery.notices import Notices
from waypost.delivery.opening import Opener, OpeningFailed
from waypost.delivery.outcome import Outcome
from waypost.delivery.route import Route
from waypost.delivery.routing import RoutingTable
from waypost.delivery.slots import Slots
from waypost.delivery.transcript import Transcript
from waypost.delivery.window import Backlog
from waypost.mail.notification import MAXIMUM_RETURNED, Action
from waypost.net.clock import Clock, Timer
from waypost.smtp.client_transaction import TransactionOutcome
from waypost.smtp.envelope import Envelope
from waypost.spool.contract import (
    AttemptRecord,
    Body,
    BodyDamaged,
    BodyWriter,
    NewMessage,
    NotQueued,
    QueuedMessage,
    QueuedRecipient,
    RecipientResult,
    RecipientState,
    Spool,
)

RECHECK_SECONDS: Final = 0.05
"""How long a message waits for a busy connection before another is opened for it."""

SWEEP_SECONDS: Final = 60.0
"""How often the spool is asked which destinations have due mail that nobody remembers."""

SWEEP_PAGE: Final = 1000
"""Destinations of one page of a sweep."""

COMMIT_RETRY_SECONDS: Final = 1.0
"""After a failed commit of an outcome; the message stays in memory and is not sent again."""


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


Watcher = Callable[[NewMessage | QueuedMessage, AttemptRecord | None], None]
"""Told of a message that has become durable (None), and of each attempt whose outcome has."""


@dataclass(slots=True)
class Plan:
    """Where the recipients of a new message go: lanes with the places in the envelope."""

    parts: list[tuple[Lane, str, list[int] | None]]
    """None: all recipients."""
    starts: bool
    """An attempt will begin at once, so it may be marked started with the append."""


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
        self._spool = spool
        self._slots = slots
        self._opener = opener
        self._notices = notices
        self._chance = chance
        self._clock = clock
        self.lanes: dict[tuple[str, str], Lane] = {}
        self._held: dict[str, set[int]] = {}
        """Messages in memory by domain: the spool is told not to give them out again."""
        self._in_memory = 0
        self._body_bytes = 0
        self._backlog = Backlog()
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._refilling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.watcher: Watcher | None = None
        """For who follows the log; must return at once."""
        self._finishing = 0
        """Outcomes given to the spool and not yet durable."""

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to deliver what is queued."""
        self._keep(self._sweep_for_ever())

    async def stop(self, seconds: float) -> None:
        """Take nothing new; let transactions finish for at most `seconds`, then break off."""
        self._stopping = True
        couriers = {c for lane in self.lanes.values() for c in (*lane.idle, *lane.busy)}
        for courier in couriers:
            courier.retire()
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and (
            self._finishing
            or any(lane.busy or lane.idle or lane.opening for lane in self.lanes.values())
        ):
            await self._clock.sleep(0.02)
        for courier in couriers:
            courier.break_off("the relay is stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    def reroute(self, routing: RoutingTable) -> None:
        """Use other routes from now on. What waits in memory goes back to being only on disk, and
        is loaded again for its new lane; what is under way ends where it began."""
        self.routing = routing
        for lane in list(self.lanes.values()):
            while lane.ready:
                message = lane.ready.pop()
                domain = _domain(message)
                self._let_go(domain, message)
                self.wake(domain, self._clock.now())
            for domain in lane.parked:
                self.wake(domain, self._clock.now())
            lane.parked.clear()
            lane.blocked_until = 0.0
            for courier in list(lane.idle):
                courier.retire()

    def in_flight(self) -> frozenset[int]:
        """Messages in memory, which the spool must not change under us."""
        return frozenset().union(*self._held.values()) if self._held else frozenset()

    def _keep(self, coroutine: object) -> None:
        assert asyncio.iscoroutine(coroutine)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- new mail ---------------------------------------------------------------------------

    def plan(self, envelope: Envelope, user: str | None) -> Plan:
        """Where a new message will go, by today's configuration."""
        recipients = envelope.recipients
        if len(recipients) == 1:
            address = recipients[0].address
            domain = address[address.rfind("@") + 1 :].lower()
            lane = self._lane(self.routing.resolve(envelope.reverse_path, address, user), domain)
            parts: list[tuple[Lane, str, list[int] | None]] = [(lane, domain, None)]
        else:
            grouped: dict[tuple[tuple[str, str], str], tuple[Lane, str, list[int] | None]] = {}
            for number, recipient in enumerate(recipients):
                address = recipient.address
                domain = address[address.rfind("@") + 1 :].lower()
                lane = self._lane(
                    self.routing.resolve(envelope.reverse_path, address, user), domain
                )
                part = grouped.setdefault((lane.key, domain), (lane, domain, []))
                assert part[2] is not None
                part[2].append(number)
            parts = list(grouped.values())
        starts = not self._stopping and self._in_memory + len(parts) <= self.settings.window
        if starts:
            now = self._clock.now()
            for lane, domain, _ in parts:
                if (
                    lane.blocked_until > now
                    or lane.parked
                    or len(lane.armed) + len(lane.ready) >= self.settings.armed
                    or self._backlog.holds(domain, now)
                ):
                    starts = False
                    break
        return Plan(parts, starts)

    def admit(self, message: NewMessage, body: Body, plan: Plan) -> None:
        """A message has become durable: its deliveries begin, or it waits on disk."""
        if self.watcher is not None:
            self.watcher(message, None)
        now = message.due_at
        for lane, domain, numbers in plan.parts:
            whole = body.whole
            fits = plan.starts or (
                not self._stopping
                and self._in_memory < self.settings.window
                and len(lane.ready) < self.settings.lane_window
                and not lane.parked
                and lane.blocked_until <= now
                and not self._backlog.holds(domain, now)
            )
            if not fits:
                self._wait_on_disk(lane, domain, now)
                continue
            envelope = message.envelope
            places: Sequence[int]
            if numbers is None:
                places = range(len(envelope.recipients))
            else:
                places = numbers
                envelope = _part_of(envelope, numbers)
            kept: Body | None = body
            if whole is not None and self._body_bytes + len(whole) > self.settings.body_memory:
                kept = None
            queued = QueuedMessage(
                message.identifier,
                envelope,
                [
                    QueuedRecipient(number, recipient.address, 0, now)
                    for number, recipient in zip(places, envelope.recipients, strict=True)
                ],
                message.received_at,
                message.expires_at,
                message.user,
                message.size,
                False,
                kept,
                message.message_id,
            )
            self._hold(domain, queued)
            if plan.starts and kept is not None:
                lane.armed.append(queued)
            else:
                lane.ready.append(queued)
            self._dispatch(lane)

    def _hold(self, domain: str, message: QueuedMessage) -> None:
        held = self._held.get(domain)
        if held is None:
            held = self._held[domain] = set()
        held.add(message.identifier)
        self._in_memory += 1
        if message.body is not None and message.body.whole is not None:
            self._body_bytes += message.size

    def _let_go(self, domain: str, message: QueuedMessage) -> None:
        held = self._held.get(domain)
        if held is not None:
            held.discard(message.identifier)
            if not held:
                del self._held[domain]
        self._in_memory -= 1
        if message.body is not None and message.body.whole is not None:
            self._body_bytes -= message.size

    def _lane(self, route: Route, domain: str) -> Lane:
        key = (route.name, domain if route.is_direct else "")
        lane = self.lanes.get(key)
        if lane is None or lane.route is not route:
            if lane is not None and not lane.is_unused():
                return lane
            lane = self.lanes[key] = Lane(route, key[1])
        return lane

    # --- mail from disk ---------------------------------------------------------------------

    def wake(self, domain: str, due_at: float) -> None:
        """There is mail for `domain` on disk, due at `due_at`."""
        self._backlog.add(domain, due_at)
        self._arm_timer()

    def _wait_on_disk(self, lane: Lane, domain: str, due_at: float) -> None:
        if lane.blocked_until > due_at or len(lane.ready) >= self.settings.lane_window // 2:
            lane.parked.add(domain)
        else:
            self.wake(domain, due_at)

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
        if self._refilling is None or self._refilling.done():
            self._refilling = asyncio.get_running_loop().create_task(self._refill())
            self._tasks.add(self._refilling)
            self._refilling.add_done_callback(self._tasks.discard)

    async def _refill(self) -> None:
        """Load due mail while there is room."""
        limit = self.settings.load_at_once
        while not self._stopping and self._in_memory + limit <= self.settings.window:
            now = self._clock.now()
            domain = self._backlog.pop_due(now)
            if domain is None:
                break
            held = frozenset(self._held.get(domain, ()))
            messages = await self._spool.load_due(domain, now, limit, held)
            count = 0
            for message in messages:
                count += len(message.recipients)
                self._place(domain, message, now)
            if count >= limit:
                self._backlog.add(domain, now)
            else:
                next_due = await self._spool.next_due(domain, now)
                if next_due is not None:
                    self._backlog.add(domain, next_due)
        if self._in_memory + limit <= self.settings.window:
            self._arm_timer()

    def _place(self, domain: str, message: QueuedMessage, now: float) -> None:
        """Put a loaded message into its lanes."""
        by_lane: dict[tuple[str, str], tuple[Lane, list[int]]] = {}
        for place, recipient in enumerate(message.recipients):
            route = self.routing.resolve(
                message.envelope.reverse_path, recipient.address, message.user
            )
            lane = self._lane(route, domain)
            by_lane.setdefault(lane.key, (lane, []))[1].append(place)
        for lane, places in by_lane.values():
            if lane.blocked_until > now or len(lane.ready) >= self.settings.lane_window:
                lane.parked.add(domain)
                continue
            part = message if len(places) == len(message.recipients) else _split(message, places)
            self._hold(domain, part)
            lane.ready.append(part)
            self._dispatch(lane)

    async def _sweep_for_ever(self) -> None:
        while not self._stopping:
            await self._sweep()
            await self._expire()
            await self._clock.sleep(SWEEP_SECONDS)

    async def _sweep(self) -> None:
        """Look through all destinations with queued mail; the backlog is only what we remember."""
        self._backlog.forgot = False
        after = ""
        while not self._stopping:
            page = await self._spool.due_queues(self._clock.now(), after, SWEEP_PAGE)
            for queue in page:
                if queue.domain not in self._held and not self._is_parked(queue.domain):
                    self._backlog.add(queue.domain, queue.next_due)
            self._arm_timer()
            if len(page) < SWEEP_PAGE:
                return
            after = page[-1].domain

    def _is_parked(self, domain: str) -> bool:
        return any(domain in lane.parked for lane in self.lanes.values() if lane.parked)

    async def _expire(self) -> None:
        """End messages whose time is over while they wait for a destination that is left alone."""
        for identifier in await self._spool.expired(self._clock.now(), 500):
            for message in await self._spool.load_message(identifier):
                domain = message.envelope.recipients[0].domain.lower()
                if identifier in self._held.get(domain, ()):
                    continue  # it is settled where it is
                self._hold(domain, message)
                self._end_expired(domain, message)

    # --- lanes ------------------------------------------------------------------------------

    def _dispatch(self, lane: Lane) -> None:
        """Bring waiting messages and connections together."""
        if self._stopping or not (lane.armed or lane.ready):
            return
        now = self._clock.now()
        if lane.blocked_until > now:
            self._look_again(lane, lane.blocked_until - now)
            return
        if lane.route.is_sandbox:
            self._capture(lane)
            return
        self._arm(lane)
        while lane.armed and lane.idle:
            courier = lane.idle.pop()
            lane.busy.add(courier)
            courier.wake()
        if lane.armed:
            if not lane.connections or lane.wants_connection():
                self._open(lane)
            elif not lane.idle:
                self._look_again(lane, RECHECK_SECONDS)

    def _look_again(self, lane: Lane, delay: float) -> None:
        if lane.recheck:
            return
        lane.recheck = True

        def look() -> None:
            lane.recheck = False
            now = self._clock.now()
            if lane.blocked_until <= now:
                for domain in lane.parked:
                    self._backlog.add(domain, now)
                lane.parked.clear()
                self._arm_timer()
                if lane.armed and not lane.idle and not lane.opening:
                    self._open(lane)
            self._dispatch(lane)

        self._clock.call_later(delay, look)

    def _arm(self, lane: Lane) -> None:
        """Mark waiting messages as started and fetch their bodies, some ahead of need."""
        while lane.ready and len(lane.armed) + lane.arming < self.settings.armed:
            message = lane.ready.popleft()
            if message.expires_at <= self._clock.now():
                self._end_expired(_domain(message), message)
                continue
            lane.arming += 1
            if message.body is None:
                self._keep(self._fetch_and_mark(lane, message))
            else:
                self._mark(lane, message)

    async def _fetch_and_mark(self, lane: Lane, message: QueuedMessage) -> None:
        try:
            message.body = await self._spool.open_body(message.identifier)
        except BodyDamaged as fault:
            lane.arming -= 1
            await self._spool.set_aside(message.identifier, f"its content is damaged: {fault}")
            self._let_go(_domain(message), message)
            return
        if message.body.whole is not None:
            self._body_bytes += message.size
        self._mark(lane, message)

    def _mark(self, lane: Lane, message: QueuedMessage) -> None:
        def marked(failure: Exception | None) -> None:
            lane.arming -= 1
            if failure is None:
                lane.armed.append(message)
            elif isinstance(failure, NotQueued):
                # Held or cancelled while it waited here. What is left of it comes from disk again.
                domain = _domain(message)
                self._let_go(domain, message)
                self.wake(domain, self._clock.now())
            else:
                lane.ready.append(message)
                lane.blocked_until = self._clock.now() + COMMIT_RETRY_SECONDS
                lane.blocked_reason = str(failure)
            self._dispatch(lane)

        numbers = [recipient.number for recipient in message.recipients]
        self._spool.mark_started(message.identifier, numbers, marked)

    def _capture(self, lane: Lane) -> None:
        """The sandbox keeps a copy of the message; nothing leaves the machine."""
        while lane.armed or lane.ready:
            message = lane.armed.popleft() if lane.armed else lane.ready.popleft()
            now = self._clock.now()
            addresses = [recipient.address for recipient in message.recipients]
            self._spool.capture(message.identifier, addresses, now, _ignore)
            results = tuple(
                RecipientResult(r.number, RecipientState.DELIVERED, 0.0, "captured", "")
                for r in message.recipients
            )
            record = AttemptRecord(
                message.identifier, now, 0.0, lane.route.name, "sandbox", "", results,
                "0.0 * captured by the sandbox: nothing left this machine",
            )  # fmt: skip
            self._finish(_domain(message), message, record, lane.route)

    # --- connections ------------------------------------------------------------------------

    def _open(self, lane: Lane) -> None:
        blocked = self._slots.acquire(lane.route, lane.destination, self._clock.now())
        if blocked is not None:
            if not lane.connections:
                lane.blocked_reason = blocked.text
                self._look_again(lane, max(RECHECK_SECONDS, blocked.until - self._clock.now()))
            return
        courier = self._opener.courier(lane, self)
        lane.opening.add(courier)
        self._keep(self._open_and_wake(lane, courier))

    async def _open_and_wake(self, lane: Lane, courier: Courier) -> None:
        transcript = Transcript(self._clock.monotonic())
        started_at = self._clock.now()
        courier.opening_transcript = transcript
        courier.recorder.begin(transcript)
        try:
            await self._opener.open(courier, transcript)
        except OpeningFailed as failure:
            lane.opening.discard(courier)
            self._slots.release(lane.route, lane.destination)
            self._opening_failed(lane, failure, transcript, started_at)
            return
        except BaseException:
            lane.opening.discard(courier)
            self._slots.release(lane.route, lane.destination)
            raise
        lane.opening.discard(courier)
        lane.busy.add(courier)
        lane.blocked_reason = ""
        courier.wake()
        self._dispatch(lane)

    def _opening_failed(
        self, lane: Lane, failure: OpeningFailed, transcript: Transcript, started_at: float
    ) -> None:
        """No next hop could be reached: one message has had an attempt, the rest wait."""
        outcome = outcome_of_opening(failure)
        if lane.armed and not (lane.busy or lane.idle):
            message = lane.armed.popleft()
            self._settle(
                lane, message, [outcome] * len(message.recipients), transcript.text(),
                started_at, failure.next_hop, "", uncertain=False,
            )  # fmt: skip
        if not outcome.is_permanent:
            self._back_off(lane, outcome.text)
        self._dispatch(lane)

    def _back_off(self, lane: Lane, reason: str) -> None:
        """Leave a destination alone for a while; what waits in memory for it goes back to disk."""
        now = self._clock.now()
        lane.blocked_until = self._slots.back_off(lane.route, lane.destination, now)
        lane.blocked_reason = reason
        while lane.ready:
            message = lane.ready.pop()
            domain = _domain(message)
            self._let_go(domain, message)
            lane.parked.add(domain)
        self._look_again(lane, lane.blocked_until - now)

    # --- what couriers ask (Dispatcher) -----------------------------------------------------

    def next_delivery(self, courier: Courier) -> Delivery | None:
        """The next message for a courier, or None."""
        lane = courier.lane
        if not lane.armed or self._stopping:
            return None
        now = self._clock.now()
        if lane.blocked_until > now:
            return None
        blocked = self._slots.message(lane.route, lane.destination, now)
        if blocked is not None:
            lane.blocked_until = blocked.until
            lane.blocked_reason = blocked.text
            self._look_again(lane, blocked.until - now)
            return None
        message = lane.armed.popleft()
        self._arm(lane)
        body = message.body
        assert body is not None
        if courier.opening_transcript is not None:
            transcript, courier.opening_transcript = courier.opening_transcript, None
        else:
            transcript = Transcript(self._clock.monotonic())
        return Delivery(message, body, transcript, now)

    def idle(self, courier: Courier) -> None:
        """A courier waits for work."""
        lane = courier.lane
        lane.busy.discard(courier)
        if courier not in lane.idle:
            lane.idle.append(courier)

    def gone(self, courier: Courier) -> None:
        """A connection has ended."""
        lane = courier.lane
        lane.busy.discard(courier)
        if courier in lane.idle:
            lane.idle.remove(courier)
        self._slots.release(lane.route, lane.destination)
        self._dispatch(lane)

    def finished(
        self,
        courier: Courier,
        delivery: Delivery,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
    ) -> None:
        """Judge a transaction and hand the result to the spool."""
        lane = courier.lane
        message = delivery.message
        outcomes = outcomes_of_transaction(outcome, broken, peer_of(lane.route))
        slowing = next((one for one in outcomes if one.back_off), None)
        if slowing is not None:
            self._back_off(lane, slowing.text)
            courier.retire()
        elif broken is None:
            self._slots.succeeded(lane.route, lane.destination)
        self._settle(
            lane, message, outcomes, delivery.transcript.text(), delivery.started_at,
            courier.next_hop, courier.tls,
            uncertain=outcome.uncertain,
        )  # fmt: skip

    # --- outcomes ---------------------------------------------------------------------------

    def _settle(
        self,
        lane: Lane,
        message: QueuedMessage,
        outcomes: Sequence[Outcome],
        transcript: str,
        started_at: float,
        next_hop: str,
        tls: str,
        *,
        uncertain: bool,
    ) -> None:
        now = self._clock.now()
        results: list[RecipientResult] = []
        for recipient, outcome in zip(message.recipients, outcomes, strict=True):
            state, due_at = state_after(outcome), 0.0
            if state is RecipientState.QUEUED:
                wanted: float | None = now
                if outcome.next != "at-once":
                    wanted = lane.route.retry.next_attempt(
                        recipient.attempts + 1, now, message.expires_at, self._chance
                    )
                if wanted is None:
                    state = RecipientState.EXPIRED
                else:
                    due_at = wanted
            results.append(
                RecipientResult(recipient.number, state, due_at, outcome.text, outcome.reason)
            )
        record = AttemptRecord(
            message.identifier, started_at, now - started_at, lane.route.name, next_hop, tls,
            tuple(results), transcript, uncertain,
        )  # fmt: skip
        self._finish(_domain(message), message, record, lane.route)

    def _end_expired(self, domain: str, message: QueuedMessage) -> None:
        now = self._clock.now()
        results = tuple(
            RecipientResult(
                r.number, RecipientState.EXPIRED, 0.0, "not delivered within the time allowed",
                "expired",
            )
            for r in message.recipients
        )  # fmt: skip
        record = AttemptRecord(message.identifier, now, 0.0, "", "", "", results, "")
        self._finish(domain, message, record, None)

    def _finish(
        self, domain: str, message: QueuedMessage, record: AttemptRecord, route: Route | None
    ) -> None:
        """Hand an outcome to the spool; the message leaves memory when it is durable."""
        self._finishing += 1
        told = self._notices.wanted(message, record, route, self._clock.now())
        if told:
            self._keep(self._finish_with_notice(domain, message, record, told))
        else:
            self._commit(domain, message, record, None)

    async def _finish_with_notice(
        self,
        domain: str,
        message: QueuedMessage,
        record: AttemptRecord,
        told: list[tuple[RecipientResult, Action]],
    ) -> None:
        original = b""
        try:
            body = message.body or await self._spool.open_body(message.identifier)
            async for piece in body.chunks():
                original += piece
                if len(original) > MAXIMUM_RETURNED:
                    break
        except BodyDamaged:
            original = b"X-Waypost: the stored message cannot be read\r\n\r\n"
        notification = self._notices.make(message, record, told, original, self._clock.now())
        self._commit(domain, message, record, notification)

    def _commit(
        self,
        domain: str,
        message: QueuedMessage,
        record: AttemptRecord,
        notification: tuple[NewMessage, BodyWriter] | None,
    ) -> None:
        results = record.results

        def durable(failure: Exception | None) -> None:
            if failure is not None:
                if not self._stopping:
                    self._clock.call_later(
                        COMMIT_RETRY_SECONDS,
                        lambda: self._spool.finish(record, durable, notification),
                    )
                return
            self._finishing -= 1
            self._let_go(domain, message)
            if self.watcher is not None:
                self.watcher(message, record)
            for result in results:
                if result.state is RecipientState.QUEUED:
                    self.wake(domain, result.due_at)
            if notification is not None:
                self._admit_notification(notification[0])
            if self._backlog:
                self._arm_timer()

        self._spool.finish(record, durable, notification)

    def _admit_notification(self, notice: NewMessage) -> None:
        if self.watcher is not None:
            self.watcher(notice, None)
        for recipient in notice.envelope.recipients:
            self.wake(recipient.domain.lower(), notice.due_at)


def _domain(message: QueuedMessage) -> str:
    address = message.recipients[0].address
    return address[address.rfind("@") + 1 :].lower()


def _part_of(envelope: Envelope, numbers: Sequence[int]) -> Envelope:
    """The envelope with some of its recipients."""
    return Envelope(
        envelope.reverse_path,
        tuple(envelope.recipients[number] for number in numbers),
        envelope.body,
        envelope.smtputf8,
        envelope.require_tls,
        envelope.returned,
        envelope.envelope_id,
        envelope.declared_size,
        envelope.parameters,
    )


def _split(message: QueuedMessage, places: Sequence[int]) -> QueuedMessage:
    """The message with some of its recipients."""
    return QueuedMessage(
        message.identifier,
        _part_of(message.envelope, places),
        [message.recipients[place] for place in places],
        message.received_at,
        message.expires_at,
        message.user,
        message.size,
        message.warned,
        None,
        message.message_id,
    )


def _ignore(_failure: Exception | None) -> None:
    """For operations whose failure the next one of the same group reports."""
