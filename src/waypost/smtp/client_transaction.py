"""One mail transaction as the client sees it: its commands, its bookkeeping and its outcome.

`Transaction` is what the program wants sent, `TransactionOutcome` what became of it, recipient by
recipient. Between them stands `OpenTransaction`, which only the client protocol touches.

A command is built from values that came from anywhere, so each of them is checked against what
its place in the grammar allows, before the first byte is sent: a line end, a space or a bracket
in an address would let it speak commands or parameters of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from waypost.smtp.client_settings import UNSPEAKABLE
from waypost.smtp.client_states import Stage
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply, reply
from waypost.smtp.stuffing import DotStuffer, LineEnds
from waypost.smtp.xtext import encode_xtext
from waypost.values import unguarded

_ATOMS = rf'[^<>"@ {UNSPEAKABLE}]+'
_QUOTED = rf'"(?:[^"\\{UNSPEAKABLE}]|\\[^{UNSPEAKABLE}])*"'
_ADDRESS = re.compile(f"(?:{_ATOMS}|{_QUOTED})(?:@{_ATOMS})?")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(rf"[^= {UNSPEAKABLE}]+")
_ORIGINAL = re.compile(rf"[A-Za-z0-9-]+;[^= {UNSPEAKABLE}]+")
_NOTIFY: Final = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})

DecisiveCommand = Literal["MAIL", "RCPT", "DATA", "content"]


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


@unguarded
@dataclass(frozen=True, slots=True)
class Decision:
    """What decided a recipient: the reply, and to which command.

    Without a reply (None) the connection ended before one came.
    """

    stage: DecisiveCommand
    reply: Reply | None


@unguarded
@dataclass(frozen=True, slots=True)
class TransactionOutcome:
    """What became of a transaction, as far as the peer told. Never changes."""

    transaction: Transaction
    mail: Reply | None
    recipients: tuple[Reply | None, ...]
    """The replies to RCPT, parallel to the envelope's recipients; None: not reached."""
    data: Reply | None
    """The reply to DATA; None where it was not reached, and with BDAT."""
    content: Reply | None
    """The reply that took or refused the content. None: never reached, or worth nothing because
    every recipient had been refused."""
    started_content: bool
    """The content was due: 354 had come, or BDAT was sent."""
    content_sent: bool
    """The final dot or BDAT LAST was handed out by `take`."""
    local: bool = False
    """Nothing was sent: `mail` is our own reply, for what the peer's EHLO told beforehand."""
    shutdown: Reply | None = None
    """The 421 that ended the session with this transaction open."""
    lost_at: Stage | None = None
    """What was waited for when the connection was lost; None: it was not."""

    def final_for(self, index: int) -> Decision:
        """What decided the recipient at this place of the envelope."""
        if self.mail is None:
            return Decision("MAIL", self.shutdown)
        if not self.mail.is_positive:
            return Decision("MAIL", self.mail)
        answer = self.recipients[index]
        if answer is None:
            return Decision("RCPT", self.shutdown)
        if not answer.is_positive:
            return Decision("RCPT", answer)
        if self.data is not None and not self.data.is_positive:
            return Decision("DATA", self.data)
        if self.content is not None:
            return Decision("content", self.content)
        return Decision("content" if self.started_content else "DATA", self.shutdown)

    def delivered(self, index: int) -> bool:
        """The peer has taken responsibility for this recipient (RFC 5321 6.1)."""
        decision = self.final_for(index)
        return (
            decision.stage == "content"
            and decision.reply is not None
            and decision.reply.is_positive
        )

    @property
    def uncertain(self) -> bool:
        """The peer may have accepted although no reply said so: sending again may duplicate.

        True where the connection was lost after the end of the content was handed out, unless the
        replies that did come rule an acceptance out.
        """
        return (
            self.lost_at is not None
            and self.content_sent
            and self.content is None
            and (self.mail is None or self.mail.is_positive)
            and any(answer is None or answer.is_positive for answer in self.recipients)
        )

    def too_many_recipients(self, index: int) -> bool:
        """This recipient was refused only because the transaction already held enough of them.

        It may be sent at once in another transaction (RFC 5321 4.5.3.1.10, where 552 means 452).
        """
        answer = self.recipients[index]
        if answer is None or answer.code not in (452, 552):
            return False
        if answer.enhanced is not None:
            return answer.enhanced.subject == 5 and answer.enhanced.detail == 3
        return any(one is not None and one.is_positive for one in self.recipients[:index])


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
        return reply(550, "5.7.30", "The message asks for REQUIRETLS, which is not offered")
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


class OpenTransaction:
    """The bookkeeping of a transaction under way."""

    __slots__ = (
        "accepted",
        "answered",
        "chunking",
        "commands",
        "content",
        "content_sent",
        "content_size",
        "data",
        "eager",
        "gathered",
        "gathered_size",
        "mail",
        "mail_taken",
        "recipients",
        "sent",
        "shutdown",
        "started_content",
        "stream",
        "transaction",
        "wanting",
        "whole",
    )

    def __init__(
        self,
        transaction: Transaction,
        commands: list[str],
        whole: bytes | None,
        content_size: int,
        *,
        chunking: bool,
        eager: bool = True,
    ) -> None:
        self.transaction = transaction
        self.commands = commands
        """MAIL, then one RCPT for each recipient."""
        self.sent = 0
        """How many of the commands are on their way."""
        self.whole = whole
        """The content as it goes over the wire; None where it is streamed."""
        self.content_size = content_size
        self.chunking = chunking
        self.eager = eager
        """A small content may go with the commands, before anything is answered."""
        self.mail: Reply | None = None
        self.mail_taken = False
        """MAIL has a positive reply."""
        self.recipients: list[Reply | None] = [None] * (len(commands) - 1)
        self.answered = 0
        """How many of the recipients have a reply."""
        self.accepted = 0
        self.data: Reply | None = None
        self.content: Reply | None = None
        self.shutdown: Reply | None = None
        self.started_content = False
        self.content_sent = False
        self.wanting = False
        """`content` may be called."""
        self.stream: DotStuffer | LineEnds | None = None
        self.gathered: list[bytes] = []
        """What waits to fill a chunk of BDAT."""
        self.gathered_size = 0

    @property
    def deliverable(self) -> bool:
        """MAIL and at least one RCPT have positive replies."""
        return self.accepted > 0 and self.mail_taken

    @property
    def left_open(self) -> bool:
        """At its end: whether the peer may still hold a transaction that RSET must clear.

        A reply to the final dot clears it whatever it says (RFC 5321 4.1.1.4); one to a refused
        BDAT does not (RFC 3030 2), nor does one to a refused DATA.
        """
        if not self.mail_taken or (self.content is not None and self.content.is_positive):
            return False
        return self.chunking or self.data is None or not self.data.is_positive

    @property
    def stage(self) -> Stage:
        """What this transaction waits for."""
        if self.mail is None:
            return "mail"
        if self.answered < len(self.recipients):
            return "rcpt"
        if self.content_sent:
            return "content_reply"
        return "content" if self.started_content else "data"

    def outcome(self, lost_at: Stage | None = None) -> TransactionOutcome:
        """What is known now."""
        return TransactionOutcome(
            self.transaction,
            self.mail,
            tuple(self.recipients),
            self.data,
            self.content,
            self.started_content,
            self.content_sent,
            False,
            self.shutdown,
            lost_at,
        )


def local_outcome(transaction: Transaction, refusal: Reply) -> TransactionOutcome:
    """The outcome of a transaction of which nothing was sent."""
    nothing: tuple[None, ...] = (None,) * len(transaction.envelope.recipients)
    return TransactionOutcome(transaction, refusal, nothing, None, None, False, False, local=True)
