"""The whole check of a subject, and what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from waypost.delivery.next_hop import Smarthost, TlsMode
from waypost.doctor.check.diagnosis import Diagnosis, beside, combine, diagnose, with_alternative
from waypost.doctor.check.follow_up import follow_up, plain_target
from waypost.doctor.check.session import Session, check_server
from waypost.doctor.check.settings import ServerToCheck
from waypost.doctor.check.steps import CheckEnded, Recorder, Step
from waypost.doctor.check.subject import DomainTarget, Subject
from waypost.doctor.line_opening import World
from waypost.doctor.target import ServerTarget, provider_of_host
from waypost.knowledge.special_addresses import is_loopback
from waypost.net.resolver import NoSuchRecord, ResolutionFailure

if TYPE_CHECKING:
    from waypost.doctor.check.health import HealthLook
    from waypost.doctor.domain_health import HealthReport


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How to check. See ServerToCheck for what is not said here."""

    hostname: str
    nonce: Callable[[], str]
    seconds: float = 10.0
    sender: str | None = None
    recipient: str | None = None
    size: int = 0
    message: bytes | None = None
    insecure: bool = False
    ca_file: str | None = None
    source: str | None = None
    port: int = 25
    """Of the exchangers of a domain."""
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    """With the exchangers of a domain."""
    given: tuple[tuple[str, str], ...] = ()
    """Options of the command, for those that are suggested next."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Is told what happens, as it happens."""

    host: Callable[[str], None] = lambda _: None
    """A server is begun."""
    begun: Callable[[str], None] = lambda _: None
    ended: Callable[[Step], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check brought."""

    target: str
    diagnosis: Diagnosis
    steps: tuple[Step, ...]
    capabilities: Mapping[str, object]
    """What the (first) server that got so far can do, for the document; see `capabilities_of`."""
    domain: str | None = None
    """The mail domain, where it is one that was checked."""
    health: HealthReport | None = None
    """What its records are like, where they were looked at."""


async def check(
    subject: Subject,
    settings: CheckSettings,
    world: World,
    watch: Watch | None = None,
    health: HealthLook | None = None,
) -> Checked:
    """Check it. What is wrong with it is in the result.

    With `health` the records of a domain are looked at beside its servers.
    """
    watch = watch or Watch()
    if isinstance(subject, ServerTarget):
        return await _check_server(subject, settings, world, watch)
    if subject.server is not None and not await _is_mail_domain(subject, world):
        made = settings
        if subject.recipient is not None:
            made = replace(settings, recipient=settings.recipient or subject.recipient)
        return await _check_server(subject.server, made, world, watch)
    if health is None or subject.recipient is not None:
        return await _check_domain(subject, settings, world, watch)
    from waypost.doctor.check.health import look, steps_of, with_health

    looking = asyncio.ensure_future(look(subject.domain, health))
    try:
        checked = await _check_domain(subject, settings, world, watch)
        report = await looking
    finally:
        looking.cancel()
    if report is None:
        return checked
    return replace(
        checked,
        diagnosis=with_health(checked.diagnosis, report),
        steps=(*checked.steps, *steps_of(report)),
        health=report,
    )


async def _is_mail_domain(subject: DomainTarget, world: World) -> bool:
    """Whether a bare name is to be taken as a domain: it has an MX, or no host has such a name."""
    if subject.recipient is not None:
        return False  # an address literal: the server is known
    try:
        await world.resolver.mail_exchangers(subject.domain)
    except NoSuchRecord:
        # example.com without an MX is a domain all the same; mail.example.com is a server.
        if subject.domain.count(".") == 1:
            return True
        try:
            await world.resolver.addresses(subject.domain)
        except NoSuchRecord:
            return True
        except ResolutionFailure:
            return False
        return False
    except ResolutionFailure:
        return False
    return True


async def _check_server(
    target: ServerTarget, settings: CheckSettings, world: World, watch: Watch
) -> Checked:
    hop = target.hop
    hop = replace(
        hop,
        verify=hop.verify and not settings.insecure,
        ca_file=settings.ca_file or hop.ca_file,
        source=settings.source or hop.source,
    )
    local = is_loopback(hop.host) or hop.is_unix
    bare = not target.tls_given
    if local and bare and hop.tls is TlsMode.REQUIRED:
        hop = replace(hop, tls=TlsMode.OPPORTUNISTIC)  # nobody asked for TLS, and nobody listens
    server = ServerToCheck(
        hop, settings.hostname, settings.nonce, plain_target(target.text), settings.seconds,
        settings.sender, settings.recipient, settings.size, settings.message,
        tls_wanted=not local,
    )  # fmt: skip
    watch.host(target.place)
    recorder = _recorder(hop, world, watch)
    session = await check_server(server, world, recorder)
    diagnosis = _with_provider(diagnose(recorder.steps, _facts(session, settings)), hop)
    diagnosis = _completed(diagnosis, target, settings)
    return Checked(target.text, diagnosis, tuple(recorder.steps), capabilities_of(session))


async def _check_domain(
    subject: DomainTarget, settings: CheckSettings, world: World, watch: Watch
) -> Checked:
    from waypost.doctor.check.exchangers import find_exchangers

    recorder = Recorder(world.clock, begun=watch.begun, ended=watch.ended)
    facts = {"domain": subject.domain, "target": subject.text, "host": subject.domain}
    facts |= _nameserver(settings)
    if subject.recipient is not None:
        facts["recipient"] = subject.recipient
    watch.host(subject.domain)
    try:
        exchangers = await find_exchangers(subject.domain, world, recorder, settings.seconds)
    except CheckEnded:
        found = _completed(diagnose(recorder.steps, facts), None, settings)
        return Checked(subject.text, found, tuple(recorder.steps), {}, subject.domain)
    own = list(recorder.steps)
    steps = list(own)
    diagnoses: list[Diagnosis] = []
    capabilities: Mapping[str, object] = {}
    recipient = settings.recipient or subject.recipient or f"postmaster@{subject.domain}"
    for host in exchangers.hosts:
        hop = Smarthost(
            host, settings.port, settings.tls, verify=settings.tls is not TlsMode.OPPORTUNISTIC,
            ca_file=settings.ca_file, source=settings.source,
        )  # fmt: skip
        server = ServerToCheck(
            hop, settings.hostname, settings.nonce, subject.text, settings.seconds,
            settings.sender, recipient, settings.size, settings.message,
            is_exchanger=settings.tls is TlsMode.OPPORTUNISTIC,
        )  # fmt: skip
        watch.host(f"{host}:{settings.port}")
        each = Recorder(world.clock, begun=watch.begun, ended=watch.ended)
        session = await check_server(server, world, each)
        steps += each.steps
        diagnoses.append(diagnose(each.steps, {**_facts(session, settings), **facts}))
        capabilities = capabilities or capabilities_of(session)
        if settings.message is not None and diagnoses[-1].verdict != "fail":
            break  # it is delivered; once is enough
    found = combine(diagnoses)
    if exchangers.implicit and found.verdict == "fail" and _unreached(found):
        # Nobody is there, and no record says that there should be: the record is what is missing.
        missing = diagnose(own, facts)
        names = (found.cause.id if found.cause else "", *found.alternatives)
        found = replace(missing, verdict="fail", alternatives=names)
    elif found.verdict != "fail":
        found = beside(diagnose(own, facts), found)
    else:
        found = with_alternative(found, diagnose(own, facts))
    found = _completed(found, None, settings)
    return Checked(subject.text, found, tuple(steps), capabilities, subject.domain)


def _with_provider(found: Diagnosis, hop: Smarthost) -> Diagnosis:
    """Of a login that fails at a known provider: what that one takes, in its own words."""
    if found.cause is None or not found.cause.id.startswith("auth."):
        return found
    from waypost.knowledge.providers import providers

    provider = providers().get(hop.provider or "") or provider_of_host(hop.host)
    if provider is None or not provider.credentials:
        return found
    page = f" ({provider.credentials_url})" if provider.credentials_url else ""
    return replace(found, fix=f"{found.fix} {provider.title} takes {provider.credentials}{page}.")


def _unreached(found: Diagnosis) -> bool:
    return found.cause is not None and found.cause.id.startswith(("tcp.", "dns."))


def _recorder(hop: Smarthost, world: World, watch: Watch) -> Recorder:
    secrets = (hop.credentials.password,) if hop.credentials is not None else ()
    return Recorder(world.clock, begun=watch.begun, ended=watch.ended, secrets=secrets)


def _completed(
    found: Diagnosis, target: ServerTarget | None, settings: CheckSettings
) -> Diagnosis:  # fmt: skip
    return replace(found, command=follow_up(found.command, target, settings.given))


def _nameserver(settings: CheckSettings) -> dict[str, str]:
    """Which name server was asked, where it is not the system's."""
    asked = dict(settings.given).get("--dns")
    return {"nameserver": f"the name server {asked} (--dns)"} if asked else {}


def _facts(session: Session, settings: CheckSettings) -> dict[str, str]:
    """What fills the places of a fix that a sign leaves open."""
    facts = session.facts | _nameserver(settings)
    credentials = session.server.hop.credentials
    if credentials is not None:
        facts["user"] = credentials.user
    sender = settings.sender or (credentials.user if credentials is not None else "")
    if "@" in sender:
        facts |= {"sender": sender, "sender_domain": sender.rpartition("@")[2]}
    if session.server.recipient:
        facts["recipient"] = session.server.recipient
    if session.capabilities is not None and session.capabilities.size:
        facts["size"] = str(session.capabilities.size)
    labels = session.server.hop.host.split(".")
    if len(labels) >= 2 and not labels[-1].isdigit():
        facts["domain"] = ".".join(labels[-2:])
    return facts


def capabilities_of(session: Session) -> dict[str, object]:
    """What a server can do, as the document has it; {} where it did not say."""
    told = session.capabilities
    if told is None:
        return {}
    return {
        "name": told.domain,
        "greeting": session.greeting,
        "tls": session.tls,
        "starttls": (session.before_tls or told).starttls,
        "auth": list(told.auth),
        "size": told.size,
        "pipelining": told.pipelining,
        "eight_bit_mime": told.eight_bit_mime,
        "smtputf8": told.smtputf8,
        "chunking": told.chunking,
        "dsn": told.dsn,
        "enhanced_status_codes": told.enhanced_status_codes,
        "keywords": dict(told.keywords),
    }
