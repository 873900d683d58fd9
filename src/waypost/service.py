"""The service: everything that runs in one relay process, put together and taken down in order.

Faces start it and ask it; it owns the spool, the engine and the listeners. `Service.start` makes
the spool ready first, then the engine, and opens the listeners last, so that nothing is accepted
before it can be kept; `Service.stop` goes the other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import random
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from waypost.delivery.backoff import Circuits
from waypost.delivery.engine import Engine, EngineSettings
from waypost.delivery.exchangers import Exchangers, Ourselves
from waypost.delivery.notices import Notices
from waypost.delivery.opening import Opener
from waypost.delivery.pauses import KEPT_AS as PAUSES
from waypost.delivery.route import Route
from waypost.delivery.routing import RoutingTable
from waypost.delivery.slots import Slots
from waypost.delivery.strict_transport import StrictTransport
from waypost.delivery.tls_policy import TlsPolicies, TlsRule
from waypost.faults.rule import FaultRule
from waypost.mail.dkim import DkimSigner
from waypost.net.clock import Clock, SystemClock
from waypost.net.deadlines import Deadlines
from waypost.net.dns import DnsResolver
from waypost.net.network import AsyncioNetwork, Network
from waypost.net.resolver import Resolver
from waypost.net.web import HttpxWeb, Web
from waypost.relay.access import AccessPolicy, AccessSettings
from waypost.relay.bounces import Bounces, BounceSettings, return_path_secret
from waypost.relay.certificates import ServerCertificates, self_signed
from waypost.relay.credentials import CredentialStore
from waypost.relay.domain_keys import NAME as DOMAINS
from waypost.relay.domain_keys import DomainKeys
from waypost.relay.drop import Drop
from waypost.relay.incoming import IncomingAuthentication, IncomingSettings
from waypost.relay.intake import IntakeSettings
from waypost.relay.listener import Listener, ListenerSettings
from waypost.relay.outboxes import Outboxes, OutboxSettings
from waypost.relay.peer_limits import PeerLimits, PeerLimitSettings
from waypost.relay.recipient_policy import RecipientPolicy, RecipientSettings
from waypost.relay.sandbox_rules import SandboxRules
from waypost.relay.signing import MessageSigning, SigningKey
from waypost.relay.submission import Submissions
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.contract import Recovery, Spool, SpoolRefusal
from waypost.spool.sqlite import SqliteSettings, SqliteSpool

HOUSEKEEPING_SECONDS: Final = 600.0
"""Between two looks for messages older than the retention."""

QUOTA_SECONDS: Final = 1.0

QUOTAS: Final = "quotas"
"""The name under which the spool keeps what is used of them."""
STOP_SECONDS: Final = 8.0
"""What is in flight when the relay is told to stop has this long to end."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """All that a service is made of; the configuration builds it."""

    hostname: str
    data: Path
    spool: SqliteSettings
    listeners: tuple[ListenerSettings, ...]
    routes: tuple[Route, ...]
    drop: Path | None = None
    """Where programs leave mail while no relay runs; None: another process looks there."""
    outboxes: tuple[OutboxSettings, ...] = ()
    """Of applications, which this process empties."""
    certificate: Path | None = None
    """With `key`; without them a self-signed certificate is made."""
    key: Path | None = None
    access: AccessSettings = AccessSettings()
    limits: PeerLimitSettings = PeerLimitSettings()
    fault_rules: tuple[FaultRule, ...] = ()
    """What is to go wrong on purpose, while all mail goes to the sandbox."""
    faults_beside_real_routes: bool = False
    """They are followed also where mail leaves the machine."""
    recipients: RecipientSettings = RecipientSettings()
    intake: IntakeSettings | None = None
    engine: EngineSettings | None = None
    incoming: IncomingSettings = IncomingSettings()
    bounces: BounceSettings | None = None
    """Where mail comes back to; None: to its senders."""
    signing_keys: tuple[SigningKey, ...] = ()
    """For DKIM, beside those of the domains that `waypost domain` knows."""
    maximum_size: int = ServerSettings("localhost").maximum_size
    """Bytes of a message that comes from inside; listeners have limits of their own."""
    idle_seconds: float = 10.0
    """How long a connection without work is kept."""
    tls_rules: tuple[TlsRule, ...] = ()
    """What direct delivery asks of the way to some destinations."""
    mta_sts: bool = True
    """Direct delivery keeps to the policies of the domains it delivers to (RFC 8461)."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """By stage, in place of the defaults of RFC 5321 4.5.3.2."""
    retention: float = 14 * 86400.0
    """Seconds for which finished messages stay in the log."""


class Service:
    """A running relay."""

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        clock: Clock | None = None,
        network: Network | None = None,
        resolver: Resolver | None = None,
        web: Web | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost")
        chance = random.SystemRandom()
        self.deadlines = Deadlines(self.clock)
        self.resolver = resolver or DnsResolver(self.clock)
        self.network = network or AsyncioNetwork()
        spool = SqliteSpool(settings.spool, self.clock.now)
        spool.on_set_aside = self._report_set_aside
        spool.on_damage = lambda finding: self.log.error("spool damaged", why=finding)
        self.spool: Spool = spool
        self.slots = Slots(chance)
        self.circuits = Circuits(chance)
        ours = Ourselves(
            names=frozenset({settings.hostname.lower()}),
            listeners=frozenset(
                (host, one.address.port) for one in settings.listeners for host in one.address.hosts
            ),
        )
        self.opener = opener = Opener(
            settings.hostname,
            self.network,
            self.resolver,
            Exchangers(self.resolver, chance, ours),
            self.circuits,
            chance,
            _nonce,
            self.clock,
            self.deadlines,
            settings.idle_seconds,
            dict(settings.timeouts),
            tls_policies=self._tls_policies(settings, web or HttpxWeb(self.resolver)),
        )
        self.engine = Engine(
            settings.engine or EngineSettings(settings.hostname),
            self.spool,
            RoutingTable(settings.routes),
            self.slots,
            opener,
            Notices(settings.hostname, self.spool, self._notice_signatures),
            chance,
            self.clock,
        )
        self.credentials = CredentialStore(
            settings.data / "users.sqlite", secrets.token_bytes, self.clock.monotonic,
            self.clock.now,
        )  # fmt: skip
        self.domain_keys = DomainKeys(settings.data / DOMAINS, self.clock.now, self.clock.monotonic)
        self.incoming = (
            IncomingAuthentication(
                settings.hostname,
                self.resolver,
                enforce=settings.incoming.enforce,
                sealer=self._sealer,
            )
            if settings.incoming.authenticate
            else None
        )
        self._signing_keys = settings.signing_keys
        self.signing = MessageSigning(
            self._all_signing_keys(), self.credentials.owned_senders, self._renewed_signing_keys
        )
        self.access = AccessPolicy(settings.access, self.credentials.owned_senders)
        self.limits = PeerLimits(settings.limits)
        self.certificates: ServerCertificates | None = None
        self.listeners: list[Listener] = []
        self.sandbox_rules = SandboxRules(
            chance, self.listeners,
            lambda: all(route.is_sandbox for route in self.engine.routing.routes),
            allowed_beside_real_routes=settings.faults_beside_real_routes,
        )  # fmt: skip
        self.recovery: Recovery | None = None
        self.submissions: Submissions | None = None
        self.bounces: Bounces | None = None
        self._outboxes: Outboxes | None = None
        self._housekeeping: list[asyncio.Task[None]] = []
        self._quotas_kept = ""

    async def start(self, activated: Mapping[str, list[socket.socket]] | None = None) -> None:
        """Open the spool, start the engine, then listen. Raises OSError and spool errors."""
        settings = self.settings
        # Users, keys and mail are nobody else's to read.
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.recovery = await self.spool.open()
        self._report_recovery(self.recovery)
        self.certificates = self._make_certificates()
        recipients = RecipientPolicy(
            settings.recipients, self.resolver, self.spool.suppression_reason
        )
        intake = settings.intake or IntakeSettings(settings.hostname)
        self.submissions = Submissions(
            intake,
            self.spool,
            self.engine,
            recipients,
            self.clock,
            settings.maximum_size,
            self.signing,
        )
        if settings.bounces is not None:
            secret = return_path_secret(settings.data)
            self.bounces = Bounces(settings.bounces, secret, self.spool, self.clock)
            self.engine.rewrite(self.bounces.outgoing)
        for one in settings.listeners:
            self.listeners.append(
                Listener(
                    one,
                    spool=self.spool,
                    engine=self.engine,
                    access=self.access,
                    limits=self.limits,
                    recipients=recipients,
                    credentials=self.credentials,
                    intake=intake,
                    head_source=self.incoming if one.kind == "relay" else self.signing,
                    tls_context=self.certificates.context,
                    nonce=_nonce,
                    clock=self.clock,
                    deadlines=self.deadlines,
                    bounces=self.bounces,
                )
            )
        self.sandbox_rules.configure(
            settings.fault_rules,
            allowed_beside_real_routes=settings.faults_beside_real_routes,
        )
        await self._restore_quotas()
        await self._restore_pauses()
        await self.engine.start()
        for listener in self.listeners:
            name = listener.settings.address.activation
            given = (activated or {}).get(name, []) if name is not None else []
            if name is not None and not given:
                raise OSError(
                    f"systemd has passed no socket named {name!r}; check the .socket unit"
                )
            await listener.start(given)
        self._outboxes = Outboxes(
            settings.outboxes, self.submissions, self.clock, random.SystemRandom()
        )
        self._outboxes.start()
        work = [self._keep_house(), self._keep_quotas()]
        if settings.drop is not None:
            settings.drop.mkdir(parents=True, exist_ok=True, mode=0o700)
            drop = Drop(settings.drop, settings.hostname, self.submissions, self.clock)
            work.append(drop.look())
        for task in work:
            self._housekeeping.append(asyncio.get_running_loop().create_task(task))

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Accept nothing new, let what is in flight end, commit, close."""
        for listener in self.listeners:
            listener.stop_accepting()
        for task in self._housekeeping:
            task.cancel()
        if self._outboxes is not None:
            await self._outboxes.stop()
        await self.engine.stop(seconds)
        with contextlib.suppress(SpoolRefusal):
            await self._store_quotas()
        until = self.clock.monotonic() + 1.0
        while any(one.sessions for one in self.listeners) and self.clock.monotonic() < until:
            await self.clock.sleep(0.02)
        for listener in self.listeners:
            listener.abort()
        self.signing.close()
        if self.bounces is not None:
            await self.bounces.settle()
        await self.spool.close()
        self.credentials.close()
        self.domain_keys.close()

    def reload(self, settings: ServiceSettings) -> None:
        """Take over new routes, fault rules and certificates; messages that wait go the new way.

        Raises InvalidRouting, and changes nothing then.
        """
        self.engine.reroute(RoutingTable(settings.routes))
        self.sandbox_rules.configure(
            settings.fault_rules, allowed_beside_real_routes=settings.faults_beside_real_routes
        )
        assert self.opener.tls_policies is not None
        self.opener.tls_policies.rules = settings.tls_rules
        self._signing_keys = settings.signing_keys
        self.signing.use(self._all_signing_keys())
        if self.certificates is not None:
            self.certificates.reload()

    def _tls_policies(self, settings: ServiceSettings, web: Web) -> TlsPolicies:
        strict = None
        if settings.mta_sts:
            strict = StrictTransport(self.resolver, web, self.clock, self.spool)
        return TlsPolicies(settings.tls_rules, strict)

    def _sealer(self) -> DkimSigner | None:
        if not self.settings.incoming.seal:
            return None
        return self.signing.sealer(self.settings.hostname.lower())

    def _notice_signatures(self, content: bytes, now: float) -> bytes:
        return self.signing.at_once(content, now)

    def _all_signing_keys(self) -> list[SigningKey]:
        return [*self._signing_keys, *self.domain_keys.signing_keys()]

    def _renewed_signing_keys(self) -> list[SigningKey] | None:
        return self._all_signing_keys() if self.domain_keys.changed() else None

    def _make_certificates(self) -> ServerCertificates:
        settings = self.settings
        if settings.certificate is not None and settings.key is not None:
            certificate, key = settings.certificate, settings.key
        else:
            now = dt.datetime.fromtimestamp(self.clock.now(), dt.UTC)
            certificate, key = self_signed(settings.data / "tls", settings.hostname, now)
        return ServerCertificates(
            certificate, key, report=lambda text: self.log.warning("certificate", why=text)
        )

    def _report_recovery(self, recovery: Recovery) -> None:
        """What came back from the last run is said, and what did not."""
        self.log.info(
            "spool opened",
            messages=recovery.messages,
            recipients=recovery.recipients,
            uncertain=recovery.uncertain,
            seconds=round(recovery.seconds, 3),
        )
        for message, reason in recovery.set_aside:
            self._report_set_aside(message, reason)

    def _report_set_aside(self, message: int, reason: str) -> None:
        self.log.error("message set aside", message=message, why=reason)

    async def _keep_house(self) -> None:
        """Remove what is older than the retention, a little at a time."""
        while True:
            await self.clock.sleep(HOUSEKEEPING_SECONDS)
            removed = 1
            while removed:
                before = self.clock.now() - self.settings.retention
                try:
                    removed = await self.spool.prune(before, 500)
                    removed += await self.spool.prune_events(before, 5000)
                except SpoolRefusal as fault:
                    self.log.error("old messages were not removed", why=str(fault))
                    break
                await self.clock.sleep(0.1)

    # --- quotas: a provider does not forget what was sent before a restart -------------------

    async def _restore_quotas(self) -> None:
        kept = await self.spool.recall(QUOTAS)
        try:
            used = json.loads(kept) if kept else {}
            self.slots.restore_quotas(
                {
                    str(route): {str(w): (float(at), int(n)) for w, (at, n) in windows.items()}
                    for route, windows in used.items()
                }
            )
        except (ValueError, TypeError, AttributeError) as fault:
            self.log.error("what was used of the quotas is not known", why=str(fault))

    async def _restore_pauses(self) -> None:
        """What people have paused stays so, before anything is delivered."""
        try:
            self.slots.pauses.restore(await self.spool.recall(PAUSES))
        except (ValueError, TypeError, KeyError) as fault:
            self.log.error("which queues are paused is not known", why=str(fault))

    async def _store_quotas(self) -> None:
        used = json.dumps(self.slots.export_quotas(), sort_keys=True)
        if used != self._quotas_kept:
            await self.spool.remember(QUOTAS, used)
            self._quotas_kept = used

    async def _keep_quotas(self) -> None:
        """Write down once a second what is used; a crash forgets no more than that."""
        while True:
            await self.clock.sleep(QUOTA_SECONDS)
            try:
                await self._store_quotas()
            except SpoolRefusal as fault:
                self.log.error("what is used of the quotas was not stored", why=str(fault))


def _nonce() -> str:
    return secrets.token_urlsafe(18)
