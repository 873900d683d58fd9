"""The records of a domain beside the walk to its servers: SPF, DKIM, DMARC and the others.

They are looked at while the servers are asked. What is found stands as steps among the others, one
for each area, and counts in the verdict where the servers themselves are well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from waypost.doctor.check.diagnosis import Diagnosis, beside
from waypost.doctor.check.steps import Status, Step
from waypost.knowledge.causes import cause

if TYPE_CHECKING:
    from waypost.doctor.domain_health import Finding, HealthReport

HealthLook = Callable[[str], Awaitable["HealthReport"]]
"""Looks at a domain. Passed in, as it needs a web and is slow to load."""

HEALTH_SECONDS: Final = 45.0
"""For all of it; each question has its own, shorter limit."""

_STATUSES: Final[dict[str, Status]] = {"warn": "warn", "fail": "fail", "unknown": "skipped"}
_WORST_FIRST: Final[tuple[Status, ...]] = ("fail", "warn", "ok", "skipped")


async def look(domain: str, ask: HealthLook) -> HealthReport | None:
    """The report; None where it did not come to its end in time."""
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            return await ask(domain)
    except TimeoutError:
        return None


def steps_of(report: HealthReport) -> tuple[Step, ...]:
    """A step for each area, in the report's order."""
    areas: dict[str, list[Finding]] = {}
    for one in report.findings:
        areas.setdefault(one.area, []).append(one)
    return tuple(_step(area, findings) for area, findings in areas.items())


def _step(area: str, findings: list[Finding]) -> Step:
    statuses = [_STATUSES.get(one.status.value, "ok") for one in findings]
    worst = next(status for status in _WORST_FIRST if status in statuses)
    evidence = []
    for one in findings:
        evidence.append(one.text)
        evidence += [f"  {line}" for line in one.evidence[:20]]
    return Step(area, worst, 0.0, tuple(line[:600] for line in evidence[:60]))


def with_health(servers: Diagnosis, report: HealthReport) -> Diagnosis:
    """The verdict on servers and records together."""
    verdict = report.verdict.value
    if verdict not in ("warn", "fail") or servers.verdict == "fail":
        return servers
    weighty = [one for one in report.findings if one.status.value == verdict]
    # One that is known to stop mail is named before one that only has a text.
    first = next((one for one in weighty if one.cause), weighty[0])
    made = Diagnosis(
        "fail" if verdict == "fail" else "warn",
        cause(first.cause) if first.cause else None,
        first.fix or first.text,
        first.suggestion.zone_line if first.suggestion is not None else "",
        tuple(dict.fromkeys(one.cause for one in weighty if one.cause not in ("", first.cause))),
    )
    if verdict == "fail" or servers.cause is None:
        return made
    return beside(servers, made) if made.cause is not None else servers
