"""A listening socket and everything its sessions share."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from waypost.delivery.engine import Engine
from waypost.faults.rules import FaultRules
from waypost.net.clock import Clock
from waypost.net.deadlines import Deadlines
from waypost.relay.access import AccessPolicy, ListenerKind
from waypost.relay.bounces import Bounces
from waypost.relay.credentials import CredentialStore
from waypost.relay.dates import DateSource
from waypost.relay.head_fields import HeadSource
from waypost.relay.intake import IntakeSettings
from waypost.relay.introduction import Introduction
from waypost.relay.listener_address import ListenerAddress
from waypost.relay.peer_limits import PeerLimits
from waypost.relay.recipient_policy import RecipientPolicy
from waypost.relay.refusals import Refusal, RefusalWatcher
from waypost.relay.session import Session
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.contract import Spool, SpoolFull

FULL_SECONDS: Final = 60.0
"""How often the log says that the spool has no room, while clients are told."""

BACKLOG: Final = 1024
"""Connections that the system may hold before they are accepted."""


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One listener of the configuration."""

    address: ListenerAddress
    kind: ListenerKind
    server: ServerSettings
    implicit_tls: bool = False
    shared: bool = False
    """Several processes listen on this port; the system spreads the connections over them."""
    proxy_from: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Addresses that must, and alone may, send a PROXY header."""


class Listener:
    """See the module. `sessions` are the open connections."""

    def __init__(
        self,
        settings: ListenerSettings,
        *,
        spool: Spool,
        engine: Engine,
        access: AccessPolicy,
        limits: PeerLimits,
        recipients: RecipientPolicy,
        credentials: CredentialStore,
        intake: IntakeSettings,
        head_source: HeadSource | None = None,
        tls_context: Callable[[], ssl.SSLContext],
        nonce: Callable[[], str],
        clock: Clock,
        deadlines: Deadlines,
        bounces: Bounces | None = None,
    ) -> None:
        self.settings = settings
        self.kind = settings.kind
        self.implicit_tls = settings.implicit_tls
        self.is_submission = settings.kind != "relay"
        self.server_settings = settings.server
        self.intake_settings = intake
        self.head_source = head_source
        """Adds what needs the whole message: our signatures, or what was found of others'."""
        self.spool = spool
        self.engine = engine
        self.access = access
        self.limits = limits
        self.recipients = recipients
        self.credentials = credentials
        self.tls_context = tls_context
        self.nonce = nonce
        self.clock = clock
        self.deadlines = deadlines
        self.bounces = bounces
        """Takes what comes back; None where no domain is configured for it."""
        self.dates = DateSource(clock)
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.relay")
        self.sessions: set[Session] = set()
        self.faults: FaultRules | None = None
        """What is to go wrong on purpose; None where nothing is (sandbox_rules.py)."""
        self.on_refusal: RefusalWatcher | None = None
        """For the mail log and the counters."""
        self.stopping = False
        self.introductions: set[asyncio.Task[None]] = set()
        """Connections of implicit TLS before their handshake is done."""
        self._servers: list[asyncio.Server] = []
        self._told_full_at = float("-inf")

    async def start(self, activated: Sequence[socket.socket] = ()) -> None:
        """Listen. Raises OSError with the address in its text."""
        loop = asyncio.get_running_loop()
        address = self.settings.address
        if activated:
            for given in activated:
                given.setblocking(False)
                self._servers.append(
                    await loop.create_server(self._session, sock=given, backlog=BACKLOG)
                )
            return
        if address.path is not None:
            _remove_socket(address.path)
            server = await loop.create_unix_server(self._session, address.path, backlog=BACKLOG)
            os.chmod(address.path, address.mode)  # noqa: PTH101
            self._servers.append(server)
            return
        self._servers.append(
            await loop.create_server(
                self._session,
                list(address.hosts) or None,
                address.port,
                backlog=BACKLOG,
                reuse_address=os.name == "posix",
                reuse_port=self.settings.shared or None,
            )
        )

    def _session(self) -> asyncio.Protocol:
        if self.implicit_tls:
            return Introduction(self)
        return Session(self)

    @property
    def bound(self) -> list[str]:
        """The addresses that are listened on, as host:port."""
        names = []
        for server in self._servers:
            for listening in server.sockets:
                name = listening.getsockname()
                if isinstance(name, tuple):
                    host = f"[{name[0]}]" if ":" in name[0] else name[0]
                    names.append(f"{host}:{name[1]}")
                else:
                    names.append(f"unix:{name}")
        return names

    def stop_accepting(self) -> None:
        """Take no new connections and end those that owe and are owed nothing."""
        self.stopping = True
        for server in self._servers:
            server.close()
        for task in list(self.introductions):
            task.cancel()
        for session in list(self.sessions):
            session.shut_down()

    def abort(self) -> None:
        """Cut what is still open."""
        for session in list(self.sessions):
            session.abort()

    def expects_proxy_header(self, address: str) -> bool:
        """Whether connections from this address begin with a PROXY header."""
        networks = self.settings.proxy_from
        if not networks:
            return False
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(client in network for network in networks)

    def admission(self, size: int) -> Reply | None:
        """Whether the spool has room for a message."""
        refusal = self.spool.admission(size)
        if refusal is None:
            return None
        if isinstance(refusal, SpoolFull):
            self._tell_full()
            return reply(452, "4.3.1", f"Insufficient storage: {refusal.text}")
        return reply(451, "4.3.0", f"Cannot store mail now: {refusal.text}")

    def refused(self, session: Session, sender: str, recipient: str, answer: Reply) -> None:
        """A MAIL or RCPT was answered with a refusal of our policy."""
        if self.on_refusal is not None:
            hello = session.protocol.hello_name
            at = self.clock.now()
            self.on_refusal(Refusal(at, session.address, hello, sender, recipient, answer))

    def _tell_full(self) -> None:
        now = self.clock.monotonic()
        if now - self._told_full_at >= FULL_SECONDS:
            self._told_full_at = now
            self.log.warning(
                "no mail is accepted: the spool has no room",
                then="make room on its disk, or look at spool.minimum_free and spool.quota",
            )


def _remove_socket(path: str) -> None:
    """Remove the socket of a run before. Raises OSError where something else is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(
            f"{path} is there and is no socket; remove it, or listen on another path"
        )
    os.unlink(path)  # noqa: PTH108
