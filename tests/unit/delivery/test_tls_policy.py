"""How safe the way to a destination must be: the operator's rules, and MTA-STS (RFC 8461)."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.backoff import Circuits
from waypost.delivery.exchangers import Exchangers
from waypost.delivery.opening import Opener
from waypost.delivery.outcome import Outcome
from waypost.delivery.route import MxDelivery, Route, TlsMode
from waypost.delivery.single import deliver_once
from waypost.delivery.strict_transport import (
    KEPT_AS,
    LOOK_AGAIN_SECONDS,
    StrictTransport,
    _read,
)
from waypost.delivery.tls_policy import TlsLevel, TlsPolicies, TlsRule
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.simulated_peer import SimulatedPeer
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.net.deadlines import Deadlines
from waypost.net.resolver import ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.net.static_web import StaticWeb
from waypost.net.web import Page, WebFailure, WebTlsFailure
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.server_settings import ServerSettings

URL = "https://mta-sts.one.example/.well-known/mta-sts.txt"
DAY = 86_400


def file(mode: str = "enforce", *exchangers: str, age: int = 7 * DAY) -> bytes:
    names = "".join(f"mx: {one}\n" for one in exchangers or ("mx.one.example",))
    return f"version: STSv1\nmode: {mode}\n{names}max_age: {age}\n".encode()


class Facts:
    """The part of the spool that keeps small facts."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def remember(self, name: str, value: str) -> None:
        self.kept[name] = value

    async def recall(self, name: str) -> str | None:
        return self.kept.get(name)


class World:
    """A domain, its policy, and a message for it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.network = SimulatedNetwork()
        self.texts: dict[str, object] = {"_mta-sts.one.example": ("v=STSv1; id=1",)}
        self.pages: dict[str, Page | WebFailure | bytes] = {URL: file()}
        self.web = StaticWeb(self.pages)
        self.facts = Facts()
        self.resolver = StaticResolver(
            mail_exchangers={"one.example": ((10, "mx.one.example"), (20, "backup.one.example"))},
            addresses={"mx.one.example": ("192.0.2.1",), "backup.one.example": ("192.0.2.2",)},
            texts=self.texts,  # type: ignore[arg-type]
        )
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        """The relay begins, with nothing in memory."""
        self.strict = StrictTransport(self.resolver, self.web, self.clock, self.facts)

    def peer(self, address: str, *, starttls: bool = True) -> SimulatedPeer:
        made = SimulatedPeer((), ServerSettings("peer.example", starttls=starttls))
        self.network.listen(address, 25, made.accept)
        return made

    async def mode(self) -> str | None:
        policy = await self.strict.policy("one.example")
        return None if policy is None else policy.mode

    async def deliver(self, *rules: TlsRule, hop: MxDelivery | None = None) -> Outcome:
        chance = random.Random(1)
        opener = Opener(
            "here.example", self.network, self.resolver, Exchangers(self.resolver, chance),
            Circuits(chance), chance, lambda: "nonce", self.clock, Deadlines(self.clock),
            tls_policies=TlsPolicies(rules, self.strict),
        )  # fmt: skip
        envelope = Envelope("a@example.com", (Recipient("b@one.example"),))
        (outcome,) = await deliver_once(
            envelope, b"Subject: x\r\n\r\n", Route("direct", (hop or MxDelivery(),)), opener,
            self.clock, lambda _moment, _direction, line: self.lines.append(line),
        )  # fmt: skip
        return outcome.outcome


def told(story: Callable[[World], Awaitable[None]]) -> None:
    run_virtual(lambda clock: story(World(clock)))


# --- fetching and keeping --------------------------------------------------------------------


def test_a_policy_is_fetched_once_for_everybody_who_asks_and_kept_over_restarts() -> None:
    async def story(world: World) -> None:
        assert await world.mode() == "enforce"
        assert await world.mode() == "enforce"
        assert len(world.web.asked) == 1
        assert world.web.asked[0].redirects == 0
        world.start()
        assert await world.mode() == "enforce"
        assert len(world.web.asked) == 1
        assert list(world.facts.kept) == [f"{KEPT_AS}one.example"]

    told(story)


def test_a_new_id_brings_the_new_policy_and_the_old_one_holds_where_that_fails() -> None:
    async def story(world: World) -> None:
        await world.mode()
        world.texts["_mta-sts.one.example"] = ("v=STSv1; id=2",)
        world.pages[URL] = WebTlsFailure(URL, "its certificate does not hold")
        await world.clock.sleep(LOOK_AGAIN_SECONDS + 1)
        assert await world.mode() == "enforce"
        world.pages[URL] = file("none")
        assert await world.mode() == "enforce", "it is not asked again within five minutes"
        await world.clock.sleep(LOOK_AGAIN_SECONDS + 1)
        assert await world.mode() == "none"

    told(story)


@pytest.mark.parametrize(
    "texts",
    [
        (),
        ("v=STSv1; id=1", "v=STSv1; id=2"),
        ("v=STSv1; id=not-an-id",),
        ResolutionTemporaryFailure("_mta-sts.one.example", "TXT", "SERVFAIL"),
    ],
)
def test_who_takes_the_record_away_takes_no_policy_away_before_its_age(texts: object) -> None:
    async def story(world: World) -> None:
        await world.mode()
        world.texts["_mta-sts.one.example"] = texts
        world.start()
        assert await world.mode() == "enforce"
        await world.clock.sleep(7 * DAY)
        assert await world.mode() is None

    told(story)


def test_a_policy_is_asked_for_again_long_before_it_ends() -> None:
    async def story(world: World) -> None:
        await world.mode()
        await world.clock.sleep(3 * DAY)
        await world.mode()
        assert len(world.web.asked) == 1
        await world.clock.sleep(1 * DAY)
        await world.mode()
        assert len(world.web.asked) == 2
        await world.clock.sleep(6 * DAY)
        assert await world.mode() == "enforce"

    told(story)


@pytest.mark.parametrize(
    "page",
    [
        Page(URL, 404, "text/plain", file()),
        Page(URL, 301, "text/plain", file()),
        Page(URL, 200, "text/html", file()),
        file("sometimes"),
        file("enforce", *(f"mx{n}.one.example" for n in range(101))),
        WebTlsFailure(URL, "its certificate does not hold"),
    ],
)
def test_what_is_no_policy_is_none_and_not_asked_for_at_each_connection(
    page: Page | WebFailure | bytes,
) -> None:
    async def story(world: World) -> None:
        world.pages[URL] = page
        assert await world.mode() is None
        assert await world.mode() is None
        assert len(world.web.asked) == 1
        assert world.facts.kept == {}

    told(story)


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_whatever_was_kept_is_read_without_an_error(text: str) -> None:
    assert _read(text) is None


# --- delivery ---------------------------------------------------------------------------------


def test_an_exchanger_that_is_not_named_is_left_alone_and_the_next_is_tried() -> None:
    async def story(world: World) -> None:
        first, backup = world.peer("192.0.2.1"), world.peer("192.0.2.2", starttls=False)
        rule = TlsRule(("one.example",), TlsLevel.OPPORTUNISTIC, ("backup.one.example",))
        assert (await world.deliver(rule)).is_delivered
        assert first.sessions == 0
        assert len(backup.received) == 1
        assert "mx.one.example is not used" in " ".join(world.lines)

    told(story)


def test_where_the_policy_names_none_of_them_the_mail_waits_with_the_reason() -> None:
    async def story(world: World) -> None:
        world.pages[URL] = file("enforce", "*.elsewhere.example")
        first, backup = world.peer("192.0.2.1"), world.peer("192.0.2.2")
        outcome = await world.deliver()
        assert (outcome.kind, outcome.reason) == ("temporary", "exchanger-not-in-policy")
        assert "the MTA-STS policy of one.example names only *.elsewhere.example" in outcome.text
        assert first.sessions == backup.sessions == 0

    told(story)


def test_under_an_enforced_policy_nothing_goes_in_the_clear() -> None:
    async def story(world: World) -> None:
        peer = world.peer("192.0.2.1", starttls=False)
        outcome = await world.deliver()
        assert (outcome.kind, peer.received) == ("temporary", [])
        assert await world.mode() == "enforce"

    told(story)


@pytest.mark.parametrize("mode", ["testing", "none"])
def test_a_policy_in_testing_or_none_refuses_nothing(mode: str) -> None:
    async def story(world: World) -> None:
        world.pages[URL] = file(mode, "elsewhere.example")
        world.peer("192.0.2.1", starttls=False)
        assert (await world.deliver()).is_delivered
        assert ("in testing" in " ".join(world.lines)) is (mode == "testing")

    told(story)


def test_a_rule_of_the_operator_comes_before_the_policy_of_the_domain() -> None:
    async def story(world: World) -> None:
        world.pages[URL] = file("enforce", "elsewhere.example")
        world.peer("192.0.2.1", starttls=False)
        assert (await world.deliver(TlsRule(("one.example",), TlsLevel.NONE))).is_delivered
        assert world.web.asked == []

    told(story)


def test_a_rule_that_asks_for_encryption_lets_nothing_go_in_the_clear() -> None:
    async def story(world: World) -> None:
        peers = [world.peer(f"192.0.2.{n}", starttls=False) for n in (1, 2)]
        outcome = await world.deliver(TlsRule(("*",), TlsLevel.ENCRYPTED))
        assert (outcome.kind, outcome.reason) == ("temporary", "tls-not-offered")
        assert "the TLS rule for * asks for TLS" in outcome.text
        assert [one.received for one in peers] == [[], []]

    told(story)


@pytest.mark.parametrize(
    ("pattern", "domain", "matches"),
    [
        ("one.example", "one.example", True),
        ("one.example", "sub.one.example", False),
        (".one.example", "sub.one.example", True),
        (".one.example", "one.example", False),
        (".one.example", "someone.example", False),
        ("*", "any.example", True),
    ],
)
def test_a_rule_is_for_a_domain_or_for_what_is_below(
    pattern: str, domain: str, matches: bool
) -> None:
    assert TlsRule((pattern,), TlsLevel.NONE).matches(domain) is matches


def test_a_demand_never_lowers_what_the_route_asks_for() -> None:
    async def story(world: World) -> None:
        demand, _ = await TlsPolicies((), world.strict).demand("one.example", MxDelivery())
        assert demand is not None
        hop = demand.applied(MxDelivery(tls=TlsMode.REQUIRED, verify=True, ca_file="own.pem"))
        assert (hop.tls, hop.verify, hop.ca_file) == (TlsMode.REQUIRED, True, "own.pem")
        encrypted = TlsPolicies([TlsRule(("*",), TlsLevel.ENCRYPTED)])
        demand, _ = await encrypted.demand("one.example", MxDelivery(verify=True))
        assert demand is not None
        assert demand.applied(MxDelivery(verify=True)).verify

    told(story)


def test_a_route_that_says_no_tls_asks_nobody() -> None:
    async def story(world: World) -> None:
        world.peer("192.0.2.1", starttls=False)
        assert (await world.deliver(hop=MxDelivery(tls=TlsMode.NONE))).is_delivered
        assert world.web.asked == []

    told(story)
