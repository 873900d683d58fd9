"""How it goes at an endpoint as a whole: when it is left alone, and when it is given up."""

from __future__ import annotations

from typing import Final

from waypost.control.webhooks_client import Answer
from waypost.control.webhooks_endpoint import Endpoint

PAUSE_AFTER: Final = 5
"""Failures in a row after which the endpoint is left alone."""

PROBE_SECONDS: Final = 60.0
"""One new event each so often is sent all the same, to find out whether the endpoint is back."""

MOST_WAITING: Final = 1000
"""Deliveries that wait to be tried again; with more the endpoint is left alone, too."""

DISABLE_AFTER: Final = 3 * 86400.0
"""An endpoint that has taken nothing for so long, by deliveries that were given up, is disabled."""

GONE: Final = 410


class EndpointHealth:
    """See the module."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.failures = endpoint.failures
        """Deliveries in a row that failed."""
        self.failing_since = endpoint.failing_since
        self.waiting = 0
        """Deliveries that wait to be tried again."""
        self.probe_at = 0.0

    @property
    def is_failing(self) -> bool:
        """The endpoint is left alone: only what waits is tried, and a probe now and then."""
        return self.waiting >= MOST_WAITING or (self.failures >= PAUSE_AFTER and self.waiting > 0)

    def probed(self, now: float) -> None:
        """An event is on its way to find out."""
        self.probe_at = now + PROBE_SECONDS

    def judge(self, answer: Answer, now: float, *, is_given_up: bool) -> str:
        """Count an attempt; why the endpoint is to be disabled, or ""."""
        if answer.is_taken:
            self.failures, self.failing_since = 0, None
            return ""
        self.failures += 1
        if not is_given_up:
            self.waiting += 1  # until the database has counted them
        if self.failing_since is None:
            self.failing_since = now
        if answer.status == GONE:
            return "it answered 410: it wants no more"
        lasts = now - self.failing_since
        if is_given_up and lasts >= DISABLE_AFTER:
            return f"it has taken nothing for {lasts / 86400:.1f} days; last: {answer.error}"
        return ""
