"""The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): who the client really is.

Bytes in, one header out. Only for connections from addresses that are configured to send it; a
connection that must begin with a header and does not is refused, as the text demands.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

V1_MAXIMUM: Final = 107
"""Bytes of a version 1 header with CRLF."""

V2_MAXIMUM: Final = 4096
"""Bytes of a version 2 header that we take, TLVs included."""

_V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_ADDRESSES: Final = {1: (12, 4), 2: (36, 16)}
"""By address family: bytes of the address block, bytes of one address."""


class MalformedProxyHeader(ValueError):
    """What came is no PROXY header."""


@dataclass(frozen=True, slots=True)
class ProxySource:
    """The client's own address and port; an IPv4 client has an IPv4 address, however it came."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A header. Without a source (LOCAL, UNKNOWN) the connection is the proxy's own."""

    source: ProxySource | None


class ProxyHeaderParser:
    """Takes the first bytes of a connection until the header is whole."""

    def __init__(self) -> None:
        self._data = b""
        self.rest = b""
        """What followed the header."""

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The header, or None until it is whole. Raises MalformedProxyHeader."""
        self._data += data
        start = self._data[:12]
        if start == _V2_SIGNATURE:
            return self._version_2()
        if _V2_SIGNATURE.startswith(start):
            return None
        if start.startswith(b"PROXY ") or b"PROXY ".startswith(start):
            return self._version_1()
        raise MalformedProxyHeader(f"the connection begins with {start!r}")

    def _version_1(self) -> ProxyHeader | None:
        end = self._data.find(b"\r\n", 0, V1_MAXIMUM)
        if end < 0:
            if len(self._data) >= V1_MAXIMUM:
                raise MalformedProxyHeader(f"no end of line within {V1_MAXIMUM} bytes")
            return None
        words = self._data[:end].decode("ascii", "replace").split(" ")
        self.rest = self._data[end + 2 :]
        if words[1:2] == ["UNKNOWN"]:
            return ProxyHeader(None)
        if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
            raise MalformedProxyHeader(f"not a version 1 header: {self._data[:end]!r}")
        family = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
        if "%" in words[2] + words[3]:
            raise MalformedProxyHeader("an address has a zone, which means nothing elsewhere")
        try:
            source, _ = family(words[2]), family(words[3])
        except ValueError as fault:
            raise MalformedProxyHeader(str(fault)) from fault
        return ProxyHeader(ProxySource(_text(source), _port(words[4], words[5])))

    def _version_2(self) -> ProxyHeader | None:
        if len(self._data) < 16:
            return None
        version_command, family_protocol, length = struct.unpack_from("!BBH", self._data, 12)
        if version_command >> 4 != 2 or version_command & 15 > 1:
            raise MalformedProxyHeader(f"version and command 0x{version_command:02x}")
        if 16 + length > V2_MAXIMUM:
            raise MalformedProxyHeader(f"{length} bytes of addresses and TLVs")
        if len(self._data) < 16 + length:
            return None
        block = self._data[16 : 16 + length]
        self.rest = self._data[16 + length :]
        sizes = _V2_ADDRESSES.get(family_protocol >> 4)
        if not version_command & 15 or sizes is None:
            return ProxyHeader(None)
        if length < sizes[0]:
            raise MalformedProxyHeader("the address block is too short for its family")
        address = ipaddress.ip_address(block[: sizes[1]])
        (port,) = struct.unpack_from("!H", block, 2 * sizes[1])
        return ProxyHeader(ProxySource(_text(address), port))


def _text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _port(source: str, destination: str) -> int:
    for text in (source, destination):
        if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65535:
            raise MalformedProxyHeader(f"{text!r} is no port")
    return int(source)
