"""Which route a recipient takes, and the order of its next hops."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.route import (
    MxDelivery,
    Rate,
    Route,
    RouteLimits,
    RouteMatch,
    Sandbox,
    Smarthost,
    Strategy,
)
from waypost.delivery.routing import REMEMBERED, InvalidRouting, RoutingTable, next_hops

ONE = Smarthost("one.example", 587)
TWO = Smarthost("two.example", 587)
THREE = Smarthost("three.example", 587, priority=1)


def route(name: str, **match: tuple[str, ...]) -> Route:
    return Route(name, (ONE,), RouteMatch(**match))


def test_the_only_route_takes_everything() -> None:
    table = RoutingTable([route("all")])
    assert table.resolve("", "anybody@anywhere.example", None).name == "all"


@pytest.mark.parametrize(
    ("pattern", "recipient", "taken"),
    [
        ("example.com", "a@example.com", True),
        ("Example.COM", "a@eXample.com", True),
        ("@example.com", "a@example.com", True),
        ("example.com", "a@sub.example.com", False),
        ("example.com", "a@notexample.com", False),
        (".example.com", "a@sub.example.com", True),
        (".example.com", "a@example.com", False),
        ("*.example.com", "a@deep.sub.example.com", True),
        ("*.example.com", "a@example.com", False),
        ("example.*", "a@example.net", True),
        ("example.*", "example.net@other.org", False),
        ("boss@example.com", "BOSS@example.com", True),
        ("boss@example.com", "clerk@example.com", False),
        ("postmaster@*", "postmaster@any.example", True),
        ("postmaster@*", "sales@any.example", False),
        ("order-?@example.com", "order-7@example.com", True),
        ("order-?@example.com", "order-77@example.com", False),
        ("[a-z]@example.com", "b@example.com", False),
        ("[192.0.2.1]", "b@[192.0.2.1]", True),
        ("*", "b@anywhere.example", True),
    ],
)
def test_a_recipient_pattern_takes_what_it_says(pattern: str, recipient: str, taken: bool) -> None:
    table = RoutingTable([route("special", recipients=(pattern,)), route("rest")])
    assert table.resolve("", recipient).name == ("special" if taken else "rest")


@pytest.mark.parametrize(
    ("pattern", "sender", "taken"),
    [
        ("<>", "", True),
        ("<>", "a@example.com", False),
        ("example.com", "a@example.com", True),
        ("example.com", "", False),
        ("*@example.com", "A@EXAMPLE.com", True),
    ],
)
def test_a_sender_pattern_takes_what_it_says(pattern: str, sender: str, taken: bool) -> None:
    table = RoutingTable([route("special", senders=(pattern,)), route("rest")])
    assert table.resolve(sender, "a@b.example").name == ("special" if taken else "rest")


def test_a_user_pattern_asks_who_submitted() -> None:
    table = RoutingTable([route("shops", users=("shop-*",)), route("rest")])
    assert table.resolve("", "a@b.example", "shop-7").name == "shops"
    assert table.resolve("", "a@b.example", "office").name == "rest"
    assert table.resolve("", "a@b.example", None).name == "rest"


def test_all_conditions_of_a_route_must_hold() -> None:
    table = RoutingTable(
        [route("both", recipients=("b.example",), senders=("s.example",)), route("rest")]
    )
    assert table.resolve("x@s.example", "a@b.example").name == "both"
    assert table.resolve("x@t.example", "a@b.example").name == "rest"
    assert table.resolve("x@s.example", "a@c.example").name == "rest"


def test_the_first_route_that_matches_is_taken() -> None:
    table = RoutingTable(
        [
            route("wild", recipients=("*.example.com",)),
            route("exact", recipients=("a.example.com", "b.example.org")),
            route("later", recipients=("b.example.org",)),
            route("rest"),
        ]
    )
    assert table.resolve("", "x@a.example.com").name == "wild"
    assert table.resolve("", "x@b.example.org").name == "exact"


def test_the_answer_does_not_depend_on_what_was_asked_before() -> None:
    table = RoutingTable([route("special", recipients=("boss@example.com",)), route("rest")])
    for _ in range(2):
        assert table.resolve("", "clerk@example.com").name == "rest"
        assert table.resolve("", "boss@example.com").name == "special"


def test_what_is_remembered_is_bounded() -> None:
    table = RoutingTable([route("special", recipients=("boss@example.com",)), route("rest")])
    for number in range(3 * REMEMBERED):
        table.resolve("", f"u{number}@example.com")
    assert len(table._young) + len(table._old) <= 2 * REMEMBERED


@given(st.text(max_size=30), st.text(max_size=30), st.none() | st.text(max_size=10))
def test_any_address_finds_a_route(sender: str, recipient: str, user: str | None) -> None:
    table = RoutingTable(
        [
            route("special", recipients=("*.x", "a@*", ".y", "z"), senders=("<>", "q")),
            route("users", users=("a*",)),
            route("rest"),
        ]
    )
    assert table.resolve(sender, recipient, user) in table.routes


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ([], "no route"),
        ([route("a"), replace(route("a"), via=(TWO,))], "two routes are called 'a'"),
        ([route("a", recipients=("x",))], "does not take all mail"),
        ([route("a"), route("b", recipients=("x",))], "never used"),
        ([replace(route("a"), overflow="b")], "'b', which is no route"),
        (
            [
                replace(route("a", recipients=("x",)), overflow="b"),
                replace(route("b"), overflow="a"),
            ],
            "circle: a -> b -> a",
        ),
        ([route("a", recipients=(" ",)), route("b")], "empty pattern"),
    ],
)
def test_routes_that_do_not_fit_together_are_told(routes: list[Route], said: str) -> None:
    with pytest.raises(InvalidRouting, match=said):
        RoutingTable(routes)


def test_a_route_that_only_takes_overflow_takes_nothing_by_itself() -> None:
    first = replace(route("first"), overflow="spare")
    for routes in ([first, route("spare")], [route("spare"), first]):
        assert RoutingTable(routes).resolve("", "a@b.example").name == "first"


def never(_hop: object) -> bool:
    return False


def test_failover_goes_by_priority_then_as_listed() -> None:
    hops = next_hops(Route("r", (THREE, ONE, TWO)), random.Random(1), never)
    assert hops == (ONE, TWO, THREE)


def test_what_is_suspended_is_left_out() -> None:
    chosen = Route("r", (ONE, TWO))
    assert next_hops(chosen, random.Random(1), lambda hop: hop is ONE) == (TWO,)
    assert next_hops(chosen, random.Random(1), lambda hop: True) == ()
    assert next_hops(Route("r", (ONE,)), random.Random(1), lambda hop: True) == ()


def test_weights_share_the_load_within_a_priority() -> None:
    heavy, spare = replace(TWO, weight=3), replace(ONE, host="spare.example", weight=0)
    chosen = Route("r", (ONE, heavy, spare, THREE), strategy=Strategy.WEIGHTED)
    chance = random.Random(7)
    orders = [next_hops(chosen, chance, never) for _ in range(4000)]
    first = Counter(order[0].identity for order in orders)
    assert all(set(order[:2]) == {ONE, heavy} and order[2:] == (spare, THREE) for order in orders)
    assert 0.70 < first[heavy.identity] / 4000 < 0.80


def test_a_route_must_lead_somewhere_and_to_one_kind() -> None:
    for via in ((), (ONE, MxDelivery()), (MxDelivery(), MxDelivery()), (Sandbox(), ONE)):
        with pytest.raises(ValueError, match="route 'r'"):
            Route("r", via)


def test_the_identity_of_a_smarthost_tells_accounts_and_sockets_apart() -> None:
    assert ONE.identity == "one.example:587"
    assert Smarthost("2001:db8::1", 25).identity == "[2001:db8::1]:25"
    assert Smarthost("unix:/run/x", 0).identity == "unix:/run/x"


@pytest.mark.parametrize(
    ("text", "rate", "shown"),
    [
        ("100/minute", Rate(100, 60.0), "100/minute"),
        ("5 per second", Rate(5, 1.0), "5/second"),
        ("20/10s", Rate(20, 10.0), "20/10s"),
        ("1/2 Hours", Rate(1, 7200.0), "1/7200s"),
    ],
)
def test_a_rate_is_read_and_shown(text: str, rate: Rate, shown: str) -> None:
    assert Rate.parse(text) == rate
    assert str(rate) == shown


@pytest.mark.parametrize("text", ["", "100", "0/minute", "5/0s", "5/fortnight", "-1/second"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        Rate.parse(text)


def test_limits_that_let_nothing_through_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one connection"):
        RouteLimits(connections=0)
