"""Where to listen: what people write, and what is no place to listen at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.relay.listener_address import InvalidListenerAddress, ListenerAddress


@pytest.mark.parametrize(
    ("text", "hosts", "port", "loopback"),
    [
        ("127.0.0.1:2525", ("127.0.0.1",), 2525, True),
        ("[::1]:587", ("::1",), 587, True),
        ("localhost:25", ("localhost",), 25, True),
        (" 0.0.0.0:25 ", ("0.0.0.0",), 25, False),
        ("[::]:25", ("::",), 25, False),
        ("[fe80::1%eth0]:25", ("fe80::1%eth0",), 25, False),
        ("mail.example.com:465", ("mail.example.com",), 465, False),
        ("*:25", (), 25, False),
        (":25", (), 25, False),
        ("127.0.0.1:0", ("127.0.0.1",), 0, True),
    ],
)
def test_a_host_and_a_port(text: str, hosts: tuple[str, ...], port: int, loopback: bool) -> None:
    address = ListenerAddress.parse(text)
    assert (address.hosts, address.port, address.is_loopback) == (hosts, port, loopback)
    assert address.path is None
    assert address.activation is None
    assert address.text == text.strip()


@pytest.mark.parametrize(
    ("text", "path", "mode"),
    [
        ("unix:/run/waypost.sock", "/run/waypost.sock", 0o660),
        ("unix:/run/waypost.sock?mode=0600", "/run/waypost.sock", 0o600),
        ("unix:/run/waypost.sock?mode=666", "/run/waypost.sock", 0o666),
    ],
)
def test_a_unix_socket(text: str, path: str, mode: int) -> None:
    address = ListenerAddress.parse(text)
    assert (address.path, address.mode, address.is_loopback) == (path, mode, True)


def test_a_socket_of_systemd() -> None:
    address = ListenerAddress.parse("systemd:submission")
    assert address.activation == "submission"
    assert not address.is_loopback  # nobody can tell where it listens


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no host and port"),
        ("25", "no host and port"),
        ("localhost", "no host and port"),
        ("::1:25", "no host and port"),
        ("smtp://localhost:25", "no host and port"),
        ("127.0.0.1:٢٥", "no host and port"),
        ("127.0.0.1:65536", "above 65535"),
        ("127.0.0.256:25", "no IPv4 address"),
        ("127.0.1:25", "no IPv4 address"),
        ("[::g]:25", "no IPv6 address"),
        ("[1::2::3]:25", "no IPv6 address"),
        ("-a:25", "no host"),
        ("a b:25", "no host"),
        ("unix:run/waypost.sock", "absolute"),
        ("unix:", "absolute"),
        ("unix:/run/a?mode=999", "mode=0660"),
        ("unix:/run/a?owner=me", "mode=0660"),
        ("unix:/run/\0", "printable"),
        ("unix:/" + "a" * 120, "107 bytes"),
        ("systemd:", "name of a socket"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidListenerAddress, match=reason) as refused:
        ListenerAddress.parse(text)
    assert "write 127.0.0.1:2525" in str(refused.value)


@given(text=st.text(st.sampled_from("a1:.[]*%/?=-u\0 é²"), max_size=20))
def test_nothing_else_is_raised(text: str) -> None:
    for start in ("", "unix:/", "systemd:"):
        try:
            address = ListenerAddress.parse(start + text)
        except InvalidListenerAddress:
            continue
        assert 0 <= address.port <= 65535
