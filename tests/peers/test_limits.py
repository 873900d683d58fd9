"""What clients may do, and what they are told when it was too much."""

from __future__ import annotations

import smtplib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from raw import Raw

from relay_process import RelayProcess, free_port
from sink import Sink

CONTENT = b"Subject: x\r\n\r\nhi\r\n.\r\n"


@pytest.fixture
def limited(tmp_path: Path, sink: Sink) -> Iterator[Callable[..., int]]:
    """Makes a relay with limits that count for loopback too; the port that it listens on."""
    made: list[RelayProcess] = []

    def make(limits: str = "", listener: str = "", more: str = "") -> int:
        port = free_port()
        made.append(
            RelayProcess(
                tmp_path / f"relay{len(made)}",
                f"{more}[limits]\nexempt_loopback = false\n{limits}\n"
                f'[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "submission"\n{listener}\n'
                f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
            ).start()
        )
        return port

    yield make
    for relay in made:
        relay.stop()


def codes(replies: bytes) -> list[bytes]:
    """Code and enhanced code of each reply."""
    return [line[:9] for line in replies.split(b"\r\n") if line[3:4] == b" "]


def test_connections_of_one_address(limited: Callable[..., int]) -> None:
    port = limited("connections_per_address = 3")
    clients = [Raw.to(port) for _ in range(3)]
    with Raw.to(port) as refused:
        assert refused.greeting.startswith(b"421 4.7.0 Too many connections from 127.0.0.1 (3 ")
        assert refused.rest() == b""
    assert clients[0].say(b"QUIT\r\n").startswith(b"221")
    clients[0].rest()
    with Raw.to(port) as client:
        assert client.greeting.startswith(b"220")
    for one in clients:
        one.socket.close()


def test_connections_of_all_together(limited: Callable[..., int]) -> None:
    port = limited("connections = 2")
    with Raw.to(port), Raw.to(port), Raw.to(port) as refused:
        assert refused.greeting.startswith(b"421 4.3.2 All 2 connections are in use")


def test_new_connections_in_a_minute(limited: Callable[..., int]) -> None:
    port = limited("connections_per_minute = 3")
    for _ in range(3):
        Raw.to(port).socket.close()
    with Raw.to(port) as refused:
        assert refused.greeting.startswith(b"421 4.7.0 Too many new connections")


def test_messages_recipients_and_what_comes_after(limited: Callable[..., int], sink: Sink) -> None:
    port = limited("messages_per_minute = 2\nrecipients_per_hour = 3")
    with Raw.to(port) as client:
        client.say(b"EHLO c\r\n")
        client.say(b"MAIL FROM:<a@here.example>\r\n")
        for number in range(3):
            answer = client.say(b"RCPT TO:<limit%d@there.example>\r\n" % number)
            assert answer.startswith(b"250")
        assert client.say(b"RCPT TO:<limit3@there.example>\r\n").startswith(b"451 4.7.1")
        client.say(b"DATA\r\n")
        assert client.say(CONTENT).startswith(b"250")  # those that were taken stay taken
        client.say(b"MAIL FROM:<a@here.example>\r\n")
        client.say(b"RSET\r\n")
        answer = client.say(b"MAIL FROM:<a@here.example>\r\n")
        assert answer.startswith(b"451 4.7.1 Too many messages (2 a minute allowed)")
    assert len(sink.wait_for("limit0@there.example").envelope.recipients) == 3


def test_what_one_transaction_and_one_connection_may_hold(limited: Callable[..., int]) -> None:
    port = limited(
        listener="maximum_recipients = 2\nmaximum_size = 2000\nmaximum_messages = 1\n"
        "maximum_command_line = 600"
    )
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "2000"
        assert client.esmtp_features["limits"].split() == ["MAILMAX=1", "RCPTMAX=2"]
        assert client.mail("a@here.example", ["SIZE=2001"])[0] == 552
        client.mail("a@here.example")
        assert [client.rcpt(f"max{n}@there.example")[0] for n in range(3)] == [250, 250, 452]
        code, words = client.data(b"x" * 3000)
        assert (code, words[:5]) == (552, b"5.3.4")
        client.mail("a@here.example")
        client.rcpt("max@there.example")
        assert client.data(b"Subject: x\r\n\r\nx")[0] == 250
        assert client.mail("a@here.example")[0] == 421
    with Raw.to(port) as client:
        client.send(b"NOOP " + b"x" * 1000 + b"\r\n")
        assert client.rest().startswith(b"500 5.5.6")


def test_errors_end_the_connection_and_then_ban_the_address(limited: Callable[..., int]) -> None:
    port = limited('errors_per_hour = 5\nban = "1 h"', "maximum_errors = 3")
    for expected in ([b"500 5.5.1"] * 3 + [b"421 4.7.0"], [b"500 5.5.1"] * 2 + [b"421 4.7.0"]):
        with Raw.to(port) as client:
            client.send(b"WHAT\r\n" * 10)
            assert codes(client.rest()) == expected
    with Raw.to(port) as client:
        assert client.greeting.startswith(b"421 4.7.0 Too many errors from 127.0.0.1; try again")


def test_strangers_who_try_recipients_are_banned_as_well(limited: Callable[..., int]) -> None:
    port = limited("errors_per_hour = 5")
    with Raw.to(port) as client:
        client.say(b"EHLO c\r\n")
        client.say(b"MAIL FROM:<a@here.example>\r\n")
        client.send(b"RCPT TO:<no-address>\r\n" * 20)
        assert codes(client.rest()) == [b"553 5.1.3"] * 5 + [b"421 4.7.0"]


def test_chunks_nobody_asked_for_are_errors_too(limited: Callable[..., int]) -> None:
    port = limited(listener="maximum_errors = 5")
    with Raw.to(port) as client:
        client.say(b"EHLO c\r\n")
        client.send(b"BDAT 0\r\n" * 100)
        assert codes(client.rest()) == [b"503 5.5.1"] * 5 + [b"421 4.7.0"]


def test_a_chunk_without_end_is_not_read_without_end(limited: Callable[..., int]) -> None:
    port = limited(listener="maximum_size = 10000")
    with Raw.to(port) as client:
        client.transaction("chunk@there.example")
        client.send(b"BDAT 99999999999\r\n")
        with pytest.raises(ConnectionError):
            client.send(b"x" * 50_000_000)


def test_guessing_passwords_ends_in_454(limited: Callable[..., int]) -> None:
    port = limited("failed_logins_per_hour = 1")
    with Raw.to(port) as client:
        client.say(b"EHLO c\r\n")
        before = time.monotonic()
        assert client.say(b"AUTH PLAIN AGEAYg==\r\n").startswith(b"535 5.7.8")
        assert time.monotonic() - before >= 1.0
        assert client.say(b"AUTH PLAIN AGEAYg==\r\n").startswith(b"454 4.7.0")


def test_header_fields_and_their_size(limited: Callable[..., int]) -> None:
    port = limited(more='[content]\nmaximum_fields = 10\nmaximum_header = "4 KiB"\n')
    with Raw.to(port) as client:
        for content in (b"X: y\r\n" * 11 + b"\r\n", b"X: " + b"y" * 5000 + b"\r\n\r\n"):
            client.transaction("fields@there.example")
            client.say(b"DATA\r\n")
            assert client.say(content + b".\r\n").startswith(b"552 5.6.0")


def test_a_header_that_dribbles_in_costs_no_more_than_one_at_once(
    limited: Callable[..., int],
) -> None:
    """Whoever looks at all of it again with each byte is kept busy by hardly any bytes."""
    port = limited()
    with Raw.to(port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.transaction("dribble@there.example")
        client.say(b"DATA\r\n")
        client.send(b"X: y\r\n" * 900 + b"Z: " + b"z" * 240_000)
        before = time.monotonic()
        for _ in range(4000):
            client.send(b"z")
        client.send(b"\r\n\r\nhi\r\n")
        assert client.say(b".\r\n").startswith(b"250")
        assert time.monotonic() - before < 5


def test_a_client_that_closes_its_side_still_gets_its_answers(
    limited: Callable[..., int], sink: Sink
) -> None:
    """As `printf ... | nc -N` does: all commands at once, then the end of input."""
    port = limited()
    with Raw.to(port) as client:
        client.send(
            b"EHLO c\r\nMAIL FROM:<a@here.example>\r\nRCPT TO:<half@there.example>\r\n"
            b"BDAT 18 LAST\r\nSubject: x\r\n\r\nhi\r\n"
        )
        client.socket.shutdown(socket.SHUT_WR)
        assert codes(client.rest())[-1] == b"250 2.0.0"
    sink.wait_for("half@there.example")


def test_half_a_message_at_the_end_of_input_is_none(
    limited: Callable[..., int], sink: Sink
) -> None:
    port = limited()
    with Raw.to(port) as client:
        client.transaction("cut@there.example")
        client.say(b"DATA\r\n")
        client.send(b"Subject: x\r\n\r\nhi\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
    assert not sink.for_recipient("cut@there.example")
