"""Connecting to the first address of a host that answers (RFC 8305).

The two families take turns, and each address begins a quarter of a second after the one before,
or as soon as that has failed; the first connection wins, the others are called off and closed. It
is for the addresses of one host: another exchanger is not spoken to because a better one is slow
(RFC 5321 5.1).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, cast

from waypost.net.clock import Clock
from waypost.net.network import Network, ProtocolType
from waypost.net.tls import explain_tls_error

STAGGER_SECONDS: Final = 0.25
"""RFC 8305 5, "Connection Attempt Delay"."""

ATTEMPT_SECONDS: Final = 30.0
"""The longest to wait after the last address was begun, with TLS where that comes first."""

MAXIMUM_EARLY_BYTES: Final = 65536
"""What a peer may send before its connection has been chosen."""


@dataclass(frozen=True, slots=True)
class Target:
    """One address to try. `host` is the name it was found under."""

    host: str
    address: str
    """An IP address, or "unix:/path"."""
    port: int

    @property
    def is_unix(self) -> bool:
        """Whether it is a unix socket."""
        return self.address.startswith("unix:")

    def __str__(self) -> str:
        if self.is_unix:
            return self.address
        return f"{'' if self.host == self.address else self.host}[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Connected(Generic[ProtocolType]):
    """The connection that won."""

    transport: asyncio.Transport
    protocol: ProtocolType
    target: Target
    attempts: tuple[tuple[Target, Exception], ...]
    """What failed before."""


class ConnectFailure(Exception):
    """No address answered.

    `attempts` holds each address with its error, in the order they failed; those that had not
    answered when the time was over have a TimeoutError.
    """

    def __init__(self, attempts: Sequence[tuple[Target, Exception]]) -> None:
        self.attempts = tuple(attempts)
        self.timed_out = any(isinstance(error, TimeoutError) for _, error in self.attempts)
        """Some address did not answer at all."""
        said = "; ".join(f"{target}: {in_words(error)}" for target, error in self.attempts)
        super().__init__(said or "there is no address to connect to")

    @property
    def tls_error(self) -> ssl.SSLError | None:
        """The first failed handshake: somebody was there, and TLS is the trouble."""
        for _, error in self.attempts:
            if isinstance(error, ssl.SSLError):
                return error
        return None


def in_words(error: Exception) -> str:
    """An error of a connection attempt in words."""
    if isinstance(error, ssl.SSLError):
        return explain_tls_error(error).text
    if isinstance(error, OSError) and error.strerror:
        if error.errno and error.strerror.startswith("Connect call failed"):
            return os.strerror(error.errno)  # asyncio's own words tell only the address
        return error.strerror
    return str(error) or type(error).__name__


def interleave(targets: Iterable[Target]) -> list[Target]:
    """Addresses of the two families in turn, beginning with the family of the first."""
    families: dict[bool, list[Target]] = {}
    for target in targets:
        families.setdefault(":" in target.address, []).append(target)
    lists = list(families.values())
    if len(lists) < 2:
        return lists[0] if lists else []
    first, second = lists
    order: list[Target] = []
    for number in range(max(len(first), len(second))):
        order += first[number : number + 1] + second[number : number + 1]
    return order


async def connect_first(
    network: Network,
    clock: Clock,
    factory: Callable[[], ProtocolType],
    targets: Sequence[Target],
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    source: str | None = None,
    attempt_seconds: float = ATTEMPT_SECONDS,
) -> Connected[ProtocolType]:
    """Connect to the first target that answers.

    `factory` is called once, for the connection that won, and its protocol has the connection.
    With `tls` the handshake is part of an attempt; `server_name` is by default the target's host.
    Raises ConnectFailure.
    """

    async def attempt(target: Target) -> tuple[asyncio.Transport, _Waiting]:
        # A source of the other family cannot be used, and would only hide the real error.
        fits = source is not None and (":" in source) == (":" in target.address)
        return await network.connect(
            _Waiting,
            target.address,
            target.port,
            tls=tls,
            server_name=(server_name or target.host) if tls is not None else None,
            source=source if fits and not target.is_unix else None,
        )

    race = _Race(clock, attempt, interleave(targets), attempt_seconds)
    transport, waiting, target = await race.run()
    protocol = factory()
    waiting.hand_over(transport, protocol)
    return Connected(transport, protocol, target, tuple(race.failed))


class _Waiting(asyncio.Protocol):
    """Stands in for the real protocol until a connection has won, and keeps what comes early."""

    def __init__(self) -> None:
        self._early = bytearray()
        self._ended = False
        self._lost: tuple[Exception | None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > MAXIMUM_EARLY_BYTES and self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        self._ended = True
        # Half open until it is handed over; TLS has no such thing (RFC 8446 6.1).
        return self._transport is None or self._transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = (exc,)

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Let the real protocol have the connection, with all that has happened on it."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(bytes(self._early))
        if self._ended and not protocol.eof_received():
            transport.close()
        if self._lost is not None:
            protocol.connection_lost(self._lost[0])


_Made = tuple[asyncio.Transport, _Waiting]


class _Race:
    """The attempts of one host."""

    def __init__(
        self,
        clock: Clock,
        attempt: Callable[[Target], Coroutine[object, object, _Made]],
        targets: list[Target],
        seconds: float,
    ) -> None:
        self._clock = clock
        self._attempt = attempt
        self._waiting = targets[::-1]
        self._running: dict[asyncio.Task[_Made], Target] = {}
        self._seconds = seconds
        self._stagger: asyncio.Task[None] | None = None
        self._over: asyncio.Task[None] | None = None
        self.failed: list[tuple[Target, Exception]] = []

    async def run(self) -> tuple[asyncio.Transport, _Waiting, Target]:
        """The winner. Raises ConnectFailure."""
        try:
            while self._waiting or self._running:
                self._begin_next()
                timers = (self._over, self._stagger if self._waiting else None)
                await asyncio.wait(
                    [*self._running, *(timer for timer in timers if timer is not None)],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                won = self._collect()
                if won is not None:
                    return won
                if not self._waiting and self._over is not None and self._over.done():
                    break
            late = TimeoutError(f"no answer within {self._seconds:g} seconds")
            self.failed += [(target, late) for target in self._running.values()]
            raise ConnectFailure(self.failed)
        finally:
            for timer in (self._over, self._stagger):
                if timer is not None:
                    timer.cancel()
            for task in self._running:
                _call_off(task)

    def _begin_next(self) -> None:
        """Begin the next attempt, if it is its time."""
        stagger = self._stagger
        if not self._waiting or (self._running and stagger is not None and not stagger.done()):
            return
        for timer in (stagger, self._over):
            if timer is not None:
                timer.cancel()
        target = self._waiting.pop()
        self._running[asyncio.ensure_future(self._attempt(target))] = target
        self._stagger = asyncio.ensure_future(self._clock.sleep(STAGGER_SECONDS))
        self._over = asyncio.ensure_future(self._clock.sleep(self._seconds))

    def _collect(self) -> tuple[asyncio.Transport, _Waiting, Target] | None:
        """Look at the attempts that have ended: the winner, if there is one."""
        for task in [task for task in self._running if task.done()]:
            error = task.exception()
            if error is None:
                return (*task.result(), self._running.pop(task))
            if not isinstance(error, OSError | EOFError | ValueError):
                raise error  # not of the network: a fault of the program
            self.failed.append((self._running.pop(task), error))
            if self._stagger is not None:
                self._stagger.cancel()
                self._stagger = None  # the next need not wait (RFC 8305 5)
        return None


def _call_off(task: asyncio.Task[_Made]) -> None:
    """Cancel an attempt, and close its connection where it was just made all the same."""

    def close(ended: asyncio.Task[_Made]) -> None:
        # Reading the exception tells asyncio that a loser's error has been seen.
        if not ended.cancelled() and ended.exception() is None:
            ended.result()[0].abort()

    task.add_done_callback(close)
    task.cancel()
