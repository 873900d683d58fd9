"""A client that says exactly the bytes it is told to, and reads replies."""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import Self


class Raw:
    """A connection; `greeted` reads the greeting first."""

    def __init__(self, place: socket.socket, *, greeted: bool = True) -> None:
        self.socket = place
        self.socket.settimeout(60)
        self._read = b""
        if greeted:
            self.greeting = self.reply()

    @classmethod
    def to(cls, port: int, host: str = "127.0.0.1", *, greeted: bool = True) -> Raw:
        return cls(socket.create_connection((host, port), 60), greeted=greeted)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """The next reply, all its lines; b"" when the connection has ended."""
        lines = []
        while True:
            end = self._read.find(b"\r\n")
            if end < 0:
                try:
                    more = self.socket.recv(65536)
                except ConnectionResetError:
                    more = b""
                if not more:
                    return b""
                self._read += more
                continue
            line, self._read = self._read[: end + 2], self._read[end + 2 :]
            lines.append(line)
            if line[3:4] == b" ":
                return b"".join(lines)

    def say(self, data: bytes) -> bytes:
        """Send a command; its reply."""
        self.send(data)
        return self.reply()

    def rest(self) -> bytes:
        """All that comes until the connection ends."""
        replies = []
        while reply := self.reply():
            replies.append(reply)
        return b"".join(replies)

    def upgrade(self, context: ssl.SSLContext, name: str = "localhost") -> None:
        """Make TLS over the connection."""
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def transaction(self, recipient: str, sender: str = "app@here.example") -> Raw:
        """Up to the point where DATA or BDAT may come."""
        assert self.say(b"EHLO client.example\r\n").startswith(b"250")
        assert self.say(b"MAIL FROM:<%b>\r\n" % sender.encode()).startswith(b"250")
        assert self.say(b"RCPT TO:<%b>\r\n" % recipient.encode()).startswith(b"250")
        return self
