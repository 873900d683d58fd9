"""The PROXY protocol: every form of a header, in any pieces; nothing else passes for one."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.relay.proxy_protocol import (
    MalformedProxyHeader,
    ProxyHeader,
    ProxyHeaderParser,
    ProxySource,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_2(command: int, family: int, block: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family << 4 | 1, len(block)) + block


def addresses(source: str, port: int) -> bytes:
    packed = ipaddress.ip_address(source).packed
    return packed + bytes(len(packed)) + struct.pack("!HH", port, 25)


V4 = version_2(1, 1, addresses("192.0.2.7", 4711))
V6 = version_2(1, 2, addresses("2001:db8::7", 4711))

GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", ProxySource("192.0.2.7", 4711)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n", ProxySource("2001:db8::7", 4711)),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 25\r\n", ProxySource("192.0.2.7", 4711)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    (V4, ProxySource("192.0.2.7", 4711)),
    (V6, ProxySource("2001:db8::7", 4711)),
    (version_2(1, 2, addresses("::ffff:192.0.2.7", 4711)), ProxySource("192.0.2.7", 4711)),
    (version_2(1, 1, addresses("192.0.2.7", 4711) + b"\x04\0\1x"), ProxySource("192.0.2.7", 4711)),
    (version_2(0, 0, b""), None),
    (version_2(0, 1, addresses("192.0.2.7", 4711)), None),
    (version_2(1, 0, b""), None),
    (version_2(1, 3, bytes(216)), None),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_is_read_in_one_piece_or_byte_by_byte(
    header: bytes, source: ProxySource | None
) -> None:
    parser = ProxyHeaderParser()
    assert parser.feed(header + b"EHLO x\r\n") == ProxyHeader(source)
    assert parser.rest == b"EHLO x\r\n"
    parser = ProxyHeaderParser()
    for at in range(len(header) - 1):
        assert parser.feed(header[at : at + 1]) is None
    assert parser.feed(header[-1:]) == ProxyHeader(source)
    assert parser.rest == b""


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO client.example\r\n",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"proxy TCP4 192.0.2.7 198.51.100.1 4711 25\r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 4711 25\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 4711 25\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 -1\r\n",
        b"PROXY TCP4 192.0.2.700 198.51.100.1 4711 25\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 4711 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25" + b" " * 107,
        b"PROXY UNKNOWN" + b"x" * 107 + b"\r\n",
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
        version_2(1, 1, bytes(11)),
        version_2(1, 2, bytes(35)),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedProxyHeader):
        ProxyHeaderParser().feed(data)


@given(
    data=st.binary(max_size=300), start=st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE])
)
def test_nothing_else_is_raised_and_nothing_is_kept_for_ever(data: bytes, start: bytes) -> None:
    parser = ProxyHeaderParser()
    try:
        found = parser.feed(start + data)
        if found is None:
            found = parser.feed(bytes(5000))
    except MalformedProxyHeader:
        return
    assert found is not None
    assert found.source is None or ipaddress.ip_address(found.source.address)
