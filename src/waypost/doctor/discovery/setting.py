"""What discovery finds: servers to send over, each with who said so and how far to believe it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal
from urllib.parse import quote

from waypost.knowledge.providers import providers

Security = Literal["starttls", "tls", "none"]
"""STARTTLS that must succeed, TLS from the first byte, neither."""

PASSWORD: Final = "${SMTP_PASSWORD}"  # noqa: S105 - the name of a variable
"""Stands for the password in routes that are shown."""


class Source(StrEnum):
    """Who said so."""

    PROVIDER_DOMAIN = "provider-domain"
    """The domain is a known provider's own."""
    PROVIDER_HOST = "provider-host"
    """The server that was named belongs to a known provider."""
    PROVIDER_EXCHANGER = "provider-exchanger"
    """The domain's mail goes to a known provider."""
    SRV = "srv"
    """RFC 6186, RFC 8314 5.1."""
    AUTOCONFIG = "autoconfig"
    """The domain's own file in the form of Mozilla."""
    AUTODISCOVER = "autodiscover"
    """The domain's own answer in the form of Microsoft."""
    PROBE = "probe"
    """A server that was found by its usual name."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One source's word."""

    source: Source
    evidence: str
    """The record, the address of the file, the server's reply."""
    confidence: float
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to send."""

    host: str
    port: int
    security: Security
    statements: tuple[Statement, ...]
    user: str = ""
    """The user name; "" where nobody told."""
    authentication: tuple[str, ...] = ()
    """What the password is, or SASL mechanisms, as told."""
    provider: str = ""
    """The preset whose server it is."""
    problem: str = ""
    """Why it cannot be used as it is, such as a certificate that does not hold."""

    @property
    def key(self) -> tuple[str, int, Security]:
        """What makes two settings one."""
        return self.host, self.port, self.security

    @property
    def confidence(self) -> float:
        """Of all statements together, as if each were independent."""
        doubt = 1.0
        for one in self.statements:
            doubt *= 1.0 - one.confidence
        return round(1.0 - doubt, 3)

    def route(self, user: str) -> str:
        """The URL of a route over it, with `user` where none was told."""
        name = quote(self.user or user, safe="")
        preset = providers().get(self.provider)
        if preset is not None and not preset.region_example and self.host == preset.host:
            ports = {
                (one.number, "tls" if one.tls == "implicit" else "starttls") for one in preset.ports
            }
            if (self.port, self.security) in ports:
                port = "" if self.port == preset.port else f":{self.port}"
                return f"{self.provider}://{name}:{PASSWORD}@{port}"
        scheme = {"tls": "smtps", "starttls": "smtp", "none": "smtp+plain"}[self.security]
        host = f"[{self.host}]" if ":" in self.host else self.host
        options = "?clear_text_auth=yes" if self.security == "none" else ""
        return f"{scheme}://{name}:{PASSWORD}@{host}:{self.port}{options}"


def merged(settings: Iterable[Setting]) -> tuple[Setting, ...]:
    """The same setting once, with all that speaks for it; the most certain first."""
    by_key: dict[tuple[str, int, Security], Setting] = {}
    for one in settings:
        known = by_key.get(one.key)
        if known is None:
            by_key[one.key] = one
            continue
        sources = {statement.source for statement in known.statements}
        news = tuple(s for s in one.statements if s.source not in sources)
        by_key[one.key] = replace(
            known,
            statements=known.statements + news,
            user=known.user or one.user,
            authentication=known.authentication or one.authentication,
            provider=known.provider or one.provider,
            problem=known.problem or one.problem,
        )
    # What encrypts comes before what does not, however sure that is.
    return tuple(
        sorted(
            by_key.values(),
            key=lambda one: (bool(one.problem), one.security == "none", -one.confidence),
        )
    )


def conflicts(settings: Iterable[Setting]) -> tuple[str, ...]:
    """Where sources that ought to know name different servers."""
    said: dict[Source, dict[str, str]] = {}
    for one in settings:
        for statement in one.statements:
            if statement.source is not Source.PROBE:
                said.setdefault(statement.source, {})[one.host] = statement.evidence
    found = []
    sources = list(said)
    for at, source in enumerate(sources):
        for other in sources[at + 1 :]:
            if not said[source].keys() & said[other].keys():
                mine, theirs = ", ".join(said[source]), ", ".join(said[other])
                found.append(f"{source} names {mine}, {other} names {theirs}")
    return tuple(found)
