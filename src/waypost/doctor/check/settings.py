"""What is checked, and how far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from waypost.delivery.next_hop import Smarthost


@dataclass(frozen=True, slots=True)
class ServerToCheck:
    """One server, and what is asked of it."""

    hop: Smarthost
    hostname: str
    """Said in EHLO."""
    nonce: Callable[[], str]
    """For SCRAM."""
    target: str
    """As it may be written again in a command."""
    seconds: float = 10.0
    """For each step."""
    sender: str | None = None
    """For MAIL; None: the login where that is an address, else the null sender."""
    recipient: str | None = None
    """For RCPT; None: not asked."""
    size: int = 0
    """Said in MAIL; 0: nothing is said."""
    message: bytes | None = None
    """Sent to `recipient`; None: no mail is sent."""
    tls_wanted: bool = True
    """Somebody asked for TLS where it is to be had: its absence is worth a warning."""
    is_exchanger: bool = False
    """It is asked as an exchanger of the recipient's domain: certificates do not count
    (RFC 7435), and there is no login."""

    @property
    def place(self) -> str:
        """host:port, as it may be shown."""
        host = f"[{self.hop.host}]" if ":" in self.hop.host else self.hop.host
        return host if self.hop.is_unix else f"{host}:{self.hop.port}"
