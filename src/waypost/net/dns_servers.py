"""Questions to real name servers, over dnspython. dns.py keeps the answers.

It is apart because dnspython takes longer to load than a whole command may that asks no name
server, as one that is about an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.SRV
import dns.resolver

from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTemporaryFailure,
    ResolutionTimeout,
)

ABSENCE_KEPT: Final = 900.0
"""The longest that "there is none" is kept; seconds. A domain that is being set up comes alive."""

ABSENCE_WITHOUT_SOA: Final = 60.0

FAILURE_KEPT: Final = 5.0
"""Seconds for which nothing is asked after nothing could be found out."""

LONGEST_KEPT: Final = 86_400.0
"""Seconds, whatever the TTL says."""

MAXIMUM_RECORDS: Final = 100
"""Records of one answer that are looked at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the name servers said. Failures are part of it."""

    seconds: float
    """How long it may be kept."""
    values: tuple[str, ...] = ()
    preferences: tuple[int, ...] = ()
    """Of MX records, parallel to `values`."""
    failure: ResolutionFailure | None = None
    authenticated: bool = False
    """The name server set AD."""


class NameServers:
    """Those of the system, or others that were given."""

    def __init__(
        self, nameservers: tuple[str, ...], port: int, server_seconds: float,
        question_seconds: float,
    ) -> None:  # fmt: skip
        self._nameservers = nameservers
        self._port = port
        self._server_seconds = server_seconds
        self._question_seconds = question_seconds
        self._stub: dns.asyncresolver.Resolver | None = None

    async def ask(self, name: str, record_type: str) -> Answer:
        """Ask once. Raises ValueError where there is no such record type."""

        def failed(kind: type[ResolutionFailure], reason: str, seconds: float) -> Answer:
            return Answer(seconds, failure=kind(name, record_type, reason))

        try:
            # A name with a dot is complete; one without may be short for a neighbour's.
            answer = await self._resolver().resolve(
                name if "." not in name else f"{name}.",
                record_type,
                search="." not in name,
                lifetime=self._question_seconds,
            )
        except dns.resolver.NXDOMAIN as absent:
            responses = absent.kwargs.get("responses", {})
            seconds = min((_absence(r) for r in responses.values()), default=ABSENCE_WITHOUT_SOA)
            return failed(NoSuchDomain, "there is no such name (NXDOMAIN)", seconds)
        except dns.resolver.NoAnswer as absent:
            return failed(
                NoSuchRecord, "there is no such record", _absence(absent.kwargs.get("response"))
            )
        except dns.rdatatype.UnknownRdatatype as fault:
            raise ValueError(f"there is no record type {record_type}") from fault
        except (dns.name.EmptyLabel, dns.name.LabelTooLong, dns.name.NameTooLong) as fault:
            return failed(NoSuchDomain, f"it is no domain name: {fault}", ABSENCE_WITHOUT_SOA)
        except dns.resolver.LifetimeTimeout:
            return failed(
                ResolutionTimeout,
                f"no name server answered within {self._question_seconds:g} seconds",
                FAILURE_KEPT,
            )
        except (dns.exception.DNSException, OSError) as fault:
            # SERVFAIL and REFUSED of all servers, broken answers, no resolv.conf, no network.
            return failed(ResolutionTemporaryFailure, str(fault)[:300], FAILURE_KEPT)
        return _records(answer)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        stub = self._stub
        if stub is None:
            stub = dns.asyncresolver.Resolver(configure=not self._nameservers)
            if self._nameservers:
                stub.nameservers = list(self._nameservers)
            stub.port = self._port
            stub.timeout = self._server_seconds
            # Room for a large MX or TXT answer in one packet; TCP follows where it is cut.
            stub.use_edns(0, 0, 1232)
            # "Tell me whether you have validated it" (RFC 6840 5.7), without the signatures.
            stub.set_flags(dns.flags.RD | dns.flags.AD)
            self._stub = stub
        return stub


def _records(answer: dns.resolver.Answer) -> Answer:
    values: list[str] = []
    preferences: list[int] = []
    for record in list(answer)[:MAXIMUM_RECORDS]:
        if isinstance(record, dns.rdtypes.ANY.MX.MX):
            values.append(record.exchange.to_text(omit_final_dot=True).rstrip(".").lower())
            preferences.append(record.preference)
        elif isinstance(record, dns.rdtypes.ANY.PTR.PTR):
            values.append(record.target.to_text(omit_final_dot=True).lower())
        elif isinstance(record, dns.rdtypes.ANY.TXT.TXT):
            values.append(b"".join(record.strings).decode("utf-8", "backslashreplace"))
        else:
            values.append(_presentation(record))
    return Answer(
        min(float(answer.chaining_result.minimum_ttl), LONGEST_KEPT),
        tuple(values),
        tuple(preferences),
        authenticated=bool(answer.response.flags & dns.flags.AD),
    )


def _presentation(record: dns.rdata.Rdata) -> str:
    """Names in it in lower case and without their final dot."""
    if isinstance(record, dns.rdtypes.ANY.CNAME.CNAME):
        return record.target.to_text(omit_final_dot=True).lower()
    if isinstance(record, dns.rdtypes.IN.SRV.SRV):
        target = record.target.to_text(omit_final_dot=True).rstrip(".").lower() or "."
        return f"{record.priority} {record.weight} {record.port} {target}"
    return record.to_text()


def _absence(response: object) -> float:
    """How long an absence may be kept, by the SOA that came with it (RFC 2308 5)."""
    if isinstance(response, dns.message.Message):
        for rrset in response.authority:
            for record in rrset:
                if isinstance(record, dns.rdtypes.ANY.SOA.SOA):
                    return float(min(rrset.ttl, record.minimum, ABSENCE_KEPT))
    return ABSENCE_WITHOUT_SOA
