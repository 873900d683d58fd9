"""Name resolution, as a seam: the questions that mail delivery asks, and their answers.

The answers are typed: "no such domain", "no such record" and "could not find out" lead to three
different next steps (RFC 5321 5.1), so they are never one empty list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class ResolutionFailure(Exception):
    """The question has no usable answer. `name` and `record_type` are the question."""

    def __init__(self, name: str, record_type: str, reason: str) -> None:
        self.name = name
        self.record_type = record_type
        self.reason = reason
        super().__init__(f"{record_type} of {name}: {reason}")


class NoSuchDomain(ResolutionFailure):
    """NXDOMAIN: the name does not exist. Permanent."""


class NoSuchRecord(ResolutionFailure):
    """The name exists but has no record of this type (NODATA)."""


class ResolutionTemporaryFailure(ResolutionFailure):
    """SERVFAIL, a timeout or no reachable server: nothing is known, ask again later."""


class ResolutionTimeout(ResolutionTemporaryFailure):
    """No server answered at all, so that the way to them may be at fault and not the domain."""


@dataclass(frozen=True, slots=True)
class MailExchanger:
    """One MX record: lower preference first; host without the final dot, "" for a null MX."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one name and type, in presentation form (RFC 1035 5.1), names in lower case
    and without their final dot. TXT: the text itself, its strings joined, without quotes.
    """

    values: tuple[str, ...]
    authenticated: bool = False
    """The resolver vouches for them by DNSSEC: it set AD (RFC 4035 3.2.3). Worth as much as the
    resolver and the way to it are."""


class Resolver(Protocol):
    """What delivery and policy ask the DNS. All raise ResolutionFailure."""

    async def mail_exchangers(self, domain: str) -> tuple[MailExchanger, ...]:
        """The MX records of `domain`, by preference. A null MX (RFC 7505) is one with host ""."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The AAAA and A records of `host`, in the order to try them (RFC 6724 as seen from here).

        Raises only where neither type has an answer.
        """

    async def host_name(self, address: str) -> str:
        """The PTR name of an IP address, without the final dot."""

    async def text(self, name: str) -> tuple[str, ...]:
        """The TXT records of `name`, each with its strings joined."""

    async def records(self, name: str, record_type: str) -> Records:
        """The records of `name` of any type, such as "SRV", "TLSA" or "CNAME", as the DNS has
        them: in the answer's order, without /etc/hosts. An alias is followed, except for "CNAME".
        """
