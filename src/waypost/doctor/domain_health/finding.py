"""What the look at a domain brings: findings, each with its evidence and its remedy.

A finding has a stable name such as `spf.too_many_lookups`, so that a program can wait for it to
go. Where a record is missing or wrong, the finding carries the record that would be right, ready
to be copied into the zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final


class Status(StrEnum):
    """How much a finding matters. Worst first in a verdict: fail, warn; the others are fine."""

    OK = "ok"
    NOTE = "note"
    """Good to know; nothing is wrong."""
    WARN = "warn"
    """Some mail is treated worse for it, or will be."""
    FAIL = "fail"
    """Mail is refused or lost for it, or a protection does not work at all."""
    UNKNOWN = "unknown"
    """Could not be found out."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A record to publish."""

    name: str
    """The whole name, without its final dot."""
    record_type: str
    value: str
    """As text; a zone file quotes a TXT record (`zone_line`)."""

    @property
    def zone_line(self) -> str:
        """As a line of a zone file, a long text in pieces of 255 bytes (RFC 1035 3.3)."""
        value = self.value
        if self.record_type == "TXT":
            pieces = [value[at : at + 255] for at in range(0, len(value), 255)] or [""]
            value = " ".join(f'"{_escaped(piece)}"' for piece in pieces)
        return f"{self.name}. IN {self.record_type} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    """Stable and dotted; the first part is the area: mx, spf, dkim, ..."""
    status: Status
    text: str
    """What is so, in one sentence."""
    evidence: tuple[str, ...] = ()
    """Records as found, answers, addresses."""
    fix: str = ""
    """What to do; "" where nothing is."""
    suggestion: Suggestion | None = None
    cause: str = ""
    """The id of causes.toml that sending would fail with; "" where there is none."""

    @property
    def area(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]


def found(
    status: Status,
    name: str,
    text: str,
    *evidence: str,
    fix: str = "",
    suggestion: Suggestion | None = None,
    cause: str = "",
) -> Finding:
    """A finding, its evidence one by one."""
    return Finding(name, status, text, tuple(evidence), fix, suggestion, cause)


def text_record(name: str, value: str) -> Suggestion:
    """A TXT record to publish."""
    return Suggestion(name, "TXT", value)


ok: Final = partial(found, Status.OK)
note: Final = partial(found, Status.NOTE)
warn: Final = partial(found, Status.WARN)
fail: Final = partial(found, Status.FAIL)
unknown: Final = partial(found, Status.UNKNOWN)


def worst(findings: Iterable[Finding]) -> Status:
    """ok, warn or fail, of all of them. What is not known spoils nothing."""
    statuses = {one.status for one in findings}
    for status in (Status.FAIL, Status.WARN):
        if status in statuses:
            return status
    return Status.OK
