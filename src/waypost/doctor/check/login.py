"""The login: which mechanisms there are, and with credentials whether they are taken.

The strongest mechanism is tried first, as delivery does. Where a server offers one that it then
does not have, or cannot use for this user, the next one tells whether the password is right. A
password that was refused as such is not tried again: failures lock accounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waypost.delivery.next_hop import TlsMode
from waypost.doctor.check.asking import ask
from waypost.doctor.check.steps import CheckEnded, Sign, StepInProgress
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.reply import Reply

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session
    from waypost.smtp.auth import AuthenticationFailure, ClientMechanism

CHALLENGE: Final = 334

_NOT_HAD: Final = frozenset({500, 501, 502, 503, 504})
"""Codes of a server that does not know the mechanism (RFC 4954 4)."""


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
        await _try_in_turn(session, step)


async def _try_in_turn(session: Session, step: StepInProgress) -> None:
    from waypost.doctor.line_dialogue import mechanism_for  # SASL takes time to load
    from waypost.smtp.auth import AuthenticationFailure

    server, capabilities, connection = session.server, session.capabilities, session.connection
    assert capabilities is not None, "EHLO comes first"
    assert connection is not None, "connected"
    failed: dict[str, Reply | None] = {}
    while True:
        try:
            mechanism = mechanism_for(
                server.hop, capabilities, server.nonce(), encrypted=bool(session.tls),
                without=tuple(failed),
            )  # fmt: skip
        except AuthenticationFailure as fault:
            if failed:
                raise _refused(session, step, failed) from fault
            raise _no_mechanism(session, step, fault) from fault
        if connection.ended is not None and failed:
            raise _refused(session, step, failed)
        try:
            answer = await _exchange(session, step, mechanism)
        except CheckEnded:
            if failed:  # it has hung up on one who failed before
                step.signs.insert(0, _sign_of(session, failed))
            raise
        if answer is not None and answer.code == 235:
            if failed:
                step.note(f"{mechanism.name} is taken, {', '.join(failed)} was not")
                step.warn(
                    "auth:mechanism-fails", **session.facts,
                    failing=", ".join(failed), working=mechanism.name,
                )  # fmt: skip
            return
        failed[mechanism.name] = answer
        if not _another_may_do(mechanism.name, answer):
            raise _refused(session, step, failed)


async def _exchange(
    session: Session, step: StepInProgress, mechanism: ClientMechanism
) -> Reply | None:
    """One exchange; 235, the refusal, or None where our side broke it off. Raises CheckEnded."""
    from waypost.smtp.client_authentication import AuthenticationExchange

    exchange = AuthenticationExchange(mechanism)
    answer = await ask(session, step, exchange.line, exchange.shown)
    while answer.code == CHALLENGE:
        line = exchange.respond(answer)
        if line is None:
            step.note(exchange.reason or "the exchange was broken off")
            if (await ask(session, step, "*")).code == CHALLENGE:
                raise step.fail("protocol:malformed", **session.facts)
            return None
        answer = await ask(session, step, line, REDACTED)
    told = getattr(mechanism, "server_error", "")
    if told:  # what an error of a token comes as; it holds no secret (RFC 7628 3.2.2)
        step.note(f"the server says of the token: {told}")
    if answer.code >= 400:
        return answer
    if answer.code != 235:
        step.note(f"a login is taken with 235, not {answer.code} (RFC 4954 4)")
        raise step.fail("protocol:unexpected-code", **session.facts)
    doubt = exchange.doubt()
    if doubt is not None:
        step.note(doubt)
        raise step.fail("auth:refused", **session.facts)
    return answer


def _another_may_do(mechanism: str, answer: Reply | None) -> bool:
    """Whether the refusal may be of the mechanism and not of the password.

    A mechanism that proves the password without showing it needs the server to keep it in a form
    of its own, which many do not have for every user.
    """
    from waypost.smtp.auth import IN_CLEAR_TEXT

    if answer is None or answer.code in _NOT_HAD:
        return True
    return answer.is_permanent and mechanism not in IN_CLEAR_TEXT


def _refused(
    session: Session, step: StepInProgress, failed: dict[str, Reply | None]
) -> CheckEnded:  # fmt: skip
    """Record what the login came to. To be raised."""
    sign = _sign_of(session, failed)
    step.sign(sign)
    return CheckEnded(sign.name)


def _sign_of(session: Session, failed: dict[str, Reply | None]) -> Sign:
    """Of several refusals the last that is about who logs in, else the last of all."""
    from waypost.doctor.line_dialogue import WITH_A_TOKEN

    replies = [one for one in failed.values() if one is not None]
    if not replies:
        return Sign("protocol:malformed", "fail", session.facts)
    told = [one for one in replies if one.code not in _NOT_HAD] or replies
    credentials = session.server.hop.credentials
    token = credentials is not None and credentials.mechanism in WITH_A_TOKEN
    facts = {"token": "yes"} if token else {}
    return Sign("reply", "fail", facts, told[-1], "auth", given=True)


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
    from waypost.doctor.line_dialogue import WITH_A_TOKEN
    from waypost.smtp.auth import NoCommonMechanism

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
