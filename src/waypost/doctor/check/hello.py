"""EHLO: what the server offers, and whether it is a mail server at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waypost.delivery.next_hop import TlsMode
from waypost.doctor.check.asking import ask, unexpected
from waypost.doctor.check.steps import StepInProgress
from waypost.smtp.extensions import Capabilities

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session


async def say_hello(session: Session) -> None:
    """The step `ehlo`, with HELO where the server is older. Raises CheckEnded."""
    server = session.server
    with session.recorder.step("ehlo") as step:
        name = server.hop.ehlo or server.hostname
        answer = await ask(session, step, f"EHLO {name}")
        if answer.is_permanent and answer.code != 554:
            older = await ask(session, step, f"HELO {name}")
            if older.code == 250:
                session.capabilities = Capabilities()
                step.note("the server knows no extensions (RFC 1869)")
                _judge_offer(session, step, session.capabilities)
                return
            if _is_lmtp(session.greeting, answer.text):
                step.note("that is LMTP (RFC 2033), by which mail is put into mailboxes")
                raise step.fail("greeting:not-smtp", **session.facts)
            if _is_ftp(session.greeting) or answer.code == older.code == 530:
                step.note("that is no mail server")
                raise step.fail("greeting:not-smtp", **session.facts)
        if answer.code >= 400:
            raise step.refused(answer, "ehlo")
        if answer.code != 250:
            raise unexpected(session, step, answer, "EHLO", 250)
        session.capabilities = Capabilities.parse(answer)
        if not _more_to_come(session):
            _judge_offer(session, step, session.capabilities)


def _more_to_come(session: Session) -> bool:
    """Whether EHLO is said again under TLS, where the offer is the one that counts."""
    capabilities = session.capabilities
    wanted = session.server.hop.tls in (TlsMode.REQUIRED, TlsMode.OPPORTUNISTIC)
    return bool(wanted and not session.tls and capabilities is not None and capabilities.starttls)


def _judge_offer(session: Session, step: StepInProgress, offered: Capabilities) -> None:
    if not offered.eight_bit_mime:
        step.warn("eightbit:not-offered", **session.facts)
    if offered.size is None:
        step.warn("size:not-advertised", **session.facts)


def _is_lmtp(greeting: str, refusal: str) -> bool:
    return "lmtp" in greeting.lower().split() or "lhlo" in refusal.lower()


def _is_ftp(greeting: str) -> bool:
    return "ftp" in greeting.lower() and "smtp" not in greeting.lower()
