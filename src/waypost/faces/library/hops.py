"""Which server a message goes to next: failover, or turns by weight, around what does not work.

Turns are smooth (each server gains its weight, the one with most goes and pays all of it), so
that 3 to 1 is a, a, b, a and not three in a row; with one connection or many, the shares come out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from waypost.delivery.route import Strategy
from waypost.faces.library.settings import Server


class Hops:
    """The servers of a mailer, and whose turn it is."""

    def __init__(
        self,
        servers: tuple[Server, ...],
        strategy: Strategy,
        is_suspended: Callable[[Server], bool],
    ) -> None:
        self._servers = sorted(servers, key=lambda server: server.priority)
        self._weighted = strategy is Strategy.WEIGHTED
        self._is_suspended = is_suspended
        self._credit = dict.fromkeys((server.identity for server in servers), 0)
        self._only = servers[0] if len(servers) == 1 else None

    def next(self, tried: Collection[str]) -> Server | None:
        """The server for the next attempt, by identity not one of those tried; None where all are.

        Servers that are left alone come last: with nothing else to try they may work again.
        """
        if self._only is not None:
            return None if tried else self._only
        left = [server for server in self._servers if server.identity not in tried]
        usable = [server for server in left if not self._is_suspended(server)]
        left = usable or left
        if not left:
            return None
        if not self._weighted:
            return left[0]
        equals = [server for server in left if server.priority == left[0].priority]
        total = sum(server.weight for server in equals)
        if not total:
            return equals[0]
        credit = self._credit
        for server in equals:
            credit[server.identity] += server.weight
        chosen = max(equals, key=lambda server: credit[server.identity])
        credit[chosen.identity] -= total
        return chosen
