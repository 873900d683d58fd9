"""Submission servers of well-known providers (providers.toml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from waypost.knowledge import tables

TABLE: Final = "providers.toml"

_COLUMNS: Final = (
    "name", "title", "host", "port", "tls", "user", "region_example", "credentials", "source",
)  # fmt: skip
_REGION: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class UnsuitableRegion(ValueError):
    """A provider's name was given with a region it does not have, or without one it needs."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where and how one provider takes mail."""

    name: str
    """As written in a route: gmail, ses."""
    title: str
    host: str
    """May hold {region}."""
    port: int
    tls: Literal["required", "implicit"]
    user: str
    """The user name, where it is the same for everybody; otherwise ""."""
    region_example: str
    """A region; "" where the provider has none."""
    credentials: str
    """What it takes as user name and password, in words."""
    source: str

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


@cache
def providers() -> Mapping[str, Provider]:
    """All known providers by name. Raises FaultyTable."""
    found: dict[str, Provider] = {}
    for row in tables.rows(TABLE, "provider"):
        tables.only(TABLE, row, _COLUMNS)
        tls = tables.text(TABLE, row, "tls")
        if tls not in ("required", "implicit"):
            raise tables.FaultyTable(TABLE, row, "tls must be required or implicit")
        provider = Provider(
            tables.text(TABLE, row, "name"),
            tables.text(TABLE, row, "title"),
            tables.text(TABLE, row, "host"),
            tables.whole(TABLE, row, "port"),
            "implicit" if tls == "implicit" else "required",
            tables.text(TABLE, row, "user", ""),
            tables.text(TABLE, row, "region_example", ""),
            tables.text(TABLE, row, "credentials"),
            tables.text(TABLE, row, "source"),
        )
        if provider.name in found:
            raise tables.FaultyTable(TABLE, row, "is there twice")
        if ("{region}" in provider.host) != bool(provider.region_example):
            raise tables.FaultyTable(TABLE, row, "a host with {region} needs a region_example")
        found[provider.name] = provider
    return MappingProxyType(found)
