"""The doctor over the API: what a reply means, what is wrong with a server or domain, which server
to send over, how quick one is.

A check connects to where its caller says, within doctor_network's policy. Few run at a time, each
has an end, and none sends mail.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.delivery.route import Credentials, Smarthost, TlsMode
from waypost.doctor.check.run import CheckSettings, check
from waypost.doctor.check.subject import Subject, parse_subject, with_port
from waypost.doctor.explanation.answer import Answer, NothingKnown, explain
from waypost.doctor.explanation.document import document_of
from waypost.doctor.latency import LatencySettings, measure
from waypost.doctor.line_opening import World
from waypost.doctor.target import InvalidTarget, ServerTarget, parse_target
from waypost.faces.http.api.doctor_network import GuardedNetwork, ReachPolicy
from waypost.faces.http.api.models_doctor import (
    Document,
    ServerToCheck,
    ServerToPing,
    SubjectToDiscover,
    TextToExplain,
)
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    PREFIX,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)
from waypost.faces.http.problems import Problem, problem_type
from waypost.faces.http.security import Caller, api_caller
from waypost.knowledge.response_times import response_limit
from waypost.mail.address import InvalidAddress, parse_address

router = APIRouter(prefix=PREFIX, tags=["doctor"])

AT_ONCE: Final = 4
"""Checks of all callers that run at the same time."""

LONGEST: Final = 60.0
"""Seconds of one of them."""

TLS_MODES: Final = {
    "starttls": TlsMode.REQUIRED,
    "if-offered": TlsMode.OPPORTUNISTIC,
    "implicit": TlsMode.IMPLICIT,
    "none": TlsMode.NONE,
}

Examiner = Annotated[Caller, api_caller(Permission.DOCTOR)]
_LONG: Final = refusals(*BODY_REFUSALS, 503, 504)


@router.post(
    "/doctor/explain",
    summary="Explain what a server or program has said",
    operation_id="explain",
    response_model=Document,
    responses=refusals(*BODY_REFUSALS),
    openapi_extra=takes(TextToExplain),
)
async def explain_text(
    caller: Annotated[Caller, api_caller()],
    given: Annotated[TextToExplain, body_of(TextToExplain)],
) -> Response:
    """A code, a reply, a session, lines of a log, an exception, a provider's event or a whole
    bounce: what it means, who said it, what to do. Connects to nobody. docs/reference/explain.md
    lists the fields."""
    del caller
    try:
        found: Answer = await asyncio.to_thread(explain, given.text)
    except NothingKnown as fault:
        raise Problem(
            422, str(fault), title="Nothing in it is known", type=problem_type("nothing-known")
        ) from None
    return answer(document_of(found))


@router.post(
    "/doctor/check",
    summary="Find out what is wrong with a server or domain",
    operation_id="check",
    response_model=Document,
    responses=_LONG,
    openapi_extra=takes(ServerToCheck),
)
async def check_server(
    room: Room,
    caller: Examiner,
    request: Request,
    given: Annotated[ServerToCheck, body_of(ServerToCheck)],
) -> Response:
    """Walks from the DNS over the connection, greeting, TLS and login to MAIL and RCPT; no mail is
    sent. Only mail ports of public addresses are reached, and the next hops of the configured
    routes. docs/reference/check.md lists the fields."""
    from waypost.faces.cli.check_result import document

    subject = _subject(given)
    hop = subject.hop if isinstance(subject, ServerTarget) else None
    settings = CheckSettings(
        room.service.settings.hostname,
        _nonce,
        given.seconds,
        _address("sender", given.sender),
        _address("recipient", given.recipient) or None,
        port=given.port or 25,
        tls=TLS_MODES[given.tls] if given.tls else TlsMode.OPPORTUNISTIC,
    )
    world, network = _world(room, hop)
    async with _place(request, network):
        checked = await check(subject, settings, world)
    await room.audit.record(caller.name, "server checked", checked.target[:200])
    return answer(document(checked))


@router.post(
    "/doctor/discover",
    summary="Find the server to send over",
    operation_id="discover",
    response_model=Document,
    responses=_LONG,
    openapi_extra=takes(SubjectToDiscover),
)
async def discover_server(
    room: Room,
    caller: Examiner,
    request: Request,
    given: Annotated[SubjectToDiscover, body_of(SubjectToDiscover)],
) -> Response:
    """For an address or a domain, from presets, SRV records, autoconfig and autodiscover. Only
    public addresses are asked; no login is tried."""
    from waypost.doctor.discovery import DiscoveryOptions, InvalidSubject, discover
    from waypost.doctor.discovery import parse_subject as parse_discovered
    from waypost.faces.cli.discover import document
    from waypost.net.web import HttpxWeb

    try:
        subject = parse_discovered(given.subject)
    except InvalidSubject as fault:
        raise _invalid("subject", str(fault)) from None
    world, _ = _world(room, None)
    web = HttpxWeb(world.resolver)
    async with _place(request):
        found = await discover(subject, world, web, DiscoveryOptions(False, given.thorough))
    await room.audit.record(caller.name, "server discovered", given.subject[:200])
    return answer(document(found))


@router.post(
    "/doctor/ping",
    summary="Measure the response time of a server",
    operation_id="ping",
    response_model=Document,
    responses=_LONG,
    openapi_extra=takes(ServerToPing),
)
async def ping_server(
    room: Room,
    caller: Examiner,
    request: Request,
    given: Annotated[ServerToPing, body_of(ServerToPing)],
) -> Response:
    """By stage, over some sessions; no mail is sent. Reaches what `check` reaches."""
    from waypost.faces.cli.ping_result import Judged, result_document

    try:
        target = parse_target(given.target, None, _credentials(given.user, given.password))
    except InvalidTarget as fault:
        raise _invalid("target", str(fault)) from None
    target = _plain(target)
    settings = LatencySettings(
        target.hop, room.service.settings.hostname, _nonce, given.seconds, "", None
    )
    world, network = _world(room, target.hop)
    async with _place(request, network):
        sessions = [await measure(settings, world, number) for number in range(1, given.count + 1)]
    await room.audit.record(caller.name, "server pinged", target.place[:200])
    return answer(result_document(target, Judged(sessions, response_limit("session").seconds)))


def _subject(given: ServerToCheck) -> Subject:
    """Raises Problem."""
    try:
        found = parse_subject(given.target, None, _credentials(given.user, given.password))
    except InvalidTarget as fault:
        raise _invalid("target", str(fault)) from None
    tls = TLS_MODES[given.tls] if given.tls else None
    if isinstance(found, ServerTarget):
        return _plain(with_port(found, given.port, tls))
    if found.server is not None:
        return replace(found, server=_plain(with_port(found.server, given.port, tls)))
    return found


def _plain(target: ServerTarget) -> ServerTarget:
    """A target that names no file and no address of this machine. Raises Problem."""
    hop = target.hop
    if hop.ca_file is not None or hop.source is not None or hop.is_unix:
        raise _invalid("target", "files and addresses of the relay are not named over HTTP")
    return target


def _credentials(user: str | None, password: str | None) -> Credentials | None:
    """Raises Problem."""
    if user is None and password is None:
        return None
    if not user or not password or "\0" in user or "\0" in password:
        raise _invalid("user", "user and password go together, both without NUL")
    return Credentials(user, password)


def _address(name: str, given: str | None) -> str | None:
    """Raises Problem."""
    if given is None:
        return None
    if name == "sender" and given in ("", "<>"):
        return ""
    try:
        return str(parse_address(given, smtputf8=True))
    except InvalidAddress as fault:
        raise _invalid(name, f"it is no address: {fault.reason}") from None


def _invalid(name: str, detail: str) -> Problem:
    return Problem(
        422,
        f"{name}: {detail}",
        title="The request is not of the described form",
        type=problem_type("invalid-request"),
        errors=[{"in": "body", "pointer": f"#/{name}", "detail": detail}],
    )


def _world(room: ControlRoom, hop: Smarthost | None) -> tuple[World, GuardedNetwork]:
    service = room.service
    policy = ReachPolicy.of(service.engine.routing.routes, hop)
    network = GuardedNetwork(service.network, policy)
    return World(service.clock, network, service.resolver), network


@asynccontextmanager
async def _place(request: Request, network: GuardedNetwork | None = None) -> AsyncIterator[None]:
    """One of the places for checks, for as long as a check may take.

    Raises Problem 403 where the policy has let it reach nothing, 503, 504.
    """
    state: Any = request.app.state
    running: int = getattr(state, "checks", 0)
    if running >= AT_ONCE:
        raise Problem(
            503,
            f"{AT_ONCE} checks are running already; come again when one has ended",
            type=problem_type("busy"),
            headers={"Retry-After": "5"},
        )
    state.checks = running + 1
    try:
        async with asyncio.timeout(LONGEST):
            yield
        if network is not None and network.refusal and not network.connected:
            raise Problem(
                403,
                f"{network.refusal}. The commands of the doctor, on the relay's machine, reach "
                "everything",
                title="This is not checked over HTTP",
                type=problem_type("out-of-reach"),
            )
    except TimeoutError:
        raise Problem(
            504,
            f"it has not come to its end within {LONGEST:.0f} s, and was given up; ask for less "
            "at a time, or use the command on the relay's machine",
            type=problem_type("timeout"),
        ) from None
    finally:
        state.checks -= 1


def _nonce() -> str:
    return secrets.token_urlsafe(18)
