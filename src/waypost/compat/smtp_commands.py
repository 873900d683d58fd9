"""One command and its reply at a time: the lower half of the drop-in for smtplib.

A reply is what the server sent, in bytes, lines joined by LF, as programs that speak to smtplib
expect it. What a peer sends is bounded here too: a line at 8 KiB, a reply at 1,000 lines.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
import sys
from collections.abc import Sequence
from smtplib import (
    SMTPDataError,
    SMTPHeloError,
    SMTPNotSupportedError,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from typing import TYPE_CHECKING, Any, Final, NoReturn

from waypost.compat.smtp_explained import explained
from waypost.mail.address import InvalidAddress, domain_to_ascii
from waypost.smtp.stuffing import stuff_whole

if TYPE_CHECKING:
    import socket

MAXIMUM_LINE: Final = 8192
MAXIMUM_LINES: Final = 1000
_READ: Final = 65536

_OLD_AUTH: Final = re.compile(r"auth=(.*)", re.IGNORECASE)
_FEATURE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*) ?")

Reply = tuple[int, bytes]


class Commands:
    """A connection, once `sock` is there, and the commands of RFC 5321 over it."""

    debuglevel = 0
    sock: socket.socket | None = None
    file: Any = None
    """Always None: replies are read from the socket. Kept as programs look at it."""
    helo_resp: bytes | None = None
    ehlo_msg = "ehlo"
    ehlo_resp: bytes | None = None
    does_esmtp = False
    command_encoding = "ascii"
    local_hostname = ""
    esmtp_features: dict[str, str]

    def __init__(self) -> None:
        self.esmtp_features = {}
        self._received = b""

    # --- the wire ---------------------------------------------------------------------------

    def set_debuglevel(self, debuglevel: int) -> None:
        """Print the session to standard error: 1 as it is, 2 with the time. Secrets are shown."""
        self.debuglevel = debuglevel

    def _print_debug(self, *arguments: object) -> None:
        if self.debuglevel > 1:
            now = dt.datetime.now(dt.UTC).astimezone()
            print(now.strftime("%H:%M:%S.%f"), *arguments, file=sys.stderr)
        else:
            print(*arguments, file=sys.stderr)

    def send(self, s: str | bytes) -> None:
        """Write to the server. Raises SMTPServerDisconnected."""
        if self.debuglevel > 0:
            self._print_debug("send:", repr(s))
        if self.sock is None:
            raise SMTPServerDisconnected("please run connect() first")
        if isinstance(s, str):
            s = s.encode(self.command_encoding)
        sys.audit("smtplib.send", self, s)
        try:
            self.sock.sendall(s)
        except OSError as fault:
            self.close()
            raise SMTPServerDisconnected(f"Server not connected: {fault}") from fault

    def putcmd(self, cmd: str, args: str = "") -> None:
        """Write a command. Raises ValueError for one with a line break in it."""
        self.send(f"{self._command(cmd, args)}\r\n")

    @staticmethod
    def _command(cmd: str, args: str = "") -> str:
        command = f"{cmd} {args}" if args else cmd
        if "\r" in command or "\n" in command:
            shown = command.replace("\n", "\\n").replace("\r", "\\r")
            raise ValueError(
                f"command and arguments contain prohibited newline characters: {shown}"
            )
        return command

    def getreply(self) -> Reply:
        """Read a reply: its code (-1 where it has none) and its text. Raises
        SMTPServerDisconnected and SMTPResponseException (500: what comes has no end)."""
        lines: list[bytes] = []
        while True:
            line = self._line()
            lines.append(line[4:].strip(b" \t\r\n"))
            try:
                code = int(line[:3])
            except ValueError:
                code = -1
                break
            if line[3:4] != b"-":
                break
            if len(lines) >= MAXIMUM_LINES:
                self.close()
                raise SMTPResponseException(500, b"Reply has too many lines.")
        message = b"\n".join(lines)
        if self.debuglevel > 0:
            self._print_debug("reply: retcode (%s); Msg: %a" % (code, message))  # noqa: UP031
        return code, message

    def _line(self) -> bytes:
        """One line of what was received, with its end."""
        while True:
            end = self._received.find(b"\n") + 1
            if (end or len(self._received)) > MAXIMUM_LINE:
                self.close()
                raise SMTPResponseException(500, b"Line too long.")
            if end:
                line, self._received = self._received[:end], self._received[end:]
                if self.debuglevel > 0:
                    self._print_debug("reply:", repr(line))
                return line
            self._receive()

    def _receive(self) -> None:
        if self.sock is None:
            raise SMTPServerDisconnected("please run connect() first")
        try:
            data = self.sock.recv(_READ)
        except OSError as fault:
            self.close()
            raise SMTPServerDisconnected(f"Connection unexpectedly closed: {fault}") from fault
        if not data:
            self.close()
            raise SMTPServerDisconnected("Connection unexpectedly closed")
        self._received += data

    def docmd(self, cmd: str, args: str = "") -> Reply:
        """Write a command and read its reply."""
        self.putcmd(cmd, args)
        return self.getreply()

    def close(self) -> None:
        """Close the connection without a word."""
        self._received = b""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()

    # --- who speaks -------------------------------------------------------------------------

    def helo(self, name: str = "") -> Reply:
        """HELO (RFC 5321 4.1.1.1)."""
        code, message = self.docmd("helo", name or self.local_hostname)
        self.helo_resp = message
        return code, message

    def ehlo(self, name: str = "") -> Reply:
        """EHLO; fills `esmtp_features`."""
        self.esmtp_features = {}
        code, message = self.docmd(self.ehlo_msg, name or self.local_hostname)
        if code == -1 and not message:
            self.close()
            raise SMTPServerDisconnected("Server not connected")
        self.ehlo_resp = message
        if code != 250:
            return code, message
        self.does_esmtp = True
        for line in message.decode("latin-1").split("\n")[1:]:
            self._note_feature(line)
        return code, message

    def _note_feature(self, line: str) -> None:
        old = _OLD_AUTH.match(line)
        if old is not None:  # AUTH=LOGIN, as servers wrote it before there was an RFC
            known = self.esmtp_features.get("auth", "")
            self.esmtp_features["auth"] = f"{known} {old[1]}"
            return
        found = _FEATURE.match(line)
        if found is None:
            return
        name, values = found[1].lower(), line[found.end(1) :].strip()
        if name == "auth":
            known = self.esmtp_features.get("auth", "")
            values = f"{known} {values}"
        self.esmtp_features[name] = values

    def ehlo_or_helo_if_needed(self) -> None:
        """Introduce ourselves, unless that is done. Raises SMTPHeloError."""
        if self.helo_resp is not None or self.ehlo_resp is not None:
            return
        if 200 <= self.ehlo()[0] <= 299:
            return
        code, message = self.helo()
        if not 200 <= code <= 299:
            raise explained(SMTPHeloError(code, message), code, message)

    def has_extn(self, opt: str) -> bool:
        """Whether EHLO offered it; upper and lower case are one."""
        return opt.lower() in self.esmtp_features

    # --- one command each -------------------------------------------------------------------

    def help(self, args: str = "") -> bytes:
        """HELP; the text of the reply."""
        return self.docmd("help", args)[1]

    def noop(self) -> Reply:
        """NOOP."""
        return self.docmd("noop")

    def rset(self) -> Reply:
        """RSET; the next commands are in US-ASCII again."""
        self.command_encoding = "ascii"
        return self.docmd("rset")

    def _rset(self) -> None:
        """RSET after a refusal, where a connection that is gone is no news."""
        try:
            self.rset()
        except SMTPServerDisconnected:
            return

    def mail(self, sender: str, options: Sequence[str] = ()) -> Reply:
        """MAIL FROM. Raises SMTPNotSupportedError for SMTPUTF8 where it is not offered."""
        self.putcmd("mail", self._mail_arguments(sender, options))
        return self.getreply()

    def _mail_arguments(self, sender: str, options: Sequence[str]) -> str:
        written = ""
        if options and self.does_esmtp:
            if any(option.lower() == "smtputf8" for option in options):
                if not self.has_extn("smtputf8"):
                    raise SMTPNotSupportedError("SMTPUTF8 not supported by server")
                self.command_encoding = "utf-8"
            written = " " + " ".join(options)
        return f"from:{self._path(sender)}{written}"

    def rcpt(self, recip: str, options: Sequence[str] = ()) -> Reply:
        """RCPT TO."""
        self.putcmd("rcpt", self._rcpt_arguments(recip, options))
        return self.getreply()

    def _rcpt_arguments(self, recip: str, options: Sequence[str]) -> str:
        written = " " + " ".join(options) if options and self.does_esmtp else ""
        return f"to:{self._path(recip)}{written}"

    def _path(self, address: str) -> str:
        """The address in angle brackets. An international domain goes in its A-labels where the
        command is in US-ASCII (RFC 5891)."""
        path = quoteaddr(address)
        if path.isascii() or self.command_encoding != "ascii":
            return path
        return f"<{ascii_domain(path[1:-1])}>"

    def data(self, msg: str | bytes) -> Reply:
        """DATA and the message; line ends become CRLF. Raises SMTPDataError where the server does
        not want it."""
        self.putcmd("data")
        code, message = self.getreply()
        if self.debuglevel > 0:
            self._print_debug("data:", (code, message))
        if code != 354:
            raise explained(SMTPDataError(code, message), code, message)
        content = msg.encode("ascii") if isinstance(msg, str) else msg
        self.send(stuff_whole(content, normalise=True))
        code, message = self.getreply()
        if self.debuglevel > 0:
            self._print_debug("data:", (code, message))
        return code, message

    def verify(self, address: str) -> Reply:
        """VRFY."""
        self.putcmd("vrfy", addr_only(address))
        return self.getreply()

    vrfy = verify

    def expn(self, address: str) -> Reply:
        """EXPN."""
        self.putcmd("expn", addr_only(address))
        return self.getreply()

    def quit(self) -> Reply:
        """QUIT, and close."""
        answer = self.docmd("quit")
        self._forget_greeting()
        self.close()
        return answer

    def _forget_greeting(self) -> None:
        self.ehlo_resp = self.helo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False

    def _fail(self, error: SMTPResponseException) -> NoReturn:
        """Raise for a reply that ends the transaction: 421 ends the connection too."""
        if error.smtp_code == 421:
            self.close()
        else:
            self._rset()
        raise explained(error, error.smtp_code, error.smtp_error)


def quoteaddr(addrstring: str) -> str:
    """An address in angle brackets; a name beside it is dropped."""
    name, address = email.utils.parseaddr(addrstring)
    if name or address:
        return f"<{address}>"
    return addrstring if addrstring.strip().startswith("<") else f"<{addrstring}>"


def addr_only(addrstring: str) -> str:
    """An address without a name and without brackets."""
    name, address = email.utils.parseaddr(addrstring)
    return address if name or address else addrstring


def ascii_domain(address: str) -> str:
    """The address with its domain in A-labels where the rest is US-ASCII; as it is otherwise."""
    local_part, at, domain = address.rpartition("@")
    if not at or not local_part.isascii() or domain.isascii():
        return address
    try:
        return f"{local_part}@{domain_to_ascii(domain)}"
    except InvalidAddress:
        return address
