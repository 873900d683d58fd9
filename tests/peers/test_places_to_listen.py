"""Where and behind what the relay listens: balancers, systemd, unix sockets, new certificates."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peer_relay import Peer, made_certificate
from raw import Raw

from relay_process import RelayProcess, free_port, has_ipv6
from sink import Sink

CONTENT = b"Subject: x\r\n\r\nhi\r\n.\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 25\r\n"
V2 = (
    SIGNATURE + b"\x21\x11" + struct.pack("!H", 12)
    + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + struct.pack("!HH", 1000, 25)
)  # fmt: skip
V2_LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def deliver(client: Raw, recipient: str) -> bytes:
    """Send a small message; the answer to it."""
    client.transaction(recipient)
    assert client.say(b"DATA\r\n").startswith(b"354")
    return client.say(CONTENT)


# --- the PROXY protocol -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "header", "expected"),
    [
        ("v1", V1, b"([192.0.2.1])"),
        ("v1-ipv6", V1_IPV6, b"([IPv6:2001:db8::1])"),
        ("v1-unknown", b"PROXY UNKNOWN\r\n", b"([127.0.0.1])"),
        ("v2", V2, b"([192.0.2.1])"),
        ("v2-local", V2_LOCAL, b"([127.0.0.1])"),
    ],
)
def test_a_trusted_balancer_says_who_the_client_is(
    peer: Peer, name: str, header: bytes, expected: bytes
) -> None:
    with Raw.to(peer.proxied, greeted=False) as client:
        client.send(header)
        assert client.reply().startswith(b"220")
        assert deliver(client, f"{name}@ours.example").startswith(b"250")
    assert expected in peer.sink.wait_for(f"{name}@ours.example").content


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_proxy_header_may_come_in_pieces_and_with_the_first_command(
    peer: Peer, header: bytes
) -> None:
    with Raw.to(peer.proxied, greeted=False) as client:
        for at in range(len(header)):
            client.send(header[at : at + 1])
        client.send(b"EHLO c\r\n")
        assert client.reply().startswith(b"220")
        assert client.reply().startswith(b"250")
    with Raw.to(peer.proxied, greeted=False) as client:
        client.send(header + b"EHLO c\r\n")
        assert client.reply().startswith(b"220")
        assert client.reply().startswith(b"250")


def test_who_is_behind_the_balancer_is_not_trusted_for_the_balancers_address(peer: Peer) -> None:
    with Raw.to(peer.proxied, greeted=False) as client:
        client.send(V1)
        client.reply()
        client.say(b"EHLO c\r\n")
        client.say(b"MAIL FROM:<a@here.example>\r\n")
        assert client.say(b"RCPT TO:<b@there.example>\r\n").startswith(b"554 5.7.1")


@pytest.mark.parametrize(
    "header",
    [b"EHLO c\r\n", b"PROXY TCP4 1.2.3.4\r\n", SIGNATURE + b"\x31\x11\0\0", b"\x16\x03\x01"],
)
def test_a_balancer_that_sends_no_header_is_hung_up_on(peer: Peer, header: bytes) -> None:
    with Raw.to(peer.proxied, greeted=False) as client:
        client.send(header)
        assert client.rest() == b""


def test_nobody_else_may_say_that_it_is_somebody_else(peer: Peer) -> None:
    with Raw.to(peer.relay) as client:
        assert client.say(V1).startswith(b"500 5.5.1")
        assert deliver(client, "claims@ours.example").startswith(b"250")
    assert b"([127.0.0.1])" in peer.sink.wait_for("claims@ours.example").content


@pytest.mark.parametrize("header", [V1, V2, V2_LOCAL], ids=["v1", "v2", "v2-local"])
@pytest.mark.parametrize("together", [False, True])
def test_the_header_comes_before_the_handshake_of_implicit_tls(
    peer: Peer, header: bytes, together: bool
) -> None:
    """As haproxy sends it: in the clear, before the first byte that it passes on."""
    recipient = f"tls-{len(header)}-{together}@there.example"
    with socket.create_connection(("127.0.0.1", peer.proxied_tls), 60) as plain:
        plain.settimeout(60)
        if not together:
            plain.sendall(header)
            client = Raw(peer.tls().wrap_socket(plain, server_hostname="localhost"))
        else:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            shaken = peer.tls().wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                shaken.do_handshake()
            plain.sendall(header + outgoing.read())
            assert plain.recv(1) == b"\x16", "no handshake record came back"
            return
        with client:
            client.say(b"EHLO client.example\r\n")
            answer = client.say(b"MAIL FROM:<a@here.example>\r\n")
            if header == V2_LOCAL:
                assert answer.startswith(b"250")
                return
            assert answer.startswith(b"530")  # trusted as the balancer, it would be let in
            assert b"192.0.2.1" in answer
    assert not peer.sink.for_recipient(recipient)


# --- systemd ----------------------------------------------------------------------------------

# What systemd does between fork and exec: the socket is descriptor 3, and LISTEN_PID is ours.
LAUNCHER = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def relay_in(tmp_path: Path, sink: Sink) -> Iterator[Callable[[str], RelayProcess]]:
    """Makes a relay with a listener section; not yet started."""
    made: list[RelayProcess] = []

    def make(listener: str) -> RelayProcess:
        made.append(
            RelayProcess(
                tmp_path / f"relay{len(made)}",
                f"[[listener]]\n{listener}\n"
                f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
            )
        )
        return made[-1]

    yield make
    for relay in made:
        relay.kill()


def activated(relay: RelayProcess, listening: socket.socket) -> RelayProcess:
    launcher = (sys.executable, "-c", LAUNCHER, str(listening.fileno()), "smtp")
    return relay.start(launcher, (listening.fileno(),))


def test_a_socket_that_systemd_has_opened(
    relay_in: Callable[[str], RelayProcess], sink: Sink
) -> None:
    relay = relay_in('address = "systemd:smtp"\nkind = "submission"')
    with socket.create_server(("127.0.0.1", 0)) as listening:
        activated(relay, listening)
        with Raw.to(listening.getsockname()[1]) as client:
            assert deliver(client, "systemd@there.example").startswith(b"250")
    sink.wait_for("systemd@there.example")
    relay.stop()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_a_socket_for_both_families_shows_ipv4_clients_as_such(
    relay_in: Callable[[str], RelayProcess], sink: Sink
) -> None:
    """systemd's ListenStream=25 makes one: IPv4 clients come as ::ffff:127.0.0.1."""
    relay = relay_in('address = "systemd:smtp"\nkind = "relay"\nproxy_from = "127.0.0.0/8"')
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        activated(relay, both)
        with Raw.to(both.getsockname()[1], greeted=False) as client:
            client.send(b"PROXY UNKNOWN\r\n")
            assert client.reply().startswith(b"220")
            assert deliver(client, "mapped@there.example").startswith(b"250")
    assert b"([127.0.0.1])" in sink.wait_for("mapped@there.example").content
    relay.stop()


def test_a_socket_that_systemd_has_not_passed_is_asked_for(
    relay_in: Callable[[str], RelayProcess],
) -> None:
    relay = relay_in('address = "systemd:smtp"\nkind = "submission"')
    with pytest.raises(AssertionError, match="systemd has passed no socket named 'smtp'"):
        relay.start()


# --- unix sockets -----------------------------------------------------------------------------


def test_a_unix_socket_has_the_mode_that_was_asked_for(peer: Peer) -> None:
    mode = peer.unix.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_unix_socket_of_a_killed_relay_is_in_nobodys_way(
    relay_in: Callable[[str], RelayProcess], tmp_path: Path
) -> None:
    relay = relay_in(f'address = "unix:{tmp_path}/s.sock"\nkind = "submission"').start()
    relay.kill()
    assert (tmp_path / "s.sock").exists()
    relay.start()
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(tmp_path / "s.sock"))
        assert Raw(plain).greeting.startswith(b"220")
    relay.stop()


def test_a_file_that_is_no_socket_is_left_alone(
    relay_in: Callable[[str], RelayProcess], tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("do not lose")
    relay = relay_in(f'address = "unix:{precious}"\nkind = "submission"')
    with pytest.raises(AssertionError, match="is there and is no socket"):
        relay.start()
    assert precious.read_text() == "do not lose"


# --- certificates -----------------------------------------------------------------------------


def presented(port: int, *, starttls: bool) -> bytes:
    """The certificate that a listener shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), 60)
    with Raw(plain, greeted=starttls) as client:
        if starttls:
            client.say(b"EHLO c\r\n")
            client.say(b"STARTTLS\r\n")
        client.upgrade(context)
        assert isinstance(client.socket, ssl.SSLSocket)
        return client.socket.getpeercert(binary_form=True) or b""


def test_sighup_brings_a_new_certificate_to_every_listener(
    tmp_path: Path, sink: Sink, certificate: tuple[Path, Path]
) -> None:
    for source, name in zip(certificate, ("cert.pem", "key.pem"), strict=True):
        shutil.copy(source, tmp_path / name)
    submission, submissions = free_port(), free_port()
    relay = RelayProcess(
        tmp_path / "relay",
        f'[tls]\ncertificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"\n'
        f'[[listener]]\naddress = "127.0.0.1:{submission}"\nkind = "submission"\n'
        f'[[listener]]\naddress = "127.0.0.1:{submissions}"\nkind = "submissions"\n',
    ).start()
    try:
        old = presented(submission, starttls=True)
        assert presented(submissions, starttls=False) == old
        with Raw.to(submission) as client:
            client.say(b"EHLO c\r\n")
            for source, name in zip(
                made_certificate(tmp_path / "new"), ("cert.pem", "key.pem"), strict=True
            ):
                shutil.copy(source, tmp_path / name)
                later = (tmp_path / name).stat().st_mtime_ns + 1_000_000_000
                os.utime(tmp_path / name, ns=(later, later))
            relay.reload()
            new = presented(submission, starttls=True)
            assert new != old
            assert presented(submissions, starttls=False) == new
            assert client.say(b"NOOP\r\n").startswith(b"250")  # who is connected stays so
        relay.stop()
    finally:
        relay.kill()
