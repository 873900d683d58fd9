"""What a server offers its clients and bears from them."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.smtp.extensions import ExtensionOffer


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What one listener offers and bears. Sizes in bytes."""

    hostname: str
    maximum_size: int = 50 * 1024 * 1024
    maximum_recipients: int = 1000
    maximum_command_line: int = 2048
    """RFC 5321 4.5.3.1.4 asks for 512, the extensions add about 1,200."""
    maximum_errors: int = 20
    maximum_idle_commands: int = 100
    """NOOP, RSET, VRFY, HELP and EHLO between two messages."""
    maximum_messages: int = 0
    """Messages of one connection, offered as MAILMAX (RFC 9422); 0: no limit."""
    starttls: bool = False
    auth_mechanisms: tuple[str, ...] = ()
    auth_in_clear: bool = False
    """Whether AUTH is offered without TLS; for loopback only."""
    smtputf8: bool = True
    chunking: bool = True
    dsn: bool = True
    require_tls: bool = True
    normalise_line_ends: bool = False
    """Bare CR and LF in content become CRLF; otherwise such a message is refused."""

    def offer(self, *, encrypted: bool) -> ExtensionOffer:
        """What EHLO tells, before and under TLS."""
        return ExtensionOffer(
            size=self.maximum_size,
            starttls=self.starttls and not encrypted,
            auth=self.auth_mechanisms if encrypted or self.auth_in_clear else (),
            smtputf8=self.smtputf8,
            chunking=self.chunking,
            dsn=self.dsn,
            require_tls=self.require_tls and encrypted,
            mail_maximum=self.maximum_messages or None,
            recipient_maximum=self.maximum_recipients,
        )
