"""TLS: from the first byte or by STARTTLS, and what is wrong where it fails.

The first handshake verifies, as delivery does. Where it fails, others follow on connections of
their own, only to see: one that takes any certificate shows which one was refused; one that takes
old versions tells an old server from one with other ciphers; and a look in the clear tells a port
that begins with STARTTLS. Nothing is said over those but EHLO and STARTTLS, and never a secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from waypost.delivery.next_hop import TlsMode
from waypost.doctor.check.asking import ask, unexpected
from waypost.doctor.check.connection import TITLES
from waypost.doctor.check.hello import say_hello
from waypost.doctor.check.identification import first_words
from waypost.doctor.check.second_look import LOOKING_SECONDS, legacy_look, second_look
from waypost.doctor.check.steps import CheckEnded, Sign, StepInProgress
from waypost.doctor.check.verified_certificate import ends_at, lines_of
from waypost.doctor.line_connection import Unanswered
from waypost.doctor.line_opening import server_name
from waypost.net.tls import (
    client_context,
    explain_tls_error,
    sent_chain,
)

if TYPE_CHECKING:
    from waypost.doctor.check.certificate import SentCertificate
    from waypost.doctor.check.session import Session

EXPIRY_DAYS: Final = 14
"""A certificate that ends sooner is mentioned."""

_KNOWN: Final = {
    "tls-client-certificate-wanted": "tls:client-certificate-required",
    "tls-name-unknown-to-server": "tls:name-unknown",
}
"""Signs of alerts that tell by themselves what is wrong."""

_TOO_OLD: Final = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})


class InvalidAuthorities(Exception):
    """The file of authorities cannot be used; a fault of the settings and not of the server."""


async def implicit_tls(session: Session) -> None:
    """The step `tls` before the greeting. Raises CheckEnded."""
    with session.recorder.step("tls") as step:
        if session.connection is not None and session.connection.received:
            # It spoke before the handshake; over such a connection none can be made.
            session.show_early()
            await _look_in_the_clear(session, step)
        await _handshake(session, step)


async def start_tls(session: Session) -> None:
    """The steps `tls` and again `ehlo`, where STARTTLS is offered. Raises CheckEnded."""
    server, capabilities = session.server, session.capabilities
    assert capabilities is not None, "EHLO comes first"
    required = server.hop.tls is TlsMode.REQUIRED
    if not capabilities.starttls:
        await _not_offered(session, required)
        return
    session.before_tls = capabilities
    with session.recorder.step("tls") as step:
        try:
            answer = await ask(session, step, "STARTTLS")
        except CheckEnded:
            # Whatever else is slow or breaks, here it keeps TLS from being made.
            step.signs.insert(0, Sign("tls:closed", "fail", session.facts))
            raise
        if answer.code >= 400:
            if required or not server.is_exchanger:
                raise step.fail("tls:refused", **session.facts)
            step.warn("tls:refused", **session.facts)  # other servers go on in the clear
        elif answer.code != 220:
            raise unexpected(session, step, answer, "STARTTLS", 220)
        else:
            await _handshake(session, step)
    if session.tls:
        await say_hello(session)


async def _not_offered(session: Session, required: bool) -> None:
    """STARTTLS is not in the offer: the end, a warning, or nothing to speak of."""
    server = session.server
    if not (required or server.tls_wanted):
        session.recorder.skip("tls", "the server does not offer STARTTLS, and nobody asked for it")
        return
    with session.recorder.step("tls") as step:
        step.note("the reply to EHLO has no STARTTLS")
        if required:
            raise step.fail("tls:not-offered", **session.facts)
        step.warn("tls:not-offered", **session.facts)


async def _handshake(session: Session, step: StepInProgress) -> None:
    """Make TLS on the session's connection, or find out why that fails. Raises CheckEnded."""
    server, connection = session.server, session.connection
    hop = server.hop
    assert connection is not None, "connected"
    clock = session.world.clock
    try:
        with step.aside(clock):
            context = client_context(verify=True, ca_file=hop.ca_file)
    except (OSError, ssl.SSLError) as fault:
        raise InvalidAuthorities(f"{hop.ca_file} cannot be read: {fault}") from fault
    name = server_name(hop)
    try:
        await connection.start_tls(session.world.network, context, name, server.seconds)
    except Unanswered as fault:
        step.note(fault.text)
        if fault.why == "injection":
            if hop.tls is TlsMode.IMPLICIT:
                await _look_in_the_clear(session, step)
            raise step.fail("protocol:malformed", **session.facts) from fault
        if hop.tls is TlsMode.IMPLICIT:
            await _look_in_the_clear(session, step)
        raise step.fail("tls:closed", **session.facts) from fault
    except ssl.SSLCertVerificationError as fault:
        await _refused_certificate(session, step, fault, context)
        return
    except (OSError, EOFError) as fault:
        step.note(explain_tls_error(fault, name).text)
        if hop.tls is TlsMode.IMPLICIT:
            await _look_in_the_clear(session, step)
        raise await _failed(session, step, fault) from fault
    encrypted = connection.encrypted
    assert encrypted is not None, "the handshake is done"
    with step.aside(clock):
        _describe(session, step, encrypted)


def _describe(session: Session, step: StepInProgress, encrypted: ssl.SSLObject) -> None:
    """What the connection has; its certificate is verified."""
    version = encrypted.version() or ""
    cipher, _, bits = encrypted.cipher() or ("", "", 0)
    session.tls = f"{version} {cipher}"
    step.note(f"{version} {cipher} ({bits} bits), certificate verified")
    certificate = encrypted.getpeercert()
    if not certificate:
        return
    for line in lines_of(certificate):
        step.note(line)
    left = (ends_at(certificate) - session.world.clock.now()) / 86400
    if 0 <= left < EXPIRY_DAYS:
        step.note(f"  it ends in {left:.0f} days")
        if not session.server.is_exchanger:
            step.warn("tls:certificate-expires-soon", **session.facts)
    others = len(sent_chain(encrypted)) - 1
    if others > 0:
        step.note(f"sent with it: {others} more of its chain")


async def _look_in_the_clear(session: Session, step: StepInProgress) -> None:
    """Whether the port begins in the clear. Raises CheckEnded where it does."""
    found = await first_words(
        session.server, session.address, session.world, min(LOOKING_SECONDS, session.server.seconds)
    )
    if found.protocol in ("silent", "tls", "other"):
        return
    step.note(f"in the clear it says: {found.evidence}")
    if found.protocol == "smtp":
        raise step.fail("tls:starttls-expected", **session.facts)
    step.note(f"that is {TITLES[found.protocol]}")
    signs = {"http": "greeting:http", "imap": "greeting:imap", "pop3": "greeting:pop3"}
    raise step.fail(signs.get(found.protocol, "greeting:not-smtp"), **session.facts)


# --- a certificate that was refused -------------------------------------------------------------


async def _refused_certificate(
    session: Session,
    step: StepInProgress,
    fault: ssl.SSLCertVerificationError,
    context: ssl.SSLContext,
) -> None:
    """See which one it is; go on with it where certificates do not count. Raises CheckEnded."""
    from waypost.doctor.check.certificate import read_chain, signs_of_refusal

    server = session.server
    name = server_name(server.hop)
    problem = explain_tls_error(fault, name)
    step.note(problem.text)
    goes_on = not server.hop.verify or server.is_exchanger
    opened = await second_look(session, client_context(verify=False))
    chain: tuple[SentCertificate, ...] = ()
    if opened is not None:
        encrypted = opened.encrypted
        assert encrypted is not None, "the handshake is done"
        chain = read_chain(sent_chain(encrypted))
        for one in chain:
            for line in one.lines():
                step.note(line)
    authorities = [_subject(one) for one in context.get_ca_certs()]
    now = session.world.clock.now()
    signs = signs_of_refusal(fault, problem.reason, chain, now, name, authorities)
    facts = session.facts | _names(session, chain)
    for sign in signs:
        step.sign(Sign(sign, "warn" if goes_on else "fail", facts))
    if opened is None or not goes_on:
        if opened is not None:
            opened.abort()
        raise CheckEnded(signs[0])
    step.note("the certificate is not insisted on here; going on")
    assert session.connection is not None, "connected"
    session.connection.abort()
    session.connection = opened
    encrypted = opened.encrypted
    assert encrypted is not None, "the handshake is done"
    session.tls = f"{encrypted.version()} {(encrypted.cipher() or ('',))[0]}"


def _names(session: Session, chain: tuple[SentCertificate, ...]) -> dict[str, str]:
    """What a fix may say of the names in the certificate."""
    if not chain or not chain[0].names:
        return {}
    hop = session.server.hop
    usable = [one for one in chain[0].names if "*" not in one]
    scheme = "smtps" if hop.tls is TlsMode.IMPLICIT else "smtp"
    facts = {"names": ", ".join(chain[0].names[:5])}
    if usable:
        facts["matching_url"] = f"{scheme}://{usable[0]}:{hop.port}"
    return facts


def _subject(certificate: Mapping[str, object]) -> str:
    """A trusted authority's name as Python gives it, in the form of RFC 4514."""
    short = {"organizationName": "O", "commonName": "CN"}
    parts = certificate.get("subject", ())
    assert isinstance(parts, tuple), "as the ssl module documents it"
    return ",".join(
        f"{short[key]}={value}" for part in parts for key, value in part if key in short
    )


# --- a handshake that failed --------------------------------------------------------------------


async def _failed(session: Session, step: StepInProgress, fault: Exception) -> CheckEnded:
    """Tell an old server, one with other ciphers, and one that hangs up, apart. To be raised."""
    reason = explain_tls_error(fault).reason
    known = _KNOWN.get(reason)
    if known is not None:
        return step.fail(known, **session.facts)
    opened, error = await legacy_look(session)
    if opened is not None:
        encrypted = opened.encrypted
        assert encrypted is not None, "the handshake is done"
        version = encrypted.version() or ""
        cipher = (encrypted.cipher() or ("",))[0]
        opened.abort()
        step.note(f"with everything allowed it makes {version} with {cipher}")
        if version in _TOO_OLD:
            return step.fail("tls:protocol-too-old", **session.facts)
        # Some servers hang up without the alert; what they take with all allowed tells as well.
        ours = {one["name"] for one in client_context().get_ciphers()}
        told = reason in ("tls-no-shared-cipher", "certificate-weak", "tls-protocol-version")
        if told or cipher not in ours:
            return step.fail("tls:no-shared-cipher", **session.facts)
        return step.fail("tls:closed", **session.facts)
    reasons = {reason} | ({explain_tls_error(error).reason} if error is not None else set())
    if "tls-protocol-version" in reasons:
        return step.fail("tls:protocol-too-old", **session.facts)
    if reasons & {"tls-no-shared-cipher", "certificate-weak"}:
        return step.fail("tls:no-shared-cipher", **session.facts)
    return step.fail("tls:closed", **session.facts)
