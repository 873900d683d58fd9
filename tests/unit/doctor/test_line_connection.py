"""A peer can say what it likes: lines and replies are read in any cut, and nothing grows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.doctor.line_connection import (
    MAXIMUM_BYTES,
    MAXIMUM_UNASKED,
    Ended,
    Heard,
    Line,
    LineConnection,
    LineReader,
    NotAReply,
    Unanswered,
)
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.smtp.reply import MAXIMUM_LINE, Reply

Result = TypeVar("Result")
HOST = "192.0.2.25"


# --- the reader ---------------------------------------------------------------------------------


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=8))
def test_the_same_is_read_however_the_bytes_are_cut(stream: bytes, cuts: list[int]) -> None:
    whole = LineReader(maximum_line=40).feed(stream)
    reader = LineReader(maximum_line=40)
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert [one for piece in pieces for one in reader.feed(piece)] == whole


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_no_more_than_a_line_is_held(pieces: list[bytes]) -> None:
    reader = LineReader(maximum_line=40)
    for piece in pieces:
        for line, _ in reader.feed(piece):
            assert line.text.isprintable()
        assert len(reader._rest) <= 42


def test_a_line_that_is_too_long_is_heard_once_and_passed_over() -> None:
    reader = LineReader(maximum_line=10)
    heard = reader.feed(b"x" * 11) + reader.feed(b"y" * 1000) + reader.feed(b"\n220 ok\r\n")
    assert [(line.text, line.cut) for line, _ in heard] == [("x" * 10, True), ("220 ok", False)]
    assert isinstance(heard[0][1], NotAReply)
    assert heard[1][1] == Reply(220, ("ok",))


def test_escape_sequences_never_come_through() -> None:
    ((line, _),) = LineReader().feed(b"220 \x1b]0;owned\x07\x1b[2J\xff ok\r\n")
    assert line == Line(r"220 \x1b]0;owned\x07\x1b[2J\\xff ok", cut=False)


def test_a_reply_goes_on_after_a_line_that_was_none() -> None:
    reader = LineReader()
    heard = [one for _, one in reader.feed(b"250-a\r\nHTTP/1.1 400\r\n250 b\r\n")]
    assert heard[0] is None
    assert isinstance(heard[1], NotAReply)
    assert heard[2] == Reply(250, ("b",))


# --- the connection -----------------------------------------------------------------------------


class Peer(asyncio.Protocol):
    """Says what its test makes it say."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting
        self.heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._greeting:
            transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        self.heard += data


def connected(
    talk: Callable[[LineConnection, Peer], Coroutine[Any, Any, Result]],
    greeting: bytes = b"",
    on_unasked: Callable[[Heard], None] | None = None,
) -> Result:
    """Run a talk over a connection of a virtual world."""

    async def main(clock: VirtualClock) -> Result:
        network, peer = SimulatedNetwork(), Peer(greeting)
        network.listen(HOST, 25, lambda: peer)
        connection = LineConnection(clock, on_unasked=on_unasked)
        await network.connect(lambda: connection, HOST, 25)
        return await talk(connection, peer)

    return run_virtual(main)


def test_a_greeting_is_kept_until_somebody_asks_for_it() -> None:
    async def talk(connection: LineConnection, peer: Peer) -> object:
        await asyncio.sleep(1)
        return await connection.reply(5)

    unasked: list[Heard] = []
    assert connected(talk, b"220 hi\r\n", unasked.append) == Reply(220, ("hi",))
    assert not unasked


def test_what_comes_unasked_is_told_and_answers_nothing() -> None:
    unasked: list[Heard] = []

    async def talk(connection: LineConnection, peer: Peer) -> object:
        await connection.reply(5)
        peer.transport.write(b"421 idle too long\r\n")
        await asyncio.sleep(1)
        connection.say(b"NOOP\r\n")
        peer.transport.write(b"250 ok\r\n")
        return await connection.reply(5)

    assert connected(talk, b"220 hi\r\n", unasked.append) == Reply(250, ("ok",))
    assert unasked == [Reply(421, ("idle too long",))]


def test_a_reply_that_comes_too_late_answers_no_later_line() -> None:
    unasked: list[Heard] = []

    async def talk(connection: LineConnection, peer: Peer) -> object:
        await connection.reply(5)
        connection.say(b"VRFY joe\r\n")
        with pytest.raises(Unanswered, match="no answer within 5 seconds"):
            await connection.reply(5)
        connection.say(b"NOOP\r\n")
        peer.transport.write(b"252 late\r\n250 ok\r\n")
        return await connection.reply(5)

    assert connected(talk, b"220 hi\r\n", unasked.append) == Reply(250, ("ok",))
    assert unasked == [Reply(252, ("late",))]


def test_a_peer_that_drips_has_no_more_time_than_one_that_is_silent() -> None:
    async def talk(connection: LineConnection, peer: Peer) -> object:
        async def drip() -> None:
            for _ in range(100):
                peer.transport.write(b"220-\r\n")
                await asyncio.sleep(1)

        dripping = asyncio.ensure_future(drip())
        with pytest.raises(Unanswered, match="did not end within 5 seconds"):
            await connection.reply(5)
        dripping.cancel()
        return asyncio.get_running_loop().time()

    assert 5 <= connected(talk) < 6


def test_a_peer_that_never_stops_talking_is_left() -> None:
    async def talk(connection: LineConnection, peer: Peer) -> object:
        await connection.reply(5)
        peer.transport.write(b"250 more\r\n" * (MAXIMUM_UNASKED * 2))
        await asyncio.sleep(1)
        return connection.ended

    unasked: list[Heard] = []
    ended = connected(talk, b"220 hi\r\n", unasked.append)
    assert isinstance(ended, Ended)
    assert ended.why == "endless"
    assert len(unasked) <= MAXIMUM_UNASKED + 1


def test_the_end_of_the_connection_is_told_with_its_reason() -> None:
    async def talk(connection: LineConnection, peer: Peer) -> object:
        await connection.reply(5)
        connection.say(b"NOOP\r\n")
        peer.transport.reset()  # type: ignore[attr-defined]
        with pytest.raises(Unanswered) as failure:
            await connection.reply(5)
        with pytest.raises(Unanswered):
            await connection.reply(5)
        return failure.value.why, failure.value.text

    assert connected(talk, b"220 hi\r\n") == (
        "reset",
        "the connection broke: connection reset by peer",
    )


def test_an_endless_line_costs_one_line_of_memory_and_ends() -> None:
    async def talk(connection: LineConnection, peer: Peer) -> object:
        for number in range(1, 2 * MAXIMUM_BYTES // 65536):
            peer.transport.write(b"2" * 65536)
            await asyncio.sleep(0.1)
            assert len(connection._reader._rest) <= MAXIMUM_LINE + 2
            assert (connection.ended is None) == (number * 65536 <= MAXIMUM_BYTES)
        heard = await connection.reply(5)
        assert isinstance(heard, NotAReply)
        assert heard.line.cut
        return connection.ended

    ended = connected(talk)
    assert isinstance(ended, Ended)
    assert ended.why == "endless"
