"""From settings that have the right shape to the settings of the service; and what only shows when
they are looked at together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from waypost.config.accepting import ListenerSection
from waypost.config.delivering import RouteSection
from waypost.config.model import Settings
from waypost.config.problems import resembling
from waypost.config.sandbox import FaultRuleSection
from waypost.config.signing import DkimSection
from waypost.config.units import seconds_text
from waypost.control.sessions import SessionLifetimes
from waypost.control.settings import ControlSettings
from waypost.delivery.engine import EngineSettings
from waypost.delivery.retry import RetrySchedule
from waypost.delivery.route import NextHop, Quotas, Route, RouteLimits, RouteMatch, Strategy
from waypost.delivery.routing import InvalidRouting, RoutingTable
from waypost.delivery.tls_policy import TlsLevel, TlsRule
from waypost.faults.rule import FaultRule, InvalidRule, read
from waypost.mail.dkim import DkimSigner
from waypost.outbox.worker import WorkerSettings
from waypost.relay.access import AccessSettings, ListenerKind
from waypost.relay.authentication import MECHANISMS
from waypost.relay.bounces import BounceSettings
from waypost.relay.certificates import CertificateFault, ServerCertificates
from waypost.relay.incoming import IncomingSettings
from waypost.relay.intake import IntakeSettings
from waypost.relay.listener import ListenerSettings
from waypost.relay.listener_address import ListenerAddress
from waypost.relay.outboxes import OutboxSettings
from waypost.relay.peer_limits import PeerLimitSettings
from waypost.relay.recipient_policy import RecipientSettings
from waypost.relay.signing import SigningKey
from waypost.service import ServiceSettings
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.sqlite import SqliteSettings

_ALL: Final = "*"

Report = Callable[[tuple[str | int, ...], str, str | None], None]
"""Takes the path, the reason and the nearest right name of a problem."""


def kind_of(section: ListenerSection) -> ListenerKind:
    """The kind of a listener; by its port where the settings do not say."""
    if section.kind is not None:
        return section.kind
    port = section.address.port
    return "relay" if port == 25 else "submissions" if port == 465 else "submission"


def listener(settings: Settings, section: ListenerSection, hostname: str) -> ListenerSettings:
    """One listener.

    AUTH goes in the clear only where nobody can listen: on loopback. A load balancer on loopback
    brings clients from elsewhere, so with `proxy_from` it does not. STARTTLS with a self-signed
    certificate would only make clients on loopback stumble that rightly refuse it.
    """
    kind = kind_of(section)
    is_local = section.address.is_loopback and not section.proxy_from
    implicit = kind == "submissions"
    authenticates = section.authentication
    if authenticates is None:
        authenticates = kind != "relay"
    starttls = section.starttls
    if starttls is None:
        starttls = not is_local or settings.tls.certificate is not None
    return ListenerSettings(
        section.address,
        kind,
        ServerSettings(
            hostname,
            maximum_size=section.maximum_size or settings.content.maximum_size,
            maximum_recipients=section.maximum_recipients,
            maximum_command_line=section.maximum_command_line,
            maximum_errors=section.maximum_errors,
            maximum_idle_commands=section.maximum_idle_commands,
            maximum_messages=section.maximum_messages,
            starttls=starttls and not implicit,
            auth_mechanisms=MECHANISMS if authenticates else (),
            auth_in_clear=authenticates and is_local,
            smtputf8=section.smtputf8,
            chunking=section.chunking,
            dsn=section.dsn,
            require_tls=section.requiretls,
            normalise_line_ends=settings.content.bare_line_ends == "normalise",
        ),
        implicit_tls=implicit,
        proxy_from=section.proxy_from,
    )


def route(settings: Settings, section: RouteSection) -> Route:
    """One route. Raises ValueError where its next hops do not go together."""
    hops: list[NextHop] = [named.hop for named in section.via if named.hop is not None]
    limits, quotas, retry = section.limits, section.quotas, section.retry
    return Route(
        section.name,
        tuple(hops),
        RouteMatch(section.match.recipients, section.match.senders, section.match.users),
        Strategy(section.strategy),
        section.tee_sandbox,
        RouteLimits(
            limits.connections, limits.connections_per_destination,
            limits.messages_per_connection, limits.recipients_per_transaction, limits.rate,
            limits.rate_per_destination,
        ),
        Quotas(quotas.per_minute, quotas.per_hour, quotas.per_day, quotas.spread),
        section.overflow,
        section.allow_private_addresses,
        RetrySchedule(retry.delays, retry.afterwards, retry.jitter, retry.warn_after),
        section.expire_after or settings.delivery.expire_after,
        section.chunking,
        section.pipelining,
    )  # fmt: skip


def fault_rule(section: FaultRuleSection) -> FaultRule:
    """One fault on purpose; whether it means something is not asked here."""
    return FaultRule(
        section.on, section.reply or "", section.delay or 0.0, section.drop, section.sender or "",
        section.recipient or "", section.after, section.times, section.share,
        "" if section.rate is None else str(section.rate),
    )  # fmt: skip


def check_bounces(settings: Settings, report: Report) -> None:
    """Where mail comes back to must be a place that finds the message again."""
    domain, senders = settings.bounces.domain, settings.bounces.senders
    if domain is None:
        return
    if settings.workers > 1:
        why = "a bounce may reach a worker that has not sent the message: set workers = 1"
        report(("bounces", "domain"), why, None)
    if not senders and domain.count(".") < 2:
        why = f"{domain} has no domain of senders above it; say whose mail with bounces.senders"
        report(("bounces", "domain"), why, None)


def service(settings: Settings, routes: tuple[Route, ...]) -> ServiceSettings:
    """Everything. The settings are whole: hostname, data, listeners and routes are there."""
    assert settings.hostname is not None
    assert settings.data is not None
    hostname, limits, content, delivery = (
        settings.hostname, settings.limits, settings.content, settings.delivery,
    )  # fmt: skip
    return ServiceSettings(
        hostname=hostname,
        data=settings.data,
        spool=SqliteSettings(
            spool_folder(settings),
            settings.spool.quota, settings.spool.minimum_free, settings.spool.memory,
        ),
        listeners=tuple(listener(settings, one, hostname) for one in settings.listener),
        routes=routes,
        drop=settings.drop or settings.data / "drop",
        outboxes=tuple(
            OutboxSettings(
                one.database.url, one.user,
                WorkerSettings(
                    poll_seconds=one.poll, lease_seconds=one.lease, retention=one.retention
                ),
            )
            for one in settings.outbox
        ),
        incoming=IncomingSettings(
            settings.incoming.authenticate, settings.incoming.enforce, settings.incoming.seal
        ),
        bounces=(
            None
            if settings.bounces.domain is None
            else BounceSettings(settings.bounces.domain, settings.bounces.senders)
        ),
        signing_keys=tuple(signing_key(one) for one in settings.dkim),
        certificate=settings.tls.certificate,
        key=settings.tls.key,
        access=AccessSettings(
            settings.access.trusted_networks, settings.access.relay_domains,
            settings.access.require_authentication, settings.access.enforce_sender_ownership,
        ),
        limits=PeerLimitSettings(
            limits.connections, limits.connections_per_address, limits.connections_per_minute,
            limits.messages_per_minute, limits.recipients_per_hour,
            limits.user_messages_per_hour, limits.user_recipients_per_hour,
            limits.errors_per_hour, limits.failed_logins_per_hour, limits.ban,
            limits.exempt_loopback, limits.tracked,
        ),
        fault_rules=tuple(fault_rule(one) for one in settings.sandbox.rule),
        faults_beside_real_routes=settings.sandbox.allow_beside_real_routes,
        recipients=RecipientSettings(
            settings.recipients.syntax, settings.recipients.domain,
            settings.recipients.suppressions, settings.recipients.on_dns_failure,
        ),
        intake=IntakeSettings(
            hostname, content.maximum_header, content.maximum_fields, content.maximum_hops,
        ),
        engine=EngineSettings(
            hostname, delivery.window, delivery.lane_window, delivery.load_at_once,
            delivery.body_memory, delivery.armed,
        ),
        maximum_size=content.maximum_size,
        idle_seconds=delivery.idle,
        tls_rules=tuple(
            TlsRule(
                tuple(name.lower() for name in one.destinations), TlsLevel(one.level),
                one.exchangers, None if one.ca_file is None else str(one.ca_file),
            )
            for one in settings.destination_tls
        ),
        mta_sts=delivery.mta_sts,
        timeouts=settings.timeouts.model_dump(),
        retention=settings.retention,
    )  # fmt: skip


def signing_key(section: DkimSection) -> SigningKey:
    """A key for DKIM. Raises InvalidKey, a ValueError."""
    signer = DkimSigner(section.domain, section.selector, section.key.key)
    return SigningKey(signer, section.subdomains)


def check_signing(settings: Settings, report: Report) -> None:
    """Each key can sign, and no name is there twice."""
    seen: set[tuple[str, str]] = set()
    for number, section in enumerate(settings.dkim):
        try:
            signer = signing_key(section).signer
        except ValueError as fault:
            report(("dkim", number, "selector"), str(fault), None)
            continue
        name = (signer.domain, signer.selector.lower())
        if name in seen:
            record = f"{signer.selector}._domainkey.{signer.domain}"
            report(("dkim", number, "selector"), f"{record} is there twice", None)
        seen.add(name)


def control(settings: Settings, *, is_required: bool) -> ControlSettings:
    """The control room."""
    assert settings.data is not None
    web = settings.web
    return ControlSettings(
        settings.data, settings.panel, is_required, web.public_url or "", web.hosts,
        web.trusted_proxies, web_has_tls(settings),
        SessionLifetimes(web.session_idle, web.session_lifetime),
        webhook_networks=settings.webhooks.allow,
    )  # fmt: skip


def web_has_tls(settings: Settings) -> bool:
    """Whether the panel serves HTTPS itself."""
    if settings.web.tls is not None:
        return settings.web.tls
    return not ListenerAddress.parse(settings.panel).is_loopback


def spool_folder(settings: Settings) -> Path:
    """Where the mail is."""
    assert settings.data is not None
    return settings.spool.url or settings.data / "spool"


# --- what does not fit together -----------------------------------------------------------------


def check_tls(settings: Settings, report: Report) -> None:
    """Certificate and key: both or neither, and usable."""
    certificate, key = settings.tls.certificate, settings.tls.key
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        given, missing = ("key", "certificate") if certificate is None else ("certificate", "key")
        report(("tls", given), f"needs tls.{missing} beside it", None)
        return
    try:
        ServerCertificates(certificate, key)
    except (CertificateFault, OSError) as fault:
        report(("tls", "certificate"), str(fault), None)


def check_web(settings: Settings, report: Report) -> None:
    """Passwords for the panel never cross a network in the clear."""
    web = settings.web
    stays_here = settings.panel == "off" or ListenerAddress.parse(settings.panel).is_loopback
    if not stays_here and not web_has_tls(settings) and not web.trusted_proxies:
        report(
            ("web", "tls"),
            f"the panel on {settings.panel} would take passwords in the clear; leave it out, or "
            "name the proxy in front of it in web.trusted_proxies",
            None,
        )
    if web.session_idle > web.session_lifetime:
        report(
            ("web", "session_idle"),
            f"must be at most web.session_lifetime, which is {seconds_text(web.session_lifetime)}",
            None,
        )


def check_listeners(settings: Settings, report: Report) -> None:
    """No address twice; logging in is possible where it is asked for."""
    seen: dict[tuple[str, int], str] = {}
    for number, section in enumerate(settings.listener):
        path = ("listener", number)
        address = section.address
        for place in _places(address):
            other = _taken(place, seen)
            if other is not None:
                report((*path, "address"), f"{address.text} is taken by the listener {other}", None)
                break
        seen |= dict.fromkeys(_places(address), address.text)
        kind = kind_of(section)
        if kind == "submissions" and section.starttls:
            report((*path, "starttls"), "must be false: submissions begin with TLS", None)
        needs = section.authentication or (
            settings.access.require_authentication
            and kind != "relay"
            and section.authentication is None
        )
        local = section.address.is_loopback and not section.proxy_from
        if needs and section.starttls is False and kind != "submissions" and not local:
            report(
                (*path, "starttls"),
                "must be true: AUTH is offered only under TLS here, so nobody could log in",
                None,
            )
        required = settings.access.require_authentication and kind != "relay"
        if required and section.authentication is False:
            report(
                (*path, "authentication"),
                "must be true: access.require_authentication is, so nobody could submit",
                None,
            )


def _places(address: ListenerAddress) -> list[tuple[str, int]]:
    if address.path is not None or address.activation is not None:
        return [(f"{address.path or ''}:{address.activation or ''}", -1)]
    if address.port == 0:
        return []  # the system picks a free one
    return [(host.lower(), address.port) for host in address.hosts or (_ALL,)]


def _taken(place: tuple[str, int], seen: Mapping[tuple[str, int], str]) -> str | None:
    """The listener that is there already; all addresses of a port and one of them are the same."""
    host, port = place
    for (other, other_port), text in seen.items():
        if port == other_port and (host == other or _ALL in (host, other)):
            return text
    return None


def check_delivery(settings: Settings, report: Report) -> None:
    """The window holds what is loaded in one go, or nothing would ever be loaded."""
    delivery = settings.delivery
    if delivery.load_at_once <= delivery.window:
        return
    if "load_at_once" in delivery.model_fields_set:
        reason = f"must be at most delivery.window, which is {delivery.window}"
        report(("delivery", "load_at_once"), reason, None)
    else:
        reason = f"must be at least delivery.load_at_once, which is {delivery.load_at_once}"
        report(("delivery", "window"), reason, None)


def check_route_names(document: Mapping[str, Any], report: Report) -> bool:
    """Names are given once and overflow leads to one. Looks at the document, so that it finds
    these even where other keys of a route are faulty."""
    routes = document.get("route")
    sections = [
        (number, section)
        for number, section in enumerate(routes if isinstance(routes, list) else ())
        if isinstance(section, dict)
    ]
    names = [name for _, section in sections if isinstance(name := section.get("name"), str)]
    sound = True
    seen: set[str] = set()
    for number, section in sections:
        name, overflow = section.get("name"), section.get("overflow")
        if isinstance(name, str):
            if name in seen:
                sound = False
                report(("route", number, "name"), f"two routes are called {name!r}", None)
            seen.add(name)
        if isinstance(overflow, str) and overflow not in names:
            sound = False
            meant = resembling(overflow, names, 0.5)
            report(("route", number, "overflow"), f"{overflow[:64]!r} is no route", meant)
    return sound


def check_sandbox(settings: Settings, routes: Sequence[Route], report: Report) -> None:
    """Each fault rule means something, and none stands beside a route that mail leaves by."""
    rules = settings.sandbox.rule
    for number, section in enumerate(rules):
        try:
            read(fault_rule(section))
        except InvalidRule as fault:
            report(("sandbox", "rule", number), str(fault), None)
    real = next((one for one in routes if not one.is_sandbox), None)
    if rules and real is not None and not settings.sandbox.allow_beside_real_routes:
        report(
            ("sandbox", "rule"),
            f"mail leaves by route {real.name}, and would fail by these rules; take them out, or "
            "set sandbox.allow_beside_real_routes = true",
            None,
        )


def check_routes(routes: Sequence[Route], report: Report) -> None:
    """The routes make a table."""
    try:
        RoutingTable(routes)
    except InvalidRouting as fault:
        text = str(fault)
        named = [
            number
            for number, one in enumerate(routes)
            if repr(one.name) in text or f"circle: {one.name} ->" in text
        ]
        # Where a route makes another useless, the one that is to be moved is behind.
        report(("route", named[-1]) if named else ("route",), text, None)
