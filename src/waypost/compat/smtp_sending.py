"""Sending a message: the upper part of the drop-in for smtplib.

As smtplib does it, with three differences. MAIL and the RCPTs go in one write where the server
offers PIPELINING (RFC 2920). A message object is written by Waypost's own writer: no Bcc, no
injected field, no address of List-Unsubscribe cut in two. An international domain goes in its
A-labels, so that only an international local part needs SMTPUTF8.
"""

from __future__ import annotations

import copy
import email.utils
from collections.abc import Iterator, Sequence
from email.message import Message
from email.policy import EmailPolicy
from smtplib import (
    SMTPDataError,
    SMTPNotSupportedError,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)
from typing import Any, Final

from waypost.compat.smtp_commands import Commands, Reply, ascii_domain
from waypost.compat.smtp_explained import explained
from waypost.compat.smtp_login import Authentication
from waypost.mail.compose_content import content_of
from waypost.smtp.framing import has_bare_line_end, normalise_line_ends

WINDOW: Final = 100
"""RCPTs in one write: their replies must fit the buffers between us (RFC 2920 3.1)."""

Refusals = dict[str, Reply]


class Sending(Authentication):
    """sendmail and send_message."""

    def sendmail(
        self,
        from_addr: str,
        to_addrs: str | Sequence[str],
        msg: str | bytes,
        mail_options: Sequence[str] = (),
        rcpt_options: Sequence[str] = (),
    ) -> Refusals:
        """Send a message that is written already; returns who was refused, and how.

        `msg` as text is US-ASCII. Raises SMTPSenderRefused, SMTPRecipientsRefused (every one),
        SMTPDataError, SMTPHeloError, SMTPNotSupportedError, SMTPServerDisconnected.
        """
        self.ehlo_or_helo_if_needed()
        content = msg.encode("ascii") if isinstance(msg, str) else msg
        if has_bare_line_end(content):
            content = normalise_line_ends(content)
        options = list(mail_options)
        if self.does_esmtp and self.has_extn("size"):
            options.insert(0, f"size={len(content)}")
        recipients = [to_addrs] if isinstance(to_addrs, str) else list(to_addrs)
        refused = self._envelope(from_addr, recipients, options, rcpt_options)
        if len(refused) == len(recipients):
            self._rset()
            raise _all_refused(refused)
        answers = self._content(content, [one for one in recipients if one not in refused])
        for recipient, (code, message) in answers.items():
            if code != 250:
                refused[recipient] = (code, message)
        if len(refused) == len(recipients):
            self._fail(SMTPDataError(*next(iter(answers.values()))))
        return refused

    def _envelope(
        self,
        sender: str,
        recipients: Sequence[str],
        mail_options: Sequence[str],
        rcpt_options: Sequence[str],
    ) -> Refusals:
        """MAIL and RCPT; who is refused."""
        refused: Refusals = {}
        for recipient, (code, message) in self._answers(
            sender, recipients, mail_options, rcpt_options
        ):
            if recipient is None:
                if code != 250:
                    self._fail(SMTPSenderRefused(code, message, sender))
            elif code not in (250, 251):
                refused[recipient] = (code, message)
                if code == 421:
                    self.close()
                    raise _all_refused(refused)
        return refused

    def _answers(
        self,
        sender: str,
        recipients: Sequence[str],
        mail_options: Sequence[str],
        rcpt_options: Sequence[str],
    ) -> Iterator[tuple[str | None, Reply]]:
        """The reply to MAIL (of None), then that of each recipient."""
        if not self._may_pipeline():
            yield None, self.mail(sender, mail_options)
            for recipient in recipients:
                yield recipient, self.rcpt(recipient, rcpt_options)
            return
        waiting: list[str | None] = [None]
        lines = [self._command("mail", self._mail_arguments(sender, mail_options))]
        for at, recipient in enumerate(recipients):
            lines.append(self._command("rcpt", self._rcpt_arguments(recipient, rcpt_options)))
            waiting.append(recipient)
            if len(waiting) >= WINDOW or at == len(recipients) - 1:
                self.send("".join(f"{line}\r\n" for line in lines))
                answers = [(one, self.getreply()) for one in waiting]
                lines.clear()
                waiting.clear()
                yield from answers

    def _may_pipeline(self) -> bool:
        """Offered, and no subclass does something of its own at each command."""
        kind = type(self)
        own = kind.mail is Commands.mail and kind.rcpt is Commands.rcpt
        own = own and kind.putcmd is Commands.putcmd and kind.getreply is Commands.getreply
        return own and self.has_extn("pipelining") and not vars(self).keys() & {"mail", "rcpt"}

    def _content(self, content: bytes, recipients: Sequence[str]) -> Refusals:
        """DATA; the reply counts for every recipient."""
        answer = self.data(content)
        return dict.fromkeys(recipients, answer)

    def send_message(
        self,
        msg: Message[Any, Any],
        from_addr: str | None = None,
        to_addrs: str | Sequence[str] | None = None,
        mail_options: Sequence[str] = (),
        rcpt_options: Sequence[str] = (),
    ) -> Refusals:
        """Send a message object; sender and recipients are those of its fields unless given.

        Raises as `sendmail` does, ValueError for a message that was sent on several times (its
        Resent fields do not tell which counts) or with a line break in a field, and
        SMTPNotSupportedError for an international address that the server cannot take.
        """
        self.ehlo_or_helo_if_needed()
        resent = msg.get_all("Resent-Date")
        if resent is not None and len(resent) > 1:
            raise ValueError("message has more than one 'Resent-' header block")
        prefix = "Resent-" if resent else ""
        if from_addr is None:
            named = msg[f"{prefix}Sender"] if f"{prefix}Sender" in msg else msg[f"{prefix}From"]
            from_addr = email.utils.getaddresses([str(named)])[0][1]
        if to_addrs is None:
            fields = [msg[f"{prefix}{name}"] for name in ("To", "Bcc", "Cc")]
            found = email.utils.getaddresses([str(one) for one in fields if one is not None])
            to_addrs = [address for _, address in found]
        elif isinstance(to_addrs, str):
            to_addrs = [to_addrs]
        from_addr, *to_addrs = [ascii_domain(one) for one in (from_addr, *to_addrs)]
        international = not all(one.isascii() for one in (from_addr, *to_addrs))
        if international:
            if not self.has_extn("smtputf8"):
                raise SMTPNotSupportedError(
                    "One or more source or delivery addresses require internationalized email "
                    "support, but the server does not advertise the required SMTPUTF8 capability"
                )
            msg = _with_utf8(msg)
            mail_options = (*mail_options, "SMTPUTF8", "BODY=8BITMIME")
        content = content_of(msg).read()
        return self.sendmail(from_addr, to_addrs, content, mail_options, rcpt_options)


def _with_utf8(message: Message[Any, Any]) -> Message[Any, Any]:
    """A copy that writes its header in UTF-8 (RFC 6532)."""
    copied = copy.copy(message)
    if isinstance(copied.policy, EmailPolicy):
        copied.policy = copied.policy.clone(utf8=True)
    return copied


def _all_refused(refused: Refusals) -> SMTPRecipientsRefused:
    code, message = next(reversed(refused.values()), (0, b""))
    return explained(SMTPRecipientsRefused(refused), code, message)
