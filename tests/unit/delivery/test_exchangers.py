"""Where mail for a domain goes (RFC 5321 5.1)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.exchangers import (
    MAXIMUM_ADDRESSES,
    MAXIMUM_HOSTS,
    Candidates,
    DestinationFailure,
    Exchanger,
    Exchangers,
    Ourselves,
)
from waypost.net.resolver import ResolutionFailure, ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver

ADDRESSES = {
    "a.example": ["192.0.2.1"],
    "b.example": ["2001:db8::2", "192.0.2.2"],
    "c.example": ["192.0.2.3"],
    "us.example": ["192.0.2.99"],
    "inside.example": ["10.0.0.5"],
    "nowhere.example": ["127.0.0.1", "::1"],
    "plain.example": ["192.0.2.7"],
}
BROKEN = ResolutionTemporaryFailure("x", "MX", "SERVFAIL")
Records = Mapping[str, Sequence[tuple[int, str]] | ResolutionFailure]
Addresses = Mapping[str, Sequence[str] | ResolutionFailure]


def find(
    domain: str,
    records: Records,
    addresses: Addresses | None = None,
    *,
    ourselves: Ourselves | None = None,
    seed: int = 1,
    port: int = 25,
    allow: bool = False,
) -> Candidates:
    resolver = StaticResolver(records, {**ADDRESSES, **(addresses or {})})
    exchangers = Exchangers(resolver, random.Random(seed), ourselves)
    return asyncio.run(exchangers.find(domain, port=port, allow_private_addresses=allow))


def failure(
    domain: str,
    records: Records,
    addresses: Addresses | None = None,
    ourselves: Ourselves | None = None,
) -> tuple[str, str]:
    with pytest.raises(DestinationFailure) as caught:
        find(domain, records, addresses, ourselves=ourselves)
    fault = caught.value
    assert fault.permanent == (fault.status.class_ == 5)
    assert repr(domain)[1:-1] in fault.text
    return fault.reason, str(fault.status)


def hosts(candidates: Candidates) -> list[str]:
    return [exchanger.host for exchanger in candidates.hosts]


def test_exchangers_are_tried_by_preference() -> None:
    found = find("x.example", {"x.example": [(20, "B.Example."), (10, "a.example")]})
    assert found.hosts == (
        Exchanger("a.example", 10, ("192.0.2.1",)),
        Exchanger("b.example", 20, ("2001:db8::2", "192.0.2.2")),
    )


def test_exchangers_of_equal_preference_share_the_load() -> None:
    records = {"x.example": [(10, "a.example"), (10, "b.example"), (5, "c.example")]}
    orders = {tuple(hosts(find("x.example", records, seed=seed))) for seed in range(20)}
    assert orders == {
        ("c.example", "a.example", "b.example"),
        ("c.example", "b.example", "a.example"),
    }


def test_without_mx_the_domain_itself_is_the_exchanger() -> None:
    found = find("plain.example", {})
    assert found.hosts == (Exchanger("plain.example", 0, ("192.0.2.7",)),)
    assert "no MX record" in found.notes[0]


def test_with_mx_the_domain_itself_is_never_the_exchanger() -> None:
    records = {"plain.example": [(10, "gone.example")]}
    assert failure("plain.example", records) == ("no-exchanger-address", "5.4.4")


def test_an_exchanger_without_address_is_passed_over() -> None:
    found = find("x.example", {"x.example": [(10, "gone.example"), (20, "a.example")]})
    assert hosts(found) == ["a.example"]
    assert "gone.example (preference 10) has no usable address" in found.notes[0]


@pytest.mark.parametrize(
    ("records", "addresses", "told"),
    [
        ({"x.example": [(0, "")]}, {}, ("null-mx", "5.1.10")),
        ({"x.example": [(0, ".")]}, {}, ("null-mx", "5.1.10")),
        ({}, {}, ("no-such-domain", "5.1.2")),
        ({"x.example": BROKEN}, {}, ("dns-temporary", "4.4.3")),
        ({"x.example": [(1, "y.example")]}, {"y.example": BROKEN}, ("dns-temporary", "4.4.3")),
        (
            {"x.example": [(1, "gone.example"), (2, "y.example")]},
            {"y.example": BROKEN},
            ("dns-temporary", "4.4.3"),
        ),
        ({"x.example": [(1, "gone.example")]}, {}, ("no-exchanger-address", "5.4.4")),
        ({"x.example": [(1, "inside.example")]}, {}, ("private-address", "4.4.4")),
        ({"x.example": [(1, "nowhere.example")]}, {}, ("nowhere-address", "5.4.4")),
    ],
)
def test_each_answer_of_the_dns_leads_to_its_own_failure(
    records: Records, addresses: Addresses, told: tuple[str, str]
) -> None:
    assert failure("x.example", records, addresses) == told


def test_a_null_mx_beside_real_ones_does_not_count() -> None:
    assert hosts(find("x.example", {"x.example": [(0, ""), (10, "a.example")]})) == ["a.example"]


def test_no_mx_and_no_answer_for_the_address_is_temporary() -> None:
    assert failure("x.example", {}, {"x.example": BROKEN}) == ("dns-temporary", "4.4.3")


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[192.0.2.1]", "192.0.2.1"),
        ("[IPv6:2001:DB8::1]", "2001:db8::1"),
    ],
)
def test_an_address_literal_is_its_own_exchanger(domain: str, address: str) -> None:
    assert find(domain, {}).hosts == (Exchanger(address, 0, (address,)),)


@pytest.mark.parametrize("domain", ["[192.0.2.256]", "[2001:db8::1]", "[x]", "[", "[]"])
def test_what_is_no_address_literal_fails_for_good(domain: str) -> None:
    assert failure(domain, {}) == ("bad-domain", "5.1.3")


@pytest.mark.parametrize("domain", ["", "a..b", "-a.example", "a b", "a\x00b", "x" * 300])
def test_what_is_no_domain_fails_for_good(domain: str) -> None:
    assert failure(domain, {}) == ("bad-domain", "5.1.2")


def test_a_domain_of_other_letters_is_asked_for_as_the_dns_knows_it() -> None:
    found = find("Bücher.Example", {"xn--bcher-kva.example": [(10, "a.example")]})
    assert hosts(found) == ["a.example"]


PRIMARY_AND_US = {"x.example": [(10, "a.example"), (20, "us.example"), (30, "c.example")]}
BY_NAME = Ourselves(names=frozenset({"us.example"}))
BY_ADDRESS = Ourselves(listeners=frozenset({("192.0.2.99", 25)}))


@pytest.mark.parametrize("ourselves", [BY_NAME, BY_ADDRESS])
def test_a_backup_exchanger_delivers_only_to_better_ones(ourselves: Ourselves) -> None:
    found = find("x.example", PRIMARY_AND_US, ourselves=ourselves)
    assert hosts(found) == ["a.example"]
    assert "us.example (preference 20) is this relay" in found.notes[0]
    assert "c.example (preference 30) is no better than this relay" in found.notes[1]


@pytest.mark.parametrize("ourselves", [BY_NAME, BY_ADDRESS])
@pytest.mark.parametrize(
    "records",
    [
        {"x.example": [(10, "us.example"), (20, "c.example")]},
        {"x.example": [(10, "c.example"), (10, "us.example")]},
        {"x.example": [(10, "gone.example"), (20, "us.example")]},
    ],
)
def test_mail_that_leads_back_to_us_waits_instead_of_bouncing(
    records: Records, ourselves: Ourselves
) -> None:
    assert failure("x.example", records, ourselves=ourselves) == ("mail-loop", "4.4.6")


def test_without_mx_our_own_address_is_a_loop_as_well() -> None:
    assert failure("us.example", {}, ourselves=BY_ADDRESS) == ("mail-loop", "4.4.6")


def test_another_port_of_our_address_is_not_us() -> None:
    records = {"x.example": [(10, "us.example")]}
    assert hosts(find("x.example", records, ourselves=BY_ADDRESS, port=2525)) == ["us.example"]


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "127.0.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0",
        "fd00::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:192.0.2.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::1",
        "2002:a00:1::1", "2001:0:1::1",
    ],
)  # fmt: skip
def test_nothing_is_delivered_into_our_own_network_unless_allowed(address: str) -> None:
    records = {"x.example": [(10, "evil.example")]}
    reason, _ = failure("x.example", records, {"evil.example": [address]})
    assert reason in ("private-address", "nowhere-address")
    found = find("x.example", records, {"evil.example": [address]}, allow=True)
    assert found.hosts[0].addresses == (address,)


def test_a_private_literal_is_refused_as_well() -> None:
    assert failure("[127.0.0.1]", {}) == ("nowhere-address", "5.4.4")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2001:4860::1", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses_are_delivered_to(address: str) -> None:
    found = find("x.example", {"x.example": [(1, "e.example")]}, {"e.example": [address]})
    assert found.hosts[0].addresses == (address,)


def test_public_addresses_beside_private_ones_are_used() -> None:
    addresses = {"e.example": ["10.0.0.1", "192.0.2.5"]}
    found = find("x.example", {"x.example": [(1, "e.example")]}, addresses)
    assert found.hosts[0].addresses == ("192.0.2.5",)
    assert "10.0.0.1 is left out: private" in found.notes[0]


def test_a_thousand_records_are_cut() -> None:
    addresses = {f"h{n}.example": [f"192.0.2.{k % 250}" for k in range(500)] for n in range(1000)}
    found = find("x.example", {"x.example": [(n, f"h{n}.example") for n in range(1000)]}, addresses)
    assert len(found.hosts) == MAXIMUM_HOSTS
    assert all(len(exchanger.addresses) == MAXIMUM_ADDRESSES for exchanger in found.hosts)


@given(st.text(max_size=40))
def test_any_domain_finds_hosts_or_a_typed_failure(domain: str) -> None:
    with pytest.raises(DestinationFailure):
        find(domain, {})
