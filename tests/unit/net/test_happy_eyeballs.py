"""The first address that answers wins; the others leave nothing behind."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from waypost.net.clock import Timer
from waypost.net.happy_eyeballs import (
    MAXIMUM_EARLY_BYTES,
    Connected,
    ConnectFailure,
    Target,
    connect_first,
    interleave,
)
from waypost.net.network import AsyncioNetwork, ProtocolType

Result = TypeVar("Result")

SIX = Target("h", "2001:db8::1", 25)
SIX_MORE = Target("h", "2001:db8::2", 25)
FOUR = Target("h", "192.0.2.1", 25)
FOUR_MORE = Target("h", "192.0.2.2", 25)


class ManualClock:
    """Time that passes only when everybody waits for it."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        raise NotImplementedError("not needed here")

    async def sleep(self, delay: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + delay, future))
        await future

    async def run(self, story: Coroutine[object, object, Result]) -> Result:
        """Run to the end, moving time on whenever nothing else happens."""
        task = asyncio.ensure_future(story)
        for _ in range(1000):
            for _ in range(20):
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            self._sleepers = [one for one in self._sleepers if not one[1].done()]
            assert self._sleepers, "everybody waits, and nobody for the clock"
            at, future = min(self._sleepers, key=lambda one: one[0])
            self.time = max(self.time, at)
            future.set_result(None)
        raise AssertionError("the story does not end")


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.closed = False
        self.protocol: asyncio.BaseProtocol | None = None

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


class Recorder(asyncio.Protocol):
    """The protocol that wants the connection."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(("lost", exc))


@dataclass
class Answer:
    """What one address does: after some seconds it fails, or takes the connection."""

    seconds: float = 0.0
    error: Exception | None = None
    says: Callable[[asyncio.Protocol], object] = lambda protocol: None
    stubborn: bool = False
    """Is connected all the same when it is called off."""


@dataclass
class FakeNetwork:
    clock: ManualClock
    answers: dict[str, Answer]
    begun: list[tuple[str, float]] = field(default_factory=list)
    sources: list[str | None] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    transports: dict[str, FakeTransport] = field(default_factory=dict)
    called_off: list[str] = field(default_factory=list)

    async def connect(
        self,
        factory: Callable[[], ProtocolType],
        address: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        source: str | None = None,
    ) -> tuple[asyncio.Transport, ProtocolType]:
        self.begun.append((address, self.clock.time))
        self.sources.append(source)
        self.names.append(server_name)
        answer = self.answers[address]
        try:
            if answer.seconds:
                await self.clock.sleep(answer.seconds)
        except asyncio.CancelledError:
            self.called_off.append(address)
            if not answer.stubborn:
                raise
        if answer.error is not None:
            raise answer.error
        transport, protocol = FakeTransport(), factory()
        self.transports[address] = transport
        protocol.connection_made(transport)
        answer.says(protocol)
        return transport, protocol

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        tls: ssl.SSLContext,
        server_name: str | None,
    ) -> asyncio.Transport:
        raise NotImplementedError("not needed here")


def race(
    answers: dict[str, Answer],
    *targets: Target,
    source: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[FakeNetwork, ManualClock, Connected[Recorder] | ConnectFailure]:
    clock = ManualClock()
    network = FakeNetwork(clock, answers)

    async def story() -> Connected[Recorder] | ConnectFailure:
        try:
            return await clock.run(
                connect_first(
                    network, clock, Recorder, targets, source=source, tls=tls, attempt_seconds=30.0
                )
            )
        except ConnectFailure as failure:
            return failure
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, "attempts or timers are left behind"

    return network, clock, asyncio.run(story())


def won(result: Connected[Recorder] | ConnectFailure) -> Connected[Recorder]:
    assert isinstance(result, Connected)
    return result


def lost(result: Connected[Recorder] | ConnectFailure) -> ConnectFailure:
    assert isinstance(result, ConnectFailure)
    return result


def test_families_take_turns_beginning_with_the_first() -> None:
    assert interleave([SIX, SIX_MORE, FOUR]) == [SIX, FOUR, SIX_MORE]
    assert interleave([FOUR, FOUR_MORE, SIX]) == [FOUR, SIX, FOUR_MORE]
    assert interleave([FOUR, FOUR_MORE]) == [FOUR, FOUR_MORE]
    assert interleave([]) == []


def test_a_quick_first_address_leaves_the_others_alone() -> None:
    network, clock, result = race({SIX.address: Answer(0.1), FOUR.address: Answer()}, SIX, FOUR)
    assert won(result).target == SIX
    assert [address for address, _ in network.begun] == [SIX.address]
    assert clock.time == pytest.approx(0.1)


def test_a_slow_address_is_overtaken_after_a_quarter_of_a_second_and_called_off() -> None:
    network, clock, result = race({SIX.address: Answer(20.0), FOUR.address: Answer(0.1)}, SIX, FOUR)
    assert won(result).target == FOUR
    assert network.begun == [(SIX.address, 0.0), (FOUR.address, 0.25)]
    assert network.called_off == [SIX.address]
    assert clock.time == pytest.approx(0.35)


def test_a_loser_that_is_connected_all_the_same_is_closed() -> None:
    network, _, result = race(
        {SIX.address: Answer(20.0, stubborn=True), FOUR.address: Answer()}, SIX, FOUR
    )
    assert won(result).target == FOUR
    assert network.transports[SIX.address].aborted
    assert not network.transports[FOUR.address].aborted


def test_two_that_answer_in_the_same_moment_leave_one_connection() -> None:
    network, _, result = race({SIX.address: Answer(0.25), FOUR.address: Answer()}, SIX, FOUR)
    winner = won(result).target.address
    assert [a for a, t in network.transports.items() if not t.aborted] == [winner]


def test_after_a_failure_the_next_does_not_wait() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    _, clock, result = race(
        {SIX.address: Answer(0.01, refused), FOUR.address: Answer(0.01)}, SIX, FOUR
    )
    assert won(result).attempts == ((SIX, refused),)
    assert clock.time == pytest.approx(0.02)


def test_all_errors_are_in_the_failure() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    unreachable = OSError(errno.ENETUNREACH, "Network is unreachable")
    _, _, result = race(
        {SIX.address: Answer(0.0, unreachable), FOUR.address: Answer(1.0, refused)}, SIX, FOUR
    )
    failure = lost(result)
    assert failure.attempts == ((SIX, unreachable), (FOUR, refused))
    assert str(failure) == (
        "h[2001:db8::1]:25: Network is unreachable; h[192.0.2.1]:25: Connection refused"
    )
    assert not failure.timed_out


def test_addresses_that_never_answer_end_in_time() -> None:
    _, clock, result = race({SIX.address: Answer(1e6), FOUR.address: Answer(1e6)}, SIX, FOUR)
    failure = lost(result)
    assert failure.timed_out
    assert "no answer within 30 seconds" in str(failure)
    assert [target for target, _ in failure.attempts] == [SIX, FOUR]
    assert clock.time == pytest.approx(30.25)


def test_no_address_at_all_is_a_failure() -> None:
    _, _, result = race({})
    assert "no address" in str(lost(result))


def test_a_fault_of_the_program_is_not_taken_for_one_of_the_network() -> None:
    with pytest.raises(ZeroDivisionError):
        race({SIX.address: Answer(0.0, ZeroDivisionError())}, SIX)


def test_a_source_address_is_used_for_its_own_family_only() -> None:
    refused = ConnectionRefusedError()
    network, _, _ = race(
        {SIX.address: Answer(error=refused), FOUR.address: Answer()},
        SIX, FOUR, source="192.0.2.200",
    )  # fmt: skip
    assert network.sources == [None, "192.0.2.200"]


def test_with_tls_the_host_is_the_name_to_verify() -> None:
    context = ssl.create_default_context()
    network, _, _ = race({FOUR.address: Answer()}, FOUR, tls=context)
    assert network.names == ["h"]
    network, _, _ = race({FOUR.address: Answer()}, FOUR)
    assert network.names == [None]


def test_what_the_peer_said_early_is_handed_over() -> None:
    def greet(protocol: asyncio.Protocol) -> None:
        protocol.data_received(b"220 ")
        protocol.data_received(b"hello\r\n")
        protocol.eof_received()
        protocol.connection_lost(None)

    network, _, result = race({FOUR.address: Answer(says=greet)}, FOUR)
    assert won(result).protocol.events == ["made", b"220 hello\r\n", "eof", ("lost", None)]
    assert network.transports[FOUR.address].protocol is won(result).protocol


def test_a_peer_that_floods_before_it_is_chosen_is_cut_off() -> None:
    def flood(protocol: asyncio.Protocol) -> None:
        protocol.data_received(b"x" * (MAXIMUM_EARLY_BYTES + 1))

    network, _, _ = race({FOUR.address: Answer(says=flood)}, FOUR)
    assert network.transports[FOUR.address].aborted


class SystemTime(ManualClock):
    """Time that passes by itself."""

    async def sleep(self, delay: float) -> None:
        await asyncio.sleep(delay)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_real_sockets_win_and_hand_over_their_greeting(loop: str) -> None:
    async def story() -> list[object]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 here\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        targets = [Target("h", "127.0.0.1", port)]
        connected = await connect_first(AsyncioNetwork(), SystemTime(), Recorder, targets)
        for _ in range(1000):
            if len(connected.protocol.events) > 1:
                break
            await asyncio.sleep(0.005)
        connected.transport.close()
        server.close()
        return connected.protocol.events

    run = asyncio.run if loop == "asyncio" else pytest.importorskip("uvloop").run
    assert run(story())[:2] == ["made", b"220 here\r\n"]
