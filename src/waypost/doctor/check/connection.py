"""A connection for probes: lines and replies, and the first bytes as they came.

What is no SMTP is known by its first bytes: a web server, IMAP, TLS, another protocol. They may
have no line end at all, so they are kept beside the lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from waypost.doctor.line_connection import Heard, Line, LineConnection
from waypost.net.clock import Clock

FIRST_BYTES: Final = 1024

Protocol = Literal[
    "smtp", "http", "imap", "pop3", "ssh", "tls", "ftp", "nntp", "other", "silent"
]  # fmt: skip

TITLES: Final[dict[Protocol, str]] = {
    "smtp": "SMTP", "http": "HTTP (a web server)", "imap": "IMAP", "pop3": "POP3", "ssh": "SSH",
    "tls": "TLS", "ftp": "FTP", "nntp": "NNTP (news)", "other": "something that is not SMTP",
    "silent": "nothing",
}  # fmt: skip


class ProbeConnection(LineConnection):
    """See the module."""

    def __init__(
        self,
        clock: Clock,
        on_line: Callable[[Line], None] | None = None,
        on_unasked: Callable[[Heard], None] | None = None,
    ) -> None:
        super().__init__(clock, on_line, on_unasked)
        self.first = b""
        """The first bytes that came, in the clear or under TLS."""
        self.received = 0

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self.received += len(data)
        if len(self.first) < FIRST_BYTES:
            self.first += data[: FIRST_BYTES - len(self.first)]
        super().data_received(data)


def protocol_of(first: bytes) -> Protocol:
    """Which protocol begins with these bytes."""
    if not first:
        return "silent"
    words = first[:FIRST_BYTES].lower()
    if words.startswith(b"http/") or b"<html" in words or b"<!doctype html" in words:
        return "http"
    if words.startswith((b"* ok", b"* preauth", b"* bye", b"* bad")):
        return "imap"
    if words.startswith((b"+ok", b"-err")):
        return "pop3"
    if words.startswith(b"ssh-"):
        return "ssh"
    if len(first) > 1 and first[0] in (20, 21, 22, 23) and first[1] == 3:
        return "tls"  # the head of a TLS record (RFC 8446 5.1)
    line = words.partition(b"\n")[0]
    if not (line[:3].isdigit() and (len(line) == 3 or line[3:4] in b" -\r")):
        return "other"
    if line.startswith((b"200", b"201")) and (b"nntp" in line or b"news" in line or b"inn" in line):
        return "nntp"
    if line.startswith(b"220") and b"ftp" in line and b"smtp" not in line:
        return "ftp"
    return "smtp"
