"""Guessing becomes slow, typing errors do not, and the memory of both is bounded."""

from __future__ import annotations

import pytest

from waypost.control.login_throttle import (
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    LONGEST_FOR_ADDRESS,
    LONGEST_FOR_NAME,
    LoginThrottle,
)


def fail(throttle: LoginThrottle, times: int, address: str = "192.0.2.1", name: str = "a") -> None:
    for _ in range(times):
        throttle.failed(address, name, 0.0)


def test_a_few_failures_cost_nothing() -> None:
    throttle = LoginThrottle()
    fail(throttle, FREE_FAILURES)
    assert throttle.wait("192.0.2.1", "a", 0.0) == 0


def test_each_further_failure_doubles_the_wait() -> None:
    throttle = LoginThrottle()
    fail(throttle, FREE_FAILURES)
    waits = []
    for _ in range(4):
        fail(throttle, 1)
        waits.append(throttle.wait("192.0.2.1", "a", 0.0))
    assert waits == [2, 4, 8, 16]
    assert throttle.wait("192.0.2.1", "a", 15.0) == 1
    assert throttle.wait("192.0.2.1", "a", 16.0) == 0


def test_an_address_waits_for_longer_than_a_name() -> None:
    throttle = LoginThrottle()
    fail(throttle, 100)
    assert throttle.wait("192.0.2.1", "other", 0.0) == LONGEST_FOR_ADDRESS
    assert throttle.wait("192.0.2.2", "A", 0.0) == LONGEST_FOR_NAME
    assert throttle.wait("192.0.2.2", "other", 0.0) == 0


def test_a_right_password_forgives_and_so_does_time() -> None:
    throttle = LoginThrottle()
    fail(throttle, 50)
    assert throttle.wait("192.0.2.1", "a", FORGOTTEN_AFTER + 1) == 0
    throttle.failed("192.0.2.1", "a", FORGOTTEN_AFTER + 1)
    assert throttle.wait("192.0.2.1", "a", FORGOTTEN_AFTER + 1) == 0, "counted anew"
    fail(throttle, 50)
    throttle.succeeded("192.0.2.1", "a")
    assert throttle.wait("192.0.2.1", "a", 0.0) == 0
    assert len(throttle) == 0


def test_a_name_of_any_length_is_counted() -> None:
    throttle = LoginThrottle()
    fail(throttle, 9, "192.0.2.1", "x" * 2000)
    assert throttle.wait("192.0.2.2", "X" * 2000, 0.0) > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    throttle = LoginThrottle()
    fail(throttle, 9, one, "a")
    assert (throttle.wait(other, "b", 0.0) > 0) is same


def test_the_table_is_bounded_and_forgets_who_was_quiet() -> None:
    throttle = LoginThrottle(tracked=100)
    fail(throttle, 9, "192.0.2.1", "kept")
    for number in range(1000):
        throttle.failed(f"10.0.{number >> 8}.{number & 255}", f"n{number}", 0.0)
        throttle.failed("192.0.2.1", "kept", 0.0)
    assert len(throttle) <= 200
    assert throttle.wait("192.0.2.1", "kept", 0.0) > 0
    assert throttle.wait("10.0.0.0", "n0", 0.0) == 0
