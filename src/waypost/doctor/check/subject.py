"""What a person wants checked: a server, the mail of a domain, or the way to one address."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from waypost.delivery.next_hop import Credentials, TlsMode
from waypost.delivery.route_url import UrlContext
from waypost.doctor.check.names import is_address
from waypost.doctor.target import InvalidTarget, ServerTarget, parse_target
from waypost.knowledge.special_addresses import is_loopback

_BARE: Final = re.compile(r"[^\s:/@?#\[\]]+")


@dataclass(frozen=True, slots=True)
class DomainTarget:
    """The mail of a domain: its exchangers are checked."""

    domain: str
    """As the DNS has it."""
    recipient: str | None = None
    """The address that was given; None: only its domain was."""
    server: ServerTarget | None = None
    """What a bare name is where it turns out to be no mail domain."""

    @property
    def text(self) -> str:
        """As given."""
        return self.recipient or self.domain


Subject = ServerTarget | DomainTarget


def parse_subject(
    text: str, context: UrlContext | None = None, credentials: Credentials | None = None
) -> Subject:
    """What a text names. Raises InvalidTarget.

    A bare name may be a domain or a server; the DNS decides, so it comes as a domain that says
    which server it would be. With a login it is a server.
    """
    text = text.strip()
    if "@" in text and "/" not in text and "://" not in text:
        from waypost.mail.address import InvalidAddress, domain_to_ascii, parse_address

        try:
            address = parse_address(text, smtputf8=True)
        except InvalidAddress as fault:
            raise InvalidTarget(
                "is no mail address", text, f"{fault.reason}; write name@example.com"
            ) from fault
        if address.literal is not None:
            literal = str(address.literal)
            found = parse_target(f"[{literal}]:25" if ":" in literal else f"{literal}:25")
            return DomainTarget(address.domain, str(address), found)
        return DomainTarget(domain_to_ascii(address.domain), str(address))
    target = parse_target(text, context, credentials)
    bare = _BARE.fullmatch(text) is not None and "." in text.strip(".")
    if (
        not bare
        or is_address(text)
        or is_loopback(text)
        or target.hop.provider is not None
        or credentials is not None
    ):
        return target
    return DomainTarget(target.hop.host, None, target)


def with_port(target: ServerTarget, port: int | None, tls: TlsMode | None) -> ServerTarget:
    """The target with another port, or another way to TLS."""
    hop = target.hop
    if port is not None:
        implicit = port == 465 and not target.tls_given
        hop = replace(hop, port=port, tls=TlsMode.IMPLICIT if implicit else hop.tls)
    if tls is not None:
        hop = replace(hop, tls=tls)
    return replace(
        target,
        hop=hop,
        port_given=target.port_given or port is not None,
        tls_given=target.tls_given or tls is not None,
    )
