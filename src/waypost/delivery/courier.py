"""A courier: one connection to a next hop and the messages that go over it.

Opening a connection has many steps and is a coroutine (opening.py). Once it is open, everything is
driven by the bytes that arrive: a finished transaction is settled, the next message is begun, and
with pipelining that is in the same write as the content of the one before (RFC 2920). So a message
in steady state costs one write, one or two reads and no task.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, cast

from waypost.delivery.lane import Lane
from waypost.delivery.transcript import ConnectionRecorder, Transcript
from waypost.net.clock import Clock
from waypost.net.deadlines import NEVER, Deadlines
from waypost.net.network import Network
from waypost.smtp.client import ClientProtocol, ClientSettings
from waypost.smtp.client_commands import Transaction
from waypost.smtp.client_events import (
    Answered,
    ClientEvent,
    Closed,
    ContentWanted,
    Disconnected,
    ProtocolBroken,
    ShutdownAnnounced,
    TransactionFinished,
)
from waypost.smtp.client_states import Stage
from waypost.smtp.client_transaction import TransactionOutcome
from waypost.smtp.envelope import Envelope
from waypost.spool.contract import Body, BodyDamaged, QueuedMessage

IDLE_SECONDS: Final = 60.0
"""For moments at which nothing is waited for, so that even a fault of ours ends."""

FRESH_SECONDS: Final = 1.0
"""How long a peer that has spoken is taken to be there still. After that, content is not sent
before the peer has answered MAIL: nobody could tell whether it was taken."""

QUIT_SECONDS: Final = 5.0
"""How long a reply to QUIT is waited for."""


class ConnectionBroken(Exception):
    """The connection ended or stood still; `stage` is what it was waiting for."""

    def __init__(
        self, stage: str, reason: str, *, timed_out: bool = False, damaged: bool = False
    ) -> None:
        self.stage = stage
        self.reason = reason
        self.timed_out = timed_out
        self.damaged = damaged
        """It was we who ended it, as the stored content turned out to be damaged."""
        super().__init__(f"{reason} (while waiting for: {stage})")


@dataclass(slots=True, eq=False)
class Delivery:
    """One attempt: a message, or part of its recipients, over one connection."""

    message: QueuedMessage
    body: Body
    transcript: Transcript
    started_at: float
    """Wall clock, seconds since the epoch."""
    envelope: Envelope | None = field(default=None, kw_only=True)
    """What goes out in place of the message's own."""


class Dispatcher(Protocol):
    """What a courier asks of the lane's keeper (engine.py)."""

    def next_delivery(self, courier: Courier) -> Delivery | None:
        """The next message to begin now, marked as started, or None."""

    def finished(
        self,
        courier: Courier,
        delivery: Delivery,
        outcome: TransactionOutcome,
        broken: ConnectionBroken | None,
    ) -> None:
        """A transaction has come to an end, or the connection under it has."""

    def idle(self, courier: Courier) -> None:
        """The courier has nothing to do and can be given something."""

    def leaving(self, courier: Courier) -> None:
        """The courier says QUIT and takes nothing any more; `gone` follows."""

    def gone(self, courier: Courier) -> None:
        """The connection is closed; the courier is not used again."""


@dataclass(frozen=True, slots=True)
class CourierSettings:
    """How a connection is used. Times in seconds."""

    hostname: str
    messages_per_connection: int = 0
    """0: as many as come."""
    idle_seconds: float = 10.0
    timeouts: tuple[tuple[str, float], ...] = ()
    """By stage, in place of the defaults of RFC 5321 4.5.3.2."""
    pipelining: bool = True
    chunking: bool = True
    eager: bool = True
    """A small content may go with MAIL and RCPT, before they are answered (BDAT only). It saves a
    round trip; a connection lost in that moment leaves it uncertain whether it was taken."""


class Courier(asyncio.Protocol):
    """See the module."""

    def __init__(
        self,
        settings: CourierSettings,
        lane: Lane,
        dispatcher: Dispatcher,
        clock: Clock,
        deadlines: Deadlines,
        timeouts: dict[str, float],
    ) -> None:
        self.settings = settings
        self._dispatcher = dispatcher
        self._clock = clock
        self._deadlines = deadlines
        self._timeouts = timeouts
        self.recorder = ConnectionRecorder(clock.monotonic)
        self._client_settings = ClientSettings(
            hostname=settings.hostname,
            use_pipelining=settings.pipelining,
            use_chunking=settings.chunking,
        )
        self.client = ClientProtocol(self._client_settings, self.recorder.record)
        self.transport: asyncio.Transport | None = None
        self.deliveries: deque[Delivery] = deque()
        """Begun and not finished, oldest first; at most two."""
        self.lane = lane
        self.next_hop = ""
        self.tls = ""
        self.served = 0
        """Transactions finished on this connection."""
        self.deadline = NEVER
        self.ready = False
        self.retiring = False
        """Takes no further message; says QUIT when it has none."""
        self._heard_at = 0.0
        """When the peer has last said something, on the monotonic clock."""
        self._limit = 0
        """Messages of this connection by our settings and the server's (RFC 9422); 0: no limit."""
        self._step: asyncio.Future[ClientEvent] | None = None
        self._early: list[ClientEvent] = []
        self._drained: asyncio.Event = asyncio.Event()
        self._drained.set()
        self._streaming: asyncio.Task[None] | None = None
        self._lost: str | None = None
        self._lost_at = "closed"
        """What was waited for when the connection was lost."""
        self._stage: Stage = "greeting"
        self.opening_transcript: Transcript | None = None
        """What was said while opening; it becomes the first delivery's transcript."""
        self._opened_with: Transcript | None = None

    # --- opening (driven by opening.py) -----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected, or TLS is established over it."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._lost = None

    async def step(self, begin: Callable[[], None] | None = None) -> ClientEvent:
        """Do an intent and wait for the event that answers it. Raises ConnectionBroken."""
        if self._early and begin is None:
            return self._early.pop()  # even where the peer has hung up since: it says why
        if self._lost is not None or self.transport is None:
            raise ConnectionBroken(self._lost_at, self._lost or "the connection is closed")
        future: asyncio.Future[ClientEvent] = asyncio.get_running_loop().create_future()
        self._step = future
        if begin is not None:
            begin()
        stage = self.client.stage
        self.deadline = self._clock.monotonic() + self._timeouts.get(stage, IDLE_SECONDS)
        self._deadlines.add(self)
        self._flush()
        try:
            return await future
        finally:
            self._step = None
            self.deadline = NEVER

    def renew(self, *, encrypted: bool = False, clear_text_auth: bool = False) -> None:
        """Forget a connection that could not be used; the next one begins afresh."""
        transport, self.transport = self.transport, None
        if transport is not None:
            # Its end comes later, and would else be taken for that of the next connection.
            transport.set_protocol(asyncio.Protocol())
            transport.abort()
        self._deadlines.remove(self)
        settings = replace(self._client_settings, auth_in_clear=clear_text_auth)
        self.client = ClientProtocol(settings, self.recorder.record, encrypted=encrypted)
        self._lost = None
        self._early.clear()
        self.tls = ""

    def connected_to(self, next_hop: str) -> None:
        """The socket is connected to this host[address]:port."""
        self.next_hop = next_hop
        self.recorder.note(f"connected to {next_hop}")

    def secured(self, tls: str) -> None:
        """TLS is in force: version and cipher."""
        self.tls = tls
        self.recorder.note(tls)

    async def upgrade(self, network: Network, tls: ssl.SSLContext, name: str) -> None:
        """The handshake after 220 to STARTTLS. Raises OSError and ConnectionBroken."""
        transport = self.transport
        if transport is None:
            raise ConnectionBroken("starttls", self._lost or "the connection is closed")
        self.deadline = self._clock.monotonic() + self._timeouts["starttls"]
        self._deadlines.add(self)
        try:
            self.transport = await network.start_tls(transport, self, tls, name)
        finally:
            self.deadline = NEVER
        self.client.tls_established()

    def open(self) -> None:
        """The session is ready for transactions."""
        self._opened_with = self.opening_transcript
        limits = (self.settings.messages_per_connection, self.client.transactions_per_connection)
        self._limit = min((limit for limit in limits if limit), default=0)
        self.ready = True
        self._deadlines.add(self)

    # --- bytes from the peer ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._heard_at = self._clock.monotonic()
        client = self.client
        self._stage = client.stage
        self._events(client.receive(data))
        if self.ready:
            if client.can_begin and not self.retiring:
                self._begin_next()
            self._flush()
            if self.deliveries:
                self.deadline = self._clock.monotonic() + self._timeouts.get(
                    client.stage, IDLE_SECONDS
                )
            elif self.retiring and client.can_begin:
                self.retire()
        else:
            self._flush()  # the further steps of AUTH, which no intent of ours begins

    def _push_deadline(self) -> None:
        seconds = self._timeouts.get(self.client.stage, IDLE_SECONDS)
        self.deadline = self._clock.monotonic() + seconds

    def _events(self, events: list[ClientEvent]) -> None:
        for event in events:
            if isinstance(event, TransactionFinished):
                self._transaction_finished(event.outcome)
            else:
                self._other_event(event)

    def eof_received(self) -> bool:
        """The peer will send no more."""
        self._events(self.client.receive_eof())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by either side."""
        self._drained.set()
        if self.transport is None:
            return  # we ended it, and what was to be said has been said
        self.transport = None
        stage = self.client.stage
        self._break(
            ConnectionBroken(
                self._stage if stage in ("idle", "closed") else stage,
                f"the connection was lost: {exc}" if exc else "the peer closed the connection",
            )
        )

    def deadline_passed(self) -> None:
        """A stage took too long, or the connection was idle long enough."""
        stage = self.client.stage
        if self.ready and not self.deliveries and stage != "noop":
            self.deadline = NEVER
            if stage == "quit":
                self._abort()
            else:
                self.retire()
            return
        seconds = self._timeouts.get(stage, IDLE_SECONDS)
        self._break(ConnectionBroken(stage, f"no progress for {seconds:g} seconds", timed_out=True))

    # --- transactions -----------------------------------------------------------------------

    def wake(self) -> None:
        """There is something to do for an idle courier."""
        self._begin_next()
        self._flush()
        if self.deliveries:
            self.deadline = self._clock.monotonic() + self._timeouts.get(
                self.client.stage, IDLE_SECONDS
            )

    def check(self) -> None:
        """Ask an idle peer for a sign of life (NOOP). An answer makes it look for the next message;
        without one in time the connection is given up, as any that stands still."""
        self.client.noop()
        self._flush()
        self._push_deadline()

    def retire(self) -> None:
        """Take nothing more; QUIT when the last transaction is done."""
        self.retiring = True
        if self.deliveries or not self.ready or self.client.stage == "quit":
            return
        if self.transport is None or self.client.is_over:
            return  # it is ending already, and `gone` comes from there
        self._dispatcher.leaving(self)
        self.client.quit()
        self._flush()
        self.deadline = self._clock.monotonic() + QUIT_SECONDS

    def _begin_next(self) -> None:
        limit = self._limit
        if limit and self.served + len(self.deliveries) >= limit:
            if not self.deliveries:
                self.retire()
            return
        delivery = self._dispatcher.next_delivery(self)
        if delivery is None:
            if not self.deliveries and not self.retiring:
                self.deadline = self._clock.monotonic() + self.settings.idle_seconds
                self._dispatcher.idle(self)
            return
        self.begin(delivery)

    def begin(self, delivery: Delivery) -> None:
        """Begin a transaction; its bytes go out with the next flush."""
        self.deliveries.append(delivery)
        if delivery.transcript is not self._opened_with:
            self.recorder.begin(delivery.transcript)
        message, body = delivery.message, delivery.body
        if self.served:
            self.recorder.note(
                f"{self.next_hop} {self.tls or 'without TLS'}, message {self.served + 1} "
                "of this connection"
            )
        whole = body.whole
        transaction = Transaction(
            delivery.envelope or message.envelope,
            body.size,
            has_eight_bit=whole is None or not whole.isascii(),
        )
        now = self._clock.monotonic()
        eager = self.settings.eager and (
            len(self.deliveries) > 1 or now - self._heard_at < FRESH_SECONDS
        )
        for event in self.client.begin(transaction, content=whole, eager=eager):
            # Refused by what the server's own EHLO says; nothing was sent. It is reported after
            # this call, as every outcome is.
            if isinstance(event, TransactionFinished):
                asyncio.get_running_loop().call_soon(self._refused_locally, delivery, event.outcome)

    def _refused_locally(self, delivery: Delivery, outcome: TransactionOutcome) -> None:
        if delivery in self.deliveries:
            self.deliveries.remove(delivery)
            self.recorder.end(delivery.transcript)
            self._dispatcher.finished(self, delivery, outcome, None)
            if self.ready and self.client.can_begin and not self.retiring:
                self.wake()

    def _transaction_finished(self, outcome: TransactionOutcome) -> None:
        delivery = self.deliveries.popleft()
        self.recorder.end(delivery.transcript)
        self._dispatcher.finished(self, delivery, outcome, None)
        self.served += 1

    def _other_event(self, event: ClientEvent) -> None:
        step = self._step
        if isinstance(event, ContentWanted) and self.deliveries:
            self._streaming = asyncio.get_running_loop().create_task(self._stream())
        elif isinstance(event, Closed):
            self._abort()
        elif isinstance(event, ProtocolBroken):
            self._break(ConnectionBroken(self._stage, f"{event.reason}: {event.evidence!r}"))
        elif isinstance(event, Disconnected):
            self._break(ConnectionBroken(event.stage, "the peer closed the connection"))
        elif step is not None and not step.done():
            step.set_result(event)
        elif not self.ready and not self._early:
            self._early.append(event)  # a greeting that came before anyone waited for it
        elif isinstance(event, ShutdownAnnounced):
            self._break(ConnectionBroken(self.client.stage, f"the peer said {event.reply}"))
        elif not isinstance(event, Answered):
            self._break(ConnectionBroken(self.client.stage, f"unexpected {type(event).__name__}"))

    async def _stream(self) -> None:
        """Send a body that is not whole in memory, as fast as the peer takes it."""
        delivery = self.deliveries[0]
        try:
            async for piece in delivery.body.chunks():
                self.client.content(piece, last=False)
                self._flush()
                await self._drained.wait()
                if self.transport is None:
                    return
                self.deadline = self._clock.monotonic() + self._timeouts["content"]
        except BodyDamaged as fault:
            # The end is never sent, so the peer cannot take what there is for the message.
            reason = f"its content is damaged: {fault}"
            self._break(ConnectionBroken("content", reason, damaged=True))
            return
        self.client.content(b"", last=True)
        self._flush()
        self.deadline = self._clock.monotonic() + self._timeouts["content_reply"]

    # --- the transport ----------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The peer takes less than we send."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """The peer has taken enough."""
        self._drained.set()

    def _flush(self) -> None:
        data = self.client.take()
        if data and self.transport is not None:
            self.transport.write(data)

    def _break(self, broken: ConnectionBroken) -> None:
        """The connection cannot be used any more: settle what was under way."""
        if self._lost is not None:
            return
        self._lost, self._lost_at = broken.reason, broken.stage
        self.recorder.note(str(broken))
        step = self._step
        if step is not None and not step.done():
            step.set_exception(broken)
        for outcome in self.client.abandon():
            delivery = self.deliveries.popleft()
            self._dispatcher.finished(self, delivery, outcome, broken)
        self._abort()

    def break_off(self, reason: str) -> None:
        """End the connection at once; what was under way is settled as broken."""
        self._break(ConnectionBroken(self.client.stage, reason))

    def _abort(self) -> None:
        self._lost = self._lost or "closed"
        self._deadlines.remove(self)
        self.deadline = NEVER
        transport, self.transport = self.transport, None
        if transport is not None:
            with contextlib.suppress(RuntimeError):
                transport.abort()
        if self._streaming is not None:
            self._streaming.cancel()
        if self.ready:
            self.ready = False
            self._dispatcher.gone(self)
