"""Mailboxes as RFC 5321 4.1.2 writes them, and RFC 6531 3.3 where they are international.

`parse_address` reads one and raises `InvalidAddress`, and nothing else, whatever it is given. An
ordinary address, as nearly all are, costs one match of one expression; only the others (quoting,
literals, UTF-8) take the careful way, which also finds the words for what is wrong. Every
expression here is linear in the length of its text, as the text is a peer's.

An international domain is compared and looked up by its A-labels (IDNA 2008, RFC 5891), after the
mapping of letters that UTS 46 describes: a person types `Bücher.example`, the DNS knows
`xn--bcher-kva.example`.
"""

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

MAXIMUM_LABEL: Final = 63
"""Octets between two dots of a domain (RFC 1035 2.3.4)."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_ATEXT: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"

# Only single sets of characters are possessive here: Python 3.11.2, which Debian 12 has, takes half
# of a group for a whole one where the group is (mended in 3.11.5).

# The last sign of the domain is a letter: a domain that ends in a digit may be an IP address
# without its brackets, which the careful way tells from a name.
_ORDINARY = re.compile(
    rf"([{_ATEXT}]++(?:\.[{_ATEXT}]++)*)"
    r"@([A-Za-z0-9]++(?:\.[A-Za-z0-9]++|-++[A-Za-z0-9]++)*(?<=[A-Za-z]))"
)
_LABELS = re.compile(r"[A-Za-z0-9]++(?:\.[A-Za-z0-9]++|-++[A-Za-z0-9]++)*")
_DOT_STRING = re.compile(rf"[.\u00a0-\U0010ffff{_ATEXT}]+")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"')
_LITERAL = re.compile(r"\[(?:(ipv6):([0-9a-f:.]{2,45})|([0-9.]{7,15}))\]", re.IGNORECASE)
_DOTTED_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")

# None is a letter in any script, and each makes a log, a header or a screen lie: C0 and C1
# controls, line and paragraph separators, the signs that turn the direction of writing, the spaces
# without width. (The joiners U+200C and U+200D are not among them: some scripts need them.)
_NEVER = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]"
)
_SPACE = re.compile(r"\s")


class InvalidAddress(ValueError):
    """The text is no mailbox, domain or pattern: `reason` says why, `evidence` is its start."""

    def __init__(self, reason: str, evidence: str) -> None:
        self.reason = reason
        self.evidence = evidence[:100].encode("utf-8", "backslashreplace").decode()
        super().__init__(f"{self.evidence!r}: {reason}")


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. `local_part` as written, with its quotes; `domain` in lower case.

    An international domain is kept in the labels it came in: all U-labels, or all US-ASCII. Use
    `domain_to_ascii` to compare. An address literal is kept in the shortest form of its address.
    """

    local_part: str
    domain: str

    @property
    def literal(self) -> IPAddress | None:
        """The IP address of an address literal (`[192.0.2.1]`, `[ipv6:2001:db8::1]`)."""
        if self.domain[:1] != "[":
            return None
        return _literal(self.domain)

    @property
    def is_ascii(self) -> bool:
        """Whether it can go to a server without SMTPUTF8 as it is."""
        return self.local_part.isascii() and self.domain.isascii()

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"


def parse_address(text: str, *, smtputf8: bool) -> Address:
    """Read a mailbox without angle brackets; `smtputf8` allows what RFC 6531 adds.

    Raises InvalidAddress, and nothing else, whatever the text is.
    """
    ordinary = _ORDINARY.fullmatch(text)
    if ordinary is not None:
        local_part, domain = ordinary.groups()
        # A domain no longer than one label may be has no label that is too long.
        if len(local_part) <= MAXIMUM_LOCAL_PART and len(domain) <= MAXIMUM_LABEL:
            return Address(local_part, domain.lower())
    return _careful_address(text, smtputf8=smtputf8)


def _careful_address(text: str, *, smtputf8: bool) -> Address:
    """The same for every address, with the reason where it is none."""
    if len(text) > MAXIMUM_ADDRESS:
        raise InvalidAddress(f"it exceeds {MAXIMUM_ADDRESS} octets", text)
    try:
        octets = len(text.encode())
    except UnicodeEncodeError as fault:
        raise InvalidAddress("it is not valid UTF-8", text) from fault
    if octets > MAXIMUM_ADDRESS:
        raise InvalidAddress(f"it exceeds {MAXIMUM_ADDRESS} octets", text)
    local_part, at, domain = text.rpartition("@")
    if not at:
        raise InvalidAddress("it has no @", text)
    if not local_part or not domain:
        raise InvalidAddress("something must stand on both sides of the @", text)
    if len(local_part.encode()) > MAXIMUM_LOCAL_PART:
        raise InvalidAddress(f"it has more than {MAXIMUM_LOCAL_PART} octets before the @", text)
    if not smtputf8 and octets != len(text):
        raise InvalidAddress("letters beyond US-ASCII need SMTPUTF8", text)
    if _NEVER.search(text):
        raise InvalidAddress("it holds a control character or an invisible one", text)
    _check_local_part(local_part, text)
    return Address(local_part, _checked_domain(domain, text))


def _check_local_part(local_part: str, text: str) -> None:
    """Raise InvalidAddress unless it is a dot-string or a quoted string (RFC 5321 4.1.2)."""
    if local_part[0] == '"':
        if not _QUOTED.fullmatch(local_part):
            raise InvalidAddress("the quoted part before the @ is not closed or escaped", text)
        return
    if not _DOT_STRING.fullmatch(local_part) or _SPACE.search(local_part):
        raise InvalidAddress("a character before the @ needs quoting", text)
    if local_part[0] == "." or local_part[-1] == "." or ".." in local_part:
        raise InvalidAddress("a dot before the @ stands at an end or twice", text)


def _checked_domain(domain: str, text: str) -> str:
    """The domain or literal in the form that Address keeps. Raises InvalidAddress."""
    if domain[0] == "[":
        address = _literal(domain)
        if address is None:
            raise InvalidAddress(
                "the part in brackets is no IP address ([192.0.2.1], [IPv6:2001:db8::1])", text
            )
        return f"[{'ipv6:' if address.version == 6 else ''}{address.compressed}]"
    ascii_form = domain_to_ascii(domain)
    if domain.isascii():
        return ascii_form
    return idna.decode(ascii_form)  # the mapped, hence lower-case, form of what was written


def _literal(domain: str) -> IPAddress | None:
    found = _LITERAL.fullmatch(domain)
    if found is None:
        return None
    try:
        return ipaddress.IPv6Address(found[2]) if found[1] else ipaddress.IPv4Address(found[3])
    except ValueError:
        return None  # the caller says so, with the whole address as evidence


def domain_to_ascii(domain: str) -> str:
    """The domain in lower-case A-labels (IDNA 2008 with the mapping of UTS 46), without a final
    dot. Raises InvalidAddress where it is no domain name, US-ASCII or international."""
    if len(domain) > MAXIMUM_DOMAIN:
        raise InvalidAddress(f"a domain has at most {MAXIMUM_DOMAIN} octets", domain)
    if domain.isascii():
        name = domain.lower()
    else:
        try:
            name = idna.encode(domain, uts46=True).decode("ascii").lower()
        except UnicodeError as fault:  # IDNAError is one
            raise InvalidAddress(f"no international domain name ({fault})", domain) from fault
    if not _LABELS.fullmatch(name):
        raise InvalidAddress("a domain is letters, digits and hyphens between single dots", domain)
    if len(name) > MAXIMUM_LABEL:
        if len(name) > MAXIMUM_DOMAIN:
            raise InvalidAddress(f"a domain has at most {MAXIMUM_DOMAIN} octets", domain)
        if max(map(len, name.split("."))) > MAXIMUM_LABEL:
            raise InvalidAddress(f"more than {MAXIMUM_LABEL} octets between two dots", domain)
    if name[-1].isdigit() and "." in name and _DOTTED_NUMBERS.fullmatch(name):
        raise InvalidAddress("an IP address stands in brackets: [192.0.2.1]", domain)
    return name


def domain_to_unicode(domain: str) -> str:
    """The domain as people read it: U-labels where the A-labels are well-formed, else as it is.

    For display only; a peer chooses what it shows.
    """
    if "xn--" not in domain.lower():
        return domain
    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain  # a label that only looks like an A-label is shown as it stands


def address_to_ascii(address: Address) -> str | None:
    """The address for a server without SMTPUTF8; None where its local part cannot go there.

    Only a domain has another form in US-ASCII: no one but its own server may rewrite a local part
    (RFC 5321 2.3.11). Raises InvalidAddress for an Address not made by `parse_address`.
    """
    if not address.local_part.isascii():
        return None
    if address.domain.isascii():
        return str(address)
    return f"{address.local_part}@{domain_to_ascii(address.domain)}"
