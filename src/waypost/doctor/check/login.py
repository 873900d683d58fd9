"""The login: which mechanisms there are, and with credentials whether they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waypost.delivery.route import TlsMode
from waypost.doctor.check.greeting import ask
from waypost.doctor.check.steps import CheckEnded, StepInProgress
from waypost.doctor.line_dialogue import CHALLENGE, WITH_A_TOKEN, mechanism_for
from waypost.smtp.auth import AuthenticationFailure, NoCommonMechanism
from waypost.smtp.client_authentication import AuthenticationExchange
from waypost.smtp.client_replies import REDACTED

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session


async def log_in(session: Session) -> None:
    """The step `auth`, where credentials were given. Raises CheckEnded."""
    server, capabilities = session.server, session.capabilities
    assert capabilities is not None, "EHLO comes first"
    offered = capabilities.auth
    if server.hop.credentials is None:
        offer = f"offered: {' '.join(offered)}" if offered else "no login is offered"
        session.recorder.skip("auth", f"no user was given ({offer})")
        return
    with session.recorder.step("auth") as step:
        step.note(f"offered: {' '.join(offered) or 'nothing'}")
        if not offered:
            raise _not_offered(session, step)
        try:
            mechanism = mechanism_for(
                server.hop, capabilities, server.nonce(), encrypted=bool(session.tls)
            )
        except AuthenticationFailure as fault:
            raise _no_mechanism(session, step, fault) from fault
        exchange = AuthenticationExchange(mechanism)
        answer = await ask(session, step, exchange.line, exchange.shown)
        while answer.code == CHALLENGE:
            line = exchange.respond(answer)
            if line is None:
                step.note(exchange.reason or "the exchange was broken off")
                await ask(session, step, "*")
                raise step.fail("protocol:malformed", **session.facts)
            answer = await ask(session, step, line, REDACTED)
        if answer.code >= 400:
            raise step.refused(answer, "auth")
        if answer.code != 235:
            step.note(f"a login is taken with 235, not {answer.code} (RFC 4954 4)")
            raise step.fail("protocol:unexpected-code", **session.facts)
        doubt = exchange.doubt()
        if doubt is not None:
            step.note(doubt)
            raise step.fail("auth:refused", **session.facts)


def _not_offered(session: Session, step: StepInProgress) -> CheckEnded:
    """Record that there is no AUTH. To be raised."""
    capabilities = session.capabilities
    assert capabilities is not None, "EHLO comes first"
    if not session.tls and capabilities.starttls and session.server.hop.tls is TlsMode.NONE:
        step.note("STARTTLS is offered; many servers offer AUTH only behind it")
        return step.fail("auth:not-offered-before-tls", **session.facts)
    return step.fail("auth:not-offered", **session.facts)


def _no_mechanism(
    session: Session, step: StepInProgress, fault: AuthenticationFailure
) -> CheckEnded:
    """Record that no mechanism can be used. To be raised."""
    step.note(str(fault))
    facts = session.facts
    if not isinstance(fault, NoCommonMechanism):
        return step.fail("auth:no-common-mechanism", **facts)
    offered = set(fault.offered)
    facts["offered"] = " ".join(fault.offered)
    credentials = session.server.hop.credentials
    token = credentials is not None and credentials.mechanism in WITH_A_TOKEN
    only_tokens = offered <= {*WITH_A_TOKEN, "EXTERNAL", "ANONYMOUS"}
    if not token and only_tokens and offered & WITH_A_TOKEN:
        return step.fail("auth:oauth-only", **facts)
    if fault.possible == () and not session.tls and offered & {"PLAIN", "LOGIN", "XOAUTH2"}:
        return step.fail("auth:too-weak", **facts)
    return step.fail("auth:no-common-mechanism", **facts)
