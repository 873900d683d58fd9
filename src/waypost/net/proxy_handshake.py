"""What is said to a proxy before a connection is ours: bytes in, bytes out.

`begin` gives the first bytes to send, `receive` takes what the proxy sent and gives what to answer.
When the way is free, `rest` holds what came behind the handshake already (it was None before).
What a proxy sends is bounded: some hundred bytes of SOCKS5, one header block of HTTP.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import Final, Protocol

MAXIMUM_HEADER: Final = 16384
"""Bytes of an HTTP proxy's answer."""

_STATUS: Final = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: ([^\r\n]*))?\r?\n")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}")

_REPLIES: Final = {
    1: "it failed",
    2: "its rules do not allow that connection",
    3: "the network cannot be reached from it",
    4: "the host cannot be reached from it",
    5: "the server refused the connection",
    6: "the connection took too long",
    7: "it cannot make connections of this kind",
    8: "it cannot connect to that kind of address",
}
"""REP of RFC 1928 6."""


class ProxyRefused(OSError):
    """The proxy could not be reached, does not speak its protocol, or made no connection."""


class Handshake(Protocol):
    """See the module."""

    rest: bytes | None

    def begin(self) -> bytes:
        """The first bytes to send."""

    def receive(self, data: bytes) -> bytes:
        """Take what the proxy sent; what to answer. Raises ProxyRefused."""


class Socks5:
    """RFC 1928, with the user name and password of RFC 1929 where they are given."""

    def __init__(self, host: str, port: int, user: str = "", password: str = "") -> None:
        self._request = b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big")
        self._login = b""
        if user:
            name, secret = user.encode(), password.encode()
            self._login = bytes((1, len(name))) + name + bytes((len(secret),)) + secret
        self._step = self._method
        self._data = b""
        self.rest: bytes | None = None

    def begin(self) -> bytes:
        """The methods of logging in that we have: none, and user name with password."""
        return b"\x05\x02\x00\x02" if self._login else b"\x05\x01\x00"

    def receive(self, data: bytes) -> bytes:
        """See Handshake."""
        self._data += data
        answers = b""
        while True:
            step = self._step
            answers += step()
            if self._step == step:
                return answers

    def _method(self) -> bytes:
        if len(self._data) < 2:
            return b""
        version, method = self._data[:2]
        self._data = self._data[2:]
        if version != 5:
            raise ProxyRefused(f"it is no SOCKS5 proxy; it answered {bytes((version, method))!r}")
        if method == 2 and self._login:
            self._step = self._logged_in
            return self._login
        if method != 0:
            raise ProxyRefused(
                "it wants a login that we do not have; give one as socks5://user:password@host"
            )
        self._step = self._connected
        return self._request

    def _logged_in(self) -> bytes:
        if len(self._data) < 2:
            return b""
        status = self._data[1]
        self._data = self._data[2:]
        if status != 0:
            raise ProxyRefused("it does not take the user name and password")
        self._step = self._connected
        return self._request

    def _connected(self) -> bytes:
        data = self._data
        if len(data) < 5:
            return b""
        version, reply, _, kind, length = data[:5]
        if version != 5:
            raise ProxyRefused(f"it does not speak SOCKS5; it answered {data[:20]!r}")
        if reply != 0:
            raise ProxyRefused(_REPLIES.get(reply, f"it answered with the code {reply}"))
        size = {1: 4, 3: 1 + length, 4: 16}.get(kind)
        if size is None:
            raise ProxyRefused(f"it answered with an address of the unknown kind {kind}")
        end = 4 + size + 2
        if len(data) >= end:
            self.rest, self._data = data[end:], b""
        return b""


def _socks_address(host: str) -> bytes:
    """ATYP and DST.ADDR. Raises ProxyRefused."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii", "replace")
        if not _NAME.fullmatch(host):
            raise ProxyRefused(f"{host[:100]!r} cannot be asked for by SOCKS5") from None
        return bytes((3, len(name))) + name
    return bytes((1 if address.version == 4 else 4,)) + address.packed


class HttpConnect:
    """CONNECT (RFC 9110 9.3.6), with Basic where user name and password are given (RFC 7617)."""

    def __init__(self, host: str, port: int, user: str = "", password: str = "") -> None:
        literal = _is_ipv6(host)
        if not literal and not _NAME.fullmatch(host):
            raise ProxyRefused(f"{host[:100]!r} cannot be asked for by CONNECT")
        authority = f"[{host}]:{port}" if literal else f"{host}:{port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if user:
            login = base64.b64encode(f"{user}:{password}".encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {login}")
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._data = b""
        self.rest: bytes | None = None

    def begin(self) -> bytes:
        """The request."""
        return self._request

    def receive(self, data: bytes) -> bytes:
        """See Handshake."""
        self._data += data
        block, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            if len(self._data) > MAXIMUM_HEADER:
                raise ProxyRefused("its answer has no end")
            if len(self._data) > 7 and not self._data.startswith(b"HTTP/1."):
                raise ProxyRefused(f"it is no HTTP proxy; it answered {self._data[:40]!r}")
            return b""
        found = _STATUS.match(block + b"\r\n")
        if found is None:
            raise ProxyRefused(f"it is no HTTP proxy; it answered {block[:40]!r}")
        status, words = int(found[1]), (found[2] or b"").decode("latin-1")[:100]
        if status == 407:
            raise ProxyRefused(
                f"it wants a login (407 {words}); give one as http://user:password@host"
            )
        if not 200 <= status < 300:
            raise ProxyRefused(f"it makes no connection: {status} {words}")
        self.rest, self._data = rest, b""
        return b""


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
