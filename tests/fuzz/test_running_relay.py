"""The running relay under any bytes on any port: it answers the next client, says nothing of an
error of its own, needs no more memory, and delivers each message that it answered 250 once."""

from __future__ import annotations

import re
import socket
import ssl
from collections import Counter
from contextlib import suppress
from pathlib import Path

from fuzz_target import Target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import cut, streams

from relay_process import wait_for

BOUNDED = settings(
    max_examples=60, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

_RECORD = b"\x16\x03\x01"
"""How a handshake begins."""

_QUEUED = re.compile(rb"250 2\.0\.0 Ok: queued as (\S+)\r\n")

PROXY = (
    b"", b"PROXY UNKNOWN\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"PROXY TCP4 x\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
)  # fmt: skip


def exchange(port: int, pieces: list[bytes], context: ssl.SSLContext | None = None) -> bytes:
    """Send pieces, end our side, and give all that came back."""
    heard = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            connection = context.wrap_socket(connection)  # noqa: PLW2901 - the one in use
        with suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
            if context is None:
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.settimeout(0.05)
        while data := connection.recv(65536):
            heard += data
    return heard


def check(target: Target) -> None:
    """It still serves, and has not failed inside."""
    assert target.relay.runs
    for kind in ("relay", "submission"):
        answer = exchange(target.ports[kind], [b"NOOP\r\nQUIT\r\n"])
        assert answer.endswith(b"221 2.0.0 Bye\r\n"), answer
    log = target.relay.log_text
    assert "Traceback" not in log, log[-3000:]
    assert not target.relay.events("session failed")


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@BOUNDED
@given(
    stream=streams(closing=True),
    at=st.lists(st.integers(0, 10_000), max_size=6),
    kind=st.sampled_from(("relay", "submission")),
)
def test_any_bytes_in_the_clear(target: Target, stream: bytes, at: list[int], kind: str) -> None:
    exchange(target.ports[kind], cut(stream, at))
    check(target)


@BOUNDED
@given(
    header=st.one_of(st.sampled_from(PROXY), st.binary(max_size=60)),
    stream=streams(closing=True),
    at=st.lists(st.integers(0, 500), max_size=4),
)
def test_any_bytes_behind_a_balancer(
    target: Target, header: bytes, stream: bytes, at: list[int]
) -> None:
    exchange(target.ports["proxied"], cut(header + stream, at))
    check(target)


@BOUNDED
@given(
    noise=st.one_of(st.binary(max_size=300), st.binary(max_size=80).map(b"\x16\x03\x01".__add__))
)
def test_any_bytes_in_place_of_a_handshake(target: Target, noise: bytes) -> None:
    exchange(target.ports["submissions"], [noise])
    check(target)


@settings(BOUNDED, max_examples=25)
@given(stream=streams(closing=True))
def test_any_bytes_under_tls(target: Target, stream: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    exchange(target.ports["submissions"], [stream], context)
    check(target)


def test_afterwards_each_message_answered_250_is_there_once(target: Target) -> None:
    """Runs last: what all of the above has left behind."""
    heard = exchange(
        target.ports["submission"],
        [b"EHLO c\r\n"]
        + [b"MAIL FROM:<>\r\nRCPT TO:<n%d@there.example>\r\nBDAT 2 LAST\r\n\r\n" % n
           for n in range(200)],
    )  # fmt: skip
    assert len(_QUEUED.findall(heard)) == 200
    wait_for("all is delivered", lambda: not target.relay.queued())
    accepted = {row[0] for row in target.relay.query("SELECT id FROM message")}
    arrived = Counter(
        re.search(rb"\r\n\tby \S+ with \S+ id (\S+?)[;\r]", one.content)[1]  # type: ignore[index]
        for one in target.sink.received
    )
    assert len(arrived) == len(accepted)
    assert set(arrived.values()) == {1}
    assert all(identifier in arrived for identifier in _QUEUED.findall(heard))
    assert resident(target.relay.pid) < 200 * 1024 * 1024
