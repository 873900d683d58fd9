"""The first words: the greeting, or what stands in its place.

While a greeting is waited for, the possibility that something else listens there is looked into,
so that a port for TLS or for a browser is known in seconds and not after a timeout.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from typing import TYPE_CHECKING, Final

from waypost.doctor.check.asking import wants_client_certificate
from waypost.doctor.check.connection import TITLES, Protocol, protocol_of
from waypost.doctor.check.identification import (
    Identified,
    first_words,
    identify_silent,
    identify_under_tls,
    under_tls_here,
)
from waypost.doctor.check.steps import CheckEnded, StepInProgress
from waypost.doctor.line_connection import NotAReply, Unanswered
from waypost.knowledge.response_times import response_limit
from waypost.smtp.client_replies import readable
from waypost.smtp.reply import Reply

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session

QUIET_SECONDS: Final = 1.5
"""Without a greeting for so long, something else may be listening."""

IDENTIFYING_SECONDS: Final = 5.0

CLOCK_SECONDS: Final = 300.0
"""By how much a server's clock may differ before it is told."""

_SIGNS: Final[dict[Protocol, str]] = {
    "http": "greeting:http", "imap": "greeting:imap", "pop3": "greeting:pop3",
    "tls": "tls:implicit-expected",
}  # fmt: skip
_DATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), +\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"
)
_VERSION: Final = re.compile(r"\d\.\d")


async def greet(session: Session) -> None:
    """The step `greeting`. Raises CheckEnded."""
    connection = session.connection
    assert connection is not None, "connected"
    clock = session.world.clock
    with session.recorder.step("greeting") as step:
        session.show_early()
        begun = clock.monotonic()
        try:
            heard = await _heard(session, step)
        except Unanswered as fault:
            raise await _ungreeted(session, step, fault) from fault
        took = clock.monotonic() - begun
        if isinstance(heard, NotAReply):
            raise _foreign(session, step, protocol_of(connection.first), heard.reason)
        _compare_clocks(step, heard.text, clock.now())
        session.greeting = heard.text
        _judge_greeting(session, step, heard)
        if _VERSION.search(heard.text) is not None:
            _judge_version(session, step, heard.text)
        if took > response_limit("session").seconds:
            step.note(f"it came after {took:.1f} seconds")
            step.warn("greeting:slow", **session.facts)


def _judge_greeting(session: Session, step: StepInProgress, heard: Reply) -> None:
    assert session.connection is not None, "connected"
    if heard.code == 220:
        return
    if heard.code >= 400:
        raise step.refused(heard, "greeting")
    protocol = protocol_of(session.connection.first)
    if protocol != "smtp":
        raise _foreign(session, step, protocol, f"it greets with {heard.code}")
    step.note(f"a greeting has the code 220, 421 or 554, not {heard.code} (RFC 5321 4.3.2)")
    raise step.fail("protocol:unexpected-code", **session.facts)


def _judge_version(session: Session, step: StepInProgress, greeting: str) -> None:
    from waypost.knowledge.outdated_servers import outdated_server

    old = outdated_server(greeting)
    if old is not None:
        step.note(f"{old.product} {old.version}: {old.advice}")
        facts = {"product": old.product, "version": old.version, "advice": old.advice}
        step.warn("greeting:outdated", **session.facts, **facts)


async def _heard(session: Session, step: StepInProgress) -> Reply | NotAReply:
    """What comes first. Raises Unanswered, and CheckEnded where it is something else."""
    connection, server = session.connection, session.server
    assert connection is not None, "connected"
    waiting = asyncio.ensure_future(connection.reply(server.seconds))
    try:
        await asyncio.wait((waiting,), timeout=min(QUIET_SECONDS, server.seconds / 2))
        if not waiting.done() and not connection.received:
            await _look_who_is_there(session, step, waiting)
        return await waiting
    finally:
        waiting.cancel()


async def _look_who_is_there(
    session: Session, step: StepInProgress, waiting: asyncio.Future[Reply | NotAReply]
) -> None:
    """Try TLS and a browser's request, until the greeting comes. Raises CheckEnded."""
    server = session.server
    seconds = min(IDENTIFYING_SECONDS, server.seconds / 2)
    look = identify_under_tls if session.tls else identify_silent
    looking = asyncio.ensure_future(look(server, session.address, session.world, seconds))
    try:
        await asyncio.wait((waiting, looking), return_when=asyncio.FIRST_COMPLETED)
        if looking.done() and not waiting.done():
            found = looking.result()
            if found.protocol != "silent":
                raise _found(session, step, found)
    finally:
        looking.cancel()


def _found(session: Session, step: StepInProgress, found: Identified) -> CheckEnded:
    """Record what is there in place of a greeting. To be raised."""
    step.note(f"the server says nothing by itself{'' if session.tls else ' in the clear'}")
    if not found.under_tls:
        step.note(f"asked like a web server, it speaks {TITLES[found.protocol]}: {found.evidence}")
        return step.fail(_SIGNS.get(found.protocol, "greeting:not-smtp"), **session.facts)
    step.note("to a TLS handshake it answers")
    if found.evidence:
        step.note(f"under TLS: {found.evidence}")
    if found.protocol in ("smtp", "tls"):
        return step.fail("tls:implicit-expected", **session.facts)
    return step.fail(_SIGNS.get(found.protocol, "greeting:not-smtp"), **session.facts)


async def _ungreeted(session: Session, step: StepInProgress, fault: Unanswered) -> CheckEnded:
    """Record why no greeting came. To be raised."""
    connection = session.connection
    assert connection is not None, "connected"
    protocol = protocol_of(connection.first)
    if protocol not in ("silent", "smtp"):
        return _foreign(session, step, protocol, fault.text)
    step.note(fault.text)
    if protocol == "smtp":
        if connection.first:
            step.note(f"it began: {readable(connection.first[:200])}")
        if fault.why not in ("timeout", "closed", "reset"):
            return step.fail("protocol:malformed", **session.facts)
    if fault.why == "timeout":
        if protocol == "silent" and not session.tls:
            found = await _last_look(session)
            if found.protocol not in ("silent", "other"):
                return _found(session, step, found)
        return step.fail("greeting:timeout", **session.facts)
    if wants_client_certificate(fault.text):
        return step.fail("tls:client-certificate-required", **session.facts)
    if fault.why == "reset":
        return step.fail("tcp:reset", **session.facts)
    step.note("it closed the connection without a greeting")
    return step.fail("protocol:dropped", **session.facts)


async def _last_look(session: Session) -> Identified:
    """What a silent server is that takes one connection after the other: TLS on the very
    connection it has, then a browser's request when that is over.
    """
    connection, server = session.connection, session.server
    assert connection is not None, "connected"
    seconds = min(IDENTIFYING_SECONDS, server.seconds)
    found = await under_tls_here(connection, server, session.world, seconds)
    if found.protocol == "silent":
        found = await first_words(server, session.address, session.world, seconds)
    return found if found.under_tls or found.protocol != "smtp" else Identified("silent")


def _foreign(session: Session, step: StepInProgress, protocol: Protocol, why: str) -> CheckEnded:
    """Record another protocol. To be raised."""
    assert session.connection is not None, "connected"
    line = session.connection.first.partition(b"\n")[0]
    if not any(line.startswith("< ") for line in step.evidence):
        step.note(f"< {readable(line[:200])}")
    if protocol == "smtp":
        step.note(f"that is no SMTP reply: {why}")
        return step.fail("protocol:malformed", **session.facts)
    step.note(f"that is {TITLES[protocol]}")
    return step.fail(_SIGNS.get(protocol, "greeting:not-smtp"), **session.facts)


def _compare_clocks(step: StepInProgress, greeting: str, now: float) -> None:
    """Some servers greet with their time; certificates are judged by ours."""
    found = _DATE.search(greeting)
    if found is None:
        return
    from email.utils import parsedate_to_datetime

    try:
        theirs = parsedate_to_datetime(found[0])
    except ValueError:
        return
    ours = dt.datetime.fromtimestamp(now, dt.UTC)
    apart = (theirs - ours).total_seconds()
    if abs(apart) > CLOCK_SECONDS:
        side = "ahead of" if apart > 0 else "behind"
        step.note(f"the server's clock is {abs(apart):.0f} seconds {side} ours")
