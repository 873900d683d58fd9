"""The commands of one mail transaction: what the program wants sent, as MAIL and RCPT say it.

A command is built from values that came from anywhere, so each of them is checked against what
its place in the grammar allows, before the first byte is sent: a line end, a space or a bracket
in an address would let it speak commands or parameters of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from waypost.smtp.client_settings import UNSPEAKABLE
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply, reply
from waypost.smtp.xtext import encode_xtext
from waypost.values import unguarded

_ATOMS = rf'[^<>"@ {UNSPEAKABLE}]+'
_QUOTED = rf'"(?:[^"\\{UNSPEAKABLE}]|\\[^{UNSPEAKABLE}])*"'
_ADDRESS = re.compile(f"(?:{_ATOMS}|{_QUOTED})(?:@{_ATOMS})?")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(rf"[^= {UNSPEAKABLE}]+")
_ORIGINAL = re.compile(rf"[A-Za-z0-9-]+;[^= {UNSPEAKABLE}]+")
_NOTIFY: Final = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})


@unguarded
@dataclass(frozen=True, slots=True)
class Transaction:
    """A message to be handed over."""

    envelope: Envelope
    size: int
    """Bytes of the content with CRLF line ends, without dot-stuffing (RFC 1870 3)."""
    has_eight_bit: bool = False
    """The content holds bytes above 127: announced as BODY=8BITMIME where that is offered. Where
    it is not, the content goes as it is; whoever wants it in 7 bits converts it before."""
    submitter: str | None = None
    """AUTH= of MAIL (RFC 4954 5), for servers that offer AUTH: "" says AUTH=<>, None nothing."""

    @property
    def needs_smtputf8(self) -> bool:
        """SMTPUTF8 was asked for, or an address cannot go without it (RFC 6531 3.2)."""
        envelope = self.envelope
        if envelope.smtputf8 or not envelope.reverse_path.isascii():
            return True
        return not "".join([recipient.address for recipient in envelope.recipients]).isascii()


def refusal_before_sending(transaction: Transaction, capabilities: Capabilities) -> Reply | None:
    """Why a server with these capabilities cannot take the transaction; None where it may.

    `ClientProtocol.begin` asks this too; a program may ask before it chooses a connection.
    """
    envelope = transaction.envelope
    if capabilities.size and transaction.size > capabilities.size:
        return reply(
            552,
            "5.3.4",
            f"The message has {transaction.size} bytes, the server takes {capabilities.size}",
        )
    if not capabilities.smtputf8 and transaction.needs_smtputf8:
        return reply(553, "5.6.7", "The message needs SMTPUTF8, which the server does not offer")
    if envelope.require_tls and not capabilities.require_tls:
        text = "The message asks for REQUIRETLS, which no server with a verified certificate offers"
        return reply(550, "5.7.30", text)
    if envelope.body == "BINARYMIME":
        return reply(554, "5.6.1", "Content of type BINARYMIME cannot be sent")
    return None


def mail_command(transaction: Transaction, capabilities: Capabilities) -> str:
    """MAIL with the parameters that are wanted and offered, without CRLF. Raises ValueError."""
    envelope = transaction.envelope
    path = envelope.reverse_path
    if path and _ADDRESS.fullmatch(path) is None:
        raise ValueError(f"not a reverse-path: {path!r}")
    line = f"MAIL FROM:<{path}>"
    if capabilities.size is not None:
        line += f" SIZE={transaction.size}"
    if capabilities.eight_bit_mime:
        if transaction.has_eight_bit or envelope.body == "8BITMIME":
            line += " BODY=8BITMIME"
        elif envelope.body is not None:
            line += f" BODY={_value('BODY', envelope.body)}"
    if capabilities.smtputf8 and transaction.needs_smtputf8:
        line += " SMTPUTF8"
    if envelope.require_tls:
        line += " REQUIRETLS"
    if envelope.returned is not None:
        returned = _value("RET", envelope.returned)
        if capabilities.dsn:
            line += f" RET={returned}"
    if envelope.envelope_id is not None:
        identifier = _value("ENVID", encode_xtext(envelope.envelope_id))
        if capabilities.dsn:
            line += f" ENVID={identifier}"
    if transaction.submitter is not None and capabilities.auth:
        who = encode_xtext(transaction.submitter) if transaction.submitter else "<>"
        line += f" AUTH={_value('AUTH', who)}"
    for keyword, value in envelope.parameters:
        if _KEYWORD.fullmatch(keyword) is None:
            raise ValueError(f"not a parameter of MAIL: {keyword!r}")
        text = keyword if value is None else f"{keyword}={_value(keyword, value)}"
        if keyword in capabilities.keywords:
            line += f" {text}"
    return line


def rcpt_command(recipient: Recipient, capabilities: Capabilities) -> str:
    """RCPT with the parameters that are wanted and offered, without CRLF. Raises ValueError."""
    if _ADDRESS.fullmatch(recipient.address) is None:
        raise ValueError(f"not a forward-path: {recipient.address!r}")
    line = f"RCPT TO:<{recipient.address}>"
    if recipient.notify:
        if not recipient.notify <= _NOTIFY:
            raise ValueError(f"not values of NOTIFY: {sorted(recipient.notify)}")
        if capabilities.dsn:
            line += f" NOTIFY={','.join(sorted(recipient.notify))}"
    if recipient.original is not None:
        if _ORIGINAL.fullmatch(recipient.original) is None:
            raise ValueError(f"not a value of ORCPT: {recipient.original!r}")
        if capabilities.dsn:
            line += f" ORCPT={recipient.original}"
    return line


def _value(keyword: str, value: str) -> str:
    if _VALUE.fullmatch(value) is None:
        raise ValueError(f"not a value of {keyword}: {value!r}")
    return value
