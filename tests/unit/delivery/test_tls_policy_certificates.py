"""What rules and MTA-STS ask of certificates, with real TLS on loopback."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from waypost.delivery.backoff import Circuits
from waypost.delivery.exchangers import Exchangers
from waypost.delivery.opening import Opener
from waypost.delivery.outcome import Outcome
from waypost.delivery.route import MxDelivery, Route
from waypost.delivery.single import deliver_once
from waypost.delivery.strict_transport import StrictTransport
from waypost.delivery.tls_policy import TlsLevel, TlsPolicies, TlsRule
from waypost.faults.rules import FaultRules
from waypost.lab.trap import Trap, Trapped, TrapSettings
from waypost.net.clock import SystemClock
from waypost.net.deadlines import Deadlines
from waypost.net.network import AsyncioNetwork
from waypost.net.static_resolver import StaticResolver
from waypost.net.static_web import StaticWeb
from waypost.relay.certificates import self_signed
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.server_settings import ServerSettings

CONTENT = b"Subject: x\r\n\r\nHello\r\n"
URL = "https://mta-sts.one.example/.well-known/mta-sts.txt"
POLICY = b"version: STSv1\nmode: enforce\nmx: *.one.example\nmax_age: 604800\n"


class Facts:
    """A spool that forgets."""

    async def remember(self, name: str, value: str) -> None: ...

    async def recall(self, name: str) -> str | None:
        return None


class Exchange:
    """Two exchangers of one.example; each has the certificate that it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.received: list[tuple[str, Trapped]] = []
        self.servers: list[asyncio.Server] = []
        self.traps: list[Trap] = []
        self.port = 0

    async def listen(self, address: str, name: str | None) -> str:
        """An exchanger, with STARTTLS where it has a name; the file of its certificate."""
        context, file = None, ""
        if name is not None:
            certificate, key = self_signed(self.folder / name, name, dt.datetime.now(dt.UTC))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            file = str(certificate)
        trap = Trap(
            TrapSettings(ServerSettings(name or "mx", starttls=context is not None), context),
            FaultRules(random.Random(1)),
            SystemClock(),
            lambda message: self.received.append((address, message)),
        )
        loop = asyncio.get_running_loop()
        server = await loop.create_server(trap.accept, address, self.port)
        self.port = server.sockets[0].getsockname()[1]
        self.servers.append(server)
        self.traps.append(trap)
        return file

    async def deliver(
        self, *rules: TlsRule, ca_file: str, policy: bool = True, require_tls: bool = False
    ) -> Outcome:
        chance, clock = random.Random(1), SystemClock()
        resolver = StaticResolver(
            mail_exchangers={"one.example": ((10, "mx.one.example"), (20, "backup.one.example"))},
            addresses={"mx.one.example": ("127.0.0.1",), "backup.one.example": ("127.0.0.2",)},
            texts={"_mta-sts.one.example": ("v=STSv1; id=1",)} if policy else {},
        )
        strict = StrictTransport(resolver, StaticWeb({URL: POLICY}), clock, Facts())
        opener = Opener(
            "here.example", AsyncioNetwork(), resolver, Exchangers(resolver, chance),
            Circuits(chance), chance, lambda: "nonce", clock, Deadlines(clock),
            tls_policies=TlsPolicies(rules, strict),
        )  # fmt: skip
        route = Route(
            "direct",
            (MxDelivery(port=self.port, ca_file=ca_file),),
            allow_private_addresses=True,
        )
        envelope = Envelope("a@example.com", (Recipient("b@one.example"),), require_tls=require_tls)
        (outcome,) = await deliver_once(
            envelope, CONTENT, route, opener, clock, lambda *_line: None
        )
        return outcome.outcome

    def end(self) -> None:
        for server in self.servers:
            server.close()
        for trap in self.traps:
            trap.close_sessions()


def told(folder: Path, story: Callable[[Exchange], Awaitable[None]]) -> None:
    async def whole() -> None:
        exchange = Exchange(folder)
        try:
            await story(exchange)
        finally:
            exchange.end()

    asyncio.run(whole())


def test_a_certificate_for_the_name_of_the_exchanger_is_taken(tmp_path: Path) -> None:
    async def story(exchange: Exchange) -> None:
        ca_file = await exchange.listen("127.0.0.1", "mx.one.example")
        assert (await exchange.deliver(ca_file=ca_file)).is_delivered
        ((_, message),) = exchange.received
        assert message.tls.startswith("TLS")

    told(tmp_path, story)


def test_one_for_another_name_is_passed_over_for_the_next_exchanger(tmp_path: Path) -> None:
    async def story(exchange: Exchange) -> None:
        await exchange.listen("127.0.0.1", "other.example")
        ca_file = await exchange.listen("127.0.0.2", "backup.one.example")
        assert (await exchange.deliver(ca_file=ca_file)).is_delivered
        assert [address for address, _ in exchange.received] == ["127.0.0.2"]

    told(tmp_path, story)


@pytest.mark.parametrize("name", ["other.example", None])
def test_where_none_is_right_the_mail_waits_and_goes_nowhere(
    tmp_path: Path, name: str | None
) -> None:
    async def story(exchange: Exchange) -> None:
        ca_file = str(self_signed(tmp_path / "own", "x.example", dt.datetime.now(dt.UTC))[0])
        for address in ("127.0.0.1", "127.0.0.2"):
            await exchange.listen(address, name)
        outcome = await exchange.deliver(ca_file=ca_file)
        wanted = "certificate-refused" if name else "tls-not-offered"
        assert (outcome.kind, outcome.reason) == ("temporary", wanted)
        assert "the MTA-STS policy of one.example asks for TLS" in outcome.text
        assert exchange.received == []

    told(tmp_path, story)


def test_without_a_policy_or_rule_any_certificate_is_better_than_none(tmp_path: Path) -> None:
    async def story(exchange: Exchange) -> None:
        ca_file = await exchange.listen("127.0.0.1", "other.example")
        assert (await exchange.deliver(ca_file=ca_file, policy=False)).is_delivered
        assert exchange.received[0][1].tls

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("level", "delivered"),
    [(TlsLevel.ENCRYPTED, True), (TlsLevel.VERIFIED, False), (TlsLevel.NONE, True)],
)
def test_a_rule_asks_for_what_its_level_says(
    tmp_path: Path, level: TlsLevel, delivered: bool
) -> None:
    async def story(exchange: Exchange) -> None:
        ca_file = await exchange.listen("127.0.0.1", "other.example")
        outcome = await exchange.deliver(TlsRule(("one.example",), level), ca_file=ca_file)
        assert outcome.is_delivered is delivered
        assert [bool(m.tls) for _, m in exchange.received] == (
            [level is not TlsLevel.NONE] if delivered else []
        )

    told(tmp_path, story)


def test_the_authority_of_a_partner_counts_where_his_rule_names_it(tmp_path: Path) -> None:
    async def story(exchange: Exchange) -> None:
        partner = await exchange.listen("127.0.0.1", "mx.one.example")
        own = str(self_signed(tmp_path / "own", "x.example", dt.datetime.now(dt.UTC))[0])
        rule = TlsRule(("one.example",), TlsLevel.VERIFIED, (), partner)
        assert (await exchange.deliver(rule, ca_file=own)).is_delivered

    told(tmp_path, story)


def test_requiretls_goes_to_a_server_whose_certificate_was_verified(tmp_path: Path) -> None:
    async def story(exchange: Exchange) -> None:
        ca_file = await exchange.listen("127.0.0.1", "mx.one.example")
        assert (await exchange.deliver(ca_file=ca_file, require_tls=True)).is_delivered
        assert exchange.received[0][1].envelope.require_tls

    told(tmp_path, story)


def test_requiretls_goes_to_no_server_that_may_be_a_stranger(tmp_path: Path) -> None:
    async def story(exchange: Exchange) -> None:
        ca_file = await exchange.listen("127.0.0.1", "other.example")
        outcome = await exchange.deliver(ca_file=ca_file, policy=False, require_tls=True)
        assert (outcome.kind, str(outcome.status)) == ("permanent", "5.7.30")
        assert exchange.received == []

    told(tmp_path, story)
