"""The keeper of the lanes: brings waiting messages and connections together.

What is ready is armed (arming.py), what is armed goes over the next free connection, and
connections are opened as the line demands and the limits grant. It is the dispatcher of all
couriers, so each of their questions ends here; what a transaction came to goes on to the
settlement.

Connections are a scarce good when there are many destinations: an idle one is given up for a lane
that waits for a slot, the one that has been idle the longest first, and lanes wait in line.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import structlog

from waypost.delivery.arming import Arming
from waypost.delivery.courier import ConnectionBroken, Courier, Delivery
from waypost.delivery.in_memory import InMemory, domains_of, split
from waypost.delivery.judgement import outcome_of_opening, outcomes_of_transaction, peer_of
from waypost.delivery.lane import MAXIMUM_PARKED, Lane
from waypost.delivery.opening import Opener, OpeningFailed
from waypost.delivery.route import Route
from waypost.delivery.settlement import Settlement
from waypost.delivery.slots import Slots
from waypost.delivery.transcript import Transcript
from waypost.delivery.verbosity import Verbosity
from waypost.net.clock import Clock
from waypost.smtp.client_transaction import TransactionOutcome
from waypost.smtp.envelope import Envelope
from waypost.spool.contract import QueuedMessage, Spool

RECHECK_SECONDS: Final = 0.05
"""How long a message waits for a busy connection before another is opened for it."""

SHORTEST_WAIT: Final = 0.001
"""A wall clock in seconds since 1970 cannot tell much shorter times apart."""

_NOT_KEPT: Final = "0.0 * delivered; what was said is not kept (verbosity brief)"

FOR_EVER: Final = float("inf")
"""Until when a paused lane is blocked; no timer is set for it."""

_OF_ALL: Final = ("total-connections", "route-connections")
"""Limits that end when any connection is closed."""


Outgoing = Callable[[QueuedMessage], Envelope | None]
"""The envelope that leaves in place of a message's own; None: its own."""


class Backlog(Protocol):
    """Where messages go that cannot stay in a lane (engine.py)."""

    def wake(self, domain: str, due_at: float) -> None:
        """There is mail for `domain` on disk, due at `due_at` (seconds since the epoch)."""

    def divert(self, lane: Lane) -> bool:
        """The quota of a lane's route is used up; True: what waited has another way now."""


class LaneKeeper:
    """See the module. `lanes` are those of today's routes, by route and destination."""

    def __init__(
        self,
        spool: Spool,
        slots: Slots,
        opener: Opener,
        settlement: Settlement,
        memory: InMemory,
        clock: Clock,
        armed: int,
        lane_window: int,
    ) -> None:
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.backlog: Backlog | None = None
        self.outgoing: Outgoing | None = None
        self._slots = slots
        self._opener = opener
        self._settlement = settlement
        self._memory = memory
        self._clock = clock
        self._arming = Arming(self, spool, settlement, memory, clock, armed)
        self._low = lane_window // 4
        """Messages in a lane below which more is loaded for it."""
        self._leaving: set[Lane] = set()
        self._idle: OrderedDict[Courier, None] = OrderedDict()
        """All idle couriers, the one that is idle the longest first."""
        self._for_slot: OrderedDict[Lane, None] = OrderedDict()
        """Lanes that wait until some connection is closed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.verbosity = Verbosity(clock.now, clock.monotonic)
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.delivery")

    # --- lanes ------------------------------------------------------------------------------

    def lane(self, route: Route, domain: str) -> Lane:
        """The lane of a route to a domain, made where there is none."""
        key = (route.name, domain if route.is_direct else "")
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(route, key[1])
            if self._slots.pauses:
                self._hold_if_paused(lane)
        return lane

    def still(self, lane: Lane) -> Lane | None:
        """The lane of a plan that is some time old: it may have been forgotten, and another made
        in its place. None: the routes have changed since."""
        return None if lane.leaving else self.lanes.setdefault(lane.key, lane)

    def parked(self, domain: str) -> frozenset[int]:
        """Due messages for a destination that wait on disk until their lane has room."""
        parked = [lane.parked[domain] for lane in self.lanes.values() if domain in lane.parked]
        return frozenset().union(*parked) if parked else frozenset()

    def may_park(self, domain: str) -> bool:
        """Whether further due messages of a destination are worth looking at."""
        return all(
            len(lane.parked.get(domain, ())) < MAXIMUM_PARKED for lane in self.lanes.values()
        )

    def leave(self) -> list[QueuedMessage]:
        """The routes have changed: all lanes end what is under way and begin nothing.

        Returns the messages that are marked as started and have not begun; what else waited goes
        back to being only on disk.
        """
        armed: list[QueuedMessage] = []
        lanes, self.lanes = self.lanes, {}
        self._for_slot.clear()
        for lane in lanes.values():
            lane.leaving = True
            self._to_disk(lane)
            self._unpark(lane)
            if lane.connections or lane.arming:
                self._leaving.add(lane)
            armed += _end(lane)
        return armed

    def is_active(self) -> bool:
        """Whether any connection is open or being opened."""
        return any(lane.connections for lane in (*self.lanes.values(), *self._leaving))

    def stop(self) -> list[QueuedMessage]:
        """Begin nothing any more; connections end after their transaction. Returns the messages
        that are marked as started and have not begun."""
        self.stopping = True
        armed: list[QueuedMessage] = []
        for lane in (*self.lanes.values(), *self._leaving):
            armed += _end(lane)
        return armed

    async def break_off(self) -> None:
        """End all connections at once."""
        for lane in (*self.lanes.values(), *self._leaving):
            for courier in (*lane.idle, *lane.busy, *lane.opening):
                courier.break_off("the relay is stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._arming.stop()

    def _forget_if_unused(self, lane: Lane) -> None:
        if not lane.is_unused():
            return
        if lane.leaving:
            self._leaving.discard(lane)
        elif self.lanes.get(lane.key) is lane:
            del self.lanes[lane.key]

    def _to_disk(self, lane: Lane) -> None:
        """What waits in memory and has not begun is parked; the spool has it."""
        while lane.ready:
            message = lane.ready.pop()
            self._memory.release(message)
            _park(lane, message)

    def _unpark(self, lane: Lane) -> None:
        """There is room: what is on disk may be loaded."""
        parked, lane.parked = lane.parked, {}
        for domain in parked:
            self.wake(domain)

    # --- messages to connections ------------------------------------------------------------

    def dispatch(self, lane: Lane) -> None:
        """Bring the waiting messages of a lane and its connections together."""
        if self.stopping or lane.leaving:
            return
        if not (lane.armed or lane.ready or lane.parked):
            self._forget_if_unused(lane)
            return
        now = self._clock.now()
        if lane.paused:
            self._put_down(lane)
            return
        if lane.blocked_until > now:
            self._look_again(lane, lane.blocked_until - now)
            return
        if not (lane.armed or lane.ready):
            if not lane.arming:
                self._unpark(lane)
            return
        if lane.route.is_sandbox:
            self._capture(lane)
            return
        if lane.ready:
            self._arm(lane)
        while lane.idle and lane.needs_another() and lane.blocked_until <= now:
            self._wake_one(lane)
        if lane.armed and lane.blocked_until <= now:
            if not lane.idle and lane.needs_another():
                self._open(lane)
            elif lane.idle or (lane.connections < lane.route.limits.connections_per_destination):
                self._look_again(lane, RECHECK_SECONDS)

    def _wake_one(self, lane: Lane) -> None:
        courier = lane.idle.pop()
        self._idle.pop(courier, None)
        lane.busy.add(courier)
        courier.wake()

    def _look_again(self, lane: Lane, delay: float) -> None:
        if lane.recheck:
            return
        lane.recheck = True
        first = lane.armed[0] if lane.armed else None

        def look() -> None:
            lane.recheck = False
            if self.stopping or lane.leaving:
                return
            if lane.blocked_until <= self._clock.now():
                if len(lane.ready) <= self._low:
                    self._unpark(lane)
                if lane.armed and lane.armed[0] is first:  # it has waited all the time
                    if lane.idle:
                        self._wake_one(lane)
                    elif not lane.opening:
                        self._open(lane)
            self.dispatch(lane)
            self._forget_if_unused(lane)

        self._clock.call_later(max(delay, SHORTEST_WAIT), look)

    def _capture(self, lane: Lane) -> None:
        while lane.armed or lane.ready:
            message = lane.armed.popleft() if lane.armed else lane.ready.popleft()
            self._settlement.captured(lane.route, message)
        self._unpark(lane)

    def _arm(self, lane: Lane) -> None:
        self._arming.arm(lane)
        if lane.parked and len(lane.ready) <= self._low:
            self._unpark(lane)

    def unmark(self, messages: list[QueuedMessage]) -> None:
        """Take back the marks of messages that `leave` or `stop` gave back."""
        self._arming.unmark(messages)

    def wake(self, domain: str) -> None:
        """There is due mail for a destination on disk (ArmingOwner)."""
        assert self.backlog is not None
        self.backlog.wake(domain, self._clock.now())

    # --- connections ------------------------------------------------------------------------

    def _open(self, lane: Lane) -> None:
        blocked = self._slots.acquire(lane.route, lane.destination, self._clock.now())
        if blocked is not None:
            if lane.connections:
                return
            lane.blocked_reason = blocked.text
            if blocked.reason in _OF_ALL:
                self._for_slot[lane] = None
                self._give_up_an_idle_one(lane)
            else:
                delay = blocked.until - self._clock.now()
                self._look_again(lane, max(RECHECK_SECONDS, delay))
            return
        self._for_slot.pop(lane, None)
        courier = self._opener.courier(lane, self)
        lane.opening.add(courier)
        self._keep(self._open_and_wake(lane, courier))

    def _give_up_an_idle_one(self, lane: Lane) -> None:
        """Close the connection of the same route that has been idle the longest."""
        name = lane.route.name
        courier = next((one for one in self._idle if one.lane.route.name == name), None)
        if courier is not None:  # else `gone` of any busy one will come
            courier.retire()

    async def _open_and_wake(self, lane: Lane, courier: Courier) -> None:
        transcript = self.verbosity.transcript(lane, lane.armed[0] if lane.armed else None)
        started_at = self._clock.now()
        courier.opening_transcript = transcript
        courier.recorder.begin(transcript)
        try:
            await self._opener.open(courier, transcript)
        except OpeningFailed as failure:
            self._not_opened(lane, courier)
            self._opening_failed(lane, failure, transcript, started_at)
            return
        except BaseException:
            self._not_opened(lane, courier)
            raise
        lane.opening.discard(courier)
        lane.busy.add(courier)
        lane.blocked_reason = ""
        if lane.leaving or self.stopping:
            courier.retire()
            return
        courier.wake()
        self.dispatch(lane)

    def _not_opened(self, lane: Lane, courier: Courier) -> None:
        lane.opening.discard(courier)
        self._slots.release(lane.route, lane.destination)
        self._slot_is_free()

    def _opening_failed(
        self, lane: Lane, failure: OpeningFailed, transcript: Transcript, started_at: float
    ) -> None:
        """No next hop could be reached: one message has had an attempt, the rest wait."""
        outcome = outcome_of_opening(failure)
        if lane.armed and not (lane.busy or lane.idle):
            message = lane.armed.popleft()
            # It may have become due while the connection was being opened for others.
            began = max(started_at, *(recipient.due_at for recipient in message.recipients))
            self._settlement.attempted(
                lane.route, message, [outcome] * len(message.recipients), transcript.text(),
                began, failure.next_hop, "", uncertain=False,
            )  # fmt: skip
        if not outcome.is_permanent:
            self._back_off(lane, outcome.text)
        self.dispatch(lane)
        self._forget_if_unused(lane)

    def _back_off(self, lane: Lane, reason: str) -> None:
        """Leave a destination alone for a while; what waits in memory for it goes back to disk."""
        now = self._clock.now()
        until = self._slots.back_off(lane.route, lane.destination, now, reason)
        self._put_down(lane)
        if not lane.paused:
            lane.blocked_until = until
            lane.blocked_reason = reason
            self._look_again(lane, until - now)

    def _put_down(self, lane: Lane) -> None:
        """What waits in memory for a lane is only on disk from now on."""
        self._to_disk(lane)
        while lane.armed:
            message = lane.armed.pop()
            _park(lane, message)
            self._arming.unmark((message,))

    def _slot_is_free(self) -> None:
        """A connection has ended: the lane that waits the longest may open one."""
        while self._for_slot and not self.stopping:
            lane, _ = self._for_slot.popitem(last=False)
            if lane.armed and not lane.leaving:
                self._open(lane)
                return

    # --- what couriers ask (Dispatcher) -----------------------------------------------------

    def next_delivery(self, courier: Courier) -> Delivery | None:
        """The next message for a courier, or None."""
        lane = courier.lane
        armed = lane.armed
        if not armed or self.stopping:
            return None
        now = self._clock.now()
        if lane.blocked_until > now:
            return None
        if lane.metered and not self._counted(lane, now):
            return None
        message = armed.popleft()
        if lane.ready:
            self._arm(lane)
        most = courier.client.recipients_per_transaction
        if most is not None and len(message.recipients) > most > 0:
            self._memory.release(message)
            message, rest = split(message, most)
            self._memory.take(message)
            self._memory.take(rest)
            armed.appendleft(rest)
        body = message.body
        assert body is not None
        transcript = courier.opening_transcript
        if transcript is None:
            transcript = self.verbosity.transcript(lane, message)
        else:
            courier.opening_transcript = None
        envelope = None if self.outgoing is None else self.outgoing(message)
        return Delivery(message, body, transcript, now, envelope=envelope)

    def _counted(self, lane: Lane, now: float) -> bool:
        """Whether rates and quotas let a message go now; it is counted then."""
        assert self.backlog is not None
        blocked = self._slots.message(lane.route, lane.destination, now)
        if blocked is None:
            return True
        if blocked.reason == "quota" and self.backlog.divert(lane):
            return False
        lane.blocked_until = blocked.until
        lane.blocked_reason = blocked.text
        self._look_again(lane, blocked.until - now)
        return False

    def idle(self, courier: Courier) -> None:
        """A courier waits for work."""
        lane = courier.lane
        lane.busy.discard(courier)
        if courier not in self._idle:
            lane.idle.append(courier)
            self._idle[courier] = None
        if self._for_slot:
            self._give_up_an_idle_one(next(iter(self._for_slot)))

    def leaving(self, courier: Courier) -> None:
        """A courier says QUIT: it takes nothing any more."""
        if self._idle.pop(courier, self) is None:
            courier.lane.idle.remove(courier)
            courier.lane.busy.add(courier)

    def gone(self, courier: Courier) -> None:
        """A connection has ended."""
        lane = courier.lane
        lane.busy.discard(courier)
        if self._idle.pop(courier, self) is None:
            lane.idle.remove(courier)
        self._slots.release(lane.route, lane.destination)
        self.dispatch(lane)
        self._slot_is_free()
        self._forget_if_unused(lane)

    def finished(
        self,
        courier: Courier,
        delivery: Delivery,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
    ) -> None:
        """A transaction has ended: judge it, and hand the result to the settlement."""
        lane = courier.lane
        if courier.served and _never_began(outcome, broken) and not lane.leaving:
            # The peer ended a connection that had served before: too long idle, or enough for
            # one connection. That says nothing about this message; it goes over another one.
            lane.armed.appendleft(delivery.message)
            courier.retire()
            self._look_again(lane, 0.0)
            return
        if broken is not None and broken.damaged:
            self._settlement.damaged(delivery.message, broken.reason)
            return
        outcomes = outcomes_of_transaction(outcome, broken, peer_of(lane.route))
        slowing = next((one for one in outcomes if one.back_off), None)
        if slowing is not None:
            self._back_off(lane, slowing.text)
            courier.retire()
        elif broken is None:
            self._slots.succeeded(lane.route, lane.destination)
        transcript = delivery.transcript
        said = transcript.text()
        if not transcript.keeps_deliveries and all(one.is_delivered for one in outcomes):
            said = _NOT_KEPT
        self._settlement.attempted(
            lane.route, delivery.message, outcomes, said,
            delivery.started_at, courier.next_hop, courier.tls,
            uncertain=outcome.uncertain,
        )  # fmt: skip

    def retry_now(self, domain: str) -> None:
        """Somebody knows better: try a destination at once."""
        for lane in list(self.lanes.values()):
            if lane.destination in ("", domain) and not lane.paused:
                self._slots.retry_now(lane.route, lane.destination)
                lane.blocked_until = 0.0
                self._unpark(lane)
                self.dispatch(lane)

    def pauses_changed(self) -> None:
        """Somebody has paused or resumed queues (Slots.pauses)."""
        for lane in list(self.lanes.values()):
            was, held = lane.paused, self._hold_if_paused(lane)
            if held:
                self.dispatch(lane)
            elif was:
                lane.blocked_until = 0.0
                lane.blocked_reason = ""
                self._unpark(lane)
                self.dispatch(lane)

    def _hold_if_paused(self, lane: Lane) -> bool:
        pause = self._slots.pauses.of(lane.route.name, lane.destination)
        lane.paused = pause is not None
        if pause is not None:
            lane.blocked_until = FOR_EVER
            lane.blocked_reason = pause.text
        return lane.paused

    # --- tasks ------------------------------------------------------------------------------

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("delivery failed", exc_info=task.exception())


def _end(lane: Lane) -> list[QueuedMessage]:
    """Its connections end after their transaction. Returns what was armed and has not begun."""
    armed = [*lane.armed]
    lane.armed.clear()
    for courier in (*lane.idle, *lane.busy):
        courier.retire()
    return armed


def _park(lane: Lane, message: QueuedMessage) -> None:
    """A message waits on disk until its lane has room."""
    for domain in domains_of(message):
        lane.park(domain, message.identifier)


def _never_began(outcome: TransactionOutcome, broken: ConnectionBroken | None) -> bool:
    """Whether the connection ended before the peer had said yes to anything of a transaction, and
    before it had all of the content: with BDAT that may be on its way with MAIL."""
    if outcome.content_sent or (outcome.mail is not None and outcome.mail.is_positive):
        return False
    return (broken is not None and not broken.timed_out) or outcome.shutdown is not None
