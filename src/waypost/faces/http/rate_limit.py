"""How many requests of the API a caller may make: a token bucket for each key and each session.

Every answer says what is left (RateLimit and RateLimit-Policy of
draft-ietf-httpapi-ratelimit-headers), and 429 says when to come again. It stands behind the gate,
so that only callers who are known are counted; who is not is turned away there. The table is
bounded: the caller who has been quiet the longest is forgotten, with a full bucket.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waypost.faces.http.problems import API, Problem, problem_type, respond
from waypost.faces.http.security import CALLER, Caller

MAXIMUM_CALLERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ApiRate:
    """How much a caller may ask."""

    per_second: float = 200.0
    """In the long run."""
    burst: int = 1000
    """At once."""


class RateLimiter:
    """Token buckets by name."""

    def __init__(self, rate: ApiRate, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens, and when there were so many."""

    def take(self, name: str) -> tuple[float, float]:
        """Take a token; how many are left, and seconds until there is one (0: it was taken)."""
        now = self._monotonic()
        rate = self.rate
        tokens, at = self._buckets.pop(name, (float(rate.burst), now))
        tokens = min(float(rate.burst), tokens + (now - at) * rate.per_second)
        wait = 0.0
        if tokens >= 1.0:
            tokens -= 1.0
        else:
            wait = (1.0 - tokens) / rate.per_second
        self._buckets[name] = (tokens, now)
        while len(self._buckets) > MAXIMUM_CALLERS:
            self._buckets.popitem(last=False)
        return tokens, wait


class RateLimit:
    """See the module. Pure ASGI."""

    def __init__(self, app: ASGIApp, limiter: RateLimiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        caller = scope.get(CALLER)
        if (
            scope["type"] != "http"
            or not scope["path"].startswith(API)
            or not isinstance(caller, Caller)
        ):
            await self._app(scope, receive, send)
            return
        tokens, wait = self._limiter.take(caller.name)
        rate = self._limiter.rate
        window = max(1, math.ceil(rate.burst / rate.per_second))
        told = {
            "RateLimit-Policy": f'"default";q={rate.burst};w={window}',
            "RateLimit": f'"default";r={int(tokens)};t={math.ceil(wait) or 1}',
        }

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        if not wait:
            await self._app(scope, receive, with_headers)
            return
        problem = Problem(
            429,
            f"{caller.name} has made {rate.burst} requests at once, and may make "
            f"{rate.per_second:g} a second; come again in {math.ceil(wait)} s",
            type=problem_type("too-many-requests"),
            headers={"Retry-After": str(math.ceil(wait))},
        )
        await respond(Request(scope, receive), problem)(scope, receive, with_headers)
