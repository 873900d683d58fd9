"""Slows down who guesses passwords: after a few failures each one more doubles the wait.

Counted are addresses (of IPv6 a /64, which one customer has) and names. A name waits for less long
than an address at most, because whoever knows a name could keep its owner out otherwise. All in
memory and bounded: the entry not used for longest makes room.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

FREE_FAILURES: Final = 5
"""Failures that cost no wait: people mistype."""

FIRST_WAIT: Final = 2.0
LONGEST_FOR_ADDRESS: Final = 900.0
LONGEST_FOR_NAME: Final = 60.0
"""Seconds."""

FORGOTTEN_AFTER: Final = 3600.0
"""Seconds without a failure."""

TRACKED: Final = 10_000
"""Addresses and names remembered at once."""


@dataclass(slots=True)
class _Tally:
    failures: int = 0
    last: float = 0.0


class LoginThrottle:
    """See the module. Times are those of a monotonic clock."""

    def __init__(self, tracked: int = TRACKED) -> None:
        self._tracked = tracked
        self._addresses: OrderedDict[str, _Tally] = OrderedDict()
        self._names: OrderedDict[str, _Tally] = OrderedDict()

    def wait(self, address: str, name: str, now: float) -> float:
        """Seconds until another attempt is looked at; 0: now."""
        (addresses, network), (names, key) = self._places(address, name)
        return max(
            self._wait(addresses.get(network), LONGEST_FOR_ADDRESS, now),
            self._wait(names.get(key), LONGEST_FOR_NAME, now),
        )

    def failed(self, address: str, name: str, now: float) -> None:
        """A password was wrong."""
        for table, key in self._places(address, name):
            tally = table.pop(key, None) or _Tally()
            if now - tally.last > FORGOTTEN_AFTER:
                tally.failures = 0
            tally.failures += 1
            tally.last = now
            table[key] = tally
            if len(table) > self._tracked:
                table.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """A password was right: its name and address begin anew."""
        for table, key in self._places(address, name):
            table.pop(key, None)

    def __len__(self) -> int:
        """Entries remembered."""
        return len(self._addresses) + len(self._names)

    def _places(self, address: str, name: str) -> tuple[tuple[OrderedDict[str, _Tally], str], ...]:
        return (self._addresses, _network(address)), (self._names, name.casefold()[:100])

    @staticmethod
    def _wait(tally: _Tally | None, longest: float, now: float) -> float:
        if tally is None or tally.failures <= FREE_FAILURES:
            return 0.0
        if now - tally.last > FORGOTTEN_AFTER:
            return 0.0
        doublings = min(tally.failures - FREE_FAILURES - 1, 30)
        return max(0.0, tally.last + min(longest, FIRST_WAIT * 2.0**doublings) - now)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if parsed.version == 6:
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
