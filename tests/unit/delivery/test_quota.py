"""Quotas by minute, hour and day, and rates."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.quota import QuotaLedger, QuotaUsed, TokenBucket, route_with_quota
from waypost.delivery.route import Quotas, Rate, Route, Smarthost
from waypost.delivery.routing import RoutingTable

MIDNIGHT = 1_800_000_000.0 - 1_800_000_000.0 % 86400


def send(ledger: QuotaLedger, now: float, count: int = 1) -> QuotaUsed | None:
    used = ledger.check(now, count)
    if used is None:
        ledger.use(now, count)
    return used


def test_a_quota_is_used_up_until_its_window_ends() -> None:
    ledger = QuotaLedger(Quotas(per_minute=2))
    assert send(ledger, MIDNIGHT + 10) is None
    assert send(ledger, MIDNIGHT + 20) is None
    used = send(ledger, MIDNIGHT + 30)
    assert used == QuotaUsed("minute", 2, MIDNIGHT + 60, False)
    assert used.text == "the quota of 2 a minute is used up"
    assert send(ledger, MIDNIGHT + 60) is None


def test_the_quota_that_lasts_longest_is_told() -> None:
    ledger = QuotaLedger(Quotas(per_minute=2, per_hour=2, per_day=100))
    ledger.use(MIDNIGHT, 2)
    used = ledger.check(MIDNIGHT + 1)
    assert used is not None
    assert (used.window, used.until) == ("hour", MIDNIGHT + 3600)


def test_checking_uses_nothing() -> None:
    ledger = QuotaLedger(Quotas(per_day=1))
    for _ in range(5):
        assert ledger.check(MIDNIGHT) is None
    assert ledger.left(MIDNIGHT) == {"day": 1}


def test_what_was_not_sent_is_given_back() -> None:
    ledger = QuotaLedger(Quotas(per_day=1))
    ledger.use(MIDNIGHT)
    ledger.give_back()
    assert ledger.left(MIDNIGHT) == {"day": 1}


def test_what_was_used_survives_a_restart() -> None:
    before = QuotaLedger(Quotas(per_hour=10, per_day=100))
    before.use(MIDNIGHT + 5, 10)
    stored = json.loads(json.dumps(before.export()))
    after = QuotaLedger(Quotas(per_hour=10, per_day=50))
    after.restore(stored)
    assert after.left(MIDNIGHT + 6) == {"hour": 0, "day": 40}
    assert after.left(MIDNIGHT + 3600) == {"hour": 10, "day": 40}


def test_nonsense_that_was_stored_is_not_believed() -> None:
    ledger = QuotaLedger(Quotas(per_day=5))
    ledger.restore({"day": (float("inf"), 3)})
    assert ledger.left(MIDNIGHT) == {"day": 5}


def test_a_clock_that_is_set_back_a_little_does_not_open_a_new_window() -> None:
    ledger = QuotaLedger(Quotas(per_minute=1))
    ledger.use(MIDNIGHT + 1)
    assert ledger.check(MIDNIGHT - 5) is not None


def test_a_clock_that_was_years_ahead_does_not_block_for_years() -> None:
    ledger = QuotaLedger(Quotas(per_minute=1))
    ledger.use(MIDNIGHT + 10**9)
    assert ledger.check(MIDNIGHT) is None


def test_a_spread_quota_lasts_over_its_window() -> None:
    ledger = QuotaLedger(Quotas(per_hour=100, spread=True))
    now, sent = MIDNIGHT, []
    while now < MIDNIGHT + 3600:
        used = send(ledger, now)
        if used is None:
            sent.append(now - MIDNIGHT)
        else:
            assert used.until > now
            if len(sent) == 100:
                break
            assert used.spread
            assert "spread" in used.text
            now = used.until
    assert len(sent) == 100
    assert sum(at < 1 for at in sent) == 5
    assert 40 <= sum(at < 1800 for at in sent) <= 60
    assert max(b - a for a, b in itertools.pairwise(sent)) < 40


def test_only_the_longest_quota_is_spread() -> None:
    ledger = QuotaLedger(Quotas(per_minute=10, per_day=10_000, spread=True))
    assert [send(ledger, MIDNIGHT) for _ in range(10)] == [None] * 10
    used = send(ledger, MIDNIGHT)
    assert used is not None
    assert (used.window, used.spread) == ("minute", False)


@given(
    st.lists(st.tuples(st.floats(0, 40), st.integers(1, 3)), max_size=200),
    st.integers(1, 9),
    st.booleans(),
)
def test_no_minute_ever_lets_more_through_than_its_quota(
    steps: list[tuple[float, int]], limit: int, spread: bool
) -> None:
    ledger = QuotaLedger(Quotas(per_minute=limit, spread=spread))
    now, by_minute = MIDNIGHT, dict[int, int]()
    for wait, count in steps:
        now += wait
        if send(ledger, now, count) is None:
            minute = int(now // 60)
            by_minute[minute] = by_minute.get(minute, 0) + count
    assert all(count <= limit for count in by_minute.values())


@given(
    st.integers(1, 200),
    st.sampled_from([1.0, 10.0, 60.0]),
    st.lists(st.floats(0, 3), min_size=1, max_size=300),
)
def test_no_stretch_of_a_period_lets_more_through_than_its_rate(
    count: int, period: float, waits: list[float]
) -> None:
    bucket = TokenBucket(Rate(count, period), 0.0)
    now, sent = 0.0, list[float]()
    for wait in waits:
        now += wait
        while bucket.ready_at(now) <= now and len(sent) < 2000:
            bucket.take(now)
            sent.append(now)
    for place, at in enumerate(sent):
        within = [one for one in sent[place:] if one < at + period - 1e-3]
        assert len(within) <= count


def test_a_rate_says_when_the_next_may_go_and_keeps_its_word() -> None:
    bucket = TokenBucket(Rate(100, 60.0), 0.0)
    now, sent = 0.0, 0
    while now < 600.0:
        at = bucket.ready_at(now)
        if at > now:
            now = at
            assert bucket.ready_at(now) == now
        bucket.take(now)
        sent += 1
    assert 970 <= sent <= 1003


def test_a_clock_that_is_set_back_gives_a_rate_nothing() -> None:
    bucket = TokenBucket(Rate(1, 60.0), 1000.0)
    bucket.take(1000.0)
    assert bucket.ready_at(0.0) == pytest.approx(60.0)
    assert bucket.ready_at(61.0) == 61.0


HOP = (Smarthost("one.example", 587),)
FIRST = Route("first", HOP, overflow="second")
SECOND = Route("second", HOP, overflow="third")
THIRD = Route("third", HOP)
TABLE = RoutingTable([FIRST, SECOND, THIRD])
USED_UP = QuotaUsed("day", 5, MIDNIGHT + 86400, False)


@pytest.mark.parametrize(
    ("used_up", "taken"),
    [
        ((), "first"),
        (("first",), "second"),
        (("first", "second"), "third"),
        (("second",), "first"),
    ],
)
def test_mail_overflows_along_the_chain(used_up: tuple[str, ...], taken: str) -> None:
    route, blocked = route_with_quota(
        FIRST, TABLE, lambda route: USED_UP if route.name in used_up else None
    )
    assert route.name == taken
    assert blocked is None


def test_mail_waits_for_its_own_route_where_all_are_used_up() -> None:
    later = replace(USED_UP, until=USED_UP.until + 1)
    route, blocked = route_with_quota(
        FIRST, TABLE, lambda route: USED_UP if route is FIRST else later
    )
    assert (route, blocked) == (FIRST, USED_UP)


def test_a_quota_that_is_only_being_spread_does_not_overflow() -> None:
    spread = replace(USED_UP, spread=True)
    assert route_with_quota(FIRST, TABLE, lambda _: spread) == (FIRST, spread)


def test_a_quota_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="let something through"):
        Quotas(per_day=0)
