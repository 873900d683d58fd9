"""Peers that dawdle hold up nobody but themselves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from relay_process import RelayProcess, submit, wait_for
from sink import Sink
from waypost.lab.simulated_peer import Fault

pytestmark = pytest.mark.crash

LISTENER = '[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "submission"\n'


@pytest.fixture
def stalling() -> Iterator[Sink]:
    """A server that takes the content and then says nothing."""
    made = Sink([Fault("content", "stall")])
    yield made
    made.close()


def dribble(connections: list[socket.socket], ended: threading.Event) -> None:
    """A byte to each connection, again and again."""
    words = b"EHLO slow.example\r\nMAIL FROM:<a@here.example>\r\n"
    at = 0
    while not ended.wait(0.05):
        for connection in connections:
            connection.sendall(words[at % len(words) :][:1])
        at += 1


def test_slow_clients_hold_up_nobody_else(
    make_relay: Callable[..., RelayProcess], sink: Sink, port: int
) -> None:
    relay = make_relay(port, sink.port).start()
    ended = threading.Event()
    with ExitStack() as open_sockets:
        slow = [
            open_sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(300)
        ]
        thread = threading.Thread(target=dribble, args=(slow, ended))
        thread.start()
        try:
            before = time.monotonic()
            for number in range(1, 6):
                submit(port, number, f"quick{number}@there.example")
                sink.wait_for(f"quick{number}@there.example")
            assert time.monotonic() - before < 20
        finally:
            ended.set()
            thread.join()
        relay.stop()  # in time, although three hundred clients have said only half of a command


def test_a_next_hop_that_stalls_holds_up_no_other(
    make_relay: Callable[..., RelayProcess], sink: Sink, stalling: Sink, port: int
) -> None:
    relay = make_relay(port, sink.port)
    relay.configure(
        LISTENER.format(port=port)
        + f'[[route]]\nname = "stuck"\nvia = "smtp+plain://127.0.0.1:{stalling.port}"\n'
        + '[route.match]\nrecipients = "stalls.example"\n'
        + f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n'
    )
    relay.start()
    for number in range(1, 30):
        submit(port, number, f"a{number}@stalls.example")
    wait_for("it stalls", lambda: stalling.peer.open_sessions > 0)
    for number in range(1, 30):
        submit(port, number, f"b{number}@quick.example")
    for number in range(1, 30):
        sink.wait_for(f"b{number}@quick.example")
    relay.stop()  # in time, although the content that was sent is not answered
    (again,) = [relay.start()]
    (opened,) = again.events("spool opened")
    assert opened["recipients"] == 29


def sends(connection: socket.socket, data: bytes, wanted: int) -> bool:
    """Whether so many bytes can be sent; each of these is answered with ten."""
    sent = 0
    try:
        while sent < wanted:
            sent += connection.send(data)
    except TimeoutError:
        return False
    return True


def test_a_client_that_reads_no_answers_is_not_read_from_either(
    make_relay: Callable[..., RelayProcess], sink: Sink, port: int
) -> None:
    """Otherwise its answers would pile up in our memory for as long as it sends."""
    relay = make_relay(port, sink.port)
    relay.configure(
        LISTENER.format(port=port)
        + "maximum_idle_commands = 100000000\n"
        + f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n'
    )
    relay.start()
    with socket.create_connection(("127.0.0.1", port)) as greedy:
        greedy.settimeout(3)
        assert not sends(greedy, b"EHLO client.example\r\n" * 100, 8_000_000)
        submit(port, 1, "other@there.example")
        sink.wait_for("other@there.example")
    relay.stop()
