"""A resolver that knows what it is told: for tests, the simulator and fixed set-ups."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeVar

from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    Records,
    ResolutionFailure,
)

Answer = TypeVar("Answer")

MAXIMUM_ALIASES: Final = 8
"""Links of a chain of aliases."""


class StaticResolver:
    """Answers from dictionaries; a failure as a value is raised.

    A name that is in none of them does not exist (NoSuchDomain); one that is in another than the
    one asked for has no such record (NoSuchRecord). `records` holds what the others have no place
    for, by name and type, in presentation form; an alias in it is followed. `authenticated` names
    are those whose records of all types are said to be signed.
    """

    def __init__(
        self,
        mail_exchangers: Mapping[str, Sequence[tuple[int, str]] | ResolutionFailure] | None = None,
        addresses: Mapping[str, Sequence[str] | ResolutionFailure] | None = None,
        host_names: Mapping[str, str | ResolutionFailure] | None = None,
        texts: Mapping[str, Sequence[str] | ResolutionFailure] | None = None,
        records: Mapping[tuple[str, str], Sequence[str] | ResolutionFailure] | None = None,
        authenticated: Collection[str] = (),
    ) -> None:
        self._mail_exchangers = mail_exchangers or {}
        self._addresses = addresses or {}
        self._host_names = host_names or {}
        self._texts = texts or {}
        self._records = records or {}
        self._authenticated = frozenset(authenticated)

    async def mail_exchangers(self, domain: str) -> tuple[MailExchanger, ...]:
        """See Resolver.mail_exchangers."""
        found = self._answer(self._mail_exchangers, self._followed(domain), "MX", domain)
        return tuple(sorted((MailExchanger(*one) for one in found), key=lambda r: r.preference))

    async def addresses(self, host: str) -> tuple[str, ...]:
        """See Resolver.addresses."""
        return tuple(self._answer(self._addresses, self._followed(host), "A/AAAA", host))

    async def host_name(self, address: str) -> str:
        """See Resolver.host_name."""
        return self._answer(self._host_names, address, "PTR", address)

    async def text(self, name: str) -> tuple[str, ...]:
        """See Resolver.text."""
        return tuple(self._answer(self._texts, self._followed(name), "TXT", name))

    async def records(self, name: str, record_type: str) -> Records:
        """See Resolver.records."""
        key = name.rstrip(".").lower()
        if record_type != "CNAME":
            key = self._followed(key)
        return Records(self._values(key, record_type, name), key in self._authenticated)

    def _values(self, key: str, record_type: str, name: str) -> tuple[str, ...]:
        found = self._records.get((key, record_type))
        if isinstance(found, ResolutionFailure):
            raise found
        if found:
            return tuple(found)
        if record_type == "MX":
            rows = self._answer(self._mail_exchangers, key, record_type, name)
            return tuple(f"{preference} {host or '.'}" for preference, host in rows)
        if record_type == "TXT":
            return tuple(self._answer(self._texts, key, record_type, name))
        if record_type in ("A", "AAAA"):
            known = self._answer(self._addresses, key, record_type, name)
            fitting = tuple(one for one in known if (":" in one) == (record_type == "AAAA"))
            if fitting:
                return fitting
        if record_type == "PTR":
            for address, host in self._host_names.items():
                if key == ipaddress.ip_address(address).reverse_pointer:
                    return self._host_name(host)
        nothing: dict[str, Sequence[str] | ResolutionFailure] = {}
        return tuple(self._answer(nothing, key, record_type, name))

    @staticmethod
    def _host_name(host: str | ResolutionFailure) -> tuple[str, ...]:
        if isinstance(host, ResolutionFailure):
            raise host
        return (host,)

    def _followed(self, name: str) -> str:
        """The end of the chain of aliases that begins at a name."""
        key = name.rstrip(".").lower()
        for _ in range(MAXIMUM_ALIASES):
            alias = self._records.get((key, "CNAME"))
            if not alias or isinstance(alias, ResolutionFailure):
                break
            key = alias[0].rstrip(".").lower()
        return key

    def _answer(
        self,
        table: Mapping[str, Answer | ResolutionFailure],
        name: str,
        record_type: str,
        asked: str,
    ) -> Answer:
        key = name.rstrip(".").lower()
        found = table.get(key)
        if isinstance(found, ResolutionFailure):
            raise found
        if found:
            return found
        if any(
            key in known
            for known in (self._mail_exchangers, self._addresses, self._host_names, self._texts)
        ) or any(key == known for known, _ in self._records):
            raise NoSuchRecord(asked, record_type, "there is no such record")
        raise NoSuchDomain(asked, record_type, "there is no such name")
