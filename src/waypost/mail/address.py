"""Mailboxes as RFC 5321 4.1.2 and RFC 6531 3.3 write them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

import idna

MAXIMUM_LOCAL_PART: Final = 64
"""Octets (RFC 5321 4.5.3.1.1)."""

MAXIMUM_DOMAIN: Final = 255
"""Octets (RFC 5321 4.5.3.1.2)."""

MAXIMUM_ADDRESS: Final = 254
"""Octets; what fits a path with its brackets (RFC 5321 4.5.3.1.3)."""

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ORDINARY = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOT_STRING = re.compile(rf"(?:[^\x00-\x7f]|{_ATOM}|\.)+")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')
_LITERAL = re.compile(r"\[(?:IPv6:([0-9A-Fa-f:.]+)|([0-9.]+))\]", re.IGNORECASE)


class InvalidAddress(ValueError):
    """The text is no mailbox; `reason` says why."""

    def __init__(self, reason: str, evidence: str) -> None:
        self.reason = reason
        self.evidence = evidence[:100]
        super().__init__(f"{self.evidence!r} is no mail address: {reason}")


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. `local_part` as written, `domain` in lower case."""

    local_part: str
    domain: str

    @property
    def literal(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The IP address of an address literal ([192.0.2.1])."""
        found = _LITERAL.fullmatch(self.domain)
        if found is None:
            return None
        return ipaddress.ip_address(found[1] or found[2])

    @property
    def is_ascii(self) -> bool:
        """Whether it can go without SMTPUTF8."""
        return self.local_part.isascii() and self.domain.isascii()

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"


def parse_address(text: str, *, smtputf8: bool) -> Address:
    """Read a mailbox. Raises InvalidAddress, and nothing else, whatever the text is."""
    ordinary = _ORDINARY.fullmatch(text)
    if ordinary is not None and len(text) <= MAXIMUM_ADDRESS:
        local_part, domain = ordinary[1], ordinary[2]
        if len(local_part) <= MAXIMUM_LOCAL_PART:
            return Address(local_part, domain.lower())
    local_part, at, domain = text.rpartition("@")
    if not at:
        raise InvalidAddress("it has no @", text)
    if not local_part or not domain:
        raise InvalidAddress("something must stand on both sides of the @", text)
    try:
        octets = len(text.encode())
    except UnicodeEncodeError as fault:
        raise InvalidAddress("it is not valid Unicode", ascii(text)) from fault
    if octets > MAXIMUM_ADDRESS or len(local_part.encode()) > MAXIMUM_LOCAL_PART:
        raise InvalidAddress(
            f"it exceeds {MAXIMUM_ADDRESS} octets, or {MAXIMUM_LOCAL_PART} before the @", text
        )
    if not smtputf8 and not text.isascii():
        raise InvalidAddress("letters beyond US-ASCII need SMTPUTF8", text)
    _check_local_part(local_part, text)
    return Address(local_part, _checked_domain(domain, text))


def _check_local_part(local_part: str, text: str) -> None:
    if local_part.startswith('"'):
        if not _QUOTED.fullmatch(local_part):
            raise InvalidAddress("the quoted part before the @ is not closed or escaped", text)
        return
    if not _DOT_STRING.fullmatch(local_part) or not local_part.isprintable():
        raise InvalidAddress("a character before the @ needs quoting", text)
    if local_part.startswith(".") or local_part.endswith(".") or ".." in local_part:
        raise InvalidAddress("a dot before the @ stands at an end or twice", text)


def _checked_domain(domain: str, text: str) -> str:
    if domain.startswith("["):
        found = _LITERAL.fullmatch(domain)
        try:
            if found is None:
                raise ValueError(domain)
            if found[1]:
                ipaddress.IPv6Address(found[1])
            else:
                ipaddress.IPv4Address(found[2])
        except ValueError as fault:
            raise InvalidAddress("the part in brackets is no IP address", text) from fault
        return domain.lower()
    if domain.isascii():
        if len(domain) > MAXIMUM_DOMAIN or not _DOMAIN.fullmatch(domain):
            raise InvalidAddress("the part behind the @ is no domain name", text)
        return domain.lower()
    try:
        domain_to_ascii(domain)
    except ValueError as fault:
        raise InvalidAddress(f"the domain is no international name ({fault})", text) from fault
    return domain.lower()


def domain_to_ascii(domain: str) -> str:
    """The A-labels of a domain (IDNA 2008), in lower case. Raises ValueError."""
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as fault:
        raise ValueError(str(fault)) from fault


def address_to_ascii(address: Address) -> str | None:
    """The address for a server without SMTPUTF8; None where the local part forbids it."""
    if not address.local_part.isascii():
        return None
    return f"{address.local_part}@{domain_to_ascii(address.domain)}"
