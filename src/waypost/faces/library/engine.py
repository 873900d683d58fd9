"""The engine of the library: from a message that is ready to its result.

It lives in one event loop and is called only there. `submit` takes a message and a function that
is told the result; nothing in between takes a task, but the opening of connections. Which server
is next is `hops`' to say, which connection `pool`'s; what a transaction came to is read in
`errand`. Here is what follows from it: on at once, at another server, later, or over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

from waypost.delivery.backoff import BackOff, Circuits
from waypost.delivery.chance import Chance
from waypost.delivery.courier import ConnectionBroken
from waypost.delivery.exchangers import Exchangers
from waypost.delivery.judgement import outcome_of_opening
from waypost.delivery.lane import Lane
from waypost.delivery.opening import Logins, Opener, OpeningFailed
from waypost.delivery.outcome import Outcome
from waypost.delivery.route import Route, RouteLimits
from waypost.delivery.transcript import Transcript
from waypost.errors import MailerClosed, WaypostError
from waypost.faces.library import failures
from waypost.faces.library.connection_limit import ConnectionLimit
from waypost.faces.library.errand import Carried, Errand, Next, Shipment
from waypost.faces.library.hops import Hops
from waypost.faces.library.pacing import Pacing
from waypost.faces.library.pool import Pool
from waypost.faces.library.prepared import Prepared
from waypost.faces.library.result import Result
from waypost.faces.library.settings import Server, Settings
from waypost.knowledge.outcomes import Through
from waypost.net.clock import Clock, Timer
from waypost.net.deadlines import NEVER, Deadlines
from waypost.net.network import Network
from waypost.net.resolver import Resolver
from waypost.smtp.client_transaction import TransactionOutcome

CLOSING_SECONDS: Final = 6.0
"""For QUIT on every connection, after what was under way is over."""

_UNUSED_POOLS: Final = 64
"""Pools without work that are kept, with mx: one for each domain."""


class Engine:
    """See the module."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        network: Network,
        resolver: Resolver,
        chance: Chance,
        nonce: Callable[[], str],
        logins: Logins | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._deadlines = Deadlines(clock)
        self._circuits = Circuits(chance, BackOff(settings.avoid_after, 600.0))
        self._opener = Opener(
            settings.hostname, network, resolver, Exchangers(resolver, chance), self._circuits,
            chance, nonce, clock, self._deadlines, settings.idle_seconds, settings.timeouts, logins,
            eager=False,
        )  # fmt: skip
        self._limit = ConnectionLimit(settings.pool_size)
        self._hops = Hops(settings.servers, settings.strategy, self._is_suspended)
        self._pacing = Pacing(settings.rates, clock, self._forward)
        self._pools: dict[tuple[str, str], Pool] = {}
        self._only: Pool | None = None
        """Where every message goes that way."""
        self._through: Through = "mx" if settings.is_direct else "smarthost"
        self._resting: dict[Errand, Timer] = {}
        """Errands that wait for their next attempt."""
        self._open: set[Shipment] = set()
        self._empty: asyncio.Event = asyncio.Event()
        self._empty.set()
        self._closed = False

    # --- what mailers ask -------------------------------------------------------------------

    def submit(
        self,
        prepared: Prepared,
        done: Callable[[Result], object],
        *,
        number: int = 0,
        patient: bool = False,
    ) -> Shipment:
        """Send a message; `done` is called once with the result, never before this returns.

        `number` comes back in the result. A `patient` one waits for a connection as long as it
        takes, as the messages of a stream do: each of those before it has its own limits.
        What is returned is for `cancel`. Raises MailerClosed.
        """
        if self._closed:
            raise MailerClosed(
                "the mailer is closed", fix="make another one, or close it after the last message"
            )
        shipment = Shipment(prepared, self._clock.monotonic(), done, number)
        patience = inf if patient else self._settings.patience
        recipients = prepared.envelope.recipients
        if self._settings.is_direct:
            grouped: dict[str, list[int]] = {}
            for number, recipient in enumerate(recipients):
                grouped.setdefault(recipient.domain.lower(), []).append(number)
            shipment.errands = [Errand(shipment, *one) for one in grouped.items()]
        else:
            shipment.errands = [Errand(shipment, "", list(range(len(recipients))))]
        self._open.add(shipment)
        self._empty.clear()
        for errand in shipment.errands:
            errand.expired, errand.patience = self._expired, patience
            self._pace(errand)
        return shipment

    def cancel(self, shipment: Shipment) -> None:
        """Nobody waits for it any more: nothing is begun or tried again.

        What is under way is broken off by closing the connection, so that the message is certainly
        not delivered. Only where its content was handed over whole, or another message is under
        way on the same connection, it runs to its end and may be delivered.
        """
        shipment.cancelled = True
        for errand in shipment.errands:
            carried = errand.carried
            if carried is None:
                errand.is_over = True
                self._withdraw(errand)
                continue
            courier = carried[0]
            if len(courier.deliveries) == 1 and courier.client.stage != "content_reply":
                errand.is_over = True
                courier.break_off("the message was cancelled by its sender")
        if all(errand.is_over for errand in shipment.errands):
            self._forget(shipment)

    async def close(self, grace: float) -> None:
        """Take nothing more; wait up to `grace` seconds for what is under way, then QUIT."""
        self._closed = True
        if self._open and grace > 0:
            try:
                async with asyncio.timeout(grace):
                    await self._empty.wait()
            except TimeoutError:
                pass  # what is left is told so below
        for shipment in list(self._open):
            for errand in shipment.errands:
                if errand.carried is None and not errand.is_over:
                    self._withdraw(errand)
                    self._stop(errand)
        for pool in self._pools.values():
            pool.close()
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                while self._limit.open:
                    await self._clock.sleep(0.01)
        except TimeoutError:
            pass  # the peers do not answer QUIT in time: they are left
        for pool in self._pools.values():
            pool.break_off("the mailer was closed")

    @property
    def connections(self) -> dict[str, int]:
        """Connections by what they do, and the messages that wait ("waiting")."""
        found: dict[str, int] = {}
        for pool in self._pools.values():
            for name, count in (*pool.connections.items(), ("waiting", pool.waiting)):
                found[name] = found.get(name, 0) + count
        found["waiting"] = found.get("waiting", 0) + self._pacing.waiting + len(self._resting)
        return found

    def abandon(self) -> list[int]:
        """File descriptors that a forked child has to close; see Pool.abandon."""
        return [one for pool in self._pools.values() for one in pool.abandon()]

    # --- the way of an errand ---------------------------------------------------------------

    def _is_suspended(self, server: Server) -> bool:
        return self._circuits.is_suspended(server, self._clock.monotonic())

    def _forward(self, errand: Errand) -> None:
        """To the server whose turn it is; where all of them failed, later or never."""
        if errand.is_over:
            return
        server = self._hops.next(errand.tried)
        if server is None:
            self._round_failed(errand)
            return
        self._enqueue(self._pool(server, errand.destination), errand)

    def _pace(self, errand: Errand) -> None:
        errand.deadline = self._clock.monotonic() + errand.patience
        self._pacing.submit(errand)
        self._watch(errand)

    def _enqueue(self, pool: Pool, errand: Errand, *, first: bool = False) -> None:
        """Let it wait for a connection, but not for ever."""
        errand.deadline = self._clock.monotonic() + errand.patience
        pool.submit(errand, first=first)
        self._watch(errand)

    def _watch(self, errand: Errand) -> None:
        if errand.carried is None and not errand.is_over and errand.deadline != NEVER:
            self._deadlines.add(errand)

    def _pool(self, server: Server, destination: str) -> Pool:
        if self._only is not None:
            return self._only
        key = (server.identity, destination)
        pool = self._pools.get(key)
        if pool is None:
            if len(self._pools) > _UNUSED_POOLS:
                self._forget_unused()
            settings = self._settings
            limits = RouteLimits(messages_per_connection=settings.messages_per_connection)
            route = Route(
                "mailer", (server,), limits=limits, pipelining=settings.pipelining,
                chunking=settings.chunking,
            )  # fmt: skip
            pool = self._pools[key] = Pool(
                Lane(route, destination), settings, self._opener, self._limit, self, self._clock
            )
            self._limit.join(pool)
            if len(settings.servers) == 1 and not settings.is_direct:
                self._only = pool
        return pool

    def _forget_unused(self) -> None:
        for key, pool in list(self._pools.items()):
            if pool.is_unused:
                self._limit.leave(pool)
                del self._pools[key]

    def opening_failed(
        self, pool: Pool, errands: list[Errand], failed: OpeningFailed, transcript: Transcript
    ) -> None:
        """No connection to a server can be had: at another one, later, or not at all."""
        outcome = outcome_of_opening(failed)
        error = failures.not_opened(failed, outcome, transcript.text())
        for errand in errands:
            self._deadlines.remove(errand)
            if errand.is_over:
                continue
            errand.attempts += 1
            errand.shipment.transcripts.append(transcript)
            errand.errors.update(dict.fromkeys(errand.left, error))
            errand.tried.add(pool.identity)
            if self._hops.next(errand.tried) is None and not _passes(outcome):
                errand.give_up()
                self._over(errand)
            else:
                self._forward(errand)

    def transaction_finished(
        self,
        pool: Pool,
        carried: Carried,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
        server: str,
    ) -> None:
        """Read what it came to, and do what follows."""
        errand = carried.errand
        if errand.is_over:
            return  # cancelled
        next_ = errand.finished(carried, outcome, broken, self._through, server)
        if next_ is Next.OVER:
            self._over(errand)
        elif errand.shipment.cancelled:
            errand.is_over = True
            self._over(errand)
        elif next_ is Next.AT_ONCE:
            self._enqueue(pool, errand, first=True)
        elif next_ is Next.OTHER_SERVER:
            errand.tried.add(pool.identity)
            self._forward(errand)
        else:
            self._round_failed(errand)

    def _round_failed(self, errand: Errand) -> None:
        """Every server was tried: later, if the policy and the time allow it."""
        errand.tried.clear()
        errand.rounds += 1
        retry, now = self._settings.retry, self._clock.monotonic()
        delay = retry.delay(errand.rounds, self._chance)
        if errand.failed_at is None:
            errand.failed_at = now
        late = now + delay - errand.failed_at > retry.within
        if errand.rounds >= retry.attempts or late or self._closed:
            errand.give_up()
            self._over(errand)
            return
        errand.deadline = NEVER
        self._resting[errand] = self._clock.call_later(delay, lambda: self._rested(errand))

    def _rested(self, errand: Errand) -> None:
        del self._resting[errand]
        self._pace(errand)

    def _expired(self, errand: Errand) -> None:
        """It has waited for a connection as long as it may (`patience`)."""
        self._deadlines.remove(errand)
        if errand.is_over or errand.carried is not None or not self._withdraw(errand):
            return
        counted = ", ".join(f"{count} {name}" for name, count in self.connections.items() if count)
        errand.give_up(
            failures.no_capacity(self._settings.patience, f"connections at that moment: {counted}")
        )
        self._over(errand)

    def _stop(self, errand: Errand) -> None:
        """The mailer closes and this has not begun."""
        last = next(iter(errand.errors.values()), None)
        errand.give_up(last or failures.closed())
        self._over(errand)

    def _withdraw(self, errand: Errand) -> bool:
        """Take it out of whatever it waits in."""
        self._deadlines.remove(errand)
        timer = self._resting.pop(errand, None)
        if timer is not None:
            timer.cancel()
            return True
        if self._pacing.withdraw(errand):
            return True
        return any(pool.withdraw(errand) for pool in self._pools.values())

    def _over(self, errand: Errand) -> None:
        """An errand is over; its shipment is, when all of them are."""
        shipment = errand.shipment
        if errand.deadline != NEVER:
            self._deadlines.remove(errand)
        shipment.attempts = max(shipment.attempts, errand.attempts)
        if len(shipment.errands) > 1 and not all(one.is_over for one in shipment.errands):
            return
        self._forget(shipment)
        if not shipment.cancelled:
            shipment.finish(self._clock.monotonic())

    def _forget(self, shipment: Shipment) -> None:
        self._open.discard(shipment)
        if not self._open:
            self._empty.set()


def _passes(outcome: Outcome) -> bool:
    """Whether another attempt may come out otherwise: what only an operator can mend does not."""
    return outcome.kind == "temporary" and not outcome.alert


def failed_result(error: WaypostError, number: int) -> Result:
    """The result of a message of a stream that could not even be given to the engine."""
    return Result("", (), 0, 0.0, error, number)
