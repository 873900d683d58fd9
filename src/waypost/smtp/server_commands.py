"""The commands of a server: what each needs, what it asks of the program, and what it earns.

Each handler takes the argument and returns an event, or None where it has answered by itself.
The order of commands is checked here (RFC 5321 4.1.4), the syntax in grammar.py.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Final

from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.grammar import CommandFault, hello_domain, number, path_and_parameters
from waypost.smtp.mail_parameters import Parameters, envelope_from_mail, recipient_from_rcpt
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_events import (
    AuthenticationCancelled,
    AuthenticationRequested,
    AuthenticationResponded,
    ContentRequested,
    HelloReceived,
    MailReceived,
    QuitReceived,
    RecipientReceived,
    ServerEvent,
    TlsRequested,
    VerifyReceived,
)
from waypost.smtp.server_state import Mode, SessionState

# MAIL, RCPT and DATA as most clients write them, framing included. Everything else takes the
# careful way, which says the same of these.
_MAILBOX: Final = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}"
ORDINARY = re.compile(
    rb"(?i:MAIL FROM):<(" + _MAILBOX + rb")>\r\n|(?i:RCPT TO):<(" + _MAILBOX + rb")>\r\n|DATA\r\n"
)

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_FORBIDDEN: Final = frozenset({"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "USER", "A001"})


class Commands(SessionState):
    """The handlers of all commands; `COMMANDS` is their table."""

    def _ordinary(self, found: re.Match[bytes]) -> ServerEvent | None:
        """Do what an ordinary line says."""
        which = found.lastindex
        if which is None:
            return self._on_data("")
        if which == 1:
            return self._sender(found[1].decode("ascii"), ())
        return self._recipient(found[2].decode("ascii"), ())

    def _command(self, line: bytes) -> ServerEvent | None:
        """Read one command line."""
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return self._refuse(reply(500, "5.5.2", "The command is not UTF-8"))
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        handle = COMMANDS.get(verb)
        if handle is None:
            if verb in _FORBIDDEN or verb.endswith(":"):
                # A browser or another protocol was pointed here; its body must not be obeyed.
                self._fatal(reply(521, "5.7.0", "This is an SMTP server; closing"))
                return None
            return self._refuse(reply(500, "5.5.1", "Command not recognised"))
        try:
            return handle(self, argument)
        except CommandFault as fault:
            return self._refuse(fault.reply)

    def _hello(self, verb: str, argument: str) -> ServerEvent | None:
        domain = hello_domain(argument, verb)
        if self._too_idle():
            return None
        self.question = "hello"
        self._offered = (verb, domain)
        return HelloReceived(verb, domain)

    def _on_ehlo(self, argument: str) -> ServerEvent | None:
        return self._hello("EHLO", argument)

    def _on_helo(self, argument: str) -> ServerEvent | None:
        return self._hello("HELO", argument)

    def _on_mail(self, argument: str) -> ServerEvent | None:
        return self._sender(argument, None)

    def _sender(self, path: str, parameters: Parameters | None) -> ServerEvent | None:
        """MAIL: the path and its parameters; None: `path` is the argument, yet to be read.

        The order of commands is looked at before their syntax.
        """
        if not self.hello_name:
            return self._refuse(reply(503, "5.5.1", "Say EHLO or HELO first"))
        if self._mail is not None:
            return self._refuse(reply(503, "5.5.1", "A transaction is open; RSET abandons it"))
        settings = self.settings
        if settings.maximum_messages and self.messages >= settings.maximum_messages:
            self._fatal(
                reply(421, "4.7.0", f"{self.messages} messages on this connection; connect again")
            )
            return None
        if parameters is None:
            path, parameters = path_and_parameters(path, "FROM:", null_allowed=True)
        if parameters or not path.isascii():
            envelope = envelope_from_mail(
                path, parameters, settings.offer(encrypted=self.encrypted), extended=self.extended
            )
            declared = envelope.declared_size
            if declared is not None and declared > settings.maximum_size:
                return self._refuse(
                    reply(552, "5.3.4", f"Message too big: at most {settings.maximum_size} bytes")
                )
        else:
            envelope = Envelope(path, ())
        self.question = "mail"
        self._offered = envelope
        return MailReceived(envelope)

    def _on_rcpt(self, argument: str) -> ServerEvent | None:
        return self._recipient(argument, None)

    def _recipient(self, path: str, parameters: Parameters | None) -> ServerEvent | None:
        """RCPT; as `_sender`."""
        mail = self._mail
        if mail is None:
            return self._refuse(reply(503, "5.5.1", "MAIL comes before RCPT"))
        if len(self._recipients) >= self.settings.maximum_recipients:
            return self._refuse(
                reply(452, "4.5.3", "Too many recipients; send to the rest in another transaction")
            )
        if self._content.in_chunks:
            return self._refuse(reply(503, "5.5.1", "BDAT has begun; no more recipients"))
        if parameters is None:
            path, parameters = path_and_parameters(path, "TO:", null_allowed=False)
        if parameters or not path.isascii():
            recipient = recipient_from_rcpt(
                path, parameters, dsn=self.settings.dsn and self.extended, smtputf8=mail.smtputf8
            )
        else:
            recipient = Recipient(path)
        self.question = "rcpt"
        self._offered = recipient
        return RecipientReceived(recipient)

    def _on_data(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse_content(reply(501, "5.5.4", "DATA takes no argument"))
        if self._mail is None:
            return self._refuse_content(reply(503, "5.5.1", "MAIL and RCPT come before DATA"))
        if not self._recipients:
            return self._refuse_content(reply(554, "5.5.1", "No valid recipients"))
        if self._content.in_chunks:
            return self._refuse_content(reply(503, "5.5.1", "BDAT has begun; DATA cannot follow"))
        self.question = "data"
        return ContentRequested(self._whole_envelope())

    def _on_bdat(self, argument: str) -> ServerEvent | None:
        words = argument.upper().split()
        if not self.settings.chunking:
            self._fatal(reply(502, "5.5.1", "CHUNKING is not offered; closing"))
            return None
        if len(words) not in (1, 2) or (len(words) == 2 and words[1] != "LAST"):
            # Without a size nobody knows where the chunk ends.
            self._fatal(reply(501, "5.5.4", "Syntax: BDAT size [LAST]; closing"))
            return None
        try:
            self._content.chunk_left = number("BDAT", words[0])
        except CommandFault as fault:
            self._fatal(fault.reply)
            return None
        content = self._content
        content.chunk_last = len(words) == 2
        refusal = None
        if self._mail is None:
            refusal = reply(503, "5.5.1", "MAIL and RCPT come before BDAT")
        elif not self._recipients:
            refusal = reply(554, "5.5.1", "No valid recipients")
        elif content.in_chunks:
            refusal = content.refused
        if refusal is not None:
            return self._refuse_chunk(refusal)
        if not content.chunk_left and not content.chunk_last and self._too_idle():
            return None
        if content.in_chunks:
            self._turn(Mode.CHUNK)
            return None
        self.question = "bdat"
        return ContentRequested(self._whole_envelope())

    def _refuse_chunk(self, refusal: Reply) -> ServerEvent:
        """Refuse a chunk that is on its way: the answer is given when it has been read."""
        event = self._refuse(refusal)
        if not self.closing:
            self._out.pop()
            self._content.refused = refusal
            self._content.size = 0
            self._turn(Mode.CHUNK_DISCARD)
        return event

    def _on_rset(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse(reply(501, "5.5.4", "RSET takes no argument"))
        if self._too_idle():
            return None
        self._drop_transaction("RSET")
        self._say(250, "2.0.0", "Ok")
        return None

    def _on_noop(self, _argument: str) -> ServerEvent | None:
        if not self._too_idle():
            self._say(250, "2.0.0", "Ok")
        return None

    def _on_help(self, _argument: str) -> ServerEvent | None:
        if not self._too_idle():
            self._say(214, "2.0.0", "Commands: " + " ".join(COMMANDS))
        return None

    def _on_vrfy(self, argument: str) -> ServerEvent | None:
        if self._too_idle():
            return None
        if not argument.strip() or not argument.isprintable():
            return self._refuse(reply(501, "5.5.4", "Syntax: VRFY address"))
        self.question = "verify"
        return VerifyReceived(argument.strip())

    def _on_expn(self, _argument: str) -> ServerEvent | None:
        return self._refuse(reply(502, "5.5.1", "EXPN is not offered"))

    def _on_quit(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse(reply(501, "5.5.4", "QUIT takes no argument"))
        self._say(221, "2.0.0", "Bye")
        self._drop_transaction("QUIT")
        self._close()
        self._told.append(QuitReceived())
        return None

    def _on_starttls(self, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse(reply(501, "5.5.4", "STARTTLS takes no argument"))
        if self.encrypted:
            return self._refuse(reply(503, "5.5.1", "TLS is in force already"))
        if not self.settings.starttls:
            return self._refuse(reply(502, "5.5.1", "STARTTLS is not offered here"))
        if self._at < len(self._data):
            # RFC 3207 lets nothing follow STARTTLS; bytes that do are an injection or a fault.
            self._fatal(reply(501, "5.5.1", "Nothing may follow STARTTLS; closing"))
            return None
        self._drop_transaction("STARTTLS")
        self.question = "tls"
        return TlsRequested()

    # --- AUTH (RFC 4954) --------------------------------------------------------------------

    def _on_auth(self, argument: str) -> ServerEvent | None:
        settings = self.settings
        if not self.extended:
            return self._refuse(reply(503, "5.5.1", "Say EHLO first"))
        if self.identity is not None:
            return self._refuse(reply(503, "5.5.1", "Already authenticated"))
        if self._mail is not None:
            return self._refuse(reply(503, "5.5.1", "AUTH comes before MAIL"))
        if not settings.auth_mechanisms:
            return self._refuse(reply(502, "5.5.1", "AUTH is not offered here"))
        if not self.encrypted and not settings.auth_in_clear:
            return self._refuse(
                reply(538, "5.7.11", "Encryption required: say STARTTLS before AUTH")
            )
        mechanism, _, encoded = argument.strip().partition(" ")
        mechanism = mechanism.upper()
        if mechanism not in settings.auth_mechanisms:
            offered = " ".join(settings.auth_mechanisms)
            return self._refuse(reply(504, "5.5.4", f"Mechanism not offered; choose of: {offered}"))
        initial: bytes | None = None
        if encoded:
            try:
                initial = _decode(encoded.encode())
            except ValueError:
                return self._refuse(reply(501, "5.5.2", "The initial response is not base64"))
        self.question = "auth"
        return AuthenticationRequested(mechanism, initial)

    def _auth_line(self, line: bytes) -> ServerEvent | None:
        self._turn(Mode.COMMAND)
        if line == b"*":
            self._refuse(reply(501, "5.7.0", "Authentication cancelled"))
            return AuthenticationCancelled()
        try:
            response = _decode(line)
        except ValueError:
            self._refuse(reply(501, "5.5.2", "The response is not base64"))
            return AuthenticationCancelled()
        self.question = "auth"
        return AuthenticationResponded(response)


def _decode(encoded: bytes) -> bytes:
    """Base64 of AUTH; "=" is the empty response (RFC 4954 4). Raises ValueError."""
    if encoded == b"=":
        return b""
    if _BASE64.fullmatch(encoded) is None:
        raise ValueError("not base64")
    return base64.b64decode(encoded)


COMMANDS: Final[dict[str, Callable[[Commands, str], ServerEvent | None]]] = {
    "EHLO": Commands._on_ehlo,
    "HELO": Commands._on_helo,
    "MAIL": Commands._on_mail,
    "RCPT": Commands._on_rcpt,
    "DATA": Commands._on_data,
    "BDAT": Commands._on_bdat,
    "RSET": Commands._on_rset,
    "NOOP": Commands._on_noop,
    "QUIT": Commands._on_quit,
    "VRFY": Commands._on_vrfy,
    "EXPN": Commands._on_expn,
    "HELP": Commands._on_help,
    "AUTH": Commands._on_auth,
    "STARTTLS": Commands._on_starttls,
}
