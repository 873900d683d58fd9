"""Where mail can be handed to next: a smarthost, the exchangers of each domain, the sandbox.

These are settings, made from the configuration and never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class TlsMode(StrEnum):
    """How a connection to a next hop becomes TLS."""

    REQUIRED = "required"
    """STARTTLS; without it there is no delivery."""
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered; in the clear where it is not."""
    NONE = "none"
    """Never."""
    IMPLICIT = "implicit"
    """TLS from the first byte (RFC 8314 3.3)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a smarthost. The password is in no repr."""

    user: str
    password: str = field(repr=False)
    """A password, an API key, or the access token of an OAuth 2.0 mechanism."""
    mechanism: str | None = None
    """The SASL mechanism to use; None: the best that both sides have."""


@dataclass(frozen=True, slots=True)
class Smarthost:
    """A server that takes our mail for everywhere."""

    host: str
    """A name, an IP address, or "unix:/path"."""
    port: int
    """0 for a unix socket."""
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    verify: bool = True
    """The certificate must be valid and carry the host's name."""
    server_name: str | None = None
    """The name to ask for (SNI) and to verify, where it is not `host`."""
    ca_file: str | None = None
    """Certificates to trust in place of the system's."""
    credentials: Credentials | None = None
    clear_text_auth: bool = False
    """Credentials may go over a connection without TLS."""
    weight: int = 1
    """Its share under `Strategy.WEIGHTED`; 0: only when no other can be used."""
    priority: int = 0
    """Lower ones first."""
    timeout: float | None = None
    """Seconds, in place of each stage's default."""
    source: str | None = None
    """The local address to connect from."""
    ehlo: str | None = None
    """The name to greet with, in place of the relay's."""
    provider: str | None = None
    """The provider's name, where the settings come from its preset."""

    @property
    def is_unix(self) -> bool:
        """Whether it is reached over a unix socket."""
        return self.host.startswith("unix:")

    @property
    def identity(self) -> str:
        """What its back-off is kept under, and what people are shown. Of two accounts at one
        host one may be refused and the other not, so the user is part of it.
        """
        place = self.host
        if not self.is_unix:
            place = f"[{place}]:{self.port}" if ":" in place else f"{place}:{self.port}"
        return f"{self.credentials.user} at {place}" if self.credentials else place


@dataclass(frozen=True, slots=True)
class MxDelivery:
    """Direct delivery to the mail exchangers of each recipient's domain."""

    port: int = 25
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    verify: bool = False
    """Off by default: an exchanger's name comes from the DNS unproven, so a certificate for it
    proves little (RFC 7435). With it on, an unverified exchanger is not delivered to."""
    ca_file: str | None = None
    timeout: float | None = None
    """Seconds, in place of each stage's default."""
    source: str | None = None
    ehlo: str | None = None
    weight: int = 1
    priority: int = 0

    @property
    def identity(self) -> str:
        """What people are shown."""
        return "mx:"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Captures every message and lets nothing leave the machine."""

    weight: int = 1
    priority: int = 0

    @property
    def identity(self) -> str:
        """What people are shown."""
        return "sandbox:"


NextHop = Smarthost | MxDelivery | Sandbox
