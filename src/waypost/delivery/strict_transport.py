"""MTA-STS for delivery (RFC 8461): the policy of a domain, fetched, kept and asked again.

What the DNS says only tells that there is a policy, and when it changed. The policy itself comes
over HTTPS with a verified certificate, so whoever can lie in the DNS cannot forge one; and once
fetched it holds for its max_age, whatever the DNS says or however often fetching fails, so such
a person cannot make it go away either. It is therefore kept over restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from dataclasses import dataclass
from typing import Final, Protocol

from waypost.mail.strict_transport import MODES, POLICY_ID, StsPolicy, read_policy
from waypost.mail.tag_list import parse_tags, versioned
from waypost.net.clock import Clock
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionFailure, Resolver
from waypost.net.web import Web, WebFailure, WebRequest
from waypost.spool.contract import SpoolRefusal

LOOK_AGAIN_SECONDS: Final = 300.0
"""Between two looks at a domain's record, and so at least between two fetches (RFC 8461 3.3)."""

MAXIMUM_DOMAINS: Final = 10_000
"""Domains in memory; the one that has been there longest goes."""

MAXIMUM_EXCHANGERS: Final = 100
"""Patterns of one policy. One with more is not used."""

KEPT_AS: Final = "mta-sts:"
"""The spool keeps a policy under this and the domain."""


class PolicyStore(Protocol):
    """What keeps policies over restarts: the spool."""

    async def remember(self, name: str, value: str) -> None:
        """Keep it."""

    async def recall(self, name: str) -> str | None:
        """What was kept."""


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy that holds."""

    identifier: str
    """Of the record in the DNS when it was fetched."""
    policy: StsPolicy
    until: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class _Known:
    kept: KeptPolicy | None
    look_again: float
    """Monotonic seconds."""


class StrictTransport:
    """The MTA-STS policies of domains."""

    def __init__(self, resolver: Resolver, web: Web, clock: Clock, store: PolicyStore) -> None:
        self._resolver = resolver
        self._web = web
        self._clock = clock
        self._store = store
        self._known: dict[str, _Known] = {}
        self._looking: dict[str, asyncio.Task[_Known]] = {}

    async def policy(self, domain: str) -> StsPolicy | None:
        """The policy that holds for a domain (as the DNS knows it) now; None without one.

        Raises nothing: where no policy can be had there is none (RFC 8461 5.1).
        """
        known = self._known.get(domain)
        if known is None or self._clock.monotonic() >= known.look_again:
            task = self._looking.get(domain)
            if task is None:
                task = asyncio.get_running_loop().create_task(self._look(domain, known))
                self._looking[domain] = task
                task.add_done_callback(lambda _: self._looking.pop(domain, None))
            # One connection that is given up must not take the answer from the others.
            known = await asyncio.shield(task)
        kept = self._alive(known.kept)
        return None if kept is None else kept.policy

    def _alive(self, kept: KeptPolicy | None) -> KeptPolicy | None:
        return kept if kept is not None and kept.until > self._clock.now() else None

    async def _look(self, domain: str, known: _Known | None) -> _Known:
        kept = self._alive(known.kept if known is not None else await self._recalled(domain))
        identifier = await self._identifier(domain)
        if identifier is not None and (kept is None or self._is_stale(kept, identifier)):
            fetched = await self._fetched(domain, identifier)
            if fetched is not None:
                kept = fetched
                # Without a spool it holds until the relay stops; delivery goes on.
                with contextlib.suppress(SpoolRefusal):
                    await self._store.remember(KEPT_AS + domain, _written(fetched))
        found = _Known(kept, self._clock.monotonic() + LOOK_AGAIN_SECONDS)
        self._known.pop(domain, None)
        while len(self._known) >= MAXIMUM_DOMAINS:
            del self._known[next(iter(self._known))]
        self._known[domain] = found
        return found

    def _is_stale(self, kept: KeptPolicy, identifier: str) -> bool:
        """Whether it changed, or half its time is over: long before it ends (RFC 8461 3.3)."""
        remaining = kept.until - self._clock.now()
        return kept.identifier != identifier or remaining < kept.policy.max_age / 2

    async def _identifier(self, domain: str) -> str | None:
        """The id of the one record that a domain has (RFC 8461 3.1)."""
        try:
            texts = versioned(await texts_of(self._resolver, f"_mta-sts.{domain}"), "STSv1")
        except (ResolutionFailure, ValueError):
            return None  # what is kept still holds
        if len(texts) != 1:
            return None
        identifier = parse_tags(texts[0]).get("id") or ""
        return identifier if POLICY_ID.fullmatch(identifier) else None

    async def _fetched(self, domain: str, identifier: str) -> KeptPolicy | None:
        """The policy from the domain's server; None where it cannot be had or has faults."""
        url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
        try:
            page = await self._web.page(WebRequest(url, redirects=0))  # RFC 8461 3.3: none
        except WebFailure:
            return None
        kind = page.content_type.partition(";")[0].strip().lower()
        if page.status != 200 or kind != "text/plain":
            return None
        policy = read_policy(page.body)
        if policy.faults or len(policy.exchangers) > MAXIMUM_EXCHANGERS:
            return None
        return KeptPolicy(identifier, policy, self._clock.now() + policy.max_age)

    async def _recalled(self, domain: str) -> KeptPolicy | None:
        try:
            text = await self._store.recall(KEPT_AS + domain)
        except (SpoolRefusal, sqlite3.Error):
            return None  # it is fetched anew
        return None if text is None else _read(text)


def _written(kept: KeptPolicy) -> str:
    policy = kept.policy
    return json.dumps(
        {
            "id": kept.identifier, "mode": policy.mode, "mx": policy.exchangers,
            "max_age": policy.max_age, "until": kept.until,
        }
    )  # fmt: skip


def _read(text: str) -> KeptPolicy | None:
    """What `_written` wrote; None for anything else, which is then fetched anew."""
    try:
        found = json.loads(text)
        exchangers = tuple(str(one) for one in found["mx"])
        mode = str(found["mode"])
        if mode not in MODES:
            return None
        policy = StsPolicy(mode, exchangers, int(found["max_age"]), ())
        return KeptPolicy(str(found["id"]), policy, float(found["until"]))
    except (ValueError, TypeError, KeyError):
        return None
