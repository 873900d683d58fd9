"""A policy as its owner sees it: all it includes, and what it costs at worst (RFC 7208 4.6.4).

Where `evaluation` asks for one host and stops at the first match, a survey walks every term, as if
none matched. So it finds the eleventh look-up before a receiver does, and names what nobody needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTemporaryFailure,
    Resolver,
)
from waypost.sender_policy.evaluation import is_name
from waypost.sender_policy.record import (
    ASKING,
    MalformedPolicy,
    Mechanism,
    Policy,
    Result,
    is_policy,
    parse_policy,
)

MAXIMUM_FOLLOWED: Final = 60
"""Terms that a survey follows; a policy that needs more is hopeless long before."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One record of the tree."""

    domain: str
    term: str
    """That led here, as written; "" for the domain itself."""
    depth: int
    record: str
    """"" where there is none."""
    policy: Policy | None
    fault: str
    """Why it has no policy; "" where it has one."""
    temporary: bool = False
    """The DNS did not answer: nothing is known."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A whole policy."""

    domain: str
    leaves: tuple[Leaf, ...]
    """The domain's own record first, then what it leads to, in the order of the terms."""
    records: tuple[str, ...]
    """All SPF records of the domain; one is right."""
    lookups: int
    """Terms that ask the DNS, if none matches."""
    void: tuple[str, ...]
    """What has no answer, in words: "a:old.example.com (no address)"."""
    is_whole: bool
    """Everything could be followed; otherwise `lookups` is the least."""

    @property
    def policy(self) -> Policy | None:
        """The domain's own."""
        return self.leaves[0].policy if self.leaves else None

    @property
    def ending(self) -> Result | None:
        """What happens to hosts that nothing names: the qualifier of "all", wherever redirect
        leads; None where the policy does not say (then "neutral")."""
        for leaf in self._chain():
            if leaf.policy is None:
                return None
            for one in leaf.policy.mechanisms:
                if one.name == "all":
                    return one.qualifier
        return None

    def _chain(self) -> Iterator[Leaf]:
        """The domain's record and those that it redirects to."""
        for leaf in self.leaves:
            if leaf.depth == 0 or leaf.term.lower().startswith("redirect="):
                yield leaf


async def survey(resolver: Resolver, domain: str) -> Survey:
    """Walk the policy of a domain. Raises nothing that the DNS says: it is in the result."""
    walk = _Walk(resolver)
    await walk.record(domain, "", 0, ())
    return Survey(
        domain, tuple(walk.leaves), tuple(walk.own), walk.lookups, tuple(walk.void), walk.is_whole
    )


class _Walk:
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.leaves: list[Leaf] = []
        self.own: list[str] = []
        self.void: list[str] = []
        self.lookups = 0
        self.is_whole = True

    async def record(self, domain: str, term: str, depth: int, above: tuple[str, ...]) -> None:
        """A domain's record and all below it."""

        def leaf(record: str, policy: Policy | None, fault: str, temporary: bool = False) -> None:
            self.leaves.append(Leaf(domain, term, depth, record, policy, fault, temporary))

        name = domain.removesuffix(".").lower()
        if name in above:
            leaf("", None, "includes itself")
            return
        if not is_name(name):
            leaf("", None, "is no domain name")
            return
        try:
            texts = (await self._resolver.records(name, "TXT")).values
        except (NoSuchDomain, NoSuchRecord):
            texts = ()
        except ResolutionTemporaryFailure as fault:
            self.is_whole = False
            leaf("", None, str(fault), temporary=True)
            return
        found = [text for text in texts if is_policy(text)]
        if depth == 0:
            self.own = found
        if len(found) != 1:
            leaf("", None, f"has {len(found)} SPF records" if found else "has no SPF record")
            return
        try:
            policy = parse_policy(found[0])
        except MalformedPolicy as fault:
            leaf(found[0], None, str(fault))
            return
        leaf(found[0], policy, "")
        for one in policy.mechanisms:
            await self._mechanism(one, name, depth, (*above, name))
        if policy.redirect is not None and not any(m.name == "all" for m in policy.mechanisms):
            await self._below(policy.redirect, f"redirect={policy.redirect}", depth, (*above, name))

    async def _mechanism(
        self, one: Mechanism, domain: str, depth: int, above: tuple[str, ...]
    ) -> None:
        if one.name == "include":
            await self._below(one.domain, one.text, depth, above)
            return
        if one.name not in ASKING:
            return
        self.lookups += 1
        target = one.domain or domain
        if one.name == "ptr" or "%" in target or self.lookups > MAXIMUM_FOLLOWED:
            return
        if one.name == "mx":
            await self._exchangers(one, target)
        elif not await self._has_address(target):
            self.void.append(f"{one.text} ({target} has no address)")

    async def _exchangers(self, one: Mechanism, target: str) -> None:
        try:
            await self._resolver.records(target, "MX")
        except (NoSuchDomain, NoSuchRecord):
            self.void.append(f"{one.text} ({target} has no MX)")
        except ResolutionFailure:
            self.is_whole = False

    async def _has_address(self, name: str) -> bool:
        for record_type in ("A", "AAAA"):
            try:
                await self._resolver.records(name, record_type)
            except (NoSuchDomain, NoSuchRecord):
                continue
            except ResolutionFailure:
                self.is_whole = False
            return True
        return False

    async def _below(self, target: str, term: str, depth: int, above: tuple[str, ...]) -> None:
        self.lookups += 1
        if "%" in target:
            return  # depends on who sends
        if self.lookups > MAXIMUM_FOLLOWED:
            self.is_whole = False
            return
        await self.record(target, term, depth + 1, above)
