"""Who may relay where, and in whose name.

An open relay is a server that sends anybody's mail anywhere. This one relays for three kinds of
clients: those who have logged in, those whose address is in a trusted network, and anybody who
writes to a domain that is ours to receive for. Everything else is refused, with the reason and the
way to be let in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from waypost.delivery.routing import Patterns
from waypost.smtp.reply import Reply, reply

ListenerKind = Literal["relay", "submission", "submissions"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REMEMBERED: Final = 10_000
"""Addresses of clients for which is known whether they are trusted."""

LOOPBACK: tuple[Network, ...] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """The policy."""

    trusted_networks: tuple[Network, ...] = LOOPBACK
    """Clients there may relay without logging in. A unix socket counts as trusted: who may open
    it is decided by its file mode."""
    relay_domains: tuple[str, ...] = ()
    """Patterns of recipient domains that mail is taken for from anybody, on relay listeners."""
    require_authentication: bool = False
    """Submission listeners ask even trusted networks to log in."""
    enforce_sender_ownership: bool = True
    """A user may only use the sender addresses that the operator has given, if any are given."""


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Who a client is, as far as is known. Made anew when TLS or AUTH change it."""

    address: str
    kind: ListenerKind
    user: str | None
    encrypted: bool
    may_relay: bool
    """To anywhere."""


class AccessPolicy:
    """Decides at MAIL and RCPT. `owned_senders` gives the patterns of a user's addresses."""

    def __init__(
        self, settings: AccessSettings, owned_senders: Callable[[str], Patterns | None]
    ) -> None:
        self._settings = settings
        self._owned_senders = owned_senders
        self._relay_domains = Patterns(settings.relay_domains)
        self._has_relay_domains = bool(settings.relay_domains)
        self._trusted: dict[str, bool] = {}

    def is_trusted(self, address: str) -> bool:
        """Whether an address is in a trusted network. Remembered: every connection asks."""
        known = self._trusted.get(address)
        if known is None:
            if len(self._trusted) >= REMEMBERED:
                self._trusted.clear()
            known = self._trusted[address] = self._look_up(address)
        return known

    def _look_up(self, address: str) -> bool:
        if address.startswith("unix"):
            return True
        try:
            client = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client in network for network in self._settings.trusted_networks)

    def identify(
        self, address: str, kind: ListenerKind, user: str | None, *, encrypted: bool
    ) -> ClientIdentity:
        """The identity of a client."""
        trusted = self.is_trusted(address)
        if kind != "relay" and self._settings.require_authentication:
            trusted = False
        return ClientIdentity(address, kind, user, encrypted, trusted or user is not None)

    def decide_sender(self, client: ClientIdentity, reverse_path: str) -> Reply | None:
        """At MAIL: None where the sender may be used, otherwise the refusal."""
        if client.user is not None and self._settings.enforce_sender_ownership:
            return self._decide_ownership(client.user, reverse_path)
        if client.may_relay or client.kind == "relay":
            return None
        how = "AUTH" if client.encrypted else "STARTTLS, then AUTH"
        return reply(
            530, "5.7.0",
            f"Authentication required: say {how}. Your address {client.address} is not in "
            "access.trusted_networks",
        )  # fmt: skip

    def _decide_ownership(self, user: str, reverse_path: str) -> Reply | None:
        owned = self._owned_senders(user)
        if owned is None or not reverse_path:
            return None
        address = reverse_path.lower()
        if owned.match(address, address.rpartition("@")[2]):
            return None
        return reply(
            553, "5.7.1",
            f"<{reverse_path}>: sender address not owned by user {user}; the operator says which "
            "are: waypost user list shows them, waypost user add --sender gives them",
        )  # fmt: skip

    def decide_recipient(self, client: ClientIdentity, recipient: str) -> Reply | None:
        """At RCPT: None where mail may be taken for the recipient, otherwise the refusal."""
        if client.may_relay:
            return None
        address = recipient.lower()
        local_part, _, domain = address.rpartition("@")
        if self._has_relay_domains and self._relay_domains.match(address, domain):
            # user%elsewhere@ours and elsewhere!user@ours ask us to route further (RFC 5321 F.2).
            if "%" in local_part or "!" in local_part or "@" in local_part:
                return reply(550, "5.7.1", f"<{recipient}>: routed addresses are not relayed")
            return None
        return reply(
            554, "5.7.1",
            f"<{recipient}>: relay access denied. This server relays for users who log in and for "
            f"the networks in access.trusted_networks; your address is {client.address}. Log in "
            "on a submission port (AUTH after STARTTLS), or ask the operator to add your network",
        )  # fmt: skip
