"""When a failed delivery is tried again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.retry import DAY, HOUR, MINUTE, RetrySchedule

NOW = 1_800_000_000.0


class Highest:
    def random(self) -> float:
        return 1.0


def test_the_default_schedule_is_what_the_documentation_says() -> None:
    schedule = RetrySchedule()
    delays = [schedule.delay(attempts) for attempts in range(1, 10)]
    assert delays == [
        MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 4 * HOUR, 4 * HOUR,
    ]  # fmt: skip


def test_a_retry_that_would_come_after_expiry_is_none() -> None:
    schedule = RetrySchedule()
    assert schedule.next_attempt(1, NOW, NOW + 61) == NOW + 60
    assert schedule.next_attempt(1, NOW, NOW + 60) is None
    assert schedule.next_attempt(1, NOW, NOW - 1) is None


@given(attempts=st.integers(0, 10**9), seed=st.integers())
def test_a_retry_never_comes_before_its_time_and_at_most_the_jitter_after(
    attempts: int, seed: int
) -> None:
    schedule = RetrySchedule()
    due_at = schedule.next_attempt(attempts, NOW, NOW + 5 * DAY, random.Random(seed))
    assert due_at is not None
    delay = schedule.delay(attempts)
    assert delay <= due_at - NOW <= delay * 1.1 + 1e-6


def test_jitter_can_be_the_reason_that_it_is_too_late() -> None:
    assert RetrySchedule().next_attempt(1, NOW, NOW + 65, Highest()) is None


def test_the_sender_is_warned_after_four_hours_once_asked_for() -> None:
    schedule = RetrySchedule()
    assert not schedule.warning_is_due(NOW, NOW + 4 * HOUR - 1)
    assert schedule.warning_is_due(NOW, NOW + 4 * HOUR)
    assert not RetrySchedule(warn_after=None).warning_is_due(NOW, NOW + 4 * DAY)


@pytest.mark.parametrize(
    "wrong", [{"delays": (60.0, 0.0)}, {"afterwards": -1.0}, {"jitter": 1.5}, {"jitter": -0.1}]
)
def test_a_schedule_that_cannot_be_kept_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="retry schedule"):
        RetrySchedule(**wrong)  # type: ignore[arg-type]  # wrong on purpose
