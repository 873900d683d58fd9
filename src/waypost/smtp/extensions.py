"""Service extensions: what EHLO offers, read by the client and written by the server.

RFC 5321 4.1.1.1; SIZE (1870), PIPELINING (2920), 8BITMIME (6152), SMTPUTF8 (6531), CHUNKING and
BINARYMIME (3030), DSN (3461), ENHANCEDSTATUSCODES (2034), STARTTLS (3207), AUTH (4954), REQUIRETLS
(8689), LIMITS (9422).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from waypost.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Limits:
    """What LIMITS tells (RFC 9422 3); None: not told."""

    transactions: int | None = None
    """MAILMAX: transactions of one connection."""
    recipients: int | None = None
    """RCPTMAX: recipients of one transaction."""
    recipient_domains: int | None = None
    """RCPTDOMAINMAX: different domains among the recipients of one transaction."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can do. Without arguments: nothing, as after HELO."""

    domain: str = ""
    """What the server calls itself."""
    size: int | None = None
    """Largest message in bytes; 0: SIZE is known without a fixed limit; None: SIZE is unknown."""
    pipelining: bool = False
    eight_bit_mime: bool = False
    smtputf8: bool = False
    chunking: bool = False
    binarymime: bool = False
    dsn: bool = False
    enhanced_status_codes: bool = False
    starttls: bool = False
    require_tls: bool = False
    auth: tuple[str, ...] = ()
    """Mechanisms in upper case, in the server's order."""
    limits: Limits = Limits()
    keywords: Mapping[str, str] = field(default_factory=dict)
    """Every line of the reply: keyword in upper case and its parameters as given."""

    @classmethod
    def parse(cls, answer: Reply) -> Capabilities:
        """Read the reply to EHLO. What makes no sense is kept in `keywords` and else ignored."""
        keywords: dict[str, str] = {}
        mechanisms: list[str] = []
        for line in answer.lines[1:]:
            keyword, _, parameters = line.strip().partition(" ")
            keyword = keyword.upper()
            if keyword.startswith("AUTH="):  # the form before RFC 2554, beside or instead of AUTH
                mechanisms += keyword[5:].split()
                keyword = "AUTH"
            if keyword == "AUTH":
                mechanisms += parameters.upper().split()
                parameters = " ".join(dict.fromkeys(mechanisms))
            if keyword:
                keywords[keyword] = parameters
        size = keywords.get("SIZE")
        return cls(
            domain=answer.lines[0].split(" ", 1)[0],
            size=None if size is None else (_number(size) or 0),
            pipelining="PIPELINING" in keywords,
            eight_bit_mime="8BITMIME" in keywords,
            smtputf8="SMTPUTF8" in keywords,
            chunking="CHUNKING" in keywords,
            binarymime="BINARYMIME" in keywords,
            dsn="DSN" in keywords,
            enhanced_status_codes="ENHANCEDSTATUSCODES" in keywords,
            starttls="STARTTLS" in keywords,
            require_tls="REQUIRETLS" in keywords,
            auth=tuple(dict.fromkeys(mechanisms)),
            limits=_limits(keywords.get("LIMITS", "")),
            keywords=MappingProxyType(keywords),
        )


def _limits(text: str) -> Limits:
    told: dict[str, int | None] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        told[name.upper()] = _number(value) or None  # zero would forbid everything: no sense
    return Limits(told.get("MAILMAX"), told.get("RCPTMAX"), told.get("RCPTDOMAINMAX"))


def _number(text: str) -> int | None:
    word = text.strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 20 else None


@dataclass(frozen=True, slots=True)
class ExtensionOffer:
    """What a server offers at this moment of a session."""

    size: int
    """Largest message in bytes."""
    starttls: bool = False
    auth: tuple[str, ...] = ()
    smtputf8: bool = True
    chunking: bool = True
    dsn: bool = True
    require_tls: bool = False
    mail_maximum: int | None = None
    recipient_maximum: int | None = None


def advertise(offer: ExtensionOffer) -> tuple[str, ...]:
    """The lines of the reply to EHLO behind the first."""
    lines = [f"SIZE {offer.size}", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"]
    if offer.smtputf8:
        lines.append("SMTPUTF8")
    if offer.chunking:
        lines.append("CHUNKING")
    if offer.dsn:
        lines.append("DSN")
    if offer.starttls:
        lines.append("STARTTLS")
    if offer.require_tls:
        lines.append("REQUIRETLS")
    if offer.auth:
        lines.append("AUTH " + " ".join(offer.auth))
    limits = [
        f"{name}={value}"
        for name, value in (("MAILMAX", offer.mail_maximum), ("RCPTMAX", offer.recipient_maximum))
        if value
    ]
    if limits:
        lines.append("LIMITS " + " ".join(limits))
    return tuple(lines)
