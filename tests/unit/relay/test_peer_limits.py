"""Limits by client address and user, told on a clock that the test sets."""

from __future__ import annotations

import pytest

from waypost.relay.peer_limits import TARPIT_LONGEST, PeerLimits, PeerLimitSettings

ADDRESS = "192.0.2.1"
OTHER = "192.0.2.2"


def limits(**settings: float | bool) -> PeerLimits:
    return PeerLimits(PeerLimitSettings(**settings))  # type: ignore[arg-type]


# --- connections -----------------------------------------------------------------------------


def test_connections_of_one_address_are_limited_until_one_ends() -> None:
    peers = limits(connections_per_address=2)
    assert peers.connection_opened(ADDRESS, 0) is None
    assert peers.connection_opened(ADDRESS, 0) is None
    refusal = peers.connection_opened(ADDRESS, 0)
    assert refusal is not None
    assert (refusal.code, str(refusal.enhanced)) == (421, "4.7.0")
    assert peers.connection_opened(OTHER, 0) is None
    assert peers.open_connections == 3  # the refused one is not counted
    peers.connection_closed(ADDRESS, 1)
    assert peers.connection_opened(ADDRESS, 1) is None


def test_all_connections_together_are_limited_loopback_included() -> None:
    peers = limits(connections=1)
    assert peers.connection_opened("127.0.0.1", 0) is None
    refusal = peers.connection_opened(ADDRESS, 0)
    assert refusal is not None
    assert str(refusal.enhanced) == "4.3.2"


def test_new_connections_are_counted_by_the_minute() -> None:
    peers = limits(connections_per_minute=2)
    for _ in range(2):
        assert peers.connection_opened(ADDRESS, 1000) is None
        peers.connection_closed(ADDRESS, 1000)
    refusal = peers.connection_opened(ADDRESS, 1040)
    assert refusal is not None
    assert "try again in 20 s" in refusal.text
    assert peers.connection_opened(ADDRESS, 1060) is None


def test_an_ipv6_client_is_its_64() -> None:
    peers = limits(connections_per_address=1)
    assert peers.connection_opened("2001:db8:0:1::1", 0) is None
    assert peers.connection_opened("2001:db8:0:1:ffff::9", 0) is not None
    assert peers.connection_opened("2001:db8:0:2::1", 0) is None


def test_an_ipv4_client_is_the_same_over_either_kind_of_socket() -> None:
    peers = limits(connections_per_address=1)
    assert peers.connection_opened(ADDRESS, 0) is None
    assert peers.connection_opened(f"::ffff:{ADDRESS}", 0) is not None


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix:/run/waypost.sock"]
)
def test_programs_of_this_machine_are_exempt(address: str) -> None:
    peers = limits(connections_per_address=1, errors_per_hour=1, messages_per_minute=1)
    for _ in range(5):
        assert peers.connection_opened(address, 0) is None
        assert peers.error(address, 0) is None
        assert peers.message(address, None, 0) is None


def test_loopback_counts_where_the_settings_say_so() -> None:
    peers = limits(connections_per_address=1, exempt_loopback=False)
    assert peers.connection_opened("127.0.0.1", 0) is None
    assert peers.connection_opened("127.0.0.1", 0) is not None


# --- mail ------------------------------------------------------------------------------------


def test_messages_of_an_address_are_counted_by_the_minute() -> None:
    peers = limits(messages_per_minute=2)
    assert [peers.message(ADDRESS, None, 0) is None for _ in range(3)] == [True, True, False]
    assert peers.message(OTHER, None, 0) is None
    assert peers.message(ADDRESS, None, 60) is None


def test_a_user_is_counted_over_all_addresses() -> None:
    peers = limits(user_messages_per_hour=2, user_recipients_per_hour=1)
    assert peers.message(ADDRESS, "ada", 0) is None
    assert peers.message(OTHER, "ada", 0) is None
    refusal = peers.message("127.0.0.1", "ada", 0)
    assert refusal is not None
    assert (refusal.code, str(refusal.enhanced)) == (451, "4.7.1")
    assert "messages of ada" in refusal.text
    assert peers.message(ADDRESS, "bob", 0) is None
    assert peers.recipient(ADDRESS, "ada", 0) is None
    assert peers.recipient(OTHER, "ada", 0) is not None
    assert peers.recipient(OTHER, "ada", 3600) is None


def test_recipients_of_an_address_are_counted_by_the_hour() -> None:
    peers = limits(recipients_per_hour=1)
    assert peers.recipient(ADDRESS, None, 0) is None
    refusal = peers.recipient(ADDRESS, None, 1800)
    assert refusal is not None
    assert "1 an hour" in refusal.text
    assert "1800 s" in refusal.text


def test_zero_means_no_limit() -> None:
    peers = limits(
        connections=0, connections_per_address=0, connections_per_minute=0, errors_per_hour=0,
        failed_logins_per_hour=0,
    )  # fmt: skip
    for _ in range(3000):
        assert peers.connection_opened(ADDRESS, 0) is None
        assert peers.error(ADDRESS, 0) is None
        peers.authentication_failed(ADDRESS, "ada", 0)
    assert peers.may_authenticate(ADDRESS, "ada", 0) is None


# --- errors ----------------------------------------------------------------------------------


def test_one_error_too_many_ends_the_session_and_bans_the_address_for_a_while() -> None:
    peers = limits(errors_per_hour=2, ban_seconds=900)
    assert peers.error(ADDRESS, 0) is None
    assert peers.error(ADDRESS, 0) is None
    assert peers.error(ADDRESS, 100) is not None
    refusal = peers.connection_opened(ADDRESS, 400)
    assert refusal is not None
    assert "try again in 600 s" in refusal.text
    assert peers.connection_opened(OTHER, 400) is None
    assert peers.connection_opened(ADDRESS, 1000) is None


def test_the_tarpit_doubles_up_to_its_end() -> None:
    peers = limits()
    delays = [peers.authentication_failed(ADDRESS, "ada", 0) for _ in range(7)]
    assert delays == [1, 2, 4, 8, 16, TARPIT_LONGEST, TARPIT_LONGEST]


def test_the_tarpit_does_not_begin_anew_with_another_name() -> None:
    peers = limits()
    delays = [peers.authentication_failed(ADDRESS, f"user{n}", 0) for n in range(3)]
    assert delays == [1, 2, 4]


def test_who_guesses_is_locked_and_the_owner_elsewhere_is_not() -> None:
    peers = limits(failed_logins_per_hour=3)
    for _ in range(3):
        assert peers.may_authenticate(ADDRESS, "ada", 0) is None
        peers.authentication_failed(ADDRESS, "ada", 0)
    refusal = peers.may_authenticate(ADDRESS, "ada", 600)
    assert refusal is not None
    assert (refusal.code, str(refusal.enhanced)) == (454, "4.7.0")
    assert "3000 s" in refusal.text
    assert peers.may_authenticate(OTHER, "ada", 600) is None
    assert peers.may_authenticate(ADDRESS, "ada", 3600) is None


def test_many_who_guess_together_lock_the_user() -> None:
    peers = limits(failed_logins_per_hour=2)
    for number in range(20):
        peers.authentication_failed(f"198.51.100.{number}", "ada", 0)
    assert peers.may_authenticate(OTHER, "ada", 0) is not None
    assert peers.may_authenticate(OTHER, "bob", 0) is None


# --- memory ----------------------------------------------------------------------------------


def test_what_is_remembered_is_bounded() -> None:
    peers = limits(tracked=10)
    for number in range(1000):
        peers.error(f"198.51.{number // 250}.{number % 250}", 0)
        peers.error(f"2001:db8:{number:x}::1", 0)
        peers.authentication_failed(ADDRESS, f"user{number}", 0)
    assert len(peers._addresses) <= 11
    assert len(peers._users) <= 10


def test_the_longest_unused_is_forgotten_first() -> None:
    peers = limits(tracked=10, errors_per_hour=2, failed_logins_per_hour=2)
    for number in range(100):
        peers.error(f"198.51.100.{number}", 0)
        peers.authentication_failed(f"198.51.101.{number}", f"user{number}", 0)
        if number < 3:
            peers.error(ADDRESS, 0)
        peers.may_authenticate(ADDRESS, "ada", 0)
        assert (peers.connection_opened(ADDRESS, 0) is None) == (number < 2)
        if number < 2:
            peers.connection_closed(ADDRESS, 0)


def test_an_address_with_a_connection_is_not_forgotten() -> None:
    peers = limits(tracked=10, connections_per_address=1)
    assert peers.connection_opened(ADDRESS, 0) is None
    for number in range(100):
        peers.error(f"198.51.100.{number}", 0)
    assert peers.connection_opened(ADDRESS, 0) is not None
    peers.connection_closed(ADDRESS, 0)
    assert peers.connection_opened(ADDRESS, 0) is None
