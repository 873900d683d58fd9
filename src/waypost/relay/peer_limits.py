"""Limits by client address and by user: connections, rates, errors, failed logins.

An IPv6 client is counted by its /64, as it has the whole of it. Loopback and unix sockets are
exempt from the limits by address unless the settings say otherwise: there the operator's own
programs connect. Times are monotonic seconds. What is remembered is bounded: idle entries go, in
the order of their last use, when there are too many.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from waypost.smtp.reply import Reply, reply

TARPIT_FIRST: Final = 1.0
"""Seconds before the answer to a first failed login; doubles with each."""

TARPIT_LONGEST: Final = 30.0


@dataclass(frozen=True, slots=True)
class PeerLimitSettings:
    """0 means no limit. Rates count in fixed windows of a minute or an hour."""

    connections: int = 2000
    """Open at once over all addresses."""
    connections_per_address: int = 50
    connections_per_minute: int = 300
    """New ones of one address."""
    messages_per_minute: int = 0
    """Of one address."""
    recipients_per_hour: int = 0
    """Of one address."""
    user_messages_per_hour: int = 0
    user_recipients_per_hour: int = 0
    errors_per_hour: int = 200
    """Bad commands and unknown recipients of one address, before it is banned for a while."""
    failed_logins_per_hour: int = 20
    """Of one address, and of one user from all addresses, before logins are refused."""
    ban_seconds: float = 900.0
    exempt_loopback: bool = True
    tracked: int = 50_000
    """Addresses and users remembered."""


class _Window:
    """How often something has happened in the current minute or hour."""

    __slots__ = ("count", "length", "start")

    def __init__(self, length: float) -> None:
        self.length = length
        self.start = 0.0
        self.count = 0

    def add(self, now: float, amount: int = 1) -> int:
        if now - self.start >= self.length:
            self.start, self.count = now, 0
        self.count += amount
        return self.count

    def left(self, now: float) -> float:
        return max(1.0, self.start + self.length - now)


class _Peer:
    """What is remembered of one address or user."""

    __slots__ = (
        "banned_until", "connected", "connections", "errors", "failed_logins", "key", "messages",
        "recipients",
    )  # fmt: skip

    def __init__(self, key: str, message_window: float) -> None:
        self.key = key
        """Under which it is remembered, beside the addresses that have it."""
        self.connections = 0
        self.connected = _Window(60.0)
        self.messages = _Window(message_window)
        self.recipients = _Window(3600.0)
        self.errors = _Window(3600.0)
        self.failed_logins = _Window(3600.0)
        self.banned_until = 0.0


class PeerLimits:
    """See the module. Refusals are replies, None means go on."""

    def __init__(self, settings: PeerLimitSettings) -> None:
        self.settings = settings
        self.open_connections = 0
        self._addresses: OrderedDict[str, _Peer | None] = OrderedDict()
        self._users: OrderedDict[str, _Peer] = OrderedDict()

    # --- connections ------------------------------------------------------------------------

    def connection_opened(self, address: str, now: float) -> Reply | None:
        """Count a connection; the refusal to greet it with (it is not counted then)."""
        settings = self.settings
        if settings.connections and self.open_connections >= settings.connections:
            return reply(421, "4.3.2", f"All {settings.connections} connections are in use")
        peer = self._peer(address)
        if peer is None:
            self.open_connections += 1
            return None
        if peer.banned_until > now:
            return reply(
                421, "4.7.0",
                f"Too many errors from {address}; try again in {peer.banned_until - now:.0f} s",
            )  # fmt: skip
        allowed = settings.connections_per_address
        if allowed and peer.connections >= allowed:
            return reply(421, "4.7.0", f"Too many connections from {address} ({allowed} allowed)")
        allowed = settings.connections_per_minute
        if allowed and peer.connected.add(now) > allowed:
            return reply(
                421, "4.7.0",
                f"Too many new connections from {address} ({allowed} a minute); try again in "
                f"{peer.connected.left(now):.0f} s",
            )  # fmt: skip
        peer.connections += 1
        self.open_connections += 1
        return None

    def connection_closed(self, address: str, now: float) -> None:
        """A connection that was counted has ended."""
        del now
        self.open_connections -= 1
        peer = self._peer(address)
        if peer is not None:
            peer.connections -= 1

    # --- mail -------------------------------------------------------------------------------

    def message(self, address: str, user: str | None, now: float) -> Reply | None:
        """Count a message at MAIL."""
        allowed = self.settings.messages_per_minute
        if allowed:
            peer = self._peer(address)
            if peer is not None and peer.messages.add(now) > allowed:
                return _slow_down("messages", allowed, "minute", peer.messages.left(now))
        allowed = self.settings.user_messages_per_hour
        if allowed and user is not None:
            peer = self._user(user)
            if peer.messages.add(now) > allowed:
                return _slow_down(f"messages of {user}", allowed, "hour", peer.messages.left(now))
        return None

    def recipient(self, address: str, user: str | None, now: float) -> Reply | None:
        """Count a recipient at RCPT."""
        allowed = self.settings.recipients_per_hour
        if allowed:
            peer = self._peer(address)
            if peer is not None and peer.recipients.add(now) > allowed:
                return _slow_down("recipients", allowed, "hour", peer.recipients.left(now))
        allowed = self.settings.user_recipients_per_hour
        if allowed and user is not None:
            peer = self._user(user)
            if peer.recipients.add(now) > allowed:
                return _slow_down(
                    f"recipients of {user}", allowed, "hour", peer.recipients.left(now)
                )
        return None

    # --- errors -----------------------------------------------------------------------------

    def error(self, address: str, now: float) -> Reply | None:
        """Count a bad command or an unknown recipient; the farewell when it was one too many."""
        peer = self._peer(address)
        allowed = self.settings.errors_per_hour
        if peer is None or not allowed or peer.errors.add(now) <= allowed:
            return None
        peer.banned_until = now + self.settings.ban_seconds
        return reply(421, "4.7.0", f"Too many errors from {address}; closing")

    def authentication_failed(self, address: str, user: str, now: float) -> float:
        """Count a failed login; how many seconds the answer has to wait (the tarpit)."""
        failures = self._user(user).failed_logins.add(now)
        peer = self._peer(address)
        if peer is not None:
            failures = max(failures, peer.failed_logins.add(now))
        delay: float = TARPIT_FIRST * 2.0 ** min(failures - 1, 10)
        return min(TARPIT_LONGEST, delay)

    def may_authenticate(self, address: str, user: str, now: float) -> Reply | None:
        """Whether a login may be tried at all: not after too many failed ones.

        A user is locked by address first, so that a stranger who guesses does not lock out the
        owner: the limit by user alone is ten times as high.
        """
        allowed = self.settings.failed_logins_per_hour
        if not allowed:
            return None
        peer = self._peer(address)
        locked: _Window | None = None
        if peer is not None and peer.failed_logins.add(now, 0) >= allowed:
            locked = peer.failed_logins
        elif user in self._users and self._user(user).failed_logins.add(now, 0) >= 10 * allowed:
            locked = self._user(user).failed_logins
        if locked is None:
            return None
        return reply(
            454, "4.7.0",
            f"Too many failed logins; try again in {locked.left(now):.0f} s",
        )  # fmt: skip

    # --- what is remembered -----------------------------------------------------------------

    def _peer(self, address: str) -> _Peer | None:
        """The entry of an address; None where it is exempt."""
        try:
            peer = self._addresses[address]
        except KeyError:
            return self._new_peer(address)
        self._addresses.move_to_end(address)
        if peer is not None and peer.key != address and peer.key in self._addresses:
            self._addresses.move_to_end(peer.key)
        return peer

    def _new_peer(self, address: str) -> _Peer | None:
        peer: _Peer | None = None
        key = self._key(address)
        if key is not None:
            peer = self._addresses.get(key) or _Peer(key, 60.0)
            self._addresses[key] = peer
        self._addresses[address] = peer
        self._trim()
        return peer

    def _key(self, address: str) -> str | None:
        """What an address is counted by; None where it is exempt."""
        if address.startswith("unix"):
            return None
        try:
            client = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address
        if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        if client.is_loopback and self.settings.exempt_loopback:
            return None
        if client.version == 6:
            return str(ipaddress.ip_network((client, 64), strict=False))
        return str(client)

    def _user(self, user: str) -> _Peer:
        peer = self._users.get(user)
        if peer is not None:
            self._users.move_to_end(user)
        else:
            peer = self._users[user] = _Peer(user, 3600.0)
            while len(self._users) > self.settings.tracked:
                self._users.popitem(last=False)
        return peer

    def _trim(self) -> None:
        """Forget the oldest entries without connections; those with some go to the far end."""
        tries = 8
        while len(self._addresses) > self.settings.tracked and tries:
            tries -= 1
            address, peer = self._addresses.popitem(last=False)
            if peer is not None and peer.connections:
                self._addresses[address] = peer


def _slow_down(what: str, allowed: int, period: str, seconds: float) -> Reply:
    return reply(
        451, "4.7.1",
        f"Too many {what} ({allowed} an {period} allowed); try again in {seconds:.0f} s"
        if period == "hour"
        else f"Too many {what} ({allowed} a {period} allowed); try again in {seconds:.0f} s",
    )  # fmt: skip
