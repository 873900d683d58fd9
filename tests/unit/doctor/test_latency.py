"""The stages of a session are timed one by one, and what the times come to is told honestly."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.doctor.latency import LatencySettings, Loss, Measured, measure
from waypost.doctor.latency_connections import Parallel, find_parallel
from waypost.doctor.latency_figures import (
    by_stage,
    is_past,
    slowest_stage,
    sparkline,
    spread,
    verdict,
)
from waypost.doctor.line_opening import World
from waypost.doctor.target import parse_target
from waypost.knowledge.response_times import response_limit
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.simulated_peer import Fault, SimulatedPeer
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.net.resolver import ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.smtp.reply import reply
from waypost.smtp.server_settings import ServerSettings

HOST, ADDRESS = "mail.example", "192.0.2.25"
LATENCY = 0.05


def world(clock: VirtualClock, network: SimulatedNetwork) -> World:
    return World(clock, network, StaticResolver(addresses={HOST: [ADDRESS]}))


def settings(target: str = f"{HOST}:25", **others: Any) -> LatencySettings:
    return LatencySettings(parse_target(target).hop, "me.example", lambda: "nonce", **others)


def measured(peer: SimulatedPeer | None, target: str = f"{HOST}:25", **others: Any) -> Measured:
    """One session with a peer in a virtual world; None: nobody listens."""

    async def main(clock: VirtualClock) -> Measured:
        network = SimulatedNetwork(LATENCY)
        if peer is not None:
            network.listen(ADDRESS, 25, peer.accept)
        return await measure(settings(target, **others), world(clock, network))

    return run_virtual(main)


def test_each_stage_costs_what_it_takes() -> None:
    one = measured(SimulatedPeer(), sender="a@me.example", recipient="b@mail.example")
    assert one.loss is None
    assert {name: round(seconds, 3) for name, seconds in one.stages.items()} == {
        "dns": 0.0, "connect": 0.05, "greeting": 0.05, "ehlo": 0.1, "mail": 0.1, "rcpt": 0.1,
    }  # fmt: skip
    assert one.total == pytest.approx(0.4)


def test_no_mail_is_left_behind_and_the_session_ends_in_order() -> None:
    peer = SimulatedPeer()
    measured(peer, sender="a@me.example", recipient="b@mail.example")
    assert (peer.received, peer.open_sessions) == ([], 0)


@pytest.mark.parametrize(
    ("fault", "stage", "reason", "says"),
    [
        (Fault("connect", "stall"), "greeting", "timeout", "no answer within 30 seconds"),
        (Fault("connect", "drop"), "greeting", "connection-lost", "closed the connection"),
        (
            Fault("connect", "reply", reply(421, "4.7.0", "Too many connections")),
            "greeting", "too-many-connections", "421 4.7.0 Too many",
        ),
        (Fault("ehlo", "drop"), "ehlo", "connection-lost", "closed the connection"),
        (
            Fault("rcpt", "reply", reply(550, "5.1.1", "No such user")),
            "rcpt", "no-such-mailbox", "550 5.1.1 No such user",
        ),
    ],
)  # fmt: skip
def test_a_lost_session_tells_where_and_why(
    fault: Fault, stage: str, reason: str, says: str
) -> None:
    one = measured(SimulatedPeer([fault]), recipient="b@mail.example")
    assert one.loss is not None
    assert (one.loss.stage, one.loss.reason) == (stage, reason)
    assert says in one.loss.text
    assert one.loss.fix
    assert one.total is None
    assert stage not in one.stages


def test_nobody_there_and_no_name() -> None:
    refused = measured(None).loss
    assert refused is not None
    assert (refused.stage, refused.reason, refused.answered) == (
        "connect", "connection-refused", False,
    )  # fmt: skip
    unknown = measured(None, "nowhere.example:25").loss
    assert unknown is not None
    assert (unknown.stage, unknown.reason) == ("dns", "smarthost-unknown")


def test_a_name_server_that_does_not_answer_is_no_unknown_name() -> None:
    async def main(clock: VirtualClock) -> Measured:
        fault = ResolutionTemporaryFailure(HOST, "A", "SERVFAIL")
        resolver = StaticResolver(addresses={HOST: fault})
        return await measure(settings(), World(clock, SimulatedNetwork(), resolver))

    loss = run_virtual(main).loss
    assert loss is not None
    assert (loss.stage, loss.reason) == ("dns", "dns-temporary")


def test_tls_that_is_asked_for_and_not_offered_is_a_loss() -> None:
    async def main(clock: VirtualClock) -> Measured:
        network = SimulatedNetwork(LATENCY)
        network.listen(ADDRESS, 587, SimulatedPeer().accept)
        return await measure(settings(f"smtp://joe:secret@{HOST}"), world(clock, network))

    loss = run_virtual(main).loss
    assert loss is not None
    assert (loss.stage, loss.reason, loss.answered) == ("tls", "tls-not-offered", True)


def test_a_server_without_ehlo_is_greeted_in_the_old_way() -> None:
    class Old(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transport.write(b"220 old\r\n")

        def data_received(self, data: bytes) -> None:
            known = data.startswith((b"HELO", b"QUIT"))
            self.transport.write(b"250 hello\r\n" if known else b"500 what?\r\n")

    async def main(clock: VirtualClock) -> Measured:
        network = SimulatedNetwork(LATENCY)
        network.listen(ADDRESS, 25, Old)
        return await measure(settings(), world(clock, network))

    one = run_virtual(main)
    assert one.loss is None
    assert one.stages["ehlo"] == pytest.approx(0.2)


# --- figures ------------------------------------------------------------------------------------


def sessions(*totals: float | None) -> list[Measured]:
    lost = Loss("greeting", "timeout", "silence", "", answered=False)
    return [
        Measured(number, 0.0, {"connect": total or 0.0}, "", "", None if total else lost)
        for number, total in enumerate(totals, 1)
    ]


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=200))
def test_a_spread_lies_in_order(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert min(values) == found.least <= found.median <= found.p95 <= max(values)
    assert sum(value <= found.p95 for value in values) >= math.ceil(0.95 * len(values))


def test_of_twenty_values_one_may_lie_past_the_p95() -> None:
    found = spread([1.0] * 19 + [9.0])
    assert found is not None
    assert (found.median, found.p95) == (1.0, 1.0)
    assert spread([]) is None


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        ([0.1, 0.2, 0.3], "ok"),
        ([0.1, 5.0, 0.1], "ok"),
        ([0.1, 2.0, 2.0], "slow"),
        ([0.1, None, 0.1], "lossy"),
        ([0.1, None, None], "slow"),
        ([None, None], "lost"),
    ],
)
def test_the_median_decides_and_a_lost_session_is_infinitely_slow(
    totals: list[float | None], expected: str
) -> None:
    assert verdict(sessions(*totals), 1.0) == expected


def test_the_threshold_itself_is_not_past_it() -> None:
    assert not is_past(sessions(1.0), 1.0)
    assert is_past(sessions(1.001), 1.0)
    assert not is_past([], 1.0)


def test_most_of_the_time_goes_into_one_stage() -> None:
    two = [
        Measured(1, 0.0, {"connect": 0.1, "greeting": 5.0}, "", ""),
        Measured(2, 0.0, {"connect": 9.0, "greeting": 5.0}, "", ""),
    ]
    assert slowest_stage(two) == "greeting"
    assert by_stage(two)["connect"].count == 2
    assert slowest_stage([]) is None


def test_the_slowest_session_has_a_full_bar_and_a_lost_one_a_cross() -> None:
    assert sparkline(sessions(0.01, 0.5, 1.0, None)) == "▁▅█x"
    assert sparkline(sessions(None)) == "x"
    assert sparkline([]) == ""


def test_the_rule_of_thumb_is_a_fact_with_a_source() -> None:
    limit = response_limit("session")
    assert limit.seconds == 1.0
    assert limit.source
    with pytest.raises(KeyError):
        response_limit("nothing")


# --- parallel connections -----------------------------------------------------------------------


class Limited:
    """A server with a limit on open sessions, or on all that ever come."""

    def __init__(self, at_once: int = 1000, in_all: int = 1000, quiet: bool = False) -> None:
        self.at_once, self.in_all, self.quiet = at_once, in_all, quiet
        self.open = self.came = self.most = 0

    def accept(self) -> asyncio.Protocol | None:
        self.came += 1
        if self.open >= self.at_once or self.came > self.in_all:
            if self.quiet:
                return None
            full = Fault("connect", "reply", reply(421, "4.7.0", "Too many connections"))
            return SimulatedPeer([full]).accept()
        return _Counted(self)


class _Counted(asyncio.Protocol):
    def __init__(self, limited: Limited) -> None:
        self._limited = limited
        self._session = SimulatedPeer(settings=ServerSettings("full.example")).accept()
        self.data_received = self._session.data_received  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._limited.open += 1
        self._limited.most = max(self._limited.most, self._limited.open)
        self._session.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limited.open -= 1
        self._session.connection_lost(exc)


def parallel(limited: Limited, maximum: int) -> Parallel:
    async def main(clock: VirtualClock) -> Parallel:
        network = SimulatedNetwork(LATENCY)
        network.listen(ADDRESS, 25, limited.accept)
        hop = parse_target(f"{HOST}:25").hop
        told: list[int] = []
        found = await find_parallel(
            hop, "me.example", world(clock, network), maximum, 30.0, told.append
        )
        assert told == list(range(1, len(told) + 1))
        assert limited.open == 0, "all are closed"
        return found

    return run_virtual(main)


def test_the_limit_on_those_at_one_time_is_found() -> None:
    found = parallel(Limited(at_once=7), 50)
    assert (found.open, found.taken_again) == (7, True)
    assert found.refusal is not None
    assert (found.refusal.number, found.refusal.stage, found.refusal.sign) == (
        8,
        "greeting",
        "reply",
    )
    assert "421 4.7.0 Too many connections" in found.refusal.text


def test_a_limit_on_how_many_come_is_told_apart() -> None:
    found = parallel(Limited(in_all=5), 50)
    assert (found.open, found.taken_again) == (5, False)


def test_it_stops_at_the_maximum() -> None:
    limited = Limited()
    found = parallel(limited, 12)
    assert (found.open, found.refusal, found.taken_again) == (12, None, None)
    assert (limited.most, limited.came) == (12, 12)


def test_a_server_that_is_not_there_has_no_limit() -> None:
    found = parallel(Limited(at_once=0, quiet=True), 5)
    assert found.open == 0
    assert found.refusal is not None
    assert (found.refusal.sign, found.taken_again) == ("refused", None)
