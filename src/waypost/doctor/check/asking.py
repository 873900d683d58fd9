"""Saying a line and hearing its reply, in the middle of a session: what the steps share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waypost.doctor.check.steps import CheckEnded, StepInProgress
from waypost.doctor.line_connection import NotAReply, Unanswered
from waypost.smtp.reply import Reply

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session

_ENDINGS: Final = {"closed": "protocol:dropped", "reset": "protocol:dropped"}


def wants_client_certificate(text: str) -> bool:
    """Whether the end of a connection is that of a server that has missed our certificate.

    With TLS 1.3 it comes behind the handshake, so where a reply is waited for.
    """
    return "CERTIFICATE_REQUIRED" in text.upper().replace(" ", "_")


def broken(step: StepInProgress, fault: Unanswered, **facts: str) -> CheckEnded:
    """Record that no reply came, in the middle of a session. To be raised."""
    step.note(fault.text)
    if fault.why == "timeout":
        return step.fail("latency:slow", **facts)
    if wants_client_certificate(fault.text):
        return step.fail("tls:client-certificate-required", **facts)
    return step.fail(_ENDINGS.get(fault.why, "protocol:malformed"), **facts)


def no_reply(step: StepInProgress, heard: NotAReply, **facts: str) -> CheckEnded:
    """Record a line that is no reply, in the middle of a session. To be raised."""
    step.note(f"that is no SMTP reply: {heard.reason}")
    return step.fail("protocol:malformed", **facts)


async def ask(session: Session, step: StepInProgress, line: str, shown: str | None = None) -> Reply:
    """Say a line and hear its reply. Raises CheckEnded."""
    connection = session.connection
    assert connection is not None, "connected"
    if connection.spoke_unasked:
        raise await _unasked(session, step)
    step.said(line if shown is None else shown)
    connection.say(line.encode() + b"\r\n")
    return await hear(session, step)


async def _unasked(session: Session, step: StepInProgress) -> CheckEnded:
    """Record that the server spoke before it was asked: what it says next answers nothing. To be
    raised."""
    heard = await hear(session, step)
    step.note(f"it said this without being asked: {heard}")
    if heard.code == 421:  # the one reply that may come at any moment (RFC 5321 3.8)
        return step.refused(heard, "mail")
    return step.fail("protocol:malformed", **session.facts)


async def hear(session: Session, step: StepInProgress) -> Reply:
    """The next reply. Raises CheckEnded."""
    connection = session.connection
    assert connection is not None, "connected"
    try:
        heard = await connection.reply(session.server.seconds)
    except Unanswered as fault:
        raise broken(step, fault, **session.facts) from fault
    if isinstance(heard, NotAReply):
        raise no_reply(step, heard, **session.facts)
    return heard


def unexpected(
    session: Session, step: StepInProgress, answer: Reply, command: str, code: int
) -> CheckEnded:
    """Record a reply that the command does not have. To be raised."""
    step.note(f"{command} is answered with {code}, not {answer.code} (RFC 5321 4.3.2)")
    return step.fail("protocol:unexpected-code", **session.facts)
