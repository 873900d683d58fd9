"""A drop-in for the standard library's smtplib, on Waypost's own protocol parts.

    from waypost.compat import smtplib
    with smtplib.SMTP("smtp.example.com", 587) as server: ...

Names, arguments, return values and exceptions are the standard library's. What differs is on
purpose, and named in docs/reference/compat.md: certificates are verified unless a context says
otherwise, bare line ends in bytes become CRLF, bytes in the clear behind STARTTLS are refused,
LMTP reads the reply of every recipient, and an exception says what to do (`fix`, and a note).
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Sequence
from smtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPNotSupportedError,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from types import TracebackType
from typing import Any, Final, Self

from waypost.compat.smtp_commands import MAXIMUM_LINE, Reply, addr_only, quoteaddr
from waypost.compat.smtp_explained import explained
from waypost.compat.smtp_login import MAXIMUM_CHALLENGES
from waypost.compat.smtp_sending import Refusals, Sending
from waypost.smtp.auth import CRAM_MD5_WORKS
from waypost.smtp.framing import normalise_line_ends

__all__ = [
    "LMTP",
    "SMTP",
    "SMTP_SSL",
    "SMTPAuthenticationError",
    "SMTPConnectError",
    "SMTPDataError",
    "SMTPException",
    "SMTPHeloError",
    "SMTPNotSupportedError",
    "SMTPRecipientsRefused",
    "SMTPResponseException",
    "SMTPSenderRefused",
    "SMTPServerDisconnected",
    "quoteaddr",
    "quotedata",
]

SMTP_PORT: Final = 25
SMTP_SSL_PORT: Final = 465
LMTP_PORT: Final = 2003
CRLF: Final = "\r\n"
bCRLF: Final = b"\r\n"  # noqa: N816 - the standard library's name
_have_cram_md5_support = CRAM_MD5_WORKS  # tests of Python 3.14's smtplib set it
_MAXLINE: Final = MAXIMUM_LINE
_MAXCHALLENGE: Final = MAXIMUM_CHALLENGES
_GLOBAL_DEFAULT_TIMEOUT: Final[Any] = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]
_addr_only = addr_only

SourceAddress = tuple[str, int]


def quotedata(data: str) -> str:
    """Text as DATA wants it: CRLF lines, those that begin with a dot with another one."""
    text = normalise_line_ends(data.encode()).decode()
    return "\r\n".join(f".{line}" if line[:1] == "." else line for line in text.split("\r\n"))


class SMTP(Sending):
    """A connection to a server; `with` ends it by QUIT."""

    default_port = SMTP_PORT
    _host = ""

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        timeout: float | None = _GLOBAL_DEFAULT_TIMEOUT,
        source_address: SourceAddress | None = None,
    ) -> None:
        """Connect where a host is given. `timeout` is in seconds for each read and write.

        Raises SMTPConnectError for a greeting that refuses, and OSError.
        """
        super().__init__()
        self._host = host
        self.timeout = timeout
        self.source_address = source_address
        if host:
            code, message = self.connect(host, port)
            if code != 220:
                self.close()
                raise explained(SMTPConnectError(code, message), code, message)
        self.local_hostname = local_hostname if local_hostname is not None else _own_name()

    def _cram_md5_works(self) -> bool:
        return _have_cram_md5_support

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            code, message = self.docmd("QUIT")
            if code != 221:
                raise SMTPResponseException(code, message)
        except SMTPServerDisconnected:
            pass  # it is over, which is all that was wanted
        finally:
            self.close()

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """The connection itself; a place for subclasses, as for one that goes by a proxy."""
        _check_timeout(timeout)
        if self.debuglevel > 0:
            self._print_debug("connect: to", (host, port), self.source_address)
        return socket.create_connection((host, port), timeout, self.source_address)

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: SourceAddress | None = None
    ) -> Reply:
        """Connect, and read the greeting. `host` may carry a port: `mail.example.com:587`."""
        if source_address:
            self.source_address = source_address
        if not port and host.count(":") == 1:
            host, _, text = host.partition(":")
            if not text.isdecimal():
                raise OSError(f"nonnumeric port: {text!r}")
            port = int(text)
        port = port or self.default_port
        sys.audit("smtplib.connect", self, host, port)
        self._received = b""
        self.sock = self._get_socket(host, port, self.timeout)
        self._host = self._host or host
        code, message = self.getreply()
        if self.debuglevel > 0:
            self._print_debug("connect:", repr(message))
        return code, message

    def starttls(
        self,
        keyfile: str | None = None,
        certfile: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Reply:
        """Go on in TLS. Without a context the certificate is verified, by this machine's roots.

        Raises SMTPNotSupportedError, SMTPResponseException for a refusal, and ssl.SSLError.
        """
        self.ehlo_or_helo_if_needed()
        if not self.has_extn("starttls"):
            raise SMTPNotSupportedError("STARTTLS extension not supported by server.")
        code, message = self.docmd("STARTTLS")
        if code != 220:
            # RFC 3207 4: go on without it, or not; smtplib's callers expect an exception.
            raise explained(SMTPResponseException(code, message), code, message)
        if self._received:
            # Bytes in the clear behind the 220 were injected (CVE-2011-0411 and its kin).
            self.close()
            raise SMTPServerDisconnected("the server sent bytes in the clear behind its STARTTLS")
        assert self.sock is not None, "a reply was just read from it"
        try:
            self.sock = _wrapped(self.sock, self._host, context, keyfile, certfile)
        except (OSError, ValueError):
            self.close()  # the server waits for TLS: nothing else can be said
            raise
        self._encrypted = True
        self._forget_greeting()
        return code, message

    def close(self) -> None:
        """Close the connection without a word."""
        self._encrypted = False
        super().close()


class SMTP_SSL(SMTP):  # noqa: N801 - the standard library's name
    """The same in TLS from the first byte (RFC 8314)."""

    default_port = SMTP_SSL_PORT

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        keyfile: str | None = None,
        certfile: str | None = None,
        timeout: float | None = _GLOBAL_DEFAULT_TIMEOUT,
        source_address: SourceAddress | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """See SMTP. Without a context the certificate is verified, by this machine's roots."""
        self.keyfile = keyfile
        self.certfile = certfile
        self.context = context
        super().__init__(host, port, local_hostname, timeout, source_address)

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        plain = super()._get_socket(host, port, timeout)
        wrapped = _wrapped(plain, self._host or host, self.context, self.keyfile, self.certfile)
        self._encrypted = True
        return wrapped


class LMTP(SMTP):
    """Local delivery (RFC 2033), over TCP or a unix socket (a host that begins with /)."""

    ehlo_msg = "lhlo"

    def __init__(
        self,
        host: str = "",
        port: int = LMTP_PORT,
        local_hostname: str | None = None,
        source_address: SourceAddress | None = None,
        timeout: float | None = _GLOBAL_DEFAULT_TIMEOUT,
    ) -> None:
        """See SMTP."""
        super().__init__(host, port, local_hostname, timeout, source_address)

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: SourceAddress | None = None
    ) -> Reply:
        """Connect, and read the greeting."""
        if host[:1] != "/":
            return super().connect(host, port, source_address)
        _check_timeout(self.timeout)
        self._received = b""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self.timeout is not _GLOBAL_DEFAULT_TIMEOUT:
                self.sock.settimeout(self.timeout)
            self.sock.connect(host)
        except OSError:
            self.close()
            raise
        code, message = self.getreply()
        if self.debuglevel > 0:
            self._print_debug("connect:", repr(message))
        return code, message

    def _content(self, content: bytes, recipients: Sequence[str]) -> Refusals:
        """After the final dot one reply comes for each recipient that was taken (RFC 2033 4.2)."""
        answers = [self.data(content)]
        answers += [self.getreply() for _ in recipients[1:]]
        return dict(zip(recipients, answers, strict=True))


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and not timeout:
        raise ValueError("Non-blocking socket (timeout=0) is not supported")


def _wrapped(
    plain: socket.socket,
    host: str,
    context: ssl.SSLContext | None,
    keyfile: str | None,
    certfile: str | None,
) -> ssl.SSLSocket:
    if context is not None and (keyfile is not None or certfile is not None):
        raise ValueError("context is given, and keyfile or certfile beside it: give one of them")
    if context is None:
        context = ssl.create_default_context()
        if certfile is not None:
            context.load_cert_chain(certfile, keyfile)
    return context.wrap_socket(plain, server_hostname=host or None)


def _own_name() -> str:
    """What EHLO says: our name in DNS, or our address in brackets (RFC 5321 4.1.3)."""
    name = socket.getfqdn()
    if "." in name:
        return name
    try:
        return f"[{socket.gethostbyname(socket.gethostname())}]"
    except socket.gaierror:
        return "[127.0.0.1]"
