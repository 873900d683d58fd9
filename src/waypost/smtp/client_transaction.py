"""One mail transaction as the client sees it: its bookkeeping and its outcome.

`TransactionOutcome` is what became of a `Transaction` (client_commands.py), recipient by recipient.
Between them stands `OpenTransaction`, which only the client protocol touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from waypost.smtp.client_commands import Transaction
from waypost.smtp.client_states import Stage
from waypost.smtp.reply import Reply
from waypost.smtp.stuffing import DotStuffer, LineEnds
from waypost.values import unguarded

DecisiveCommand = Literal["MAIL", "RCPT", "DATA", "content"]


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
