"""Lists of addresses and domains that send spam (blocklists.toml), and what their answers mean."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from waypost.knowledge import tables

TABLE: Final = "blocklists.toml"

_COLUMNS: Final = ("zone", "title", "kind", "ipv6", "page", "codes", "source")

REFUSALS: Final = ipaddress.ip_network("127.255.255.0/24")
"""Answers by which a list refuses who asks. They say nothing about what was asked for."""

_PUBLIC_RESOLVER: Final = "127.255.255.254"

BlocklistKind = Literal["address", "domain"]


@dataclass(frozen=True, slots=True)
class Blocklist:
    """One list."""

    zone: str
    title: str
    kind: BlocklistKind = "address"
    ipv6: bool = False
    """Whether it lists addresses of IPv6."""
    page: str = ""
    """Where one is taken off."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """What an answer means."""
    source: str = ""

    def meaning(self, code: str) -> str:
        """What an answer says, in words."""
        return self.codes.get(code, f"listed, with the answer {code}")


@cache
def blocklists() -> tuple[Blocklist, ...]:
    """All known lists. Raises FaultyTable."""
    found = []
    for row in tables.rows(TABLE, "blocklist"):
        tables.only(TABLE, row, _COLUMNS)
        kind = tables.text(TABLE, row, "kind")
        if kind not in ("address", "domain"):
            raise tables.FaultyTable(TABLE, row, "kind must be address or domain")
        codes = row.get("codes", {})
        if not isinstance(codes, dict):
            raise tables.FaultyTable(TABLE, row, "codes must be a table")
        found.append(
            Blocklist(
                tables.text(TABLE, row, "zone"),
                tables.text(TABLE, row, "title"),
                "domain" if kind == "domain" else "address",
                tables.truth(TABLE, row, "ipv6"),
                tables.text(TABLE, row, "page"),
                MappingProxyType({code: tables.text(TABLE, codes, code) for code in codes}),
                tables.text(TABLE, row, "source"),
            )
        )
    return tuple(found)


def refusal(code: str) -> str | None:
    """Why a list refused to answer, in words; None where the answer is one."""
    try:
        if ipaddress.ip_address(code) not in REFUSALS:
            return None
    except ValueError:
        return None
    if code == _PUBLIC_RESOLVER:
        return "it does not answer public resolvers; ask through a resolver of your own"
    return "it refuses this resolver, for too many questions or a wrong one"
