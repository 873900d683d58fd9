"""Connections that end badly, at every stage: nothing of them stays, nothing is counted twice."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from raw import Raw

from relay_process import RelayProcess, free_port, wait_for
from sink import Sink

HANDSHAKE_BEGUN = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)


def starttls(client: Raw) -> None:
    client.say(b"EHLO c\r\n")
    assert client.say(b"STARTTLS\r\n").startswith(b"220")


def failed_handshake(client: Raw) -> None:
    starttls(client)
    with suppress(ssl.SSLError, ConnectionError):
        client.upgrade(ssl.create_default_context())  # trusts nobody we know


def noise_for_handshake(client: Raw) -> None:
    starttls(client)
    client.send(b"this is no handshake\r\n" * 10)


def half_a_handshake(client: Raw) -> None:
    starttls(client)
    client.send(HANDSHAKE_BEGUN)


def under_tls(client: Raw) -> None:
    starttls(client)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.upgrade(context)
    client.say(b"EHLO c\r\n")


def in_the_tarpit(client: Raw) -> None:
    client.say(b"EHLO c\r\n")
    client.send(b"AUTH PLAIN AGEAYg==\r\n")


def in_a_challenge(client: Raw) -> None:
    client.say(b"EHLO c\r\n")
    client.say(b"AUTH LOGIN\r\n")


def in_content(client: Raw) -> None:
    client.transaction("half@there.example")
    client.say(b"DATA\r\n")
    client.send(b"Subject: x\r\n\r\n" + b"x" * 1_000_000)


def in_a_chunk(client: Raw) -> None:
    client.transaction("half@there.example")
    client.send(b"BDAT 2000000\r\nSubject: x\r\n\r\n" + b"x" * 1_000_000)


def too_many_errors(client: Raw) -> None:
    client.send(b"WHAT\r\n" * 50)


STAGES: tuple[Callable[[Raw], None], ...] = (
    lambda _: None, starttls, failed_handshake, noise_for_handshake, half_a_handshake, under_tls,
    in_the_tarpit, in_a_challenge, in_content, in_a_chunk, too_many_errors,
)  # fmt: skip


@pytest.fixture(scope="module")
def relay(
    tmp_path_factory: pytest.TempPathFactory, sink: Sink, certificate: tuple[Path, Path]
) -> Iterator[tuple[RelayProcess, int, int]]:
    """A relay that takes three connections at once, and its ports: STARTTLS and implicit TLS."""
    submission, submissions = free_port(), free_port()
    made = RelayProcess(
        tmp_path_factory.mktemp("three"),
        f'[tls]\ncertificate = "{certificate[0]}"\nkey = "{certificate[1]}"\n'
        "[limits]\nexempt_loopback = false\nconnections_per_address = 3\n"
        "connections_per_minute = 0\nerrors_per_hour = 0\nfailed_logins_per_hour = 0\n"
        f'[[listener]]\naddress = "127.0.0.1:{submission}"\nkind = "submission"\n'
        f'[[listener]]\naddress = "127.0.0.1:{submissions}"\nkind = "submissions"\n'
        f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
    ).start()
    yield made, submission, submissions
    made.stop()


def three_are_welcome(port: int) -> bool:
    """Whether none of the connections that have ended is still counted."""
    clients = [Raw.to(port) for _ in range(3)]
    welcome = all(client.greeting.startswith(b"220") for client in clients)
    for client in clients:
        if client.greeting.startswith(b"220"):
            client.say(b"QUIT\r\n")
            client.rest()
        client.socket.close()
    return welcome


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__.strip("<>"))
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_that_has_ended_is_not_counted(
    relay: tuple[RelayProcess, int, int], stage: Callable[[Raw], None], reset: bool
) -> None:
    process, port, _ = relay
    with Raw.to(port) as client:
        assert client.greeting.startswith(b"220")
        stage(client)
        if reset:
            with suppress(OSError):  # a handshake that failed has closed it already
                linger = struct.pack("ii", 1, 0)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wait_for("three are welcome", lambda: three_are_welcome(port), 20)
    with Raw.to(port) as one, Raw.to(port) as two, Raw.to(port) as three, Raw.to(port) as four:
        assert all(c.greeting.startswith(b"220") for c in (one, two, three))
        assert four.greeting.startswith(b"421 4.7.0"), "more were let in than are allowed"
    wait_for("they are gone", lambda: three_are_welcome(port), 20)
    assert "Traceback" not in process.log_text


@pytest.mark.parametrize("noise", [b"", b"EHLO c\r\n", HANDSHAKE_BEGUN])
def test_handshakes_that_fail_on_the_implicit_tls_port_are_not_counted(
    relay: tuple[RelayProcess, int, int], noise: bytes
) -> None:
    process, port, submissions = relay
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", submissions), 20) as client:
            client.sendall(noise)
    wait_for("three are welcome", lambda: three_are_welcome(port), 20)
    assert "Traceback" not in process.log_text


def test_handshakes_under_way_count_as_connections(
    relay: tuple[RelayProcess, int, int], certificate: tuple[Path, Path]
) -> None:
    """Or whoever says nothing on the implicit TLS port could hold as many as the system has."""
    process, port, submissions = relay
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with ExitStack() as silent:

        def refused() -> bool:
            silent.close()  # those of the try before, when others had not left yet
            for _ in range(3):
                silent.enter_context(socket.create_connection(("127.0.0.1", submissions), 20))
            time.sleep(0.1)
            with Raw.to(port) as client:
                return client.greeting.startswith(b"421 4.7.0")

        wait_for("they are counted", refused, 10)
        with Raw.to(submissions, greeted=False) as client:
            client.upgrade(context)
            assert client.reply().startswith(b"421 4.7.0 Too many connections from 127.0.0.1")
            assert client.rest() == b""
    wait_for("three are welcome", lambda: three_are_welcome(port), 20)
    assert len(process.events("TLS handshake failed")) >= 3


def test_half_a_message_leaves_no_file_behind(relay: tuple[RelayProcess, int, int]) -> None:
    """Runs after those above, which have left halves of large messages."""
    process, port, _ = relay
    bodies = process.data / "spool" / "bodies"

    def files() -> list[Path]:
        return [path for path in bodies.rglob("*") if path.is_file()]

    with Raw.to(port) as client:
        in_content(client)
        wait_for("it is being written", lambda: len(files()) == 1, 20)
    wait_for("it is gone", lambda: not files(), 20)
    assert not process.query("SELECT * FROM recipient WHERE address = 'half@there.example'")
