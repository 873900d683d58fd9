"""The server that somebody names on the command line, read in whatever form they have it.

A target is a URL as routes have it (`smtp://host:587`, `smtps://host`), a bare `host`,
`host:port`, `[2001:db8::1]:25`, the two words that telnet takes (`host 25`), or the name of a
provider (`gmail`, `ses:eu-west-1`). A bare host on port 465 has TLS from the first byte (RFC 8314
3.3); without a port it is what `smtp://` says: 25, or 587 with credentials. A host that belongs to
a known provider, and is given without a port, has the provider's port and TLS.

What comes out is the next hop that delivery would use, so that a probe opens its connection as
delivery does.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from waypost.delivery.next_hop import Credentials, Smarthost, TlsMode
from waypost.delivery.route_url import InvalidRouteUrl, UrlContext, parse_route_url, redacted
from waypost.knowledge.special_addresses import is_loopback

if TYPE_CHECKING:
    from waypost.knowledge.providers import Provider

IMPLICIT_TLS_PORT: Final = 465
SUBMISSION_PORT: Final = 587

_PLACE: Final = re.compile(r"(\[[^\[\]\s]*\]|[^\s:/@?#\[\]]+)(?:(?::|\s+)([^\s/@?#:]+))?")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_KINDS: Final = ("smtp", "smtps", "smtp+plain", "unix")
_FOR_READING: Final = {
    "imap": "IMAP",
    "imaps": "IMAP",
    "pop": "POP3",
    "pop3": "POP3",
    "pop3s": "POP3",
}
_FORMS: Final = "write host, host:port, smtp://host:587, smtps://host or a provider such as gmail"


class InvalidTarget(ValueError):
    """A target that cannot be used. Its text may be shown: passwords are taken out."""

    def __init__(self, reason: str, text: str, hint: str) -> None:
        self.reason = reason
        self.evidence = redacted(text)
        self.hint = hint
        super().__init__(f"the target {self.evidence!r} {reason}: {hint}")


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """A server to be asked, and what the text said of it."""

    text: str
    """As given, without its password."""
    hop: Smarthost
    port_given: bool
    """The port stands in the text; otherwise it is the usual one."""
    tls_given: bool
    """The text says how TLS begins, by its scheme or provider; otherwise the port was asked."""

    @property
    def place(self) -> str:
        """host:port, or the socket's path, as it may be shown."""
        if self.hop.is_unix:
            return self.hop.host
        host = f"[{self.hop.host}]" if ":" in self.hop.host else self.hop.host
        return f"{host}:{self.hop.port}"


def parse_target(
    text: str, context: UrlContext | None = None, credentials: Credentials | None = None
) -> ServerTarget:
    """The server that a text names. Raises InvalidTarget.

    `credentials` stand beside the text, as --user and --password-env give them.
    """
    text = text.strip()
    if not text:
        raise InvalidTarget("is empty", text, _FORMS)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is not None and address.version == 6:
        target = _of_place(text, f"[{address}]", "")
    elif (place := _PLACE.fullmatch(text)) is not None and not _is_provider(text, context):
        target = _of_place(text, place[1], place[2] or "")
    else:
        target = _of_url(text, context or UrlContext())
    return target if credentials is None else _with_credentials(target, credentials)


def provider_of_host(host: str) -> Provider | None:
    """The provider whose submission server a host is, in any of its regions."""
    from waypost.knowledge.providers import providers  # a long table

    name = host.rstrip(".").lower()
    for provider in providers().values():
        pattern = re.escape(provider.host).replace(re.escape("{region}"), "[a-z0-9-]+")
        if re.fullmatch(pattern, name):
            return provider
    return None


def _is_provider(text: str, context: UrlContext | None) -> bool:
    name = re.split(r"[:\s]", text.lower(), maxsplit=1)[0]
    # No provider's name has a dot, so most hosts need no look at the long table.
    if "." in name or is_loopback(name):
        return False
    return (context or UrlContext()).provider(name) is not None


def _of_place(text: str, host: str, digits: str) -> ServerTarget:
    """A host without a kind, with a port or without."""
    if digits and not (re.fullmatch(r"[0-9]{1,5}", digits) and 1 <= int(digits) <= 65535):
        raise InvalidTarget("has a port that is no number from 1 to 65535", text, _FORMS)
    implicit = digits == str(IMPLICIT_TLS_PORT)
    made = _hop(
        text, f"{'smtps' if implicit else 'smtp'}://{host}" + (f":{digits}" if digits else "")
    )
    provider = provider_of_host(made.host) if not digits else None
    if provider is not None:
        made = replace(made, port=provider.port, tls=TlsMode(provider.tls), provider=provider.name)
    return ServerTarget(text, made, bool(digits), provider is not None)


def _of_url(text: str, context: UrlContext) -> ServerTarget:
    """A URL or a provider's name."""
    scheme = _SCHEME.match(text)
    kind = scheme[1].lower() if scheme is not None else ""
    if kind in _FOR_READING:
        raise InvalidTarget(
            f"is for reading mail ({_FOR_READING[kind]}), not for sending",
            text,
            "name the SMTP server; `waypost discover you@example.com` finds it",
        )
    if kind in ("http", "https"):
        raise InvalidTarget("is a web address", text, _FORMS)
    if not kind and "@" in text and ":" not in text:
        raise InvalidTarget(
            "is a mail address, not a server",
            text,
            "`waypost discover ADDRESS` finds the server that its owner sends over",
        )
    hop = _hop(text, text, context)
    given = re.search(r":[0-9]+(?:[/?]|$)", text.rpartition("@")[2]) is not None
    return ServerTarget(redacted(text), hop, given or hop.is_unix, tls_given=True)


def _hop(text: str, url: str, context: UrlContext | None = None) -> Smarthost:
    try:
        hop = parse_route_url(url, context)
    except InvalidRouteUrl as fault:
        hint = fault.hint
        if "neither a kind of URL nor a provider" in fault.reason and "did you mean" not in hint:
            hint = _FORMS
        raise InvalidTarget(fault.reason, text, hint) from fault
    if not isinstance(hop, Smarthost):
        raise InvalidTarget("names no server", text, _FORMS)
    return hop


def _with_credentials(target: ServerTarget, given: Credentials) -> ServerTarget:
    """The target as `smtp://user:password@host` would have been read."""
    hop = target.hop
    if hop.tls is TlsMode.NONE and not (hop.clear_text_auth or is_loopback(hop.host)):
        raise InvalidTarget(
            "would take the password in clear text",
            target.text,
            "use smtp:// or smtps://; or add clear_text_auth=yes if the network is yours alone",
        )
    opportunistic = hop.tls is TlsMode.OPPORTUNISTIC
    port = hop.port
    if opportunistic and not target.port_given and hop.provider is None:
        port = SUBMISSION_PORT
    made = replace(
        hop,
        port=port,
        tls=TlsMode.REQUIRED if opportunistic else hop.tls,
        credentials=given,
    )
    return replace(target, hop=made)
