"""Which route a recipient takes, and in which order the route's next hops are tried.

The first route in the configuration's order that matches is taken; the last one takes all. The
table is compiled once: exact domains are one look-up, so thousands of them cost nothing, and what
was found is remembered under no more than the parts of an address that some route asks about.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from waypost.delivery.chance import Chance, shuffled_by_weight
from waypost.delivery.route import NextHop, Route, Strategy

REMEMBERED: Final = 10_000
"""Answers kept; twice as many at most (two generations)."""

NULL_SENDER: Final = "<>"


class InvalidRouting(ValueError):
    """The routes do not fit together; the text says which and how to mend it."""


def _wildcard(pattern: str) -> re.Pattern[str]:
    """An expression without nested repetition, so that no address makes it slow; "[" is itself."""
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))


class Patterns:
    """Patterns of addresses or domains (RouteMatch), compiled."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.domains: set[str] = set()
        """Exact ones."""
        self.suffixes: list[str] = []
        """With the leading dot."""
        self.addresses: set[str] = set()
        """Exact ones."""
        wildcards: list[str] = []
        for pattern in patterns:
            wanted = pattern.strip().lower()
            if not wanted:
                raise InvalidRouting("an empty pattern matches nothing; leave it out")
            if wanted.startswith("*.") and not re.search(r"[*?\[@]", wanted[1:]):
                wanted = wanted[1:]
            if re.search(r"[*?]", wanted):
                wildcards.append(wanted if "@" in wanted or wanted == "*" else f"*@{wanted}")
            elif wanted == NULL_SENDER or "@" in wanted.strip("@"):
                self.addresses.add("" if wanted == NULL_SENDER else wanted)
            elif wanted.startswith("."):
                self.suffixes.append(wanted)
            else:
                self.domains.add(wanted.removeprefix("@"))
        self.asks_local_part = bool(self.addresses) or any(
            wanted != "*" and not wanted.startswith("*@") for wanted in wildcards
        )
        """Whether the domain alone cannot tell."""
        self.is_exact = not (self.suffixes or self.addresses or wildcards)
        """Only exact domains."""
        self._wildcards = [_wildcard(wanted) for wanted in wildcards]

    def match(self, address: str, domain: str) -> bool:
        """Whether an address (in lower case, "" for the null sender) is meant."""
        return (
            domain in self.domains
            or address in self.addresses
            or (bool(domain) and any(domain.endswith(suffix) for suffix in self.suffixes))
            or any(wildcard.match(address) for wildcard in self._wildcards)
        )


class _Compiled:
    """One route with its patterns."""

    __slots__ = ("recipients", "route", "senders", "users")

    def __init__(self, route: Route) -> None:
        self.route: Route = route
        match = route.match
        self.recipients = Patterns(match.recipients) if match.recipients else None
        self.senders = Patterns(match.senders) if match.senders else None
        self.users = [_wildcard(user.lower()) for user in match.users] or None

    def match(self, sender: str, address: str, domain: str, user: str | None) -> bool:
        if self.recipients is not None and not self.recipients.match(address, domain):
            return False
        if self.users is not None and (
            user is None or not any(pattern.match(user.lower()) for pattern in self.users)
        ):
            return False
        if self.senders is None:
            return True
        return self.senders.match(sender, sender.rpartition("@")[2])


class RoutingTable:
    """The routes of today's configuration. Pure: the same question has the same answer."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Raises InvalidRouting."""
        self.routes = tuple(routes)
        self.by_name = {route.name: route for route in self.routes}
        self._default = self._check()
        # A route without conditions that others overflow to takes no mail by itself.
        compiled: list[_Compiled] = [
            _Compiled(route)
            for route in self.routes
            if not route.match.takes_all or route is self._default
        ]
        self._asks_sender = any(one.senders is not None for one in compiled)
        self._asks_user = any(one.users is not None for one in compiled)
        self._asks_local_part = any(
            one.recipients is not None and one.recipients.asks_local_part for one in compiled
        )
        self._by_domain: dict[str, list[int]] = {}
        self._others: list[int] = []
        for number, one in enumerate(compiled):
            if one.recipients is not None and one.recipients.is_exact:
                for domain in one.recipients.domains:
                    self._by_domain.setdefault(domain, []).append(number)
            else:
                self._others.append(number)
        self._compiled: list[_Compiled] = compiled
        self._young: dict[object, Route] = {}
        self._old: dict[object, Route] = {}

    def _check(self) -> Route:
        """Whether the routes fit together; the one that takes what no other does."""
        if not self.routes:
            raise InvalidRouting("there is no route; give at least one, such as sandbox:")
        if len(self.by_name) < len(self.routes):
            names = [route.name for route in self.routes]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidRouting(f"two routes are called {twice!r}; rename one")
        for route in self.routes:
            seen = [route.name]
            while route.overflow is not None:
                if route.overflow not in self.by_name:
                    raise InvalidRouting(
                        f"route {route.name!r} overflows to {route.overflow!r}, which is no route"
                    )
                if route.overflow in seen:
                    chain = " -> ".join((*seen, route.overflow))
                    raise InvalidRouting(f"overflow leads round in a circle: {chain}")
                seen.append(route.overflow)
                route = self.by_name[route.overflow]  # noqa: PLW2901 (walks the chain)
        spare = {route.overflow for route in self.routes}
        unconditional = [route for route in self.routes if route.match.takes_all]
        if not unconditional:
            raise InvalidRouting(
                f"the last route, {self.routes[-1].name!r}, does not take all mail; "
                "end the list with a route without conditions"
            )
        takers = [route for route in unconditional if route.name not in spare] or unconditional[-1:]
        behind = self.routes[self.routes.index(takers[0]) + 1 :]
        unused = [route for route in behind if route.name not in spare]
        if unused:
            raise InvalidRouting(
                f"route {takers[0].name!r} takes all mail, so {unused[0].name!r} behind it is "
                "never used; give the first conditions or move it to the end"
            )
        return takers[0]

    def resolve(self, sender: str, recipient: str, user: str | None = None) -> Route:
        """The route for one recipient of a message from `sender` ("" the null sender).

        `user` is who submitted it, None without authentication.
        """
        if len(self._compiled) == 1:
            return self._default
        address = recipient.lower()
        domain = address[address.rfind("@") + 1 :]
        key: object = address if self._asks_local_part else domain
        if self._asks_sender or self._asks_user:
            key = (key, sender if self._asks_sender else "", user if self._asks_user else None)
        young = self._young.get(key)
        if young is not None:
            return young
        found = self._old.get(key) or self._search(sender.lower(), address, domain, user)
        if len(self._young) >= REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[key] = found
        return found

    def _search(self, sender: str, address: str, domain: str, user: str | None) -> Route:
        candidates = sorted([*self._by_domain.get(domain, []), *self._others])
        for number in candidates:
            if self._compiled[number].match(sender, address, domain, user):
                return self._compiled[number].route
        return self._default


def next_hops(
    route: Route, chance: Chance, is_suspended: Callable[[NextHop], bool]
) -> tuple[NextHop, ...]:
    """The next hops to try now, in this order; () where all are suspended for the moment."""
    hops = route.via
    if len(hops) == 1:
        return () if is_suspended(hops[0]) else hops
    usable = [hop for hop in hops if not is_suspended(hop)]
    usable.sort(key=lambda hop: hop.priority)
    if route.strategy is Strategy.FAILOVER:
        return tuple(usable)
    order: list[NextHop] = []
    for priority in sorted({hop.priority for hop in usable}):
        equals = [hop for hop in usable if hop.priority == priority]
        order += shuffled_by_weight(equals, lambda hop: hop.weight, chance)
    return tuple(order)
