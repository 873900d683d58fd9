"""Connecting to the first address of a host that answers (RFC 8305).

The two families take turns, and each address begins a quarter of a second after the one before,
or as soon as that has failed; the first connection wins, the others are called off and closed. It
is for the addresses of one host: another exchanger is not spoken to because a better one is slow
(RFC 5321 5.1).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Final

from waypost.net.clock import Clock
from waypost.net.network import Network
from waypost.net.tls import explain_tls_failure

STAGGER_SECONDS: Final = 0.25
"""RFC 8305 5, "Connection Attempt Delay"."""

CONNECT_SECONDS: Final = 30.0
"""For all addresses together, with TLS where that comes first."""

MAXIMUM_EARLY_BYTES: Final = 65536
"""What a peer may send before its connection has been chosen."""

Target = tuple[str, int]
"""An IP address (or "unix:/path") and a port."""


class ConnectFailure(Exception):
    """No address answered.

    `attempts` holds each address with its error, in the order they failed; those that had not
    answered when the time was over have a TimeoutError.
    """

    def __init__(self, attempts: Sequence[tuple[Target, Exception]]) -> None:
        self.attempts = tuple(attempts)
        self.timed_out = any(isinstance(error, TimeoutError) for _, error in self.attempts)
        """Some address did not answer at all."""
        said = "; ".join(f"{place(target)}: {in_words(error)}" for target, error in self.attempts)
        super().__init__(said or "there is no address to connect to")

    @property
    def tls_error(self) -> ssl.SSLError | None:
        """The first failed handshake: somebody was there, and TLS is the trouble."""
        for _, error in self.attempts:
            if isinstance(error, ssl.SSLError):
                return error
        return None


def place(target: Target) -> str:
    """A target as people write it."""
    address, port = target
    if address.startswith("unix:"):
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def in_words(error: Exception) -> str:
    """An error of a connection attempt in words."""
    if isinstance(error, ssl.SSLError):
        return explain_tls_failure(error).text
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def interleave(targets: Iterable[Target]) -> list[Target]:
    """Addresses of the two families in turn, beginning with the family of the first."""
    families: dict[bool, list[Target]] = {}
    for target in targets:
        families.setdefault(":" in target[0], []).append(target)
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
    factory: Callable[[], asyncio.Protocol],
    targets: Sequence[Target],
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    source: str | None = None,
    timeout: float = CONNECT_SECONDS,  # noqa: ASYNC109 (on the clock that is passed in)
) -> str:
    """Connect to the first target that answers, within `timeout` seconds; its address.

    `factory` is called once, for the connection that won, and its protocol has the connection.
    With `tls` the handshake is part of an attempt. Raises ConnectFailure.
    """

    async def attempt(target: Target) -> tuple[asyncio.Transport, _Waiting]:
        address, port = target
        # A source of the other family cannot be used, and would only hide the real error.
        fits = source is not None and (":" in source) == (":" in address)
        return await network.connect(
            _Waiting, address, port, tls=tls, server_name=server_name,
            source=source if fits and not address.startswith("unix:") else None,
        )  # fmt: skip

    race = _Race(clock, attempt, interleave(targets))
    transport, waiting, target = await race.run(timeout)
    waiting.hand_over(transport, factory())
    return target[0]


class _Waiting(asyncio.Protocol):
    """Stands in for the real protocol until a connection has won, and keeps what comes early."""

    def __init__(self) -> None:
        self._early = bytearray()
        self._ended = False
        self._lost: tuple[Exception | None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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
    ) -> None:
        self._clock = clock
        self._attempt = attempt
        self._waiting = targets[::-1]
        self._running: dict[asyncio.Task[_Made], Target] = {}
        self._failed: list[tuple[Target, Exception]] = []
        self._stagger: asyncio.Task[None] | None = None

    async def run(self, seconds: float) -> tuple[asyncio.Transport, _Waiting, Target]:
        """The winner. Raises ConnectFailure."""
        over = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            while self._waiting or self._running:
                self._begin_next()
                watched: list[asyncio.Task[_Made] | asyncio.Task[None]] = [*self._running, over]
                if self._waiting and self._stagger is not None:
                    watched.append(self._stagger)
                await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                won = self._collect()
                if won is not None:
                    return won
                if over.done():
                    break
            late = TimeoutError(f"no answer within {seconds:g} seconds")
            never = TimeoutError(f"not tried within {seconds:g} seconds")
            self._failed += [(target, late) for target in self._running.values()]
            self._failed += [(target, never) for target in reversed(self._waiting)]
            raise ConnectFailure(self._failed)
        finally:
            over.cancel()
            if self._stagger is not None:
                self._stagger.cancel()
            for task in self._running:
                _call_off(task)

    def _begin_next(self) -> None:
        """Begin the next attempt, if it is its time."""
        stagger = self._stagger
        if not self._waiting or (self._running and stagger is not None and not stagger.done()):
            return
        if stagger is not None:
            stagger.cancel()
        target = self._waiting.pop()
        self._running[asyncio.ensure_future(self._attempt(target))] = target
        self._stagger = asyncio.ensure_future(self._clock.sleep(STAGGER_SECONDS))

    def _collect(self) -> tuple[asyncio.Transport, _Waiting, Target] | None:
        """Look at the attempts that have ended: the winner, if there is one."""
        for task in [task for task in self._running if task.done()]:
            error = task.exception()
            if error is None:
                return (*task.result(), self._running.pop(task))
            if not isinstance(error, OSError | EOFError | ValueError):
                raise error  # not of the network: a fault of the program
            self._failed.append((self._running.pop(task), error))
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
