"""Submission servers of well-known providers (providers*.toml; providers.toml has the columns)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from waypost.knowledge import tables

TABLE: Final = "providers.toml"

TABLES: Final = {
    "mailbox": "providers_mailbox.toml",
    "transactional": "providers_transactional.toml",
    "hosting": "providers_hosting.toml",
}
"""Each kind of provider has its file."""

_COLUMNS: Final = (
    "name", "title", "host", "ports", "region_example", "user", "authentication", "mechanisms",
    "credentials", "credentials_url", "mx", "domains", "limits", "limits_note", "limits_source",
    "source", "source_date", "source_date_is", "second_source",
)  # fmt: skip
_UNSUPPORTED_COLUMNS: Final = ("name", "title", "reason", "mx", "domains", "source")
_REGION: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_PORT: Final = re.compile(r"([0-9]{1,5}) (starttls|implicit)")
_AUTHENTICATION: Final = frozenset(
    ("password", "app-password", "api-key", "smtp-password", "oauth2", "ip-address")
)

ProviderTls = Literal["required", "implicit"]
"""STARTTLS that must succeed (RFC 3207), or TLS from the first byte (RFC 8314 3.3)."""


class UnsuitableRegion(ValueError):
    """A provider's name was given with a region it does not have, or without one it needs."""


@dataclass(frozen=True, slots=True)
class ProviderPort:
    """A port where a provider takes mail."""

    number: int
    tls: ProviderTls


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """What a provider publishes of its limits; None: not published, or not seen."""

    messages_per_second: int | None = None
    messages_per_minute: int | None = None
    messages_per_day: int | None = None
    recipients_per_hour: int | None = None
    recipients_per_day: int | None = None
    recipients_per_message: int | None = None
    messages_per_connection: int | None = None
    size: int | None = None
    """Bytes of one message as sent."""
    note: str = ""
    """Whose limits they are, and what else is to know."""
    source: str = ""


LIMITS: Final = (
    "messages_per_second", "messages_per_minute", "messages_per_day", "recipients_per_hour",
    "recipients_per_day", "recipients_per_message", "messages_per_connection", "size",
)  # fmt: skip
"""The columns of ProviderLimits that are numbers."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where and how one provider takes mail."""

    name: str
    """As written in a route: gmail, ses."""
    title: str
    kind: str
    """A key of TABLES."""
    host: str
    """May hold {region}."""
    ports: tuple[ProviderPort, ...]
    """The one to use first."""
    user: str
    """The user name, where it is the same for everybody; otherwise ""."""
    region_example: str
    """A region; "" where the provider has none."""
    authentication: tuple[str, ...]
    """What the password is: app-password, api-key, ... (providers.toml)."""
    mechanisms: tuple[str, ...]
    """SASL mechanisms that its page names; () where it names none."""
    credentials: str
    """What it takes as user name and password, in words."""
    credentials_url: str
    """Its page about them; "" where none was seen."""
    exchangers: tuple[str, ...]
    """Ends of the names of exchangers of domains that are hosted there."""
    domains: tuple[str, ...]
    """Its own mail domains."""
    limits: ProviderLimits
    source: str
    second_source: str
    """Where host and ports were read again; "" where only once."""
    source_date: dt.date | None
    """The date that the source shows."""
    source_date_is: str
    """What it is the date of."""

    @property
    def port(self) -> int:
        """The port to use first."""
        return self.ports[0].number

    @property
    def tls(self) -> ProviderTls:
        """How TLS begins on that port."""
        return self.ports[0].tls

    def host_in(self, region: str) -> str:
        """The host name, in a region where there are some. Raises UnsuitableRegion."""
        if not self.region_example:
            if region:
                raise UnsuitableRegion(f"{self.name} has no regions; write only {self.name}")
            return self.host
        if not _REGION.fullmatch(region):
            raise UnsuitableRegion(
                f"{self.name} needs its region, as in {self.name}:{self.region_example}"
            )
        return self.host.replace("{region}", region)


@dataclass(frozen=True, slots=True)
class UnsupportedProvider:
    """A provider of mailboxes that takes no mail by SMTP."""

    name: str
    title: str
    reason: str
    exchangers: tuple[str, ...]
    domains: tuple[str, ...]
    source: str


@cache
def providers() -> Mapping[str, Provider]:
    """All known providers by name. Raises FaultyTable."""
    found: dict[str, Provider] = {}
    for kind, table in TABLES.items():
        for row in tables.rows(table, "provider"):
            provider = _provider(table, row, kind)
            if provider.name in found:
                raise tables.FaultyTable(table, row, "is there twice")
            found[provider.name] = provider
    return MappingProxyType(found)


@cache
def unsupported_providers() -> tuple[UnsupportedProvider, ...]:
    """Those that cannot be sent over. Raises FaultyTable."""
    found = []
    for row in tables.rows(TABLE, "unsupported"):
        tables.only(TABLE, row, _UNSUPPORTED_COLUMNS)
        found.append(
            UnsupportedProvider(
                tables.text(TABLE, row, "name"),
                tables.text(TABLE, row, "title"),
                tables.text(TABLE, row, "reason"),
                tables.texts(TABLE, row, "mx"),
                tables.texts(TABLE, row, "domains"),
                tables.text(TABLE, row, "source"),
            )
        )
    return tuple(found)


def provider_of_domain(domain: str) -> Provider | UnsupportedProvider | None:
    """The provider to whom a mail domain itself belongs, such as gmail.com."""
    name = domain.rstrip(".").lower()
    return next((one for one in _all() if name in one.domains), None)


def provider_of_exchanger(host: str) -> Provider | UnsupportedProvider | None:
    """The provider whose exchanger a host is; the longest end that fits counts."""
    name = host.rstrip(".").lower()
    best: Provider | UnsupportedProvider | None = None
    longest = 0
    for provider in _all():
        for end in provider.exchangers:
            if (name == end or name.endswith(f".{end}")) and len(end) > longest:
                best, longest = provider, len(end)
    return best


def _all() -> tuple[Provider | UnsupportedProvider, ...]:
    return (*providers().values(), *unsupported_providers())


def _provider(table: str, row: tables.Row, kind: str) -> Provider:
    tables.only(table, row, _COLUMNS)
    name = tables.text(table, row, "name")
    host = tables.text(table, row, "host")
    region_example = tables.text(table, row, "region_example", "")
    if not _NAME.fullmatch(name):
        raise tables.FaultyTable(table, row, "its name cannot stand in a route")
    if ("{region}" in host) != bool(region_example):
        raise tables.FaultyTable(table, row, "a host with {region} needs a region_example")
    authentication = tables.texts(table, row, "authentication")
    if not authentication or not _AUTHENTICATION.issuperset(authentication):
        raise tables.FaultyTable(table, row, "authentication holds an unknown word, or none")
    dated = tables.text(table, row, "source_date", "")
    dated_is = tables.text(table, row, "source_date_is", "")
    if bool(dated) != bool(dated_is):
        raise tables.FaultyTable(table, row, "source_date and source_date_is belong together")
    return Provider(
        name,
        tables.text(table, row, "title"),
        kind,
        host,
        _ports(table, row),
        tables.text(table, row, "user", ""),
        region_example,
        authentication,
        tables.texts(table, row, "mechanisms"),
        tables.text(table, row, "credentials"),
        tables.text(table, row, "credentials_url", ""),
        tables.texts(table, row, "mx"),
        tables.texts(table, row, "domains"),
        _limits(table, row),
        tables.text(table, row, "source"),
        tables.text(table, row, "second_source", ""),
        _date(table, row, dated),
        dated_is,
    )


def _ports(table: str, row: tables.Row) -> tuple[ProviderPort, ...]:
    found = []
    for text in tables.texts(table, row, "ports"):
        port = _PORT.fullmatch(text)
        if port is None or not 1 <= int(port[1]) <= 65535:
            raise tables.FaultyTable(table, row, f"{text!r} is no port such as '587 starttls'")
        tls: ProviderTls = "implicit" if port[2] == "implicit" else "required"
        found.append(ProviderPort(int(port[1]), tls))
    if not found:
        raise tables.FaultyTable(table, row, "has no ports")
    return tuple(found)


def _limits(table: str, row: tables.Row) -> ProviderLimits:
    given = row.get("limits", {})
    if not isinstance(given, dict):
        raise tables.FaultyTable(table, row, "limits must be a table")
    tables.only(table, given, LIMITS)
    source = tables.text(table, row, "limits_source", "")
    if bool(given) != bool(source):
        raise tables.FaultyTable(table, row, "limits need a limits_source, and only they")
    figures = {column: tables.whole(table, given, column) for column in given}
    if any(figure < 1 for figure in figures.values()):
        raise tables.FaultyTable(table, row, "a limit must be at least 1")
    return ProviderLimits(**figures, note=tables.text(table, row, "limits_note", ""), source=source)


def _date(table: str, row: tables.Row, text: str) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as fault:
        raise tables.FaultyTable(table, row, f"source_date is no date: {fault}") from fault
