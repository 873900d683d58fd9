"""Slots: no limit is exceeded, and none takes effect unseen."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from waypost.delivery.backoff import BackOff, Circuits
from waypost.delivery.route import MxDelivery, Quotas, Rate, Route, RouteLimits, Smarthost
from waypost.delivery.slots import Blocked, Slots

NOW = 1_800_000_000.0
PLAIN = Route("direct", (MxDelivery(),), limits=RouteLimits(3, 2))


class NoChance:
    def random(self) -> float:
        return 0.0


def slots(**bounds: int) -> Slots:
    return Slots(NoChance(), BackOff(30.0, 3600.0), **bounds)


def reason(blocked: Blocked | None) -> str | None:
    return blocked.reason if blocked else None


def test_connections_are_bounded_by_destination_route_and_relay() -> None:
    kept = slots(maximum_connections=4)
    other = replace(PLAIN, name="other")
    assert kept.acquire(PLAIN, "a.example", NOW) is None
    assert kept.acquire(PLAIN, "a.example", NOW) is None
    blocked = kept.acquire(PLAIN, "a.example", NOW)
    assert blocked is not None
    assert blocked.reason == "destination-connections"
    assert "2 connections to a.example" in blocked.text
    assert blocked.until > NOW
    assert kept.acquire(PLAIN, "b.example", NOW) is None
    assert reason(kept.acquire(PLAIN, "c.example", NOW)) == "route-connections"
    assert kept.acquire(other, "c.example", NOW) is None
    assert reason(kept.acquire(other, "d.example", NOW)) == "total-connections"
    kept.release(PLAIN, "a.example")
    assert kept.acquire(PLAIN, "c.example", NOW) is None
    assert (kept.connections, kept.connections_of(PLAIN), kept.connections_of(other)) == (4, 3, 1)


def test_a_slot_is_released_once() -> None:
    kept = slots()
    kept.acquire(PLAIN, "a.example", NOW)
    kept.release(PLAIN, "a.example")
    with pytest.raises(AssertionError, match="twice"):
        kept.release(PLAIN, "a.example")


def test_a_destination_that_refuses_service_is_left_alone_longer_each_time() -> None:
    kept = slots()
    now, waits = NOW, []
    for _ in range(9):
        until = kept.back_off(PLAIN, "a.example", now, "421 go away")
        waits.append(until - now)
        now = until
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_connections_that_fail_together_are_one_failure() -> None:
    kept = slots()
    until = kept.back_off(PLAIN, "a.example", NOW)
    assert kept.back_off(PLAIN, "a.example", NOW + 1) == until


def test_what_is_left_alone_is_told_with_its_reason() -> None:
    kept = slots()
    kept.back_off(PLAIN, "a.example", NOW, "421 too busy")
    for blocked in (
        kept.acquire(PLAIN, "a.example", NOW + 29),
        kept.message(PLAIN, "a.example", NOW + 29),
    ):
        assert blocked == Blocked("back-off", "left alone after: 421 too busy", NOW + 30)
    assert kept.acquire(PLAIN, "b.example", NOW) is None
    (view,) = kept.left_alone(NOW)
    assert (view.destination, view.blocked_reason) == ("a.example", "421 too busy")
    assert kept.left_alone(NOW + 30) == []


def test_somebody_who_knows_better_can_end_it() -> None:
    kept = slots()
    kept.back_off(PLAIN, "a.example", NOW)
    kept.retry_now(PLAIN, "a.example")
    assert kept.acquire(PLAIN, "a.example", NOW) is None


def test_a_destination_comes_back_one_connection_at_a_time() -> None:
    kept = slots()
    wide = Route("wide", (MxDelivery(),), limits=RouteLimits(10, 3))
    until = kept.back_off(wide, "a.example", NOW, "421")
    assert kept.acquire(wide, "a.example", until) is None
    blocked = kept.acquire(wide, "a.example", until)
    assert blocked is not None
    assert blocked.reason == "recovering"
    assert "1 of 3 connections" in blocked.text
    kept.succeeded(wide, "a.example")
    assert kept.acquire(wide, "a.example", until) is None
    assert reason(kept.acquire(wide, "a.example", until)) == "recovering"
    kept.succeeded(wide, "a.example")
    assert kept.acquire(wide, "a.example", until) is None
    assert reason(kept.acquire(wide, "a.example", until)) == "destination-connections"


def test_one_success_does_not_wipe_out_a_bad_day() -> None:
    kept = slots()
    now = NOW
    for _ in range(5):
        now = kept.back_off(PLAIN, "a.example", now)
    kept.succeeded(PLAIN, "a.example")
    assert kept.back_off(PLAIN, "a.example", now) - now == 480


def test_a_rate_of_the_route_holds_messages_of_all_destinations_back() -> None:
    kept = slots()
    slow = replace(PLAIN, limits=RouteLimits(rate=Rate(1, 10.0)))
    assert kept.message(slow, "a.example", NOW) is None
    blocked = kept.message(slow, "b.example", NOW)
    assert blocked == Blocked("route-rate", "route direct has a rate of 1/10s", NOW + 10)
    assert kept.message(slow, "b.example", NOW + 10) is None


def test_a_rate_by_destination_holds_only_that_one_back() -> None:
    kept = slots()
    slow = replace(PLAIN, limits=RouteLimits(rate_per_destination=Rate(1, 10.0)))
    assert kept.message(slow, "a.example", NOW) is None
    blocked = kept.message(slow, "a.example", NOW)
    assert blocked == Blocked("destination-rate", "a.example has a rate of 1/10s", NOW + 10)
    assert kept.message(slow, "b.example", NOW) is None


def test_a_new_rate_of_the_configuration_takes_effect_at_once() -> None:
    kept = slots()
    slow = replace(PLAIN, limits=RouteLimits(rate=Rate(1, 1000.0)))
    quick = replace(PLAIN, limits=RouteLimits(rate=Rate(1, 1.0)))
    assert kept.message(slow, "a.example", NOW) is None
    assert kept.message(slow, "a.example", NOW + 1) is not None
    assert kept.message(quick, "a.example", NOW + 2) is None


def test_what_a_limit_holds_back_is_charged_to_no_other_limit() -> None:
    kept = slots()
    both = replace(
        PLAIN,
        limits=RouteLimits(rate=Rate(1, 1.0), rate_per_destination=Rate(1, 100.0)),
        quotas=Quotas(per_day=5),
    )
    assert kept.message(both, "a.example", NOW) is None
    for second in range(1, 50):
        assert reason(kept.message(both, "a.example", NOW + second)) == "destination-rate"
    assert kept.quotas_left(both, NOW) == {"day": 4}
    assert kept.message(both, "b.example", NOW + 50) is None


def test_a_quota_is_told_and_survives_a_restart_and_a_new_configuration() -> None:
    kept = slots()
    bounded = replace(PLAIN, quotas=Quotas(per_day=2))
    assert kept.message(bounded, "a.example", NOW) is None
    assert kept.message(bounded, "b.example", NOW) is None
    blocked = kept.message(bounded, "c.example", NOW)
    assert blocked is not None
    assert blocked.reason == "quota"
    assert blocked.text == "route direct: the quota of 2 a day is used up"
    restarted = slots()
    restarted.restore_quotas(kept.export_quotas())
    assert restarted.export_quotas() == kept.export_quotas()
    assert reason(restarted.message(bounded, "c.example", NOW)) == "quota"
    wider = replace(PLAIN, quotas=Quotas(per_day=3))
    assert restarted.message(wider, "c.example", NOW) is None
    assert reason(restarted.message(wider, "c.example", NOW)) == "quota"


def test_recipients_count_where_the_caller_says_so() -> None:
    kept = slots()
    bounded = replace(PLAIN, quotas=Quotas(per_day=10))
    assert kept.message(bounded, "a.example", NOW, count=8) is None
    assert reason(kept.message(bounded, "a.example", NOW, count=3)) == "quota"
    assert kept.message(bounded, "a.example", NOW, count=2) is None


def test_only_so_many_destinations_are_remembered() -> None:
    kept = slots(maximum_destinations=100)
    for number in range(5000):
        name = f"d{number}.example"
        assert kept.acquire(PLAIN, name, NOW + number) is None
        kept.release(PLAIN, name)
        assert len(kept._destinations) <= 100


def test_a_destination_in_use_or_left_alone_is_not_forgotten() -> None:
    kept = slots(maximum_destinations=3)
    kept.acquire(PLAIN, "open.example", NOW)
    kept.back_off(PLAIN, "down.example", NOW, "421")
    for number in range(50):
        name = f"d{number}.example"
        assert kept.acquire(PLAIN, name, NOW) is None
        kept.release(PLAIN, name)
    assert reason(kept.acquire(PLAIN, "down.example", NOW)) == "back-off"
    kept.release(PLAIN, "open.example")


def test_a_late_success_does_not_make_a_destination_forgettable_before_its_time() -> None:
    kept = slots(maximum_destinations=1)
    until = kept.back_off(PLAIN, "a.example", NOW, "421")
    kept.succeeded(PLAIN, "a.example")
    assert reason(kept.acquire(PLAIN, "b.example", until - 1)) == "destinations"
    assert reason(kept.acquire(PLAIN, "a.example", until - 1)) == "back-off"
    assert kept.acquire(PLAIN, "b.example", until) is None


def test_where_nothing_can_be_forgotten_a_new_destination_waits() -> None:
    kept = slots(maximum_destinations=2)
    kept.acquire(PLAIN, "a.example", NOW)
    kept.acquire(PLAIN, "b.example", NOW)
    assert reason(kept.acquire(PLAIN, "c.example", NOW)) == "destinations"
    kept.release(PLAIN, "a.example")
    assert kept.acquire(PLAIN, "c.example", NOW) is None


class AnyUse(RuleBasedStateMachine):
    """However slots are taken and given back, what was promised is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(random.Random(1), maximum_connections=6, maximum_destinations=4)
        self.routes = [
            Route("r", (MxDelivery(),), limits=RouteLimits(4, 2)),
            Route("s", (MxDelivery(),), limits=RouteLimits(3, 3)),
        ]
        self.now = NOW
        self.open: list[tuple[Route, str]] = []
        self.left_alone: dict[tuple[str, str], float] = {}

    @rule(number=st.integers(0, 1), destination=st.sampled_from("abcdef"))
    def acquire(self, number: int, destination: str) -> None:
        route = self.routes[number]
        if self.slots.acquire(route, destination, self.now) is None:
            self.open.append((route, destination))
            assert self.left_alone.get((route.name, destination), 0.0) <= self.now

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 100))
    def release(self, place: int) -> None:
        self.slots.release(*self.open.pop(place % len(self.open)))

    @rule(number=st.integers(0, 1), destination=st.sampled_from("abcdef"))
    def back_off(self, number: int, destination: str) -> None:
        route = self.routes[number]
        until = self.slots.back_off(route, destination, self.now)
        assert until > self.now
        if (route.name, destination) in self.slots._destinations:
            self.left_alone[route.name, destination] = until

    @rule(number=st.integers(0, 1), destination=st.sampled_from("abcdef"))
    def succeed(self, number: int, destination: str) -> None:
        self.slots.succeeded(self.routes[number], destination)

    @rule(seconds=st.floats(0, 5000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        assert len(self.open) == self.slots.connections <= 6
        assert len(self.slots._destinations) <= 4
        for route in self.routes:
            mine = [destination for other, destination in self.open if other is route]
            assert len(mine) == self.slots.connections_of(route) <= route.limits.connections
            for destination in set(mine):
                assert mine.count(destination) <= route.limits.connections_per_destination


AnyUse.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyUse = AnyUse.TestCase


ONE = Smarthost("one.example", 587)


def test_a_next_hop_that_fails_is_suspended_and_comes_back() -> None:
    circuits = Circuits(NoChance(), BackOff(30.0, 100.0))
    assert not circuits.is_suspended(ONE, 0.0)
    assert circuits.failed(ONE, 0.0, "refused") == 30.0
    assert circuits.failed(ONE, 1.0, "refused") == 30.0
    assert circuits.why(ONE, 29.0) == (30.0, "refused")
    assert not circuits.is_suspended(ONE, 30.0)
    assert circuits.failed(ONE, 30.0, "refused") == 90.0
    circuits.succeeded(ONE)
    assert not circuits.is_suspended(ONE, 31.0)
    assert circuits.failed(ONE, 40.0, "refused") == 100.0
    assert circuits.why(Smarthost("two.example", 587), 40.0) is None


def test_a_next_hop_can_be_suspended_until_a_given_time() -> None:
    circuits = Circuits(NoChance())
    circuits.suspend(ONE, 500.0, "535 bad credentials")
    assert circuits.is_suspended(ONE, 499.0)
    assert not circuits.is_suspended(ONE, 500.0)
    circuits.suspend(ONE, 900.0, "again")
    circuits.keep(frozenset())
    assert not circuits.is_suspended(ONE, 600.0)


def test_chance_only_adds_to_a_back_off() -> None:
    back_off = BackOff(10.0, 100.0, 0.2)
    chance = random.Random(3)
    for failures in range(-1, 2000, 7):
        plain = back_off.seconds(failures, NoChance())
        assert plain <= back_off.seconds(failures, chance) <= plain * 1.2
        assert 10.0 <= plain <= 100.0
