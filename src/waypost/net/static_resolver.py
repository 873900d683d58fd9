"""A resolver that knows what it is told: for tests, the simulator and fixed set-ups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
)

Answer = TypeVar("Answer")


class StaticResolver:
    """Answers from dictionaries; a failure as a value is raised.

    A name that is in none of them does not exist (NoSuchDomain); one that is in another than the
    one asked for has no such record (NoSuchRecord).
    """

    def __init__(
        self,
        mail_exchangers: Mapping[str, Sequence[tuple[int, str]] | ResolutionFailure] | None = None,
        addresses: Mapping[str, Sequence[str] | ResolutionFailure] | None = None,
        host_names: Mapping[str, str | ResolutionFailure] | None = None,
        texts: Mapping[str, Sequence[str] | ResolutionFailure] | None = None,
    ) -> None:
        self._mail_exchangers = mail_exchangers or {}
        self._addresses = addresses or {}
        self._host_names = host_names or {}
        self._texts = texts or {}

    async def mail_exchangers(self, domain: str) -> tuple[MailExchanger, ...]:
        """See Resolver.mail_exchangers."""
        found = self._answer(self._mail_exchangers, domain, "MX")
        return tuple(sorted((MailExchanger(*one) for one in found), key=lambda r: r.preference))

    async def addresses(self, host: str) -> tuple[str, ...]:
        """See Resolver.addresses."""
        return tuple(self._answer(self._addresses, host, "A/AAAA"))

    async def host_name(self, address: str) -> str:
        """See Resolver.host_name."""
        return self._answer(self._host_names, address, "PTR")

    async def text(self, name: str) -> tuple[str, ...]:
        """See Resolver.text."""
        return tuple(self._answer(self._texts, name, "TXT"))

    def _answer(
        self, table: Mapping[str, Answer | ResolutionFailure], name: str, record_type: str
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
        ):
            raise NoSuchRecord(name, record_type, "there is no such record")
        raise NoSuchDomain(name, record_type, "there is no such name")
