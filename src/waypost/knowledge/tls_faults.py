"""Why TLS handshakes fail (tls_faults.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from waypost.knowledge import tables

TABLE: Final = "tls_faults.toml"

_COLUMNS: Final = ("id", "verify_codes", "reasons", "text", "fix", "source")


@dataclass(frozen=True, slots=True)
class TlsFault:
    """One cause of a failed handshake."""

    id: str
    text: str
    """What it means."""
    fix: str
    """What to do."""
    source: str


@cache
def _index() -> tuple[dict[int, TlsFault], dict[str, TlsFault]]:
    by_code: dict[int, TlsFault] = {}
    by_reason: dict[str, TlsFault] = {}
    for row in tables.rows(TABLE, "fault"):
        tables.only(TABLE, row, _COLUMNS)
        fault = TlsFault(
            tables.text(TABLE, row, "id"),
            tables.text(TABLE, row, "text"),
            tables.text(TABLE, row, "fix"),
            tables.text(TABLE, row, "source"),
        )
        codes = row.get("verify_codes", [])
        if not isinstance(codes, list) or not all(isinstance(code, int) for code in codes):
            raise tables.FaultyTable(TABLE, row, "verify_codes must be whole numbers")
        for code in codes:
            by_code[code] = fault
        for reason in tables.texts(TABLE, row, "reasons"):
            by_reason[reason] = fault
    return by_code, by_reason


def fault_of_certificate(verify_code: int) -> TlsFault | None:
    """What OpenSSL's verify code (X509_V_ERR_*) means."""
    return _index()[0].get(verify_code)


def fault_of_handshake(reason: str) -> TlsFault | None:
    """What OpenSSL's reason, such as WRONG_VERSION_NUMBER, means."""
    return _index()[1].get(reason.upper().replace(" ", "_"))
