"""The tables of facts: each row is whole, has a source, and a faulty one is told."""

from __future__ import annotations

import ipaddress

import pytest

from waypost.knowledge import tables
from waypost.knowledge.outcomes import outcome_table
from waypost.knowledge.providers import TABLES, UnsuitableRegion, providers
from waypost.knowledge.special_addresses import (
    is_loopback,
    special_network,
    special_networks,
)
from waypost.knowledge.tables import FaultyTable
from waypost.knowledge.tls_faults import fault_of_certificate, fault_of_handshake
from waypost.smtp.reply import EnhancedStatus


def test_every_row_has_a_source() -> None:
    for table, name in (
        ("providers.toml", "unsupported"),
        *((table, "provider") for table in TABLES.values()),
        ("outcomes.toml", "reply"),
        ("outcomes.toml", "failure"),
        ("special_addresses.toml", "network"),
        ("tls_faults.toml", "fault"),
        ("reasons.toml", "reason"),
        ("reply_codes.toml", "code"),
        ("enhanced_codes.toml", "code"),
        ("reply_contexts.toml", "stage"),
    ):
        assert all(row["source"] for row in tables.rows(table, name))


def test_a_table_without_such_rows_is_told() -> None:
    with pytest.raises(FaultyTable, match="no such rows"):
        tables.rows("providers.toml", "supplier")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda row: tables.text("t", row, "a"), "a must be a text"),
        (lambda row: tables.whole("t", row, "b"), "b must be a whole number"),
        (lambda row: tables.truth("t", row, "c"), "c must be true or false"),
        (lambda row: tables.texts("t", row, "d"), "d must be a list of texts"),
        (lambda row: tables.only("t", row, ("a", "b", "c")), "unknown column 'd'"),
    ],
)
def test_a_column_of_the_wrong_type_is_told(read: object, said: str) -> None:
    assert callable(read)
    with pytest.raises(FaultyTable, match=said):
        read({"a": 1, "b": True, "c": "yes", "d": ["x", 1]})


def test_a_provider_has_a_host_in_its_regions_only() -> None:
    assert providers()["ses"].host_in("eu-west-1") == "email-smtp.eu-west-1.amazonaws.com"
    assert providers()["gmail"].host_in("") == "smtp.gmail.com"
    for name, region in (("ses", ""), ("ses", "EU"), ("ses", "x.evil.example"), ("gmail", "eu")):
        with pytest.raises(UnsuitableRegion):
            providers()[name].host_in(region)


def test_no_special_network_is_there_twice() -> None:
    prefixes = [network.prefix for network in special_networks()]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize("network", special_networks(), ids=str)
def test_both_ends_of_a_special_network_are_special(network: object) -> None:
    prefix = network.prefix  # type: ignore[attr-defined]  # parametrize loses the type
    if network.embeds is None:  # type: ignore[attr-defined]  # as above
        for address in (prefix[0], prefix[-1]):
            assert special_network(str(address)) is not None
        after = int(prefix[-1]) + 1
        if after < 2**prefix.max_prefixlen:
            kind = ipaddress.IPv4Address if prefix.version == 4 else ipaddress.IPv6Address
            found = special_network(str(kind(after)))
            assert found is None or kind(after) in found.prefix


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(ValueError, match="example"):
        special_network("example.com")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("a.localhost", True), ("127.9.9.9", True),
        ("::1", True), ("localhost.example.com", False), ("notlocalhost", False),
        ("128.0.0.1", False), ("127.0.0.1.example", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_only(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_tls_faults_are_found_by_code_and_by_name() -> None:
    name, spoken = fault_of_certificate(62), fault_of_handshake("WRONG_VERSION_NUMBER")
    assert name is not None
    assert spoken is not None
    assert (name.id, spoken.id) == ("certificate-name-mismatch", "tls-not-spoken")
    assert fault_of_certificate(-1) is None
    assert fault_of_handshake("NO_SUCH_REASON") is None


def test_every_row_about_replies_can_be_reached() -> None:
    table = outcome_table()
    for row in table.replies:
        reason = row.reasons[0] if row.reasons else "refused"
        status = EnhancedStatus(5, 7, 8) if row.enhanced else None
        reached = {
            id(
                next(
                    one for one in table._index[stage, int(code)] if one.fits(reason, status, peer)
                )
            )
            for stage in row.stages
            for code in (name.replace("yz", "99") for name in row.codes)
            for peer in (("mx", "smarthost") if row.through is None else (row.through,))
        }
        assert id(row) in reached, row
