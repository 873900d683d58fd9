"""check_host(): the verdict of a domain's policy on one sending host (RFC 7208 4).

Bounded by the RFC's own limits: ten terms that ask the DNS, two of them in vain, ten exchangers
and ten names of an address (4.6.4); so no policy can make us ask for ever. What the DNS does not
tell now is "temperror", what the owner has to mend is "permerror".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTemporaryFailure,
    Resolver,
)
from waypost.sender_policy.macros import MacroFault, MacroValues, expand, expand_name
from waypost.sender_policy.record import (
    MalformedPolicy,
    Mechanism,
    Policy,
    Result,
    is_policy,
    parse_policy,
)

MAXIMUM_LOOKUPS: Final = 10
"""Terms that ask the DNS (RFC 7208 4.6.4)."""

MAXIMUM_VOID_LOOKUPS: Final = 2
"""Questions without an answer (RFC 7208 4.6.4)."""

MAXIMUM_EXCHANGERS: Final = 10
"""Of one mx term; more are an error (RFC 7208 4.6.4)."""

MAXIMUM_NAMES: Final = 10
"""Of the address, for ptr and %{p}; more are left out (RFC 7208 4.6.4)."""

_LABEL: Final = re.compile(r"[^.]{1,63}")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Sending:
    """Who sends."""

    address: str
    """The IP address of the client."""
    sender: str
    """The reverse path, local@domain; "" for the null one."""
    helo: str
    receiver: str = "unknown"
    """Our own name, for %{r}."""
    now: float = 0.0
    """Seconds since the epoch, for %{t}."""

    @property
    def identity(self) -> str:
        """The mailbox whose domain is asked: postmaster at the HELO name for a null sender."""
        if not self.sender:
            return f"postmaster@{self.helo}"
        local, at, domain = self.sender.rpartition("@")
        return f"{local or 'postmaster'}@{domain}" if at else f"postmaster@{self.sender}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a receiver makes of it."""

    result: Result
    domain: str
    """Whose policy was asked."""
    term: str = ""
    """The mechanism that matched, as written; "" where none did."""
    place: str = ""
    """The domain whose record holds that term."""
    explanation: str = ""
    """The domain's own words for a failure."""
    reason: str = ""
    """Why there is no verdict: what the DNS said, or the fault of the record."""
    lookups: int = 0
    void_lookups: int = 0


class _Stop(Exception):
    """The evaluation ends here, in all depths (RFC 7208 2.6.6, 2.6.7)."""

    def __init__(self, result: Result, reason: str) -> None:
        self.result = result
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class _Matched:
    result: Result
    term: str = ""
    place: str = ""
    explanation: str = ""
    """The exp of the record that decided; not yet expanded."""


@dataclass(slots=True)
class _Counters:
    lookups: int = 0
    void: int = 0
    names: dict[str, list[str]] = field(default_factory=dict)
    """Of the address, by the address: asked once."""


async def evaluate(resolver: Resolver, sending: Sending, domain: str | None = None) -> Verdict:
    """The verdict of the sender's domain, or of `domain` as for a HELO name.

    Raises ValueError where `sending.address` is none.
    """
    identity = sending.identity
    asked = (domain if domain is not None else identity.rpartition("@")[2]).removesuffix(".")
    address = ipaddress.ip_address(sending.address.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not is_name(asked):
        return Verdict(Result.NONE, asked, reason=f"{asked!r} is no domain name")
    check = _Check(resolver, sending, address, identity)
    try:
        matched = await check.host(asked)
    except _Stop as stop:
        return Verdict(
            stop.result, asked, reason=stop.reason, lookups=check.counters.lookups,
            void_lookups=check.counters.void,
        )  # fmt: skip
    words = ""
    if matched.result is Result.FAIL and matched.explanation:
        words = await check.explained(matched.explanation, matched.place)
    reason = "" if matched.result is not Result.NONE else "the domain publishes no SPF record"
    return Verdict(
        matched.result, asked, matched.term, matched.place, words, reason,
        check.counters.lookups, check.counters.void,
    )  # fmt: skip


def is_name(name: str) -> bool:
    """Whether the DNS can be asked for a name of several labels (RFC 7208 4.3)."""
    labels = name.split(".")
    return (
        len(labels) > 1
        and len(name) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        # An address is no domain, however much it looks like one.
        and not labels[-1].isdigit()
    )


class _Check:
    """One evaluation: its values and what it has asked so far."""

    def __init__(
        self, resolver: Resolver, sending: Sending, address: _Address, identity: str
    ) -> None:
        self._resolver = resolver
        self._address = address
        self.counters = _Counters()
        self._values = MacroValues(
            identity, sending.helo, address, sending.receiver, sending.now, self._validated_name
        )

    async def host(self, domain: str) -> _Matched:
        """check_host() itself; includes end by the number of look-ups. Raises _Stop."""
        policy = await self._policy(domain)
        if policy is None:
            return _Matched(Result.NONE)
        for mechanism in policy.mechanisms:
            if await self._matches(mechanism, domain):
                return _Matched(
                    mechanism.qualifier, mechanism.text, domain, policy.explanation or ""
                )
        if policy.redirect is None or any(one.name == "all" for one in policy.mechanisms):
            return _Matched(Result.NEUTRAL)
        self._count(f"redirect={policy.redirect}")
        target = await expand_name(policy.redirect, domain, self._values)
        if not is_name(target):
            raise _Stop(Result.PERMERROR, f"redirect leads to {target!r}, which is no domain")
        matched = await self.host(target)
        if matched.result is Result.NONE:
            raise _Stop(Result.PERMERROR, f"redirect leads to {target}, which has no SPF record")
        return matched

    async def explained(self, place: str, domain: str) -> str:
        """The words of a failure; "" where they cannot be had (RFC 7208 6.2)."""
        try:
            name = await expand_name(place, domain, self._values)
            texts = await self._resolver.records(name, "TXT") if is_name(name) else None
            if texts is None or len(texts.values) != 1 or not texts.values[0].isascii():
                return ""
            return await expand(texts.values[0], domain, self._values, in_explanation=True)
        except (ResolutionFailure, MacroFault):
            return ""

    # --- records ----------------------------------------------------------------------------

    async def _policy(self, domain: str) -> Policy | None:
        """The policy of a domain; None where it has none. Raises _Stop."""
        try:
            texts = (await self._resolver.records(domain, "TXT")).values
        except (NoSuchDomain, NoSuchRecord):
            return None
        except ResolutionTemporaryFailure as fault:
            raise _Stop(Result.TEMPERROR, str(fault)) from fault
        found = [text for text in texts if is_policy(text)]
        if not found:
            return None
        if len(found) > 1:
            raise _Stop(Result.PERMERROR, f"{domain} has {len(found)} SPF records")
        try:
            return parse_policy(found[0])
        except MalformedPolicy as fault:
            raise _Stop(Result.PERMERROR, f"the SPF record of {domain}: {fault}") from fault

    async def _ask(self, name: str, record_type: str) -> tuple[str, ...]:
        """The records of a name; () where there are none, which counts. Raises _Stop."""
        try:
            return (await self._resolver.records(name, record_type)).values
        except (NoSuchDomain, NoSuchRecord):
            self.counters.void += 1
            if self.counters.void > MAXIMUM_VOID_LOOKUPS:
                raise _Stop(
                    Result.PERMERROR,
                    f"more than {MAXIMUM_VOID_LOOKUPS} look-ups have no answer, the last one "
                    f"{record_type} of {name}",
                ) from None
            return ()
        except ResolutionTemporaryFailure as fault:
            raise _Stop(Result.TEMPERROR, str(fault)) from fault

    def _count(self, term: str) -> None:
        self.counters.lookups += 1
        if self.counters.lookups > MAXIMUM_LOOKUPS:
            raise _Stop(
                Result.PERMERROR, f"more than {MAXIMUM_LOOKUPS} look-ups, the last one for {term}"
            )

    # --- mechanisms -------------------------------------------------------------------------

    async def _matches(self, one: Mechanism, domain: str) -> bool:
        if one.name == "all":
            return True
        if one.network is not None:
            return self._address.version == one.network.version and self._address in one.network
        self._count(one.text)
        target = await expand_name(one.domain, domain, self._values) if one.domain else domain
        if one.name == "include":
            return await self._included(target)
        if not is_name(target):
            return False
        match one.name:
            case "a":
                return await self._has_address(target, one)
            case "mx":
                return await self._has_exchanger(target, one)
            case "exists":
                return bool(await self._ask(target, "A"))
            case _:
                names = await self._validated_names()
                return any(_is_within(name, target) for name in names)

    async def _included(self, target: str) -> bool:
        if not is_name(target):
            raise _Stop(Result.PERMERROR, f"include leads to {target!r}, which is no domain")
        matched = await self.host(target)
        if matched.result is Result.NONE:
            raise _Stop(Result.PERMERROR, f"include leads to {target}, which has no SPF record")
        return matched.result is Result.PASS

    async def _has_address(self, name: str, one: Mechanism) -> bool:
        four = self._address.version == 4
        length = one.length_4 if four else one.length_6
        for value in await self._ask(name, "A" if four else "AAAA"):
            network = ipaddress.ip_network((value, length), strict=False)
            if self._address in network:
                return True
        return False

    async def _has_exchanger(self, name: str, one: Mechanism) -> bool:
        hosts = [value.partition(" ")[2] for value in await self._ask(name, "MX")]
        if len(hosts) > MAXIMUM_EXCHANGERS:
            raise _Stop(
                Result.PERMERROR, f"{one.text}: {name} has more than {MAXIMUM_EXCHANGERS} MX"
            )
        for host in hosts:
            if is_name(host) and await self._has_address(host, one):
                return True
        return False

    # --- the name of the address ------------------------------------------------------------

    async def _validated_names(self) -> list[str]:
        """The names of the address that lead back to it (RFC 7208 5.5)."""
        key = str(self._address)
        if key in self.counters.names:
            return self.counters.names[key]
        kept: list[str] = []
        try:
            names = (await self._resolver.records(self._address.reverse_pointer, "PTR")).values
        except ResolutionFailure:
            names = ()
        for name in names[:MAXIMUM_NAMES]:
            try:
                kind = "A" if self._address.version == 4 else "AAAA"
                back = (await self._resolver.records(name, kind)).values
            except ResolutionFailure:
                continue
            if any(ipaddress.ip_address(value) == self._address for value in back):
                kept.append(name.rstrip(".").lower())
        self.counters.names[key] = kept
        return kept

    async def _validated_name(self, domain: str) -> str:
        """%{p}: the domain itself first, then what lies in it, then any (RFC 7208 7.3)."""
        names = await self._validated_names()
        wanted = domain.lower()
        for fits in (
            lambda name: name == wanted,
            lambda name: name.endswith(f".{wanted}"),
            lambda _: True,
        ):
            for name in names:
                if fits(name):
                    return name
        return "unknown"


def _is_within(name: str, domain: str) -> bool:
    wanted = domain.lower()
    return name == wanted or name.endswith(f".{wanted}")
