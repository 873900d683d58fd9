"""MAIL and RCPT, as far as they can be asked without sending anything; a message only on request.

The transaction ends with RSET, so that nothing is sent. A sender that was not given is a trial of
ours: what is said of it weighs less.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from waypost.doctor.check.asking import ask, hear, unexpected
from waypost.doctor.check.steps import StepInProgress
from waypost.smtp.client_commands import Transaction, mail_command, rcpt_command
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import Reply

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session


async def try_transaction(session: Session) -> None:
    """The steps `mail`, `rcpt` and `message`. Raises CheckEnded."""
    server, capabilities = session.server, session.capabilities
    assert capabilities is not None, "EHLO comes first"
    sender = _sender(session)
    recipient = Recipient(server.recipient or "")
    size = len(server.message) if server.message is not None else server.size
    transaction = Transaction(Envelope(sender, (recipient,)), size=size)
    with session.recorder.step("mail") as step:
        if transaction.needs_smtputf8 and not capabilities.smtputf8:
            step.note("an address is not ASCII, and the offer has no SMTPUTF8")
            raise step.fail("smtputf8:not-offered", **session.facts)
        if size and capabilities.size and size > capabilities.size:
            step.note(f"the message has {size} bytes, the server takes {capabilities.size}")
            step.warn("size:over-limit", **session.facts, size=str(capabilities.size))
        # Without a size there is nothing to say; SIZE=0 would be a promise that nobody keeps.
        offered = capabilities if size else replace(capabilities, size=None)
        answer = await ask(session, step, mail_command(transaction, offered))
        _taken(session, step, answer, "mail", given=server.sender is not None or size > 0)
        session.inside_transaction = True
    if server.recipient is None:
        session.recorder.skip("rcpt", "no recipient was given (--to)")
    else:
        with session.recorder.step("rcpt") as step:
            answer = await ask(session, step, rcpt_command(recipient, capabilities))
            _taken(session, step, answer, "rcpt", given=True)
        if server.message is not None:
            await _send(session, server.message)
            return


def _sender(session: Session) -> str:
    """The sender to ask for: as given, or the login where that is an address."""
    server = session.server
    if server.sender is not None:
        return server.sender
    credentials = server.hop.credentials
    if credentials is not None and "@" in credentials.user:
        from waypost.mail.address import InvalidAddress, parse_address

        try:
            return str(parse_address(credentials.user, smtputf8=True))
        except InvalidAddress:
            pass
    return ""


def _taken(
    session: Session, step: StepInProgress, answer: Reply, stage: str, *, given: bool
) -> None:
    if answer.code >= 400:
        raise step.refused(answer, "mail" if stage == "mail" else "rcpt", given=given)
    if answer.code not in (250, 251, 252):
        raise unexpected(session, step, answer, stage.upper(), 250)


async def _send(session: Session, message: bytes) -> None:
    """The step `message`: it is sent. Raises CheckEnded."""
    connection = session.connection
    assert connection is not None, "connected"
    with session.recorder.step("message") as step:
        answer = await ask(session, step, "DATA")
        if answer.code >= 400:
            raise step.refused(answer, "data")
        if answer.code != 354:
            raise unexpected(session, step, answer, "DATA", 354)
        from waypost.smtp.stuffing import stuff_whole

        step.said(f"({len(message)} bytes)")
        connection.say(stuff_whole(message))
        answer = await hear(session, step)
        if answer.code >= 400:
            raise step.refused(answer, "content")
        if answer.code != 250:
            raise unexpected(session, step, answer, "the end of the message", 250)
        session.inside_transaction = False
