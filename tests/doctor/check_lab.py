"""A place to check broken servers in: servers, names, and the way to them, in one event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from broken_servers import BrokenServer, NameServer, Script, Zone
from made_certificates import Issued, issue

from waypost.delivery.route import Credentials, TlsMode
from waypost.doctor.check.run import Checked, CheckSettings, check
from waypost.doctor.check.subject import parse_subject, with_port
from waypost.doctor.line_opening import World
from waypost.doctor.target import ServerTarget
from waypost.net.clock import SystemClock
from waypost.net.dns import DnsResolver
from waypost.net.network import AsyncioNetwork, ProtocolType

SECONDS = 2.0
"""For each step, so that a silent server takes no longer."""


class MappedNetwork(AsyncioNetwork):
    """Real sockets; some places lead to another, or raise what a real network would."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, int], tuple[str, int] | OSError] = {}

    async def connect(
        self,
        factory: Callable[[], ProtocolType],
        address: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        source: str | None = None,
    ) -> tuple[asyncio.Transport, ProtocolType]:
        place = self.places.get((address, port), (address, port))
        if isinstance(place, OSError):
            raise place
        return await super().connect(
            factory, *place, tls=tls, server_name=server_name, source=source
        )


class CheckLab:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = MappedNetwork()
        self.servers: list[BrokenServer] = []
        self.names: NameServer | None = None
        self.authority = issue("Test Root", authority=True)
        self.ca_file = folder / "root.pem"
        self.ca_file.write_bytes(self.authority.pem)
        self.dns_port = 9
        self._held: list[Any] = []

    async def serve(self, script: Script, host: str = "127.0.0.1", port: int = 0) -> int:
        """A server; its port."""
        server = BrokenServer(script)
        self.servers.append(server)
        return await server.start(host, port)

    async def name(self, zone: Zone) -> None:
        """The names that there are."""
        self.names = NameServer(zone)
        self.dns_port = await self.names.start()

    def hold(self, thing: Any) -> None:
        """Keep a socket open until the end."""
        self._held.append(thing)

    async def end(self) -> None:
        for thing in self._held:
            thing.close()
        for server in self.servers:
            await server.stop()
        if self.names is not None:
            self.names.stop()

    def certificate(self, *names: str, **options: Any) -> Issued:
        """One that the authority of this lab has signed."""
        return issue(names[0], by=self.authority, names=names, **options)

    async def check(
        self,
        target: str,
        *,
        user: str | None = None,
        password: str = "secret word",
        seconds: float = SECONDS,
        mode: TlsMode | None = None,
        mechanism: str | None = None,
        trust: bool = True,
        **settings: Any,
    ) -> Checked:
        """Check a target."""
        credentials = Credentials(user, password, mechanism) if user is not None else None
        subject = parse_subject(target, None, credentials)
        if isinstance(subject, ServerTarget):
            subject = with_port(subject, None, mode)
        clock = SystemClock()
        resolver = DnsResolver(
            clock, nameservers=("127.0.0.1",), port=self.dns_port, hosts={},
            server_seconds=0.3, question_seconds=0.6,
        )  # fmt: skip
        made = CheckSettings(
            "client.test", lambda: "nonce", seconds,
            ca_file=str(self.ca_file) if trust else None, **settings,
        )  # fmt: skip
        return await check(subject, made, World(clock, self.network, resolver))


def evidence(checked: Checked, name: str) -> str:
    """What a step showed."""
    return "\n".join(line for step in checked.steps if step.name == name for line in step.evidence)


def statuses(checked: Checked) -> Mapping[str, str]:
    """The status of each step."""
    return {step.name: step.status for step in checked.steps}
