"""The connections to one server (with mx: to one domain), and the errands that wait for one.

A free connection takes the errand that waits the longest; with pipelining it takes the next while
the last reply of the one before is still due. A connection is opened as soon as more errands wait
than are about to get one, up to the limit.

A connection that ended while it was idle is gone before anybody could choose it, as its socket is
watched. One of which that cannot be known (idle for longer than `check_after`: a firewall may have
forgotten it) is asked by NOOP first, and the errand waits for whichever connection is ready first.

Every connection has an owner and a deadline at each moment: opening (the timeouts of the stages),
at work (likewise), idle (`idle_seconds`), checked (noop), leaving (quit).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Final, Protocol

from waypost.delivery.courier import ConnectionBroken, Courier, Delivery
from waypost.delivery.lane import Lane
from waypost.delivery.opening import Opener, OpeningFailed
from waypost.delivery.transcript import Transcript
from waypost.faces.library.connection_limit import ConnectionLimit
from waypost.faces.library.errand import Carried, Errand
from waypost.faces.library.settings import Settings
from waypost.net.clock import Clock, Timer
from waypost.smtp.client_transaction import TransactionOutcome
from waypost.spool.contract import QueuedMessage

FIRST_PAUSE: Final = 1.0
"""Seconds in which no further connection is tried after one failed while others work: most often
the server's own limit was reached."""

LONGEST_PAUSE: Final = 60.0


class Owner(Protocol):
    """What a pool asks of the engine."""

    def opening_failed(
        self, pool: Pool, errands: list[Errand], failed: OpeningFailed, transcript: Transcript
    ) -> None:
        """No connection can be had, and none is open: these errands wait in vain."""

    def transaction_finished(
        self,
        pool: Pool,
        carried: Carried,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
        server: str,
    ) -> None:
        """A transaction is over."""


class Pool:
    """See the module."""

    def __init__(
        self,
        lane: Lane,
        settings: Settings,
        opener: Opener,
        limit: ConnectionLimit,
        owner: Owner,
        clock: Clock,
    ) -> None:
        self.lane = lane
        self.server = lane.route.via[0]
        self.identity = self.server.identity
        self._settings = settings
        self._opener = opener
        self._limit = limit
        self._owner = owner
        self._clock = clock
        self._waiting: deque[Errand] = deque()
        self._idle: list[tuple[Courier, float]] = []
        """With the moment since when; the one used last is the last."""
        self._busy: set[Courier] = set()
        self._checking: set[Courier] = set()
        self._leaving: set[Courier] = set()
        self._opening: dict[asyncio.Task[None], Courier] = {}
        self._opened_at: dict[Courier, float] = {}
        self._pause = 0.0
        self._paused_until = 0.0
        self._timer: Timer | None = None
        self._closing = False

    # --- errands ----------------------------------------------------------------------------

    def submit(self, errand: Errand, *, first: bool = False) -> None:
        """An errand that wants a connection; `first` puts it before those that wait."""
        if first:
            self._waiting.appendleft(errand)
        else:
            self._waiting.append(errand)
        self.look()

    def withdraw(self, errand: Errand) -> bool:
        """It does not wait any longer; False where it did not."""
        if errand in self._waiting:
            self._waiting.remove(errand)
            return True
        return False

    @property
    def waiting(self) -> int:
        """Errands that wait for a connection."""
        return len(self._waiting)

    @property
    def connections(self) -> dict[str, int]:
        """How many there are, by what they do."""
        return {
            "opening": len(self._opening), "busy": len(self._busy), "idle": len(self._idle),
            "checking": len(self._checking), "leaving": len(self._leaving),
        }  # fmt: skip

    @property
    def is_unused(self) -> bool:
        """Nothing waits and nothing is open."""
        return not (self._waiting or any(self.connections.values()))

    # --- connections ------------------------------------------------------------------------

    def look(self) -> None:
        """Bring waiting errands and connections together, and open what is missing."""
        now = self._clock.monotonic()
        while len(self._waiting) > len(self._checking) and self._idle:
            courier, since = self._idle.pop()
            if now - since > self._settings.check_after:
                self._checking.add(courier)
                courier.check()
            else:
                self._busy.add(courier)
                courier.wake()
        missing = len(self._waiting) - len(self._checking) - len(self._opening)
        if missing > 0 and now < self._paused_until and self._has_hope:
            self._look_later(self._paused_until - now)
            return
        for _ in range(missing):
            if self._closing or not self._limit.take(self):
                break
            self._open()

    def _look_later(self, delay: float) -> None:
        if self._timer is None:
            self._timer = self._clock.call_later(delay, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self.look()

    def _open(self) -> None:
        courier = self._opener.courier(self.lane, self)
        task = asyncio.get_running_loop().create_task(self._opening_of(courier))
        self._opening[task] = courier
        task.add_done_callback(self._opening_over)

    async def _opening_of(self, courier: Courier) -> None:
        transcript = Transcript(self._clock.monotonic())
        courier.opening_transcript = transcript
        courier.recorder.begin(transcript)
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._opener.open(courier, transcript)
        except OpeningFailed as failed:
            del self._opening[task]
            self._limit.release()
            self._not_opened(failed, transcript)
            return
        except BaseException:
            courier.renew()
            self._opening.pop(task, None)
            self._limit.release()
            raise
        del self._opening[task]
        self._pause = self._paused_until = 0.0
        self._opened_at[courier] = self._clock.monotonic()
        self._busy.add(courier)
        courier.wake()
        if self._closing and not courier.deliveries:
            courier.retire()

    def _opening_over(self, task: asyncio.Task[None]) -> None:
        """A fault of ours must not leave errands waiting that nobody looks after."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault

    def _not_opened(self, failed: OpeningFailed, transcript: Transcript) -> None:
        if self._has_hope:
            self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
            self._paused_until = self._clock.monotonic() + self._pause
            self.look()
            return
        errands = list(self._waiting)
        self._waiting.clear()
        self._owner.opening_failed(self, errands, failed, transcript)

    @property
    def _has_hope(self) -> bool:
        """There is a connection, or there may yet be one."""
        return bool(self._busy or self._idle or self._checking or self._opening)

    def spare(self) -> bool:
        """Close the connection that has been idle the longest; False where there is none."""
        if not self._idle:
            return False
        courier, _ = self._idle.pop(0)
        courier.retire()
        return True

    # --- what couriers ask (Dispatcher) -----------------------------------------------------

    def next_delivery(self, courier: Courier) -> Delivery | None:
        """The errand that has waited the longest, as a transaction; None where there is none."""
        if self._checking and courier in self._checking:
            self._checking.remove(courier)
            self._busy.add(courier)
        age = self._settings.max_age
        if age and self._clock.monotonic() - self._opened_at[courier] > age:
            courier.retire()
            return None
        while self._waiting:
            errand = self._waiting.popleft()
            if not errand.is_over:
                return self._carried(courier, errand)
        return None

    def _carried(self, courier: Courier, errand: Errand) -> Carried:
        transcript = courier.opening_transcript
        if transcript is None:
            transcript = Transcript(self._clock.monotonic())
        else:
            courier.opening_transcript = None
        prepared = errand.shipment.prepared
        envelope = prepared.envelope
        capabilities = courier.client.capabilities
        most = min(
            self._settings.recipients_per_transaction,
            courier.client.recipients_per_transaction or 1_000_000,
        )
        numbers = errand.left if len(errand.left) <= most else errand.left[:most]
        if len(numbers) != len(envelope.recipients):
            recipients = tuple(envelope.recipients[number] for number in numbers)
            envelope = replace(envelope, recipients=recipients)
        content = prepared.for_server(eight_bit=capabilities is None or capabilities.eight_bit_mime)
        now = self._clock.now()
        message = QueuedMessage(0, envelope, [], now, now, None, content.size, False)
        carried = Carried(
            message, content, transcript, now, errand, numbers,
            not courier.served and not courier.deliveries,
        )  # fmt: skip
        errand.attempts += 1
        errand.shipment.transcripts.append(transcript)
        errand.carried = (courier, carried)
        return carried

    def finished(
        self,
        courier: Courier,
        delivery: Delivery,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
    ) -> None:
        """A transaction is over."""
        assert isinstance(delivery, Carried)
        delivery.errand.carried = None
        self._owner.transaction_finished(self, delivery, outcome, broken, courier.next_hop)

    def idle(self, courier: Courier) -> None:
        """A connection has nothing to do."""
        self._busy.discard(courier)
        self._checking.discard(courier)
        if self._closing:
            courier.retire()
            return
        self._idle.append((courier, self._clock.monotonic()))
        self._limit.idle(self)

    def leaving(self, courier: Courier) -> None:
        """It says QUIT."""
        self._forget(courier)
        self._leaving.add(courier)
        if self._waiting:
            self.look()

    def gone(self, courier: Courier) -> None:
        """The connection is closed."""
        self._forget(courier)
        self._leaving.discard(courier)
        del self._opened_at[courier]
        self._limit.release()
        if self._waiting:
            self.look()

    def _forget(self, courier: Courier) -> None:
        self._busy.discard(courier)
        self._checking.discard(courier)
        self._idle = [one for one in self._idle if one[0] is not courier]

    # --- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        """QUIT on every connection, when its last transaction is over; nothing more is opened."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._opening):
            task.cancel()
        for courier in [one for one, _ in self._idle] + list(self._busy | self._checking):
            courier.retire()

    def break_off(self, reason: str) -> None:
        """End every connection at once."""
        self.close()
        for courier in list(self._opened_at):
            courier.break_off(reason)

    def abandon(self) -> list[int]:
        """The file descriptors of all connections, for a forked child: they are the parent's."""
        found = []
        for courier in list(self._opened_at) + list(self._opening.values()):
            socket = (
                courier.transport.get_extra_info("socket")
                if courier.transport is not None
                else None
            )
            if socket is not None:
                found.append(socket.fileno())
        return found
